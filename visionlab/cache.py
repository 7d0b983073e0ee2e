"""Where what can be made again is kept between runs."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
  """The folder visionlab/<name> of the user's cache: $XDG_CACHE_HOME, or ~/.cache."""
  return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache', 'visionlab', name)
