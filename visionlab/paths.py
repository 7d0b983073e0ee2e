"""Where files may be, and where what can be made again is kept between runs."""

import os
import re
from pathlib import Path

from visionlab.config import ConfigError

REMOTE = re.compile(r'[a-z][a-z0-9+.-]+:/')      # pathlib makes gs:/x of gs://x


def local(path: str | Path, where: str) -> Path:
  """The path, which must be one that the operating system can open.

  A run appends to its metrics and renames what it has written, and data are read at random: object
  stores do neither, or not at that speed.

  Raises:
    ConfigError: it is a URL.

  >>> local('runs/digits', '--workdir').name
  'digits'
  """
  if REMOTE.match(str(path)):
    raise ConfigError(f'{where}: {path} is no folder of this machine; mount the bucket (gcsfuse, '
                      'mount-s3) and give the folder, or copy it before or after')
  return Path(path)


def cache_folder(name: str) -> Path:
  """The folder visionlab/<name> of the user's cache: $XDG_CACHE_HOME, or ~/.cache."""
  return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache', 'visionlab', name)
