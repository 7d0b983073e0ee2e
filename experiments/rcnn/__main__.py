"""The road to Faster R-CNN: six detectors on one backbone, one data set and one evaluator.

python -m experiments.rcnn [detectors] [--folder=runs/rcnn]
python -m experiments.rcnn recall [--people=<PennFudanPed>] [--photographs=<coco128>]
"""

import dataclasses
import statistics
import time

import jax
import numpy as np

import visionlab
from configs import (
  scenes_fast_rcnn,
  scenes_faster_rcnn,
  scenes_localize,
  scenes_rcnn,
  scenes_sliding,
  scenes_spp,
)
from experiments import study
from experiments.rcnn import recall, region_svm, stages
from visionlab.data.pipeline import eval_batches, open_sources
from visionlab.data.proposals import proposer
from visionlab.evaluate import evaluate
from visionlab.figures import charts
from visionlab.models.low_rank import truncated

CONFIGS = {'localisation': scenes_localize, 'sliding window': scenes_sliding, 'R-CNN': scenes_rcnn,
           'SPP-net': scenes_spp, 'Fast R-CNN': scenes_fast_rcnn,
           'Faster R-CNN': scenes_faster_rcnn}
QUICK = ('localisation', 'R-CNN', 'SPP-net', 'Fast R-CNN')
LOW = 8                          # the rank of Fast R-CNN's fc6 is its width divided by this
IMAGES = 20                      # timed together
REPEATS = 5


def detectors(given, folder):
  """Training time, test time, precision and memory of the six."""
  made = {f'{name}/{seed}': config_of(name, given, seed)
          for seed in range(given.seeds) for name in (QUICK if given.quick else CONFIGS)}
  before = {name: config for name, config in made.items() if not name.startswith('SPP-net')}
  workdirs = study.run(before, folder)
  # As the paper's are an ImageNet classifier's, SPP-net's convolutions are the localiser's.
  after = {name: config for name, config in made.items() if name not in before}
  for seed, config in enumerate(after.values()):
    config.init_from = str(workdirs[f'localisation/{seed}'])
  workdirs |= study.run(after, folder)
  ordered = study.by_kind({name: workdirs[name] for name in made})
  rows = [row_of(name, [visionlab.load(path) for path in paths], paths)
          for name, paths in ordered.items()]
  if not given.quick:
    rows += further_stages(ordered)
  if given.figure:
    runs = {name: visionlab.load(paths[0]) for name, paths in ordered.items()}
    # As many images as were timed: the same programs.
    charts.save(stages.picture(runs, batch_of(runs['R-CNN'], IMAGES)), given.figure)
    study.picture(given.figure, given.figure)
  return rows


def config_of(name, given, seed):
  config = CONFIGS[name].get_config(*['smoke'] * given.quick)
  changes = {} if given.quick else dict(evals__test__every='100%')
  if given.steps:
    changes['steps'] = given.steps
  return study.changed(config, seed=seed, data_seed=seed, **changes)


def row_of(name, runs, workdirs):
  """Of the runs of one kind, over their seeds."""
  paces = [study.curve(path, 'train/examples_per_second')[1] for path in workdirs]
  # A run of a few steps has no rate: the first are compiled, or counted, meanwhile.
  minutes = [run.config.batch * run.step / statistics.median(pace) / 60
             for run, pace in zip(runs, paces, strict=True) if pace]
  scores = {key: [study.last(path, f'test/{key}') for path in workdirs]
            for key in ('box_ap50', 'box_ap')}
  return shown(name, runs[0], minutes, scores)


def shown(name, run, minutes, scores):
  seconds, memory = cost(run)
  extra = searching(run) if run.task.proposals == 'given' else 0.
  return {'detector': name, 'parameters': f'{parameters(run):,}',
          'training, min': study.spread(minutes, 1, 1.) if minutes else '-',
          'test, ms an image': f'{1e3 * seconds:.1f}',
          'with proposals, ms': f'{1e3 * (seconds + extra):.1f}',
          'memory, MB': f'{memory / 1e6:.0f}',
          'AP50, %': study.spread(scores['box_ap50'], 1),
          'AP, %': study.spread(scores['box_ap'], 1)}


def further_stages(workdirs):
  """R-CNN with SVMs and ridge regressions, Fast R-CNN with a layer of low rank, and the sliding
  window without what it shares."""
  refitted = []
  for path in workdirs['R-CNN']:
    run = visionlab.load(path)
    source = open_sources(run.config.data.to_dict(), run.config.split)
    refitted.append(region_svm.refit(run, region_svm.regions_of(
        run, eval_batches(source, run.batch, 0))))
  yield shown('R-CNN, SVMs', refitted[0], [], scores_of(refitted))
  cut = []
  for path in workdirs['Fast R-CNN']:
    run = visionlab.load(path)
    ranks = tuple(width // LOW for width in run.task.model.hidden)
    model, variables = truncated(run.task.model, run.variables, ranks)
    cut.append(dataclasses.replace(run, task=dataclasses.replace(run.task, model=model),
                                   variables=variables))
  yield shown(f'Fast R-CNN, rank {ranks[0]}', cut[0], [], scores_of(cut))
  apart = [one_by_one(visionlab.load(path)) for path in workdirs['sliding window']]
  yield shown('sliding window, not shared', apart[0], [], scores_of(apart))


def one_by_one(run):
  """The run of a sliding window that cuts out each of its windows."""
  model = run.task.model.clone(shared=False)
  return dataclasses.replace(run, task=dataclasses.replace(run.task, model=model))


def scores_of(runs):
  results = [evaluate([run], run.config.evals.test.split)[0] for run in runs]
  return {key: [result[key] for result in results] for key in ('box_ap50', 'box_ap')}


def batch_of(run, n):
  source = open_sources(run.config.data.to_dict(), run.config.evals.test.split)
  n = min(n, len(source))
  return dict(source[np.arange(n)], valid=np.ones(n, bool))


def cost(run):
  """Seconds of `predict` for an image, of some at once, and the bytes that it needs beside its
  arguments."""
  batch = jax.device_put(batch_of(run, IMAGES))
  program = jax.jit(run.task.predict).lower(run.variables, batch).compile()
  times = []
  for _ in range(REPEATS):
    begun = time.perf_counter()
    jax.block_until_ready(program(run.variables, batch))
    times.append(time.perf_counter() - begun)
  return statistics.median(times[1:]) / len(batch['image']), (
      program.memory_analysis().temp_size_in_bytes)


def searching(run):
  """Seconds in which the run's proposals of an image are made, on one core."""
  propose = proposer(run.config.data.proposals.to_dict(), 'config.data.proposals')
  images = batch_of(run, IMAGES)['image']
  begun = time.perf_counter()
  for image in images:
    propose(image)
  return (time.perf_counter() - begun) / len(images)


def parameters(run):
  return sum(leaf.size for leaf in jax.tree.leaves(run.variables['params']))


PARTS = {f.__name__: f for f in (detectors, recall.recall)}


def main(argv=None):
  options = study.parser('rcnn', __doc__, seeds=1)
  study.add_parts(options, PARTS, ['detectors'])
  options.add_argument('--steps', type=int, help='by default those of the configs')
  options.add_argument('--images', type=int, default=170, help='of a set, for recall; %(default)s')
  options.add_argument('--people', help='the folder of Penn-Fudan, for recall')
  options.add_argument('--photographs', help='the folder of COCO128, for recall')
  given = study.parse(options, argv, __file__)
  return study.run_parts(PARTS, given)


if __name__ == '__main__':
  study.start(main)
