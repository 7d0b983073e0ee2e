"""From a name in a config, ours or 'package.module:name', to the callable, and to what it makes.

The options of a callable are the arguments of its signature; `bind` checks them, names, then types.
"""

import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from visionlab.options.kinds import misfit, plain
from visionlab.options.mistakes import ConfigError, home_of, is_own, nearest, own_mistakes, said


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


def resolve(name: str, table: Mapping[str, str | Callable], where: str) -> Callable:
  """The callable that `name` stands for: a key of `table`, or any 'package.module:callable'.

  Modules of one's own are looked for in the folder where Python was started, then on its path.
  """
  check_kind(name, str, where)
  path = table.get(name, name)
  if callable(path):
    return path
  if not all(path.partition(':')):
    meant = f' (did you mean "{":".join(name.rsplit(".", 1))}"?)' if '.' in name else ''
    raise ConfigError(f'{where}: unknown name {name!r}{meant or nearest(name, table)}; '
                      f'there are: {", ".join(sorted(table))}, or "package.module:name"')
  module, attribute = path.split(':', 1)
  found = _imported(module, f'{where}: cannot load {path!r}', is_own(name))
  if not hasattr(found, attribute):
    callables = [name for name, value in vars(found).items() if callable(value)]
    raise ConfigError(f'{where}: cannot load {path!r}: {module} ({_file(found)}) has no attribute '
                      f'{attribute!r}{nearest(attribute, callables)}')
  part = getattr(found, attribute)
  if not callable(part):
    raise ConfigError(f'{where}: {path!r} is {part!r:.60}; expected a function or a class')
  return part


def _imported(module: str, cannot: str, own: bool):
  """A module; cannot: begins what is said where there is none, or where it raises."""
  try:
    return importlib.import_module(module)
  except Exception as e:        # of whatever kind a module raises
    if own and isinstance(e, ModuleNotFoundError) and f'{module}.'.startswith(f'{e.name}.'):
      raise ConfigError(f"{cannot}: No module named {e.name!r} in {Path.cwd()}, nor on Python's "
                        'path; start from the folder that it is in, or set PYTHONPATH to that'
                        ) from e
    raise ConfigError(f'{cannot}: {said(e, home_of(module)) if own else e}') from e


def _file(module) -> str:
  return getattr(module, '__file__', None) or 'built in'


def bind(target: Callable, options: Mapping[str, Any], where: str, /, **given) -> Any:
  """Calls `target(**options, **given)` once every option's name and type is found to fit.

  Args:
    target: a function or (data)class; its signature says which options there are. What it takes as
      *args or **kwargs is none of them.
    options: what the user wrote under `where`; a `name` in it was for choosing `target`.
    given: what the program supplies; each is dropped where `target` does not take it.

  Raises:
    ConfigError: unknown, missing or ill-typed option; an own part, `name` says, that raises.
  """
  given = {k: v for k, v in given.items() if k in parameters_of(target, where)}
  fitted = fitting(target, options, where, given)
  with own_mistakes(where, options.get('name', '')):
    return target(**fitted, **given)


def fitting(target: Callable, options: Mapping[str, Any], where: str,
            given: Collection[str] = ()) -> dict[str, Any]:
  """The options, but for `name`, once they are found to fit as `bind` says, beside what is `given`.
  """
  check_mapping(options, where)
  parameters, hints = parameters_of(target, where), hints_of(target)
  options = {k: plain(v) if isinstance(v, ConfigDict) else v for k, v in options.items()
             if k != 'name'}
  check_names(options, [n for n in parameters if n not in given], where)
  for name, parameter in parameters.items():
    if name in options:
      check_kind(options[name], hints.get(name, Any), f'{where}.{name}')
    elif name not in given and parameter.default is inspect.Parameter.empty:
      raise ConfigError(f'{where}.{name}: missing ({_called(target)} needs it)')
  return options


def parameters_of(target: Callable, where: str) -> dict[str, inspect.Parameter]:
  """What `target` may be given by name, but for flax's own fields."""
  try:
    parameters = inspect.signature(target).parameters
  except (TypeError, ValueError) as e:
    raise ConfigError(f'{where}: {target!r} does not tell Python its arguments; wrap it in a '
                      'function that names them') from e
  return {name: p for name, p in parameters.items()
          if name not in ('parent', 'name') and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


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


def _called(target: Callable) -> str:
  return getattr(target, '__name__', repr(target))
