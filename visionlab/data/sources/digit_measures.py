"""Digits with what can be measured of them: how much ink there is, where, and how it leans."""

from collections.abc import Mapping

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Arrays
from visionlab.data.sources.digit_attributes import open_digits


def digit_measures(split: str, *, of: Mapping, held_out: float = .2, root: str = '',
                   seed: int = 0) -> Arrays:
  """Any source of the ten digits, bright on black, with three measurements.

  Args:
    split: of the source.
    of: the source as config.data has it, dict(name=..., ...), held in memory.
    held_out: the share of examples that training is to watch, not to learn from, for
      `visionlab.tasks.multitask`.
    root: in place of that of `of`, if given.
    seed: of the draw that says which.

  Returns:
    Its examples and, of each:
      `ink` (n,) float32: the mean grey level, in [0, 1].
      `centre` (n 2) float32: of the ink, (x, y) from the image's centre, in parts of its side.
      `slant` (n,) float32: how far the ink leans to the right, in pixels for each pixel upwards.
      `held_out` (n,) bool.

  Raises:
    ConfigError: another kind of source, or a share outside [0, 1).
  """
  if not 0 <= held_out < 1:
    raise ConfigError(f'digit_measures: held_out must lie in [0, 1), and is {held_out}')
  source = open_digits(of, split, root)
  n = len(source)
  chosen = np.zeros(n, bool)
  # Not the order that slices of a split are cut from, or one would have all that is held out.
  order = np.random.Generator(np.random.PCG64((seed, 1))).permutation(n)
  chosen[order[:round(held_out * n)]] = True
  measures = measure(source.arrays['image'])
  return Arrays({**source.arrays, **measures, 'held_out': chosen}, source.info)


def measure(images: np.ndarray) -> dict[str, np.ndarray]:
  """`ink`, `centre` and `slant` of images (n h w c) uint8; see `digit_measures`. Of an image
  without ink the last two are 0.

  >>> image = np.zeros((1, 4, 4, 1), np.uint8)
  >>> image[0, 0, 3], image[0, 1, 2] = 255, 255            # a stroke that leans right by 45 degrees
  >>> found = measure(image)
  >>> found['ink'].tolist(), found['centre'].tolist(), found['slant'].tolist()
  ([0.125], [[0.25, -0.25]], [1.0])
  """
  ink = images.mean(-1, dtype=np.float64) / 255
  h, w = ink.shape[1:]
  total = np.maximum(ink.sum((1, 2)), 1e-9)
  x, y = np.arange(w) - (w - 1) / 2, np.arange(h)[:, None] - (h - 1) / 2
  mean_x, mean_y = ((ink * axis).sum((1, 2)) / total for axis in (x, y))
  dx, dy = x - mean_x[:, None, None], y - mean_y[:, None, None]
  lean = -(ink * dx * dy).sum((1, 2)) / np.maximum((ink * dy ** 2).sum((1, 2)), 1e-9)
  found = dict(ink=ink.mean((1, 2)), centre=np.stack([mean_x / w, mean_y / h], -1), slant=lean)
  return {name: value.astype(np.float32) for name, value in found.items()}
