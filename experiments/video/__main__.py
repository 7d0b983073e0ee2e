"""What fusion over time brings on clips whose class lies in movement, in appearance or in both.

python -m experiments.video [fusion speed sheet] [--folder=runs/video]
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from configs import actions_fusion
from experiments import study
from visionlab.build import build_task
from visionlab.data.actions.actions import actions
from visionlab.data.actions.render import HUES
from visionlab.data.pipeline import open_sources
from visionlab.facts import Facts
from visionlab.figures.clips import film_strips
from visionlab.runs.load import load

NETWORKS = dict(single='single frame', early='early fusion', late='late fusion',
                slow='slow fusion', flow='true flow', found='flow found in the frames',
                lstm='LSTM over frames', fovea='slow, fovea + context')
FEW = ('single', 'slow', 'flow')       # with --quick
REPEATS = 5                            # of what is timed


def runs(given, folder) -> dict[str, list[Path]]:
  """A run of each network for each seed, by the network."""
  configs = {}
  for seed in range(given.seeds):
    for network in FEW if given.quick else NETWORKS:
      config = actions_fusion.get_config(network)
      if given.quick:
        data = actions_fusion.get_config('smoke').data.to_dict()
        config = study.changed(actions_fusion.get_config('smoke'), task=config.task.to_dict(),
                               data=config.data.to_dict() | data)
      steps = study.steps_of(given)
      configs[f'{network}/{seed}'] = study.changed(config, seed=seed, data_seed=seed, **steps)
  return study.by_kind(study.run(configs, folder))


def scores(p: np.ndarray, label: np.ndarray) -> dict[str, float]:
  """How often hue, movement and both are right, of probabilities (n k) of their pairs: of one
  alone, the other is summed over."""
  pairs = p.reshape(len(p), -1, len(HUES))
  movement, hue = np.divmod(label, len(HUES))
  return dict(hue=(pairs.sum(1).argmax(-1) == hue).mean(),
              movement=(pairs.sum(2).argmax(-1) == movement).mean(),
              both=(p.argmax(-1) == label).mean())


def by_svm(scores: tuple, label: np.ndarray, tested: tuple) -> np.ndarray:
  """Stand-ins for probabilities (n k): the margins of a linear SVM on both streams' scores, each
  with length 1 (Simonyan and Zisserman 2014, section 5), fitted to those of other clips."""
  from sklearn.svm import LinearSVC  # noqa: PLC0415 - the study alone needs it
  joined = [np.concatenate([s / np.linalg.norm(s, axis=1, keepdims=True) for s in part], 1)
            for part in (scores, tested)]
  margins = LinearSVC(C=1.).fit(joined[0], label).decision_function(joined[1])
  return np.exp(margins)


def fusion(given, folder):
  """What is right of hue, movement and both, %"""
  made = runs(given, folder)
  one = load(made['flow'][0])
  sets = {split: open_sources(one.config.data.to_dict(), split) for split in ('validation', 'test')}

  def asked(path: Path, split: str, **options) -> np.ndarray:
    run = load(path)
    task = dataclasses.replace(run.task, **options)
    predict = jax.jit(lambda batch: task.predict(run.variables, batch)['probabilities'])
    clips = sets[split]
    return np.concatenate([predict(clips[np.arange(i, min(i + 125, len(clips)))])
                           for i in range(0, len(clips), 125)])
  said = {network: [asked(path, 'test') for path in paths] for network, paths in made.items()}
  streams = list(zip(said['single'], said['flow'], strict=True))
  said['two streams, mean'] = [(a + b) / 2 for a, b in streams]
  if not given.quick:          # a few clips lack classes, and finding their flow takes long
    known = [[asked(path, 'validation') for path in pair]
             for pair in zip(made['single'], made['flow'], strict=True)]
    said['two streams, SVM'] = [
        by_svm(fitted, sets['validation'].arrays['label'], tested)
        for fitted, tested in zip(known, streams, strict=True)]
    said['true flow, shown what is found'] = [asked(path, 'test', flow=actions_fusion.FOUND)
                                              for path in made['flow']]
    said['two streams, flow found'] = [(a + b) / 2 for a, b in zip(said['single'], said['found'],
                                                                   strict=True)]
  label = sets['test'].arrays['label']
  rows = []
  for network, answers in said.items():
    each = [scores(p, label) for p in answers]
    weights = load(made[network][0]).variables['params'] if network in made else {}
    rows.append({'network': NETWORKS.get(network, network),
                 **{k: study.spread([e[k] for e in each], 1) for k in each[0]},
                 'parameters': f'{sum(x.size for x in jax.tree.leaves(weights)):,}'})
  if given.figure:
    pictures(said['slow'][0], sets['test'], given.figure)
  return rows


def pictures(p: np.ndarray, clips, path: Path):
  """Draws some clips with what is said of them, right and wrong."""
  label, predicted = clips.arrays['label'], p.argmax(-1)
  names = clips.info.classes
  some = np.concatenate([np.flatnonzero(predicted == label)[:9],
                         np.flatnonzero(predicted != label)[:3]])
  captions = [names[predicted[i]] + (f'\n(true {names[label[i]]})' if predicted[i] != label[i]
                                     else '') for i in some]
  drawn = film_strips(clips.arrays['video'][some], captions, (predicted == label)[some],
                      'What slow fusion says')
  Image.fromarray(drawn).convert('RGB').save(path.with_suffix('.jpg'), quality=75)
  print(path.with_suffix('.jpg'))


def timed(call: Callable) -> float:
  """Seconds of a call, the least of some."""
  jax.block_until_ready(call())
  took = []
  for _ in range(REPEATS):
    begun = time.perf_counter()
    jax.block_until_ready(call())
    took.append(time.perf_counter() - begun)
  return min(took)


def speed(given, folder):
  """Milliseconds for a clip of 8 x 64², slow fusion at full resolution and by fovea and context"""
  del folder
  rows = []
  for network in ('slow', 'fovea'):
    config = actions_fusion.get_config(network)
    source = actions('test', size=32 if given.quick else 64, clips=32, keep=False)
    task = build_task(config, Facts.of(source))
    batch = source[np.arange(32)] | dict(valid=np.ones(32, bool))
    variables = jax.jit(task.init)(jax.random.key(0), batch)
    rows.append({'network': NETWORKS[network], **cost(task, variables, batch)})
  for row in rows:
    row['speed'] = f'{float(rows[0]["training"]) / float(row["training"]):.2f}'
  return rows


def cost(task, variables: Mapping, batch: Mapping) -> dict[str, str]:
  """Milliseconds for a clip: what is said of it, and the gradient of its loss."""
  predict = jax.jit(task.predict)
  hp = {name: np.float32(value) for name, value in task.hyperparameters().items()}

  def loss(params):
    terms, _ = task.loss(variables | dict(params=params), batch, jax.random.key(0), hp, train=True)
    return sum(t.value for t in terms.values())
  gradient = jax.jit(jax.grad(loss))
  n = len(batch['label'])
  return dict(prediction=f'{1e3 / n * timed(lambda: predict(variables, batch)):.2f}',
              training=f'{1e3 / n * timed(lambda: gradient(variables["params"])):.2f}')


def sheet(given, folder):
  """Clips of every movement, from the first frame to the last"""
  del folder
  source = actions('train', label='both', size=64, clips=400, pan=2., distractor=True, keep=False)
  some = source[np.arange(100)]
  movement = some['label'] // len(HUES)
  chosen = [np.flatnonzero(movement == k)[0] for k in np.unique(movement)]
  if given.figure:
    picture = film_strips(some['video'][chosen],
                          [source.info.classes[some['label'][i]] for i in chosen], None,
                          'actions: with a distractor, and a camera that moves')
    Image.fromarray(picture).convert('RGB').save(given.figure.with_name('sheet.jpg'), quality=80)
  return [{'movements': len(chosen)}]


PARTS = {f.__name__: f for f in (fusion, speed, sheet)}


def main(argv=None):
  options = study.parser('video', __doc__, seeds=1)
  study.add_parts(options, PARTS, tuple(PARTS))
  options.add_argument('--steps', type=int, help='updates of each run; default: the configs\'')
  given = study.parse(options, argv, __file__)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
