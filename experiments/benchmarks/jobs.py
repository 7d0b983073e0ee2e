"""Whole commands, as a user waits for them: training, starting, reloading; and their memory."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from experiments.benchmarks.harness import Row, in_turn, require
from experiments.benchmarks.processes import Finished, run, wait_for

TRAIN = ('-m', 'visionlab.train')
DIGITS = '--config=configs/digits_cnn.py'
CACHE = 'JAX_COMPILATION_CACHE_DIR'

LOAD = """
import json, sys, time
marks = [float(sys.argv[2]), time.time()]
import numpy as np
import visionlab
visionlab.load
marks.append(time.time())
run = visionlab.load(sys.argv[1])
marks.append(time.time())
run.predict(np.zeros((1, *run.canvas.shape), np.uint8))
marks.append(time.time())
print(json.dumps(marks))
"""


def digits_job(repeats: int) -> Iterator[Row]:
  """The digits config from nothing to its last checkpoint, against the same job in torch: with no
  compiled programs at hand, with those of the run before, and the memory of the latter."""
  require('torch')
  with tempfile.TemporaryDirectory() as folder:
    top, cold, warm, torch = Path(folder), [], [], []
    for i in range(repeats):
      env = {CACHE: str(top / f'cache{i}')}
      cold.append(_train(DIGITS, top / f'cold{i}', env))
      torch.append(run('-m', 'experiments.benchmarks.torch_digits', f'--workdir={top}/torch{i}'))
      warm.append(_train(DIGITS, top / f'warm{i}', env))
    ours = median(_final(top / f'warm{i}', 'test/accuracy') for i in range(repeats))
  theirs = median(json.loads(t.output.splitlines()[-1])['accuracy'] for t in torch)
  note = f'test accuracy {ours:.3f}, peer {theirs:.3f}'
  seconds = [t.seconds for t in torch]
  yield Row('digits_job/cold', [c.seconds for c in cold], seconds, f'nothing cached; {note}')
  yield Row('digits_job/warm', [w.seconds for w in warm], seconds, f'compilations cached; {note}')
  yield Row('digits_job/memory', [w.peak for w in warm], [t.peak for t in torch],
            'largest resident size', 'B')


def imports(repeats: int) -> Iterator[Row]:
  """`import visionlab`, and the import of all that `visionlab.load` needs, against JAX and Flax."""
  measures = [lambda code=code: run('-c', code).seconds for code in
              ('import visionlab', 'import visionlab; visionlab.load', 'import jax, flax.linen')]
  in_turn(1, *measures)                          # files are read from memory from here on
  bare, load, peer = in_turn(repeats, *measures)
  yield Row('import/visionlab', bare, peer, 'peer: import jax, flax.linen')
  yield Row('import/load', load, peer, 'peer: import jax, flax.linen')


def first_step(repeats: int) -> Iterator[Row]:
  """From the start of the process to the first step's metrics on disk, what is measured before it
  included; with no compiled programs at hand, and with those of the run before."""
  configs = dict(digits=DIGITS, mask_rcnn='--config=configs/scenes_mask_rcnn.py')
  for name, config in configs.items():
    cold, warm = [], []
    for _ in range(repeats):
      with tempfile.TemporaryDirectory() as folder:
        for kind, seconds in dict(cold=cold, warm=warm).items():
          workdir = Path(folder) / kind
          seconds.append(wait_for(workdir / 'metrics.jsonl', 'train/loss', *TRAIN, config,
                                  f'--workdir={workdir}', '--config.log.every=1',
                                  **{CACHE: f'{folder}/cache'}))
    yield Row(f'first_step/{name}_cold', cold, note='nothing cached')
    yield Row(f'first_step/{name}', warm, note='compilations cached')


def load(repeats: int) -> Iterator[Row]:
  """A run reloaded, and asked, in a fresh process."""
  with tempfile.TemporaryDirectory() as folder:
    workdir = Path(folder) / 'run'
    _train(f'{DIGITS}:smoke', workdir, {})
    marks = [json.loads(run('-c', LOAD, str(workdir), str(time.time())).output)
             for _ in range(repeats)]
  start, imported, loaded, predicted = np.median(np.diff(marks, axis=1), 0)
  yield Row('load', [m[-1] - m[0] for m in marks],
            note=f'Python {start:.2f} s, import {imported:.2f} s, load {loaded:.2f} s, '
                 f'first predict {predicted:.2f} s')


def memory(repeats: int, images: int = 4000, side: int = 96) -> Iterator[Row]:
  """One epoch of a folder of images, streamed, against one of a quarter as many images."""
  with tempfile.TemporaryDirectory() as folder:
    top, command = Path(folder), {}
    for part in (1, 4):
      n = images * part // 4
      write_images(top / f'images{part}', n, side)
      command[part] = write_config(top / f'config{part}.py', dict(
          steps='1 epochs', batch=50, data=dict(name='folder', root=f'{top}/images{part}',
                                                size=side),
          task=dict(name='classify', model=dict(name='mlp', hidden=(8,))),
          optim=dict(name='sgd'), hp=dict(lr=.01)))

    def peak(part: int) -> int:
      return _train(command[part], Path(tempfile.mkdtemp(dir=top)), {CACHE: f'{top}/cache'}).peak
    in_turn(1, lambda: peak(4), lambda: peak(1))     # compiling takes memory of its own
    many, few = in_turn(repeats, lambda: peak(4), lambda: peak(1))
  grown = (median(many) - median(few)) / 1e6
  decoded = images * 3 / 4 * side * side * 3 / 1e6
  yield Row('memory/folder', many, few, f'{images} images streamed, peer: a quarter of them; '
            f'{grown:+.0f} MB for {decoded:.0f} MB more of pixels', 'B')


def write_config(path: Path, options: Mapping) -> str:
  """A config file that holds just `options` of `visionlab.config.experiment`; the flag for it."""
  path.write_text('from visionlab.config import experiment\n\n\n'
                  f'def get_config():\n  return experiment(**{dict(options)!r})\n')
  return f'--config={path}'


def write_images(root: Path, n: int, side: int) -> None:
  """Two classes of noise, as JPEG files in a folder each."""
  pixels = np.random.default_rng(0)
  for name in 'ab':
    (root / name).mkdir(parents=True)
  for i in range(n):
    image = Image.fromarray(pixels.integers(0, 256, (side, side, 3), np.uint8))
    image.save(root / 'ab'[i % 2] / f'{i}.jpg')


def _digits(**changes) -> dict:
  """The digits config without its evaluations, as `write_config` takes it."""
  from configs.digits_cnn import get_config
  config = get_config().to_dict()
  return {**config, 'evals': {}, 'checkpoint': {}, **changes}


def _train(config: str, workdir: Path, env: Mapping[str, str]) -> Finished:
  return run(*TRAIN, config, f'--workdir={workdir}', **env)


def _final(workdir: Path, metric: str) -> float:
  lines = map(json.loads, (workdir / 'metrics.jsonl').read_text().splitlines())
  return [line[metric] for line in lines if metric in line][-1]
