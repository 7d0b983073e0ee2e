"""What may be changed of a config, by --config.key=value or by a setting of a sweep.

Every option of what the config names may be set, whether the config file sets it or not: those of
`experiment`, and in config.data, config.task.model and the like those of the callable that their
`name` stands for. Another `name` brings its own options with it: of those that were given before it
keeps the ones that it has too, and what is left out is said.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from visionlab.config import (
  PARTS,
  ConfigError,
  Evaluation,
  as_config,
  check_kind,
  experiment,
  hints_of,
  nearest,
  resolve,
)
from visionlab.data import SOURCES
from visionlab.data.images.crop import RandomCrop
from visionlab.models import MODELS
from visionlab.optim.optimiser import options_of
from visionlab.optim.schedule import SCHEDULES
from visionlab.optim.update_rules import rule_of
from visionlab.options.kinds import Duration, misfit, plain, typed
from visionlab.options.mistakes import is_own
from visionlab.options.parts import parameters_of
from visionlab.tasks import TASKS
from visionlab.tasks.own_loss import own_loss

# What the program itself gives to the callables that names stand for, and what it takes for them.
GIVEN = dict(data=('split',), task=('make_model', 'info', 'infos', 'example', 'counts',
                                 'steering_std'),
             model=('classes', 'outputs', 'words', 'shape', 'moments', 'dtype', 'axis_name'),
             schedule=('span',), augment=('key', 'image', 'example'))
TAKEN = dict(data={'name': str, 'proposals': Mapping}, task={'name': str, 'model': Mapping},
             model={'name': str}, schedule={'name': str, 'warmup': Duration},
             augment={'name': str})

# What reads scalars of config.hp, by the key that names it; and those that losses of ours read.
READ_BY = {'optim.name': (), 'task.loss': ('label_smoothing', 'focal_gamma'),
           'task.distance': ('huber_delta',), 'task.class_loss': (), 'task.box_loss': ()}


def override(config: Mapping, setting: Mapping[str, Any]) -> ConfigDict:
  """A copy of `config` with a setting's values: 'hp.lr' -> .1, or -> '.1' as it was typed.

  Raises:
    ConfigError: a key that there is not, or a value of another kind.
  """
  # A copy of one's own, changed in place: one dict may stand in several places of a config, as the
  # data of a domain that is also measured.
  tree = plain(config)
  # A name first: what is an option hangs on it.
  for key in sorted(setting, key=lambda key: (key.count('.'), not key.endswith('name'))):
    before = kind_at(tree, key)[1] if key in READ_BY else None
    _set(tree, (), key.split('.'), plain(setting[key]))
    if key in READ_BY:
      _leave_out(tree, _scalars(key, before) - _scalars(key, setting[key]), setting[key])
  return as_config(tree)


def kind_at(config: Mapping, key: str) -> tuple[Any, Any]:
  """(the annotation, the value so far) of the option 'data.size'; Any and None: not known."""
  *path, last = key.split('.')
  node = config
  for part in path:
    node = node.get(part, {}) if hasattr(node, 'items') else {}
  was = node.get(last) if hasattr(node, 'items') else None
  return (options_at(node, tuple(path)) or {}).get(last, Any), was


def options_at(node: Mapping, path: tuple[str, ...]) -> Mapping[str, Any] | None:
  """The options, with their annotations, of the dict `node` at `path` of a config; None where that
  is not known: whoever reads it will say."""
  kind = _kind(path)
  tables = dict(data=SOURCES, task=TASKS, model=MODELS, schedule=SCHEDULES, augment={})
  if path in ((), ('pipeline', 'crop')) or path[0] in PARTS and len(path) == 1:
    return _options({(): experiment, ('pipeline', 'crop'): RandomCrop}.get(path)
                    or PARTS[path[0]])
  if path[0] == 'evals' and len(path) == 2:
    return _options(Evaluation)
  if kind == 'optim':
    return options_of(node.get('name', 'sgd') if hasattr(node, 'items') else 'sgd')
  if kind in tables and hasattr(node, 'items') and 'name' in node:
    return _options(resolve(node['name'], tables[kind], f'config.{".".join(path)}.name'), kind)
  return None


def _kind(path: tuple[str, ...]) -> str:
  """What the dict at `path` describes: 'data', 'task', 'model', 'optim', 'schedule', 'augment', ''.
  """
  if path[-1:] in (('model',), ('backbone',)):
    return 'model'
  if path[:1] == ('data',) or path[:1] == ('evals',) and path[2:3] == ('data',):
    return '' if path[-1] == 'proposals' else 'data'
  if path == ('optim', 'schedule'):
    return 'schedule'
  if path[:1] == ('augment',) and len(path) == 2:
    return 'augment'
  return path[0] if path in (('task',), ('optim',)) else ''


def _options(target: Callable, kind: str = '') -> dict[str, Any]:
  hints, given = hints_of(target), GIVEN.get(kind, ())
  names = [name for name in parameters_of(target, kind) if name not in given]
  return {**{name: hints.get(name, Any) for name in names}, **TAKEN.get(kind, {})}


def _set(node, path: tuple[str, ...], rest: list[str], value):
  """Puts the value at `rest` below the dict at `path`."""
  part, *deeper = rest
  where = '.'.join(('config', *path))
  if not isinstance(node, Mapping):
    raise ConfigError(f'{where} has no {part!r}; it is {node!r}')
  known = options_at(node, path)
  if known is not None and part not in known:
    raise ConfigError(f'{where} has no {part!r}{nearest(part, known)}; '
                      f'there are: {", ".join(sorted(known)) or "none"}')
  if deeper:
    if node.get(part) is None:
      node[part] = {}
    _set(node[part], (*path, part), deeper, value)
    return
  hint, was = float if path == ('hp',) else (known or {}).get(part, Any), node.get(part)
  node[part] = _value(value, hint, was)
  check_kind(node[part], hint, f'{where}.{part}')
  if part == 'name' and node['name'] != was:
    _drop_options(node, path)


def _value(value, hint, was):
  if isinstance(value, str):
    return typed(value, hint, was)
  # A duration that is a number is text all the same.
  number = isinstance(value, int | float) and not isinstance(value, bool)
  return str(value) if number and (hint == Duration or isinstance(was, str)) else value


def _drop_options(node: dict, path: tuple[str, ...]):
  """A dict has another `name`: what that does not take goes."""
  known = options_at(node, path)
  gone = [k for k, v in node.items() if known is not None
          and not (k in known and misfit(v, known[k]) is None)]
  _say_left_out('.'.join(('config', *path)), node['name'], gone)
  for k in gone:
    del node[k]


def _scalars(key: str, name: str | None) -> set[str]:
  """What the optimiser or the loss that `key` names reads of config.hp."""
  if key == 'optim.name':
    return set(rule_of(name).scalars) if name else set()
  return set(own_loss(name, (), f'config.{key}').hyperparameters if is_own(name) else READ_BY[key])


def _leave_out(tree: dict, scalars: Collection[str], name: str):
  """config.hp goes without the scalars that only what was named before reads."""
  gone = [k for k in tree['hp'] if k in scalars]
  _say_left_out('config.hp', name, gone)
  for k in gone:
    del tree['hp'][k]


def _say_left_out(where: str, name: str, keys: list[str]):
  if keys:
    logging.warning('%s: %s does not take %s, which is left out', where, name, ', '.join(keys))
