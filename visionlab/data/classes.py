"""The names of classes: those that an option gives, checked, or those that labels are."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from visionlab.config import ConfigError, nearest


def check_classes(classes: Sequence[str], where: str) -> tuple[str, ...]:
  """The names of classes, or a ConfigError: one is empty or there twice, or they are one text."""
  names = tuple(classes)
  if isinstance(classes, str) or len(names) == 1 and ',' in str(names[0]):
    written = classes if isinstance(classes, str) else names[0]
    parts = tuple(part.strip() for part in written.split(','))
    raise ConfigError(f'{where}: classes is the text {written!r}; expected names, {parts!r}')
  for i, name in enumerate(names):
    if not isinstance(name, str) or not name.strip():
      raise ConfigError(f'{where}: classes: number {i} is {name!r}; expected a name')
    if name in names[:i]:
      raise ConfigError(f'{where}: classes: "{name}" is number {names.index(name)} and number {i}; '
                        'expected a name for each')
  if not names:
    raise ConfigError(f'{where}: classes must name the classes 0, 1, ...: e.g. ("cat", "dog")')
  return names


def in_order(names: Iterable[str]) -> tuple[str, ...]:
  """Different names, sorted; by value if they are whole numbers.

  >>> in_order(['10', '9', '10']), in_order(['b', 'a', '1'])
  (('9', '10'), ('1', 'a', 'b'))
  """
  names = set(names)
  whole = all(map(is_whole, names))
  return tuple(sorted(names, key=lambda name: (int(name), name) if whole else name))


def is_whole(name: str) -> bool:
  """Whether a label is a whole number."""
  return re.fullmatch('-?[0-9]{1,18}', name) is not None


def number_labels(labels: Sequence[str], classes: Sequence[str], where: str
                  ) -> tuple[np.ndarray, tuple[str, ...]]:
  """The class (n,) int32 of each label, and the classes.

  Args:
    labels: names; or, where all of them are whole numbers and `classes` are none, those of the
      classes named.
    classes: names in their order; () for those that there are, see `in_order`.
    where: begins the messages.

  Raises:
    ConfigError: a label that is no class.
  """
  names, numbers = class_numbers(labels, classes, where)
  for name in labels:
    if name not in numbers:
      raise ConfigError(f'{where}: the label {name!r} is none of the {len(names)} classes, '
                        f'{", ".join(names[:8])}{", ..." if len(names) > 8 else ""}'
                        f'{nearest(name, names)}')
  return np.array([numbers[name] for name in labels], np.int32), names


def class_numbers(labels: Sequence[str], classes: Sequence[str], where: str
                  ) -> tuple[tuple[str, ...], dict[str, int]]:
  """The names of classes, and the number of what stands for each: its name or, where none of the
  labels is a name and all are whole numbers, its own number. Arguments as of `number_labels`."""
  names = check_classes(classes, where) if classes else in_order(labels)
  numbers = {name: i for i, name in enumerate(names)}
  if classes and not any(name in numbers for name in labels) and all(map(is_whole, labels)):
    numbers = {str(i): i for i in range(len(names))}
  return names, numbers
