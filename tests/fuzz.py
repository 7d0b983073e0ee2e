"""Configs with one wrong value: each is answered by a `ConfigError`, or is no mistake.

python -m tests.fuzz [--tries=3000] [--seed=0] [--only=digits_cnn]
Every place of every config in configs/, as it is and in its smoke form, is set to each of `VALUES`;
of all those tries some are drawn. A traceback is printed with the try that led to it.
"""

import argparse
import functools
import importlib
import itertools
import math
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from ml_collections import ConfigDict

from visionlab import build
from visionlab.config import ConfigError
from visionlab.data.behaviour import behaviour
from visionlab.data.faces import faces
from visionlab.data.pipeline import open_sources
from visionlab.data.scenes import scenes
from visionlab.train import Schedule
from visionlab.training import evaluation
from visionlab.training.evaluation import Evaluations

ROOT = Path(__file__).parents[1]
FEW = 40                         # examples
VALUES = (0, -1, 3.7, math.nan, math.inf, '', 'nonsense', True, (), (1, 2), None, {'a': 1})


def places(tree, path=()) -> Iterator[tuple]:
  """The keys and indices that lead to each value in a config, dicts and the dicts in tuples too."""
  if path:
    yield path
  if isinstance(tree, dict):
    for key, value in tree.items():
      yield from places(value, (*path, key))
  elif isinstance(tree, tuple) and any(isinstance(x, dict) for x in tree):
    for i, value in enumerate(tree):
      yield from places(value, (*path, i))


def changed(tree, path, value):
  """A copy of a config in which one place has another value."""
  if not path:
    return value
  if isinstance(tree, tuple):
    return tuple(changed(x, path[1:], value) if i == path[0] else x for i, x in enumerate(tree))
  return {**tree, path[0]: changed(tree[path[0]], path[1:], value)}


def assembled(config):
  """Goes through all that precedes the first step of training."""
  job = build.assemble(config)
  evaluations = Evaluations(config, job.task, job.mesh, job.total, job.steps)
  Schedule.of(config, job, evaluations)
  jax.eval_shape(job.init)


def answered(tree, path, value) -> str:
  """'' where the config is taken or refused by a ConfigError; else the traceback."""
  try:
    assembled(ConfigDict(changed(tree, path, value)))
  except ConfigError:
    return ''
  except Exception:
    return traceback.format_exc()
  return ''


@functools.cache
def config_of(name: str, variant: str | None) -> dict:
  """A config file's dict. variant: the argument after the file; None: none."""
  module = importlib.import_module(f'configs.{name}')
  config = module.get_config(*([] if variant is None else [variant])).to_dict()
  if 'examples' in config['data']:
    config['data']['examples'] = FEW
  return config


def tries(names) -> list[tuple]:
  """All of them: (config's name, variant, place, value)."""
  forms = itertools.product(names, (None, 'smoke'))
  return [(name, variant, path, value) for name, variant in forms
          for path in places(config_of(name, variant)) for value in VALUES]


def some(all_tries: list, n: int, seed: int) -> list:
  """n of the tries, those of one config after another, so that its data are opened once."""
  drawn = random.Random(seed).sample(range(len(all_tries)), min(n, len(all_tries)))
  return [all_tries[i] for i in sorted(drawn)]


def opened_once() -> Callable:
  """`open_sources` that remembers the last sets: most tries change something else, and to draw
  some of them anew takes a minute."""
  kept = {}

  def opened(options, *args):
    key = repr((options, args))
    if key not in kept:
      if len(kept) > 8:
        kept.clear()
      kept[key] = open_sources(options, *args)
    return kept[key]
  return opened


def draw_few():
  """Of the drawn worlds few examples, unless a try says how many: proposals, captions or faces of
  all of them would take minutes."""
  for split in scenes.EXAMPLES:
    scenes.EXAMPLES[split], faces.PEOPLE[split], faces.EACH[split] = FEW, FEW // 4, 4
    for users in behaviour.USERS.values():
      users[split] = FEW // 4


def main():
  options = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  options.add_argument('--tries', type=int, default=3000)
  options.add_argument('--seed', type=int, default=0)
  options.add_argument('--only', default='', help='Configs whose name has this in it.')
  given = options.parse_args()
  names = [p.stem for p in sorted((ROOT / 'configs').glob('*.py')) if given.only in p.stem]
  drawn = some(tries(names), given.tries, given.seed)
  failed, begun = 0, time.monotonic()
  draw_few()
  build.open_sources = evaluation.open_sources = opened_once()
  for i, (name, variant, path, value) in enumerate(drawn, 1):
    said = answered(config_of(name, variant), path, value)
    if said:
      failed += 1
      print(f'{name}:{variant or ""} {".".join(map(str, path))} = {value!r}\n{said}', flush=True)
    if i % 100 == 0:
      jax.clear_caches()               # or the programs would fill the memory
      print(f'{i} tries, {failed} tracebacks, {time.monotonic() - begun:.0f} s', file=sys.stderr)
  print(f'{len(drawn)} tries, {failed} tracebacks')
  sys.exit(bool(failed))


if __name__ == '__main__':
  main()
