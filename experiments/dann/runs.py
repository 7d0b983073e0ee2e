"""The runs of the study: the seeds of a method are trained in one program."""

import contextlib
import sys
import time

import numpy as np

from configs import digits_dann, mnist_mnistm_dann
from experiments import study
from launch import programs
from visionlab.storage.workdir import outcome

TASKS = dict(digits=digits_dann, mnist=mnist_mnistm_dann)
METHODS = {'source only': 'source', 'MMD': 'mmd', 'CORAL': 'coral', 'confusion': 'confusion',
           'DANN': 'dann', 'train on target': 'target'}


def config_of(given, method, **changes):
  """The task's config, with a method and the options given."""
  made = TASKS[given.task].get_config('smoke' if given.quick else METHODS[method])
  changes = dict(task__method=METHODS[method], **changes)
  if given.task == 'mnist' and not given.quick:
    for domain in ('source', 'target'):
      changes |= {f'{place}__{domain}{data}__root': given.root
                  for place, data in (('data', ''), ('evals', '__data'))}
  if given.steps:
    changes['steps'] = given.steps
  if not given.quick:
    changes |= {f'evals__{domain}__every': '5%' for domain in ('source', 'target')}
  return study.changed(made, **changes)


def trained(given, folder, method, **changes):
  """The workdirs, by seed, of a method's runs. One that diverges is left out.

  Raises:
    SystemExit: training was interrupted, or all have diverged.
  """
  name = '-'.join([METHODS[method], *(f'{k}={v}' for k, v in changes.items())])
  return together({str(seed): config_of(given, method, seed=seed, data_seed=seed, **changes)
                   for seed in range(given.seeds)}, folder / name)


def together(configs, folder):
  """Trains configs that differ in hp and seeds, each in folder/<name>; the workdirs of those that
  did not diverge."""
  folder.mkdir(parents=True, exist_ok=True)
  done = all(outcome(folder / name) for name in configs)
  begun = time.perf_counter()
  with (folder / 'log.txt').open('a') as log, contextlib.redirect_stdout(log):
    if programs.train(configs, folder):
      raise SystemExit(f'interrupted in {folder}; the same command goes on')
  if not done:
    print(f'{folder.name}  {len(configs)} runs in {time.perf_counter() - begun:.1f} s',
          file=sys.stderr, flush=True)
  left = {name: folder / name for name in configs
          if outcome(folder / name)['status'] == 'done'}
  if not left:
    raise SystemExit(f'{folder}: every run has diverged')
  return left


def accuracies(workdirs, domain='target'):
  """On the domain's test split, in the end."""
  return np.array([study.last(path, f'{domain}/accuracy') for path in workdirs.values()])
