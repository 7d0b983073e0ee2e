"""Strict configs: every key is read by something, and a wrong one is answered with the right one.

A config is an `ml_collections.ConfigDict` made by `experiment`. A dict in it that carries a `name`
(`config.task`, `config.task.model`, `config.data`) picks a callable from a table; its other keys
are that callable's arguments, checked by `bind`: names, then types. Nothing is read with a default
at the place of use, so a key that nobody reads cannot exist.
"""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ml_collections import ConfigDict

from visionlab.options.kinds import Amount, Count, Duration, Natural, plain

# Most who read a config name its mistakes, and need no more than these beside it.
from visionlab.options.mistakes import ConfigError, TrainingError, nearest  # noqa: F401
from visionlab.options.parts import (  # noqa: F401
  bind,
  check_choice,
  check_kind,
  check_mapping,
  check_names,
  hints_of,
  resolve,
)


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
  metrics: tuple[str, ...] = ()
  features: str = ''


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
               evals: Mapping | None = None, precision: str = 'float32', compile: str = 'full',
               accumulate: Count = 1, parallel: Mapping | None = None, log: Mapping | None = None,
               checkpoint: Mapping | None = None, on_nan: str = 'stop',
               profile: tuple[Natural, ...] = (), resume: str = '',
               init_from: str = '') -> ConfigDict:
  """A whole experiment; the keys, what they default to, and so what may be overridden.

  Args:
    steps: length of training: a duration (see `visionlab.options.durations.parse_steps`).
    batch: examples per update, over all devices and processes.
    data: `name` of a source (`visionlab.data.SOURCES`) and its options.
    task: `name` of a task (`visionlab.tasks.TASKS`), its `model`, its options.
    optim: `name`, `schedule`, `decay`, `groups`, `ema`: see
      `visionlab.optim.optimiser.make_optimizer`.
    hp: traced scalars (lr, weight_decay, ...): changing one never recompiles.
    seed: initialisation, dropout, augmentation.
    data_seed: the order of examples, apart from `seed`.
    split: what to train on, e.g. 'train', 'train[:90%]'.
    pipeline: `resident` ('auto', 'always', 'never': whether the whole set is kept on the device),
      `workers` (processes that load batches, 0: threads), `prefetch` (batches ahead), `crop`
      (`size`, `scale`, `ratio`: random crops, cut out while decoding; see `RandomCrop`), `balance`
      (whether rare classes are repeated until all are as frequent).
    augment: options of `visionlab.augmentation.augment.make_augment`.
    evals: name -> dict(split=, every=, first=, batch=, data=, metrics=, features=): see
      `visionlab.training.evaluation.Evaluations`.
    precision: 'float32' or 'bfloat16' compute; parameters are float32 always.
    compile: 'full', or on a CPU 'quick': the training step compiles in a third of the time, and a
      small network's steps may take a third longer; by pmap it is always compiled fully.
    accumulate: microbatches an update is computed in (exactly: sums and counts are added).
    parallel: `mode` 'jit' or 'pmap', `devices` (0: all there are); `model`, how many of them share
      a part of the batch, and `fsdp`, `shard`: see `visionlab.parallel.sharding.Rules`.
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
