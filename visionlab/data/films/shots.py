"""The shots of a film: a still of each, and the second that it begins at."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import UnidentifiedImageError

from visionlab.config import ConfigError
from visionlab.data.films.film import frames_at, is_film, seconds, stills_of
from visionlab.data.images.decode import Canvas

SIDE = 128                       # pixels of a still
_STAMP = re.compile(r'(?:.*\D)?(\d{1,2})[-_.:h](\d{2})[-_.:m](\d{2}(?:\.\d+)?)s?')


class Shots(NamedTuple):
  """Attributes:
    begins: (s,) the second that each begins at, rising.
    stills: (s h w 3) uint8.
  """
  begins: np.ndarray
  stills: np.ndarray


def read_shots(path: str | Path, every: float = 4.) -> Shots:
  """A film's shots.

  A film file is cut into shots of so many seconds, and the still is from the middle. Of a folder
  each image is a still: of the time that its name ends in, such as 00-01-23 or 1h02m03, where all
  names do; else in the order of their numbers, one each so many seconds.

  Args:
    every: seconds.

  Raises:
    ConfigError: there is no film, or none that can be decoded.
  """
  path, canvas = Path(path).expanduser(), Canvas(SIDE, resize='pad')
  if not path.exists():
    raise ConfigError(f'{path}: there is no such film')
  if not is_film(path):
    raise ConfigError(f'{path}: no film; expected a film file such as film.mp4, or a folder of '
                      'stills')
  try:
    if path.is_dir():
      names = stills_of(path)
      begins, order = _begins([Path(name).stem for name in names], every)
      moments = np.arange(len(names)) * every
      stills = np.stack(list(frames_at(path, moments, canvas, rate=1 / every)))
      return Shots(begins[order], stills[order])
    count = max(int(np.ceil(seconds(path) / every)), 1)
    begins = np.arange(count) * every
    return Shots(begins, np.stack(list(frames_at(path, begins + every / 2, canvas))))
  except (ValueError, OSError, UnidentifiedImageError) as error:
    raise ConfigError(f'{path} cannot be read as a film: {error}') from error


def _begins(names: list[str], every: float) -> tuple[np.ndarray, np.ndarray]:
  """The seconds that stills of these names begin at, and the order of them that rises."""
  stamps = [_STAMP.fullmatch(name) for name in names]
  if not all(stamps):
    return np.arange(len(names)) * every, np.arange(len(names))
  begins = np.array([3600 * int(s[1]) + 60 * int(s[2]) + float(s[3]) for s in stamps])
  return begins, np.argsort(begins, kind='stable')
