"""Metrics of one's own: config.evals.<name>.metrics = ('package.module:function', ...)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from visionlab.config import ConfigError, bind, nearest, resolve
from visionlab.data.file_warnings import warn_once
from visionlab.data.source import Source
from visionlab.facts import Facts
from visionlab.options.mistakes import own_mistakes
from visionlab.options.parts import parameters_of
from visionlab.task import Evaluator, Results, Task

WHOLE = ('predictions', 'batch')


def own_metrics(names: Sequence[str], task: Task, where: str) -> dict[str, Evaluator]:
  """Evaluators by the names of their functions in a config.

  A function's arguments without a default name what it takes, as NumPy arrays of the whole split:
  entries of what the task predicts (`prediction`, `probabilities`, ...) and of the batch (`label`,
  ...); or all of them, in dicts `predictions` and `batch`. It gives a number, which gets the
  function's name, or a dict of numbers and arrays by name. One that takes `task` gives a
  `visionlab.task.Evaluator` instead, whose sums stay on the device.

  Raises:
    ConfigError: no such function.
  """
  return {name: _evaluator(name, task, f'{where}[{i}]') for i, name in enumerate(names)}


# By name, as a task is, for it is a run's work to load another.
LIKENESS = 'visionlab.runs.likeness:likeness'


def metrics_of_one(options: Mapping, task: Task, where: str) -> dict[str, Evaluator]:
  """Those of one of config.evals, with what is measured in the `features` of another network."""
  found = own_metrics(options.get('metrics', ()), task, f'{where}.metrics')
  if options.get('features'):
    likeness = resolve(LIKENESS, {}, where)
    found['features'] = likeness(task, options['features'], f'{where}.features')
  return found


def metrics_of(config: Mapping, task: Task, features: str = '', source: Source | None = None
               ) -> dict[str, Evaluator]:
  """Those of all of config.evals.

  Args:
    features: another network than they name.
    source: what is measured on, if that may be other data than theirs: metrics that ask for what it
      does not have are left out, with a warning.
  """
  found = {}
  for name, options in config.get('evals', {}).items():
    options = {**options, 'features': features or options.get('features', '')}
    if source is not None:
      options['metrics'] = tuple(one for one in options.get('metrics', ())
                                 if _told(one, task, source, f'config.evals.{name}.metrics'))
    found |= metrics_of_one(options, task, f'config.evals.{name}')
  return found


def _told(name: str, task: Task, source: Source, where: str) -> bool:
  """Whether what a metric asks for is there; says so if not."""
  try:
    check_asked([name], task, source, where)
  except ConfigError as e:
    warn_once(f'not measured: {e}')
    return False
  return True


def check_asked(names: Sequence[str], task: Task, source: Source, where: str):
  """Raises `ConfigError` where a function asks for what neither the task nor the source has."""
  example = Facts.of(source).example
  variables = jax.eval_shape(task.init, jax.random.key(0), example)
  said = jax.eval_shape(task.predict, variables, example)
  for i, name in enumerate(names):
    for key in _asked(resolve(name, {}, f'{where}[{i}]'), f'{where}[{i}]'):
      if key != 'task':
        _entry(key, said, example, f'{where}[{i}]: {name}')


def _asked(function: Callable, where: str) -> list[str]:
  return [k for k, p in parameters_of(function, where).items() if p.default is p.empty]


def _evaluator(name: str, task: Task, where: str) -> Evaluator:
  function = resolve(name, {}, where)
  asked = _asked(function, where)
  if 'task' in asked:
    return _guarded(bind(function, {'name': name}, where, task=task), name, where)

  def update(variables, batch, hp):
    said = task.predict(variables, batch)
    return {key: _entry(key, said, batch, f'{where}: {name}') for key in asked}

  def finish(rows):
    return function(**rows)
  return _guarded(Evaluator(update, finish, kind='collect'), name, where)


def _entry(key: str, said: Mapping, batch: Mapping, where: str):
  """What an argument's name stands for.

  Raises:
    ConfigError: nothing, or two things.
  """
  if key in WHOLE:
    return dict(said if key == 'predictions' else batch)
  if key in said and key in batch:
    raise ConfigError(f'{where}: "{key}" is among the predictions and in the batch; take '
                      '`predictions` and `batch`, dicts of each')
  if key not in said and key not in batch:
    raise ConfigError(f'{where} asks for "{key}"{nearest(key, (*said, *batch))}; the task predicts '
                      f'{", ".join(sorted(said))}, and the data have {", ".join(sorted(batch))}')
  return said[key] if key in said else batch[key]


def _guarded(evaluator: Evaluator, name: str, where: str) -> Evaluator:
  """It, with its mistakes named, and its results made numbers and arrays by name."""
  if not isinstance(evaluator, Evaluator):
    raise ConfigError(f'{where}: {name} takes `task`, and gave {evaluator!r:.60}; expected a '
                      'visionlab.task.Evaluator')

  def update(variables, batch, hp):
    with own_mistakes(where, name):
      return evaluator.update(variables, batch, hp)

  def finish(stats):
    with own_mistakes(where, name):
      found = evaluator.finish(stats)
    return _by_name(found, name, where)
  return Evaluator(update, finish, evaluator.kind)


def _by_name(found: Any, name: str, where: str) -> Results:
  found = found if isinstance(found, Mapping) else {name.partition(':')[2]: found}
  try:
    arrays = {key: np.asarray(value) for key, value in found.items()}
  except ValueError:                     # rows of different lengths
    arrays = {'': np.asarray(None)}
  if not all(isinstance(key, str) and value.dtype.kind in 'biuf' for key, value in arrays.items()):
    raise ConfigError(f'{where}: {name} gave {found!r:.80}; expected a number, or a dict of '
                      'numbers and arrays by name')
  return {key: value if value.ndim else float(value) for key, value in arrays.items()}
