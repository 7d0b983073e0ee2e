"""What kind of value an option takes, as its annotation says: a type, and perhaps a range.

A signature such as `f(*, width: Count, dropout: Share = 0., levels: tuple[str, ...] = ())` is all
that is needed: `misfit` checks a value against it, `typed` reads one from a command line.
"""

import ast
import contextlib
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from ml_collections import ConfigDict


class Range(NamedTuple):
  """From `low` to `high`, both included."""
  low: float
  high: float = math.inf

  def __str__(self):
    if self.high < math.inf:
      return f'from {self.low} to {self.high}'
    return f'of at least {self.low}'


Count = Annotated[int, Range(1)]           # of what there must be some
Natural = Annotated[int, Range(0)]
Share = Annotated[float, Range(0, 1)]      # a probability, a part of a whole
Amount = Annotated[float, Range(0)]
Duration = int | str                       # see `visionlab.options.durations.parse_steps`

SIMPLE = (int, float, bool, str, tuple, dict, type(None), Mapping)
WORDS = {'true': True, 'false': False, 'yes': True, 'no': False, '1': True, '0': False}


class Misfit(NamedTuple):
  """What of a value is not as it should be."""
  place: str             # '' or, in a tuple, '[2]'
  value: Any
  expected: str          # 'int of at least 1'


def misfit(value, hint) -> Misfit | None:
  """None if `value` is of the kind that the annotation `hint` says; what is not simple fits.

  >>> misfit((8, 0), tuple[Count, ...])
  Misfit(place='[1]', value=0, expected='int of at least 1')
  """
  options = members(hint)
  if not all(_class(h) in SIMPLE or typing.get_origin(h) is Literal for h in options):
    return None
  found = [_misfit_of_one(value, h) for h in options]
  if None in found:
    return None
  inside = [f for f in found if f.place]
  return (inside or found)[0] if inside or len(found) == 1 else Misfit('', value, expected(hint))


def members(hint) -> tuple:
  """The annotations of which a value has to fit one."""
  is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
  return typing.get_args(hint) if is_union else (hint,)


def expected(hint) -> str:
  """What an annotation allows, in words.

  >>> expected(Count | tuple | None)
  'int of at least 1 or tuple or NoneType'
  """
  return ' or '.join(map(_named, members(hint)))


def _named(hint) -> str:
  if typing.get_origin(hint) is Literal:
    return 'one of ' + ', '.join(map(repr, typing.get_args(hint)))
  name = getattr(_class(hint), '__name__', str(hint))
  return ' '.join([name, *map(str, _ranges(hint))])


def _ranges(hint) -> list[Range]:
  return [r for r in getattr(hint, '__metadata__', ()) if isinstance(r, Range)]


def _class(hint):
  """The type that a value must have: of tuple[int, ...] it is tuple, of Count int."""
  if typing.get_origin(hint) is Annotated:
    hint = typing.get_args(hint)[0]
  return typing.get_origin(hint) or hint


def _misfit_of_one(value, hint) -> Misfit | None:
  wrong = Misfit('', value, _named(hint))
  if typing.get_origin(hint) is Literal:
    return None if any(value is x or value == x for x in typing.get_args(hint)) else wrong
  kind = _class(hint)
  if isinstance(value, bool) and kind is not bool:
    return wrong
  if not isinstance(value, (int, float) if kind is float else kind):
    return wrong
  if kind is float and not math.isfinite(value):
    return wrong._replace(expected=f'finite {_named(hint)}')
  if any(not r.low <= value <= r.high for r in _ranges(hint)):
    return wrong
  return _misfit_inside(value, hint) if kind is tuple else None


def _misfit_inside(value: tuple, hint) -> Misfit | None:
  inside = typing.get_args(hint)
  if not inside:
    return None
  many = len(inside) == 2 and inside[1] is Ellipsis
  if not many and len(value) != len(inside):
    return Misfit('', value, f'tuple of {len(inside)}')
  for i, x in enumerate(value):
    found = misfit(x, inside[0] if many else inside[i])
    if found:
      return found._replace(place=f'[{i}]{found.place}')
  return None


def plain(value, seen: dict | None = None):
  """A value, with what is in it, as Python's own: NumPy's numbers are numbers, its arrays and lists
  tuples, a ConfigDict a dict. A dict that stands in several places is one dict in the copy too.

  >>> plain({'lr': np.float32(.5), 'size': [np.int64(8), 8]})
  {'lr': 0.5, 'size': (8, 8)}
  """
  seen = {} if seen is None else seen             # id -> (the dict, so that it lives; its copy)
  if isinstance(value, ConfigDict | Mapping):
    if id(value) not in seen:
      seen[id(value)] = value, {}
      seen[id(value)][1].update({k: plain(v, seen) for k, v in value.items()})
    return seen[id(value)][1]
  if isinstance(value, np.generic):
    # The shortest number that is the same: .1, not .10000000149.
    return float(str(value)) if isinstance(value, np.floating) else value.item()
  if isinstance(value, np.ndarray):
    return plain(tuple(value), seen) if value.ndim else plain(value[()])
  if isinstance(value, list | tuple):
    items = (plain(item, seen) for item in value)
    return type(value)(*items) if hasattr(value, '_fields') else tuple(items)
  return value


def typed(text: str, hint, was=None):
  """What is written on a command line, as the kind of value that is wanted; or as another, of
  which `misfit` will complain, where it cannot be read as that.

  Args:
    hint: the option's annotation; Any: what is known is what it was.
    was: its value so far.

  >>> typed('red,white', tuple[str, ...]), typed('(8, 16)', int | tuple), typed('5', Duration)
  (('red', 'white'), (8, 16), '5')
  """
  if any(_class(h) not in SIMPLE for h in members(hint)):
    hint = type(was) if isinstance(was, bool | str | tuple) else Any
  kinds = [_class(h) for h in members(hint)]
  if hint in (str, Duration) or str in kinds and isinstance(was, str):
    return text
  readings = list(_readings(text, kinds))
  return next((value for value in readings if misfit(value, hint) is None), readings[0])


def _readings(text: str, kinds: Sequence[type]) -> Iterator:
  if type(None) in kinds and text.lower() in ('none', 'null'):
    yield None
  if bool in kinds and text.lower() in WORDS:
    yield WORDS[text.lower()]
  if float in kinds and int not in kinds:
    with contextlib.suppress(ValueError):
      yield float(text)
  value = literal(text)
  yield value
  if tuple in kinds:
    words = [word.strip() for word in text.strip('()[]').split(',') if word.strip()]
    yield tuple(map(literal, words)) if isinstance(value, str) else (value,)
    yield tuple(words)
  yield text


def literal(text: str):
  """A Python literal, its lists as tuples; else the text itself.

  >>> literal('[1, 2]'), literal('1e-3'), literal('sgd'), literal('true')
  ((1, 2), 0.001, 'sgd', True)
  """
  if text in ('true', 'false'):
    return text == 'true'
  try:
    return plain(ast.literal_eval(text))
  except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
    return text
