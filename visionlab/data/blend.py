"""Digits blended with photographs by difference, as MNIST-M was made."""

from collections.abc import Sequence

import numpy as np

from visionlab.config import ConfigError


def blend(glyphs: np.ndarray, photographs: Sequence[np.ndarray], seed: int) -> np.ndarray:
  """|glyph - crop| by pixel and channel, each glyph with a random crop of a random photograph.

  Ganin et al. 2016, "Domain-adversarial training of neural networks" (JMLR 17, 59), section 5.2.4:
  where there is ink, the photograph is inverted. Which crop glyph i gets depends on `seed` and i
  alone.

  Args:
    glyphs: uint8 (n h w) or (n h w 1), bright on black.
    photographs: uint8 (height width 3) each, of any sizes from h x w on.

  Returns:
    uint8 (n h w 3).

  Raises:
    ConfigError: there is no photograph, or one is smaller than the glyphs.

  >>> blend(np.array([[[0, 255]]], np.uint8), [np.full((1, 2, 3), 40, np.uint8)], 0)[..., 0]
  array([[[ 40, 215]]], dtype=uint8)
  """
  glyphs = glyphs.reshape(glyphs.shape[:3])
  h, w = glyphs.shape[1:]
  if not len(photographs):
    raise ConfigError('blend: no photographs')
  small = [p.shape for p in photographs if p.shape[0] < h or p.shape[1] < w]
  if small:
    raise ConfigError(f'blend: a photograph of {small[0][0]} x {small[0][1]} pixels is smaller '
                      f'than the glyphs, {h} x {w}')
  result = np.empty((*glyphs.shape, 3), np.uint8)
  # Drawn row by row: what row i holds does not depend on how many there are.
  draws = np.random.Generator(np.random.PCG64(seed)).random((len(glyphs), 3))
  for i, (which, y, x) in enumerate(draws):
    photograph = photographs[int(which * len(photographs))]
    top, left = int(y * (photograph.shape[0] - h + 1)), int(x * (photograph.shape[1] - w + 1))
    crop = photograph[top:top + h, left:left + w].astype(np.int16)
    result[i] = np.abs(crop - glyphs[i, ..., None])
  return result
