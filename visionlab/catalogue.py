"""What a config can name: data, tasks, models, optimisers, schedules, augmentations, each with its
options.

python -m visionlab list [data [folder]]
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from visionlab.augmentation.augment import ORDER
from visionlab.config import check_choice, resolve
from visionlab.data import SOURCES
from visionlab.models import MODELS
from visionlab.optim.optimiser import make_optimizer, options_of
from visionlab.optim.schedule import SCHEDULES
from visionlab.optim.update_rules import SCALARS, rule_of
from visionlab.tasks import TASKS

WIDTH = 100
# What a program supplies, so that no config does.
SUPPLIED = ('split', 'make_model', 'info', 'infos', 'example', 'parent', 'name', 'dtype',
            'axis', 'axis_name', 'key', 'image', 'partner', 'rule', 'total', 'steps', 'kwargs',
            'span', 'counts', 'anchors', 'steering_std')


class Option(NamedTuple):
  """A key that a config may set; default: as Python writes it, or '' where it must be set."""
  name: str
  default: str


def kinds() -> dict[str, dict[str, Callable]]:
  """kind -> name -> the callable that a config's `name` stands for; imports all of them."""
  loaded = {kind: {name: resolve(name, table, kind) for name in table}
            for kind, table in dict(data=SOURCES, tasks=TASKS, models=MODELS).items()}
  return {**loaded, 'optimizers': dict.fromkeys(SCALARS, make_optimizer),
          'schedules': dict(SCHEDULES), 'augmentations': dict(ORDER)}


def options(target: Callable) -> list[Option]:
  """The options that a config may give.

  >>> from visionlab.augmentation.augment import cutout
  >>> options(cutout)
  [Option(name='size', default='8'), Option(name='p', default='1.0')]
  """
  return [Option(p.name, '' if p.default is p.empty else _default(p.default))
          for p in inspect.signature(target).parameters.values() if p.name not in SUPPLIED]


def _default(value) -> str:
  return value.__name__ if callable(value) else repr(value)


def summary(target: Callable) -> str:
  """The first sentence of its docstring, in one line."""
  text = ' '.join((inspect.getdoc(target) or '').split('\n\n')[0].split())
  return re.split(r'(?<!et al)\. ', text)[0].rstrip('.')


def listing(kind: str = '', name: str = '') -> str:
  """What a terminal shows: everything, one kind, or one name, also 'package.module:name', with its
  options and docstring.

  Raises:
    ConfigError: no such kind or name; the nearest is given.
  """
  found = kinds()
  if not kind:
    return '\n\n'.join(f'{k}\n{_table(k, names)}' for k, names in found.items())
  check_choice(kind, tuple(found), 'list')
  if not name:
    return _table(kind, found[kind])
  return _page(kind, name, resolve(name, found[kind], f'list {kind}'))


def _table(kind: str, names: Mapping[str, Callable]) -> str:
  wide = max(map(len, names))
  says = {name: 'hp: ' + ', '.join(('lr', 'weight_decay', *SCALARS[name]))
          if kind == 'optimizers' else summary(target) for name, target in names.items()}
  rows = [f'  {name:<{wide}}  {text}' for name, text in says.items()]
  return '\n'.join(row if len(row) <= WIDTH else row[:WIDTH - 1] + '…' for row in rows)


def _page(kind: str, name: str, target: Callable) -> str:
  own = options(target)
  if kind == 'optimizers':
    rule, known = rule_of(name), options_of(name)
    own = [o for o in [*own, *options(make_optimizer)] if o.name in known]
    own = list(dict.fromkeys(own)) + [Option(f'hp.{k}', '' if v is None else repr(v))
                                      for k, v in rule.scalars.items()]
  wide = max((len(option.name) for option in own), default=0)
  rows = [f'  {o.name:<{wide}}  {o.default or "(must be given)"}' for o in own]
  return '\n'.join([f'{kind} {name}: {target.__module__}:{target.__qualname__}', *rows, '',
                    inspect.getdoc(target) or ''])
