"""Clips of any kind, brought to what a network takes."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.file_warnings import reading
from visionlab.data.films.film import read_film, seconds
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import reason
from visionlab.data.images.fitted import fitted


def fitted_clips(clips: Any, canvas: Canvas, frames: int) -> np.ndarray:
  """Clips as `visionlab.runs.run.Run.predict` takes them -> (n t h w c) uint8 on that canvas.

  Args:
    clips: one clip or several in a list: an array (t h w c), a list of images (see
      `visionlab.data.images.fitted.fitted`), or the name of a film; or an array (n t h w c).
    frames: t; of a clip with more or fewer those nearest to so many evenly spaced moments.

  Raises:
    ConfigError: no clips, or one that is none; the text says which.
  """
  clips = [clips] if _is_one(clips) else clips
  if not len(clips):
    raise ConfigError('no clips')
  return np.stack([_fitted(clip, canvas, frames, f'clip {i}') for i, clip in enumerate(clips)])


def _is_one(clips) -> bool:
  """Whether it is a clip and not several."""
  if isinstance(clips, str | os.PathLike):
    return True
  if hasattr(clips, '__array__'):
    return np.ndim(clips) < 5
  return len(clips) > 0 and (isinstance(clips[0], Image.Image)
                             or hasattr(clips[0], '__array__') and np.ndim(clips[0]) < 4)


def _fitted(clip, canvas, frames, where):
  if isinstance(clip, str | os.PathLike):
    return film_of(clip, canvas, frames, where)
  if not isinstance(clip, list | tuple) and np.ndim(clip) != 4:
    raise ConfigError(f'{where}: expected frames (t h w c), their images in a list or the name of '
                      f'a film, got {type(clip).__name__} {np.shape(clip)}')
  return fitted([clip[i] for i in moments(len(clip), frames)], canvas)


def moments(there: int, wanted: int) -> np.ndarray:
  """Which of so many frames are nearest to `wanted` evenly spaced moments, the middles of as many
  equal parts (Wang et al. 2016, temporal segment networks): all of them where they are as many.

  >>> moments(8, 8).tolist(), moments(10, 2).tolist(), moments(2, 4).tolist()
  ([0, 1, 2, 3, 4, 5, 6, 7], [2, 7], [0, 0, 1, 1])
  """
  return (2 * np.arange(wanted) + 1) * there // (2 * wanted)


def film_of(name: str | os.PathLike, canvas: Canvas, frames: int, where: str) -> np.ndarray:
  """Evenly spaced frames (t h w c) of a film, see `visionlab.data.films.film`.

  Raises:
    ConfigError: it cannot be read.
  """
  path = Path(name).expanduser()
  try:
    with reading(path):
      return read_film(path, (np.arange(frames) + .5) / frames * seconds(path), canvas)
  except FileNotFoundError as error:
    raise ConfigError(f'{where}, {name}: no such file') from error
  except Exception as error:          # what decoders raise for damaged files knows no bounds
    raise ConfigError(f'{where}, {name}: cannot be read as a film: {reason(error)}') from error
