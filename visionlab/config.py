"""Strict configs: every key is read by something, and a wrong one is answered with the right one.

A config is an `ml_collections.ConfigDict` made by `experiment`. A dict in it that carries a `name`
(`config.task`, `config.task.model`, `config.data`) picks a callable from a table; its other keys
are that callable's arguments, checked by `bind`: names, then types. Nothing is read with a default
at the place of use, so a key that nobody reads cannot exist.
"""

import difflib
import functools
import importlib
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from visionlab.kinds import Amount, Count, Duration, Natural, misfit, plain


class ConfigError(ValueError):
  """A mistake in what the user asked for; its text is all the user needs to see."""


class TrainingError(RuntimeError):
  """Training cannot go on; the text says why, and what is left to go on from."""


def nearest(word: str, words) -> str:
  """A hint naming the member of `words` most like `word`, or '' when none is near.

  >>> nearest('momentun', ['lr', 'momentum'])
  ' (did you mean "momentum"?)'
  """
  alike = {str(w).lower(): str(w) for w in words}
  close = difflib.get_close_matches(str(word).lower(), alike, n=1, cutoff=.5)
  return f' (did you mean "{alike[close[0]]}"?)' if close else ''


class Pipeline(NamedTuple):
  resident: str = 'auto'
  workers: Natural = 0
  prefetch: Natural = 2
  crop: Mapping = {}
  balance: bool = False


class Parallel(NamedTuple):
  mode: str = 'jit'
  devices: Natural = 0
  model: Count = 1
  fsdp: bool = False
  shard: tuple = ()


class Log(NamedTuple):
  every: Duration = '5%'
  tensorboard: bool = True
  hooks: tuple[str, ...] = ()


class Checkpoint(NamedTuple):
  every: Duration = '20%'
  minutes: Amount = 10.
  keep: Count = 2
  best: str = ''
  patience: Duration = '0'


class Evaluation(NamedTuple):
  split: str
  every: Duration = '100%'
  first: bool = True
  batch: Count = 1
  data: Mapping = {}


PARTS = dict(pipeline=Pipeline, parallel=Parallel, log=Log, checkpoint=Checkpoint)


def strict(function: Callable) -> Callable:
  """`function`, called only once its arguments are found to fit its signature, as by `bind`."""
  @functools.wraps(function)
  def checked(**options):
    check_names(options, inspect.signature(function).parameters, 'config')
    return bind(function, _with_words(options, 'config'), 'config')
  return checked


@strict
def experiment(*, steps: Duration, batch: Count, data: Mapping, task: Mapping, optim: Mapping,
               hp: Mapping, seed: int = 0, data_seed: int = 0, split: str = 'train',
               pipeline: Mapping | None = None, augment: Mapping | None = None,
               evals: Mapping | None = None, precision: str = 'float32', accumulate: Count = 1,
               parallel: Mapping | None = None, log: Mapping | None = None,
               checkpoint: Mapping | None = None, on_nan: str = 'stop',
               profile: tuple[Natural, ...] = (), resume: str = '',
               init_from: str = '') -> ConfigDict:
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
      (`size`, `scale`, `ratio`: random crops, cut out while decoding; see `RandomCrop`), `balance`
      (whether rare classes are repeated until all are as frequent).
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
  options = {k: v if v is not None else {} for k, v in locals().items()}
  for key, kind in PARTS.items():
    check_mapping(options[key], f'config.{key}')
    check_names(options[key], kind._fields, f'config.{key}')
    options[key] = bind(kind, options[key], f'config.{key}')._asdict()
  for name, value in hp.items():
    check_kind(value, float, f'config.hp.{name}')
  for name, evaluation in options['evals'].items():
    bind(Evaluation, evaluation, f'config.evals.{name}')
  if len(profile) not in (0, 2) or list(profile) != sorted(set(profile)):
    raise ConfigError(f'config.profile: expected (first, last) steps, or (), got {profile!r}')
  return as_config({**options, 'steps': str(steps)})


def whole(config: Mapping) -> ConfigDict:
  """`experiment` of a config that was changed since, or that is a dict made by other means.

  Raises:
    ConfigError: it is none, or an option is unknown, missing or of the wrong kind.
  """
  check_mapping(config, 'config')
  return experiment(**_with_words(config, 'config'))


def as_config(tree: Mapping) -> ConfigDict:
  """What is set in it later may be of any type: `experiment` says which are wrong, and how."""
  return ConfigDict(tree, type_safe=False, convert_dict=True)


def _with_words(tree: Mapping, where: str) -> dict:
  """Python's own values; keys that are no words are refused."""
  for key, value in tree.items():
    if not isinstance(key, str) or '.' in key:
      raise ConfigError(f'{where}: expected words without dots for keys, got {key!r}')
    if isinstance(value, Mapping | ConfigDict):
      _with_words(value, f'{where}.{key}')
  return plain(tree)


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
  if value not in list(choices):
    raise ConfigError(f'{where}: {value!r} is not one of {", ".join(map(repr, choices))}'
                      f'{nearest(value, choices)}')


def resolve(name: str, table: Mapping[str, str], where: str) -> Callable:
  """The callable that `name` stands for: a key of `table`, or any 'package.module:callable'."""
  check_kind(name, str, where)
  path = table.get(name, name)
  if not all(path.partition(':')):
    raise ConfigError(f'{where}: unknown name {name!r}{nearest(name, table)}; '
                      f'there are: {", ".join(sorted(table))}, or "package.module:name"')
  module, attribute = path.split(':', 1)
  try:
    return getattr(importlib.import_module(module), attribute)
  except (ImportError, AttributeError, ValueError) as e:
    raise ConfigError(f'{where}: cannot load {path!r}: {e}') from e


def bind(target: Callable, options: Mapping[str, Any], where: str, /, **given) -> Any:
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
  check_mapping(options, where)
  options = {k: plain(v) if isinstance(v, ConfigDict) else v for k, v in options.items()
             if k != 'name'}
  check_names(options, [n for n in parameters if n not in given], where)
  hints = hints_of(target)
  for name, parameter in parameters.items():
    if name in options:
      check_kind(options[name], hints.get(name, Any), f'{where}.{name}')
    elif name not in given and parameter.default is inspect.Parameter.empty:
      raise ConfigError(f'{where}.{name}: missing ({target.__name__} needs it)')
  return target(**options, **given)


def hints_of(target: Callable) -> dict[str, Any]:
  """The annotations of what `target` is called with."""
  if inspect.isclass(target):         # a NamedTuple is made by __new__
    target = target.__new__ if target.__init__ is object.__init__ else target.__init__
  try:
    return typing.get_type_hints(target, include_extras=True)
  except (NameError, TypeError):
    return {}


def check_mapping(options, where: str):
  """Raises `ConfigError` unless `options` are a dict, of whatever kind."""
  if not hasattr(options, 'items'):
    raise ConfigError(f'{where}: expected a dict of options, got {options!r}')


def check_kind(value, hint, where: str):
  """Raises `ConfigError` unless `value` is of the kind that an annotation says."""
  wrong = misfit(value, hint)
  if wrong:
    raise ConfigError(f'{where}{wrong.place}: expected {wrong.expected}, got {wrong.value!r} '
                      f'({type(wrong.value).__name__})')


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
  return as_config(with_tuples(json.loads(text)))


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
