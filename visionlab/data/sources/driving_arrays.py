"""Recorded driving in one .npz file: frames, commands, and perhaps their times."""

from pathlib import Path

import numpy as np
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import in_threads
from visionlab.data.source import UnknownSplit
from visionlab.data.sources.arrays import arrays
from visionlab.data.sources.driving_tables import OPTIONAL, STEERING, Recording

TARGETS = ('target', 'label')    # what the source `arrays` makes of y and the like


def read_arrays(path: Path, split: str, steering: str = '', time: str = '', rate: float = 0.
                ) -> tuple[np.ndarray, Recording, bool]:
  """The frames (n h w c) uint8 of a file that `visionlab.data.sources.arrays.arrays` reads, the
  moments without pictures, and whether they are all of that split, since the file has such.

  Args:
    steering, time: what the file calls these, where it is none of the usual names.
    rate: as for `visionlab.data.sources.driving_tables.read_recording`.

  Raises:
    ConfigError: no frames, no commands, or others than one number for each.
  """
  try:
    entries, own = arrays(split, path=str(path)).arrays, True
  except UnknownSplit as e:
    if e.splits != ('train',):
      raise
    entries, own = arrays('train', path=str(path)).arrays, False
  own = own and len(_splits_of(path)) > 1
  usual = [name for group in STEERING for name in group]
  commands = _one_of(entries, [steering] if steering else [*usual, *TARGETS], path, 'steering')
  named = [time] if time else [name for group in OPTIONAL['time'] for name in group]
  times = np.full(len(commands), np.nan)
  if time or set(named) & set(entries):
    times = _one_of(entries, named, path, 'time')
  elif rate:
    times = np.arange(len(commands)) / rate
  image = entries['image']
  if image.dtype != np.uint8:
    image = np.round(image * 255).astype(np.uint8)
  return image, Recording((), commands, times, False), own


def on_canvas(images: np.ndarray, canvas: Canvas) -> np.ndarray:
  """Frames (n h w c) as `canvas` has them."""
  if images.shape[1:] == canvas.shape:
    return images
  grey = images.shape[-1] == 1
  return np.stack(in_threads(lambda x: canvas(Image.fromarray(x[..., 0] if grey else x)), images))


def _splits_of(path: Path) -> tuple[str, ...]:
  try:
    arrays('', path=str(path))
  except UnknownSplit as e:
    return e.splits
  return ()


def _one_of(entries, names, path: Path, role: str) -> np.ndarray:
  """(n,) float64."""
  name = next((name for name in names if name in entries), None)
  if name is None:
    there = ', '.join(f'{k} {v.shape}' for k, v in entries.items())
    raise ConfigError(f'{path}: has no "{names[0]}"; there are {there}; the option {role}_column '
                      'names it')
  values, n = np.asarray(entries[name]), len(entries['image'])
  values = values[:, 0] if values.shape == (n, 1) else values
  if values.shape != (n,) or not np.issubdtype(values.dtype, np.number) or not np.isfinite(
      values).all():
    raise ConfigError(f'{path}: {name} is {values.dtype}{values.shape}; expected a number for each '
                      f'of the {n} frames')
  return values.astype(np.float64)
