"""From config.task.model to the network, one of ours or one's own."""

import contextlib
import inspect
from collections.abc import Callable, Mapping

from visionlab.config import ConfigError, bind, check_mapping, resolve
from visionlab.models import MODELS
from visionlab.options.mistakes import is_own, own_mistakes


def build_model(options: Mapping, where: str, **given):
  """The module that `options` name; `backbone` in them, a dict like it, is built first."""
  check_mapping(options, where)
  options = dict(options)
  if 'name' not in options:
    raise ConfigError(f'{where}.name: missing; there are: {", ".join(MODELS)}')
  if options.get('backbone') is not None:
    check_mapping(options['backbone'], f'{where}.backbone')
    shared = {k: v for k, v in given.items() if k in ('dtype', 'axis_name')}
    # Of a backbone only the features are used: its own classifier is never made.
    given['backbone'] = build_model(options.pop('backbone'), f'{where}.backbone', classes=1,
                                    **shared)
    if not getattr(given['backbone'], 'strides', True):
      raise ConfigError(f'{where}.backbone: has no layers, and so no features')
  model = bind(resolve(options['name'], MODELS, f'{where}.name'), options, where, **given)
  if is_own(options['name']):
    _check_module(model, f'{where}: {options["name"]}')
  return model


def _check_module(model, name: str):
  """Raises `ConfigError` unless an own model is a linen module, or like one, of one argument."""
  if not (hasattr(model, 'init') and hasattr(model, 'apply')):
    raise ConfigError(f'{name} gave {model!r:.60}; expected a flax.linen.Module')
  takes = inspect.signature(type(model).__call__)
  try:
    takes.bind(model, None, **({'train': False} if 'train' in takes.parameters else {}))
  except TypeError as e:
    raise ConfigError(f'{name}: its __call__{takes} must take images, and may take `train`, by '
                      f'name: {e}') from e


def blaming(task: Mapping, call: Callable) -> Callable:
  """`call`, where what an own network or task raises when it is traced is said to be its mistake.
  """
  def called(*arguments):
    with contextlib.ExitStack() as stack:
      where, part = 'config.task', task
      while hasattr(part, 'items'):
        stack.enter_context(own_mistakes(where, part.get('name'), inside=True))
        key = 'model' if where == 'config.task' else 'backbone'
        where, part = f'{where}.{key}', part.get(key)
      return call(*arguments)
  return called
