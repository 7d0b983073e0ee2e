"""Where files may be, where what can be made again is kept between runs, and where configs/ and
launch/ are."""

import os
import re
from pathlib import Path

from visionlab.config import ConfigError, nearest

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


def shipped() -> Path:
  """The folder that holds configs/ and launch/: beside the package in a checkout, within an
  installed one."""
  package = Path(__file__).parent
  within = package / '_shipped'
  return within if within.is_dir() else package.parent


def config_file(name: str) -> Path | None:
  """The config that comes with the library: of 'digits_cnn', or 'configs/digits_cnn.py'."""
  if not Path(name).name:
    return None
  path = shipped() / 'configs' / Path(name).with_suffix('.py').name
  here = name in (path.stem, path.name, f'configs/{path.name}')
  return path if here and path.is_file() else None


def similar(name: str) -> str:
  """A hint at the config that comes with the library and was probably meant; '' if none is near."""
  return nearest(name, [path.stem for path in (shipped() / 'configs').glob('*.py')])
