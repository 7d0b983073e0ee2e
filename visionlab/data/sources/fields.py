"""Numbers, flags and ids as annotations have them, whoever wrote these: as text, in lists, null."""

import math
from typing import Any

YES = ('1', 'true', 'yes')
NO = ('', '0', 'false', 'no', 'none', 'null', 'unspecified')    # the last is labelling tools' word


def number(value: Any) -> float:
  """A number, text that is one, or a list of one; nan is any other value.

  >>> number('64.0'), number([100]), number(True), number('wide')
  (64.0, 100.0, nan, nan)
  """
  if type(value) is float:               # of a million, most are
    return value
  if isinstance(value, list) and len(value) == 1:
    value = value[0]
  if isinstance(value, bool) or not isinstance(value, (int, float, str)):
    return math.nan
  try:
    return float(value)
  except (ValueError, OverflowError):
    return math.nan


def pixels(value: Any) -> int:
  """The height or width of an image, 0 where it is not known: null, -1 and 64.5 are none.

  >>> pixels('64.0'), pixels(-1), pixels(None)
  (64, 0, 0)
  """
  side = number(value)
  return int(side) if 1 <= side < 2**31 and side == int(side) else 0


def flag(value: Any) -> bool:
  """Whether a flag is set, as a boolean, a number or text.

  Raises:
    ValueError: it is none of those.

  >>> flag('0'), flag('true'), flag(1.0), flag(None)
  (False, True, True, False)
  """
  if type(value) is int and value in (0, 1):
    return value == 1
  word = '' if value is None else str(value).strip().lower().removesuffix('.0')
  if isinstance(value, (list, dict)) or word not in YES + NO:
    raise ValueError(f'{value!r}; expected 0 or 1')
  return word in YES


def identity(value: Any) -> int | float | str | None:
  """An id such that 7, 7.0 and '7' are one; None is what cannot be an id.

  >>> identity('7'), identity(7.0), identity('007'), identity(True)
  (7, 7, '007', None)
  """
  if type(value) is int:
    return value
  if isinstance(value, str) and value:
    plain = value.isascii() and value.removeprefix('-').isdigit() and len(value) < 20
    return int(value) if plain and str(int(value)) == value else value
  if isinstance(value, float) and math.isfinite(value):
    return int(value) if value == int(value) else value
  return None
