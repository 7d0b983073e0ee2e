"""The names of classes that an option gives, checked."""

from collections.abc import Sequence

from visionlab.config import ConfigError


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
