"""Sweeps: which settings there are. How they are trained is `launch/sweep.py`'s.

A config file says it in functions called `sweep`, or `sweep_<name>` for --sweep=<name>:

    def sweep():
      yield from grid({'hp.lr': (1e-3, 3e-3, 1e-2), 'seed': range(4)})

Each setting is a dict of keys of the config and their values. A function may instead return one
dict of `Choice`s and tuples, a space to draw from or to search.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from visionlab.config import ConfigError, as_config, nearest, to_json
from visionlab.options.kinds import literal, plain

SEEDS = ('seed', 'data_seed')
Setting = Mapping[str, Any]


class Choice(NamedTuple):
  """A range to draw from: numbers from `low` to `high`, evenly or, if `log`, evenly in their
  logarithm; whole ones if `integer`, else to four digits, so that what is drawn can be typed."""
  low: float
  high: float
  log: bool = False
  integer: bool = False

  def draw(self, rng: np.random.Generator) -> float:
    low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
    if self.integer and not self.log:
      return int(rng.integers(int(low), int(high), endpoint=True))
    return self.rounded(math.exp(rng.uniform(low, high)) if self.log else rng.uniform(low, high))

  def rounded(self, value: float) -> float:
    """
    >>> Choice(1e-5, 1, log=True).rounded(.00123456)
    0.001235
    """
    value = round(value) if self.integer else float(f'{value:.4g}')
    return min(max(value, self.low), self.high)


def uniform(low: float, high: float) -> Choice:
  return _checked(Choice(low, high))


def log_uniform(low: float, high: float) -> Choice:
  """
  >>> log_uniform(1e-4, 1e-1).draw(np.random.default_rng(0))
  0.008145
  """
  return _checked(Choice(low, high, log=True))


def integers(low: int, high: int) -> Choice:
  """Both ends included."""
  return _checked(Choice(low, high, integer=True))


def grid(axes: Mapping[str, Iterable]) -> Iterator[Setting]:
  """Every combination; the last key varies fastest.

  >>> list(grid({'hp.lr': (.1, .2), 'seed': range(2)}))[1:3]
  [{'hp.lr': 0.1, 'seed': 1}, {'hp.lr': 0.2, 'seed': 0}]
  """
  for values in itertools.product(*axes.values()):
    yield dict(zip(axes, values, strict=True))


def random(axes: Mapping[str, Choice | Sequence], n: int, seed: int = 0) -> Iterator[Setting]:
  """n settings drawn independently, the same for the same seed.

  >>> next(random({'hp.lr': log_uniform(1e-4, 1e-1), 'batch': (32, 64)}, 1))
  {'hp.lr': 0.008145, 'batch': 64}
  """
  rng = np.random.default_rng(seed)
  for _ in range(n):
    yield {k: v.draw(rng) if isinstance(v, Choice) else plain(v[rng.integers(len(v))])
           for k, v in axes.items()}


def parse_axis(text: str) -> tuple[str, Choice | tuple]:
  """What --set says: 'hp.lr=1e-3,3e-3', 'seed=0..4' (both ends), 'hp.lr=log_uniform(1e-4,1e-1)'.

  >>> parse_axis('seed=0..3')
  ('seed', (0, 1, 2, 3))
  >>> parse_axis('task.model.widths=(16,32),(32,64)')
  ('task.model.widths', ((16, 32), (32, 64)))
  >>> parse_axis('optim.name=sgd,adamw')
  ('optim.name', ('sgd', 'adamw'))
  """
  key, equals, values = (part.strip() for part in text.partition('='))
  key = key.removeprefix('--').removeprefix('config.')
  if not (key and equals and values):
    raise ConfigError(f'--set {text}: expected key=value,value,...')
  drawn = re.fullmatch(r'(\w+)\((.*)\)', values)
  if drawn:
    kinds = dict(uniform=uniform, log_uniform=log_uniform, integers=integers)
    if drawn[1] not in kinds:
      raise ConfigError(f'--set {text}: no such range{nearest(drawn[1], kinds)}; '
                        f'there are: {", ".join(kinds)}')
    try:
      return key, kinds[drawn[1]](*map(literal, _split(drawn[2])))
    except TypeError:
      raise ConfigError(f'--set {text}: expected {drawn[1]}(low,high)') from None
  whole = re.fullmatch(r'(-?\d+)\.\.(-?\d+)', values)
  if whole:
    low, high = int(whole[1]), int(whole[2])
    if low > high:
      raise ConfigError(f'--set {text}: there is nothing from {low} to {high}; did you mean '
                        f'{key}={high}..{low}?')
    return key, tuple(range(low, high + 1))
  return key, tuple(map(literal, _split(values)))


def name_of(setting: Setting) -> str:
  """A folder's name that says what is particular to a setting; its own `name` if it has one.

  >>> name_of({'hp.lr': .001, 'seed': 3}), name_of({'data.name': 'a/b'})
  ('lr=0.001,seed=3', 'name=a_b')
  """
  if 'name' in setting:
    return str(setting['name'])
  lasts = [key.rpartition('.')[-1] for key in setting]
  labels = [last if lasts.count(last) == 1 else key
            for key, last in zip(setting, lasts, strict=True)]
  shown = (str(v).replace(' ', '') for v in setting.values())
  text = ','.join(f'{k}={v}' for k, v in zip(labels, shown, strict=True)) or 'base'
  return re.sub(r'[^\w.,=()+-]', '_', text)


def named(settings: Iterable[Setting]) -> dict[str, Setting]:
  """name -> the setting, without its `name`.

  Raises:
    ConfigError: two have the same name, or there are none.
  """
  found: dict[str, Setting] = {}
  for setting in settings:
    name = name_of(setting)
    if name in found:
      raise ConfigError(f'two settings with the same name, {name!r}')
    if len(name) > 200 or '/' in name or name.startswith('.'):
      raise ConfigError(f'the setting {name[:80]!r} needs another name, which it may say itself: '
                        "{'name': 'small', ...}")
    found[name] = {k: v for k, v in setting.items() if k != 'name'}
  if not found:
    raise ConfigError('the sweep has no settings')
  return found


def kind_of(config: ConfigDict) -> str:
  """What two configs must have in common to be trained in one program, as text: all but hp, seed
  and data_seed."""
  left = as_config(plain(config))
  for key in ('hp', 'seed', 'data_seed'):
    del left[key]
  return to_json(left)


def arguments(setting: Setting) -> list[str]:
  """A setting as the arguments of a command.

  >>> arguments({'hp.lr': .001, 'task.model.widths': (16, 32)})
  ['--config.hp.lr=0.001', '--config.task.model.widths=(16, 32)']
  """
  return [f'--config.{k}={v}' for k, v in setting.items()]


def _checked(choice: Choice) -> Choice:
  if not choice.low < choice.high or choice.log and choice.low <= 0:
    raise ConfigError(f'a range from {choice.low} to {choice.high}: low must be below high'
                      + (', and above 0' if choice.log else ''))
  return choice


def _split(text: str) -> list[str]:
  """At the commas that are in no brackets."""
  parts, depth = [''], 0
  for c in text:
    depth += (c in '([') - (c in ')]')
    if c == ',' and not depth:
      parts.append('')
    else:
      parts[-1] += c
  return [part.strip() for part in parts]
