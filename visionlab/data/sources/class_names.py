"""Names of classes in a file of their own: a line for each, or yaml as YOLO's tools write it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from visionlab.config import ConfigError
from visionlab.data.classes import check_classes
from visionlab.data.text.text_files import read_text


class ClassFile(NamedTuple):
  """What a file says of its classes.

  Attributes:
    names: number -> name, in the order of the numbers.
    kpt_shape: the keypoints of an object and the numbers of each, 2 or 3; None: it does not say.
    joints: the keypoints' names, () where it has none.
  """
  names: Mapping[int, str]
  kpt_shape: tuple[int, ...] | None = None
  joints: tuple[str, ...] = ()


def read_classes(top: Path, classes: Sequence[str] | Mapping | str, where: str) -> ClassFile:
  """The classes that an option names, or the file in `top` that it names.

  Raises:
    ConfigError: it names nothing, or the file says nothing that can be understood.
  """
  if not classes:
    there = sorted(path.name for path in top.glob('*') if path.suffix in ('.yaml', '.yml'))
    raise ConfigError(f"{where}: classes must name the classes 0, 1, ...: e.g. classes=('cat', "
                      f"'dog'), or a file such as classes='{(there or ['data.yaml'])[0]}'")
  if not isinstance(classes, str):
    return ClassFile(_numbered(classes, where))
  path = top / classes
  if ',' in classes and not path.is_file():
    check_classes(classes, where)
  text = read_text(path)
  if path.suffix.lower() in ('.yaml', '.yml'):
    return _read_yaml(text, path)
  return ClassFile(_numbered(_lines(text, path), str(path)))


def _lines(text: str, path: Path) -> list[str]:
  lines = [line.strip() for line in text.rstrip().split('\n')]
  if '' in lines:
    raise ConfigError(f'{path}: line {lines.index("") + 1} is empty; expected the names of the '
                      'classes 0, 1, ..., one in each line')
  return lines


def _numbered(names: Any, where: str) -> dict[int, str]:
  """The names by their numbers, of a list of names, or of a mapping either way round."""
  if isinstance(names, Mapping):
    pairs = [(_whole(key), value) for key, value in names.items()]
    if any(number is None for number, _ in pairs):
      pairs = [(_whole(value), key) for key, value in names.items()]
    words = all(isinstance(name, (str, int)) for _, name in pairs)
    if not words or any(n is None for n, _ in pairs) or len(dict(pairs)) < len(pairs):
      raise ConfigError(f'{where}: names is {names!r:.60}; expected a list of names, or a number '
                        'for each')
    named = {number: str(name).strip() for number, name in sorted(pairs)}
  elif isinstance(names, (list, tuple)):
    named = {i: name.strip() if isinstance(name, str) else name for i, name in enumerate(names)}
  else:
    raise ConfigError(f'{where}: names is {names!r:.60}; expected a list of names')
  check_classes(tuple(named.values()), where)
  return named


def _whole(value: Any) -> int | None:
  """The number of a class; None is what is none."""
  if isinstance(value, bool) or not isinstance(value, (int, str)):
    return None
  text = str(value).strip()
  return int(text) if text.isascii() and text.isdigit() else None


def _read_yaml(text: str, path: Path) -> ClassFile:
  import yaml  # noqa: PLC0415 - other sources do without it
  try:
    content = yaml.load(text, yaml.BaseLoader)   # leaves "no" and "on" what they are, names
    names = content['names']
  except (yaml.YAMLError, KeyError, TypeError, RecursionError) as error:
    raise ConfigError(f'{path} is no yaml with "names", the names of classes') from error
  if isinstance(names, str):
    names = [name.strip() for name in names.split(',')] if names.strip() else names
  named = _numbered(names, str(path))
  count = _whole(content.get('nc'))
  if count not in (None, len(named)) and list(named) == list(range(len(named))):
    raise ConfigError(f'{path}: nc is {count}, but there are {len(named)} names; expected as many')
  shape = content.get('kpt_shape')
  shape = None if shape in (None, '', 'null', '~') else check_kpt_shape(shape, str(path))
  return ClassFile(named, shape, _joints(content.get('kpt_names'), shape))


def check_kpt_shape(shape: Any, where: str) -> tuple[int, ...]:
  """(up to 1000, 2 or 3), or (): there are none. Raises a ConfigError for anything else."""
  numbers = tuple(map(_whole, shape)) if isinstance(shape, (list, tuple)) else (None,)
  if numbers and (len(numbers) != 2 or numbers[0] not in range(1, 1001)
                  or numbers[1] not in (2, 3)):
    raise ConfigError(f'{where}: kpt_shape is {shape!r:.60}; expected the number of keypoints and '
                      'the numbers of each, 2 or 3, e.g. (17, 3)')
  return numbers


def _joints(names: Any, shape: tuple[int, ...] | None) -> tuple[str, ...]:
  """The names of keypoints, which may be written for each class; () if they are too few or many."""
  if isinstance(names, dict) and names:
    names = next(iter(names.values()))
  fits = isinstance(names, list) and shape and len(names) == shape[0]
  return tuple(map(str, names)) if fits else ()
