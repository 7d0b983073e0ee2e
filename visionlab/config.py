"""Strict configs: every key is read by something, and a wrong one is answered with the right one.

A config is an `ml_collections.ConfigDict` made by `experiment`. A dict in it that carries a `name`
(`config.task`, `config.task.model`, `config.data`) picks a callable from a table; its other keys
are that callable's arguments, checked by `bind`: names, then types. Nothing is read with a default
at the place of use, so a key that nobody reads cannot exist.
"""

import difflib
import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

Duration = int | str


class ConfigError(ValueError):
  """A mistake in what the user asked for; its text is all the user needs to see."""


class TrainingError(RuntimeError):
  """Training cannot go on; the text says why, and what is left to go on from."""


def nearest(word: str, words) -> str:
  """A hint naming the member of `words` most like `word`, or '' when none is near.

  >>> nearest('momentun', ['lr', 'momentum'])
  ' (did you mean "momentum"?)'
  """
  close = difflib.get_close_matches(str(word), [str(w) for w in words], n=1, cutoff=.5)
  return f' (did you mean "{close[0]}"?)' if close else ''


def experiment(*, steps: Duration, batch: int, data: Mapping, task: Mapping, optim: Mapping,
               hp: Mapping, seed: int = 0, data_seed: int = 0, split: str = 'train',
               pipeline: Mapping | None = None, augment: Mapping | None = None,
               evals: Mapping | None = None, precision: str = 'float32', accumulate: int = 1,
               parallel: Mapping | None = None, log: Mapping | None = None,
               checkpoint: Mapping | None = None, on_nan: str = 'stop', profile: tuple = (),
               resume: str = '', init_from: str = '') -> ConfigDict:
  """A whole experiment; the keys, what they default to, and so what may be overridden.

  Args:
    steps: length of training: a duration (see `parse_steps`).
    batch: examples per update, over all devices and processes.
    data: `name` of a source (`visionlab.data.SOURCES`) and its options.
    task: `name` of a task (`visionlab.tasks.TASKS`), its `model`, its options.
    optim: `name`, `schedule`, `decay`, `groups`, `ema`: see `visionlab.optim.make_optimizer`.
    hp: traced scalars (lr, weight_decay, ...): changing one never recompiles.
    seed: initialisation, dropout, augmentation.
    data_seed: the order of examples, apart from `seed`.
    split: what to train on, e.g. 'train', 'train[:90%]'.
    pipeline: `resident` ('auto', 'always', 'never': whether the whole set is kept on the device),
      `workers` (processes that load batches, 0: threads), `prefetch` (batches ahead), `crop`
      (`size`, `scale`, `ratio`: random crops, cut out while decoding; see `RandomCrop`).
    augment: options of `visionlab.augment.make_augment`.
    evals: name -> dict(split=, every=, first=, batch=, data=): see
      `visionlab.training.evaluation.Evaluations`.
    precision: 'float32' or 'bfloat16' compute; parameters are float32 always.
    accumulate: microbatches an update is computed in (exactly: sums and counts are added).
    parallel: `mode` 'jit' or 'pmap', `devices` (0: all there are); `model`, how many of them share
      a part of the batch, and `fsdp`, `shard`: see `visionlab.sharding.Rules`.
    log: `every` (a duration), `tensorboard`, `hooks` (who else is told, as
      ('visionlab.training.hooks:wandb',): see there).
    checkpoint: `every`, `minutes`, `keep` (last n), `best` (a metric; with '-': smaller is better),
      `patience` (a duration: training ends when the best is that old; 0: never).
    on_nan: 'stop', 'skip' (leave that update out) or 'ignore'.
    profile: (first, last) steps to trace with jax.profiler.
    resume: a workdir whose whole state starts this run when its own workdir is empty.
    init_from: what gives this run its first weights: a workdir, an export, or another library's
      file (see `visionlab.weights.files.read_weights`).
  """
  options = locals()
  defaults = dict(
      pipeline=dict(resident='auto', workers=0, prefetch=2, crop={}),
      parallel=dict(mode='jit', devices=0, model=1, fsdp=False, shard=()),
      log=dict(every='5%', tensorboard=True, hooks=()),
      checkpoint=dict(every='20%', minutes=10., keep=2, best='', patience='0'))
  for key, default in defaults.items():
    given = options[key] or {}
    if not hasattr(given, 'items'):
      raise ConfigError(f'config.{key}: expected a dict of options, got {given!r}')
    check_names(given, default, f'config.{key}')
    options[key] = {**default, **given}
  options['steps'] = str(steps)
  return ConfigDict({k: {} if v is None else v for k, v in options.items()},
                    convert_dict=True)


def is_smoke(variant: str, *others: str) -> bool:
  """Whether a config file's argument asks for seconds instead of the whole experiment.

  Raises:
    ConfigError: it is neither 'smoke' nor empty, nor one of the config's `others`.
  """
  check_choice(variant, ('', 'smoke', *others), 'the argument after the config file')
  return variant == 'smoke'


def check_names(given, known, where: str):
  """Raises `ConfigError` for the first name in `given` that is not in `known`."""
  for name in given:
    if name not in known:
      raise ConfigError(f'{where}.{name}: no such key{nearest(name, known)}; '
                        f'there are: {", ".join(sorted(known)) or "none"}')


def check_choice(value, choices, where: str):
  """Raises `ConfigError` unless `value` is one of `choices`."""
  if value not in choices:
    raise ConfigError(f'{where}: {value!r} is not one of {", ".join(map(repr, choices))}'
                      f'{nearest(value, choices)}')


def resolve(name: str, table: Mapping[str, str], where: str) -> Callable:
  """The callable that `name` stands for: a key of `table`, or any 'package.module:callable'."""
  path = table.get(name, name)
  if not all(path.partition(':')):
    raise ConfigError(f'{where}: unknown name {name!r}{nearest(name, table)}; '
                      f'there are: {", ".join(sorted(table))}, or "package.module:name"')
  module, attribute = path.split(':', 1)
  try:
    return getattr(importlib.import_module(module), attribute)
  except (ImportError, AttributeError) as e:
    raise ConfigError(f'{where}: cannot load {path!r}: {e}') from e


def bind(target: Callable, options: Mapping[str, Any], where: str, **given) -> Any:
  """Calls `target(**options, **given)` once every option's name and type is found to fit.

  Args:
    target: a function or (data)class; its signature says which options there are.
    options: what the user wrote under `where`; a `name` in it was for choosing `target`.
    given: what the program supplies; each is dropped where `target` does not take it.

  Raises:
    ConfigError: unknown, missing or ill-typed option.
  """
  parameters = {n: p for n, p in inspect.signature(target).parameters.items()
                if n not in ('parent', 'name')}        # flax's own fields
  given = {k: v for k, v in given.items() if k in parameters}
  if not hasattr(options, 'items'):
    raise ConfigError(f'{where}: expected a dict of options, got {options!r}')
  options = {k: _plain(v) for k, v in options.items() if k != 'name'}
  check_names(options, [n for n in parameters if n not in given], where)
  for name, parameter in parameters.items():
    if name in options:
      _check_type(options[name], _hints(target).get(name, Any), f'{where}.{name}')
    elif name not in given and parameter.default is inspect.Parameter.empty:
      raise ConfigError(f'{where}.{name}: missing ({target.__name__} needs it)')
  return target(**options, **given)


def _hints(target: Callable) -> dict:
  if inspect.isclass(target):         # a NamedTuple is made by __new__
    target = target.__new__ if target.__init__ is object.__init__ else target.__init__
  try:
    return typing.get_type_hints(target)
  except (NameError, TypeError):
    return {}


def _plain(value):
  return value.to_dict() if isinstance(value, ConfigDict) else value


def _check_type(value, hint, where: str):
  """Checks the simple hints that configs are made of; what is not simple passes."""
  options = typing.get_args(hint) if typing.get_origin(hint) in (
      typing.Union, types.UnionType) else (hint,)
  classes = tuple(typing.get_origin(h) or h for h in options)
  if not all(isinstance(c, type) and c in (int, float, bool, str, tuple, dict, type(None), Mapping)
             for c in classes):
    return
  if isinstance(value, bool) and bool not in classes:
    fits = False
  else:
    fits = isinstance(value, classes + ((int,) if float in classes else ()))
  if not fits:
    expected = ' or '.join(c.__name__ for c in classes)
    raise ConfigError(f'{where}: expected {expected}, got {value!r} ({type(value).__name__})')


def parse_steps(duration: Duration, where: str, *, batch: int, examples: int,
                total: int | None = None) -> int:
  """A duration in steps, rounded, at least one unless it is zero.

  Args:
    duration: steps (`500`, '500', '500 steps'), '3 epochs', '50000 examples', or '5%' of `total`.
    examples: in an epoch.

  >>> parse_steps('2 epochs', 'config.steps', batch=32, examples=1600)
  100
  >>> parse_steps('5%', 'config.evals.test.every', batch=32, examples=1600, total=1000)
  50
  """
  text = str(duration).lower().replace('%', ' percent')
  per = {'step': 1, 'epoch': examples / batch, 'example': 1 / batch}
  if total is not None:
    per['percent'] = total / 100
  try:
    number, unit = text.split() if len(text.split()) != 1 else (text, 'steps')
    value = float(number)
    steps = value * per[unit.rstrip('s')]
  except (ValueError, KeyError):
    percent = ', "5%"' if total is not None else ''
    raise ConfigError(f'{where}: {duration!r} is no duration; write e.g. "500", "3 epochs", '
                      f'"50000 examples"{percent}') from None
  if not 0 <= value < float('inf'):
    raise ConfigError(f'{where}: {duration!r} must not be negative or infinite')
  return max(1, round(steps)) if steps else 0


def to_json(config: ConfigDict) -> str:
  return json.dumps(json.loads(config.to_json()), indent=2, sort_keys=True)


def from_json(text: str) -> ConfigDict:
  """The inverse of `to_json`: lists come back as the tuples they were."""
  return ConfigDict(with_tuples(json.loads(text)), convert_dict=True)


def with_tuples(x):
  """What JSON gave back, its lists as the tuples they were."""
  if isinstance(x, dict):
    return {k: with_tuples(v) for k, v in x.items()}
  return tuple(map(with_tuples, x)) if isinstance(x, list) else x


def difference(old: ConfigDict, new: ConfigDict) -> list[str]:
  """One line for each key whose value is not the same: 'hp.lr: 0.1 -> 0.2'."""
  def flat(tree, prefix=''):
    if not isinstance(tree, dict):
      return {prefix[:-1]: tree}
    return {k: v for name in tree for k, v in flat(tree[name], f'{prefix}{name}.').items()}
  a, b = (flat(json.loads(c.to_json())) for c in (old, new))
  return [f'{k}: {a.get(k, "(absent)")} -> {b.get(k, "(absent)")}'
          for k in sorted({*a, *b}) if a.get(k, '(absent)') != b.get(k, '(absent)')]
