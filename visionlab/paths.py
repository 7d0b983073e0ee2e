"""Where files may be, and where what can be made again is kept between runs."""

import os
import re
from pathlib import Path

from visionlab.config import ConfigError

REMOTE = re.compile(r'[a-z][a-z0-9+.-]+:/')      # pathlib makes gs:/x of gs://x


def local(path: str | Path, where: str) -> Path:
  """The path, which must be one that the operating system can open; `~` is the user's home.

  A run appends to its metrics and renames what it has written, and data are read at random: object
  stores do neither, or not at that speed.

  Raises:
    ConfigError: it is a URL, empty, or of a user there is not.

  >>> local('runs/digits', '--workdir').name
  'digits'
  """
  if not str(path).strip():
    raise ConfigError(f'{where}: empty, as from a variable that is not set; the current folder is '
                      '"."')
  if REMOTE.match(str(path)):
    raise ConfigError(f'{where}: {path} is no folder of this machine; mount the bucket (gcsfuse, '
                      'mount-s3) and give the folder, or copy it before or after')
  try:
    return Path(path).expanduser()
  except RuntimeError as e:
    raise ConfigError(f'{where}: {path} begins with ~, the home of a user, whom this machine does '
                      f'not know; a folder of that name is ./{path}') from e


def cache_folder(name: str) -> Path:
  """The folder visionlab/<name> of the user's cache: $XDG_CACHE_HOME, or ~/.cache."""
  return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache', 'visionlab', name)


def output_file(path: str | None, flag: str) -> Path | None:
  """The file that a flag names, or None where it names none: before anything is computed for it.

  Raises:
    ConfigError: it is a folder, or in a folder that is not there.
  """
  if not path:
    return None
  place = Path(path).expanduser()
  if not place.parent.is_dir():
    raise ConfigError(f'{flag}={path}: there is no folder {place.parent}')
  if place.is_dir():
    raise ConfigError(f'{flag}={path}: is a folder; expected the name of a file')
  return place
