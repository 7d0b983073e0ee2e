"""Histograms of oriented gradients (Dalal and Triggs 2005)."""

import math

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError

EPSILON = 1e-5
CLIP = .2                      # of L2-Hys


def hog(images: jax.Array, *, bins: int = 9, cell: int = 8, block: int = 3) -> jax.Array:
  """The HOG of images (b h w c), as scikit-image's `hog` with `feature_vector=False`; traceable.

  Centred differences, 0 at the border; of each pixel the channel with the largest gradient; the
  gradients' sizes summed by direction, without sign, in cells; blocks of cells at every cell, each
  divided by its L2 norm, cut at .2 and divided again (L2-Hys).

  Args:
    images: uint8, which stay in 0..255, or floats: scikit-image's constant 1e-5 is added to norms
      whatever the scale.
    bins: directions in half a turn.
    cell: pixels of a cell's side.
    block: cells of a block's side.

  Returns:
    (b rows columns block block bins) f32.

  Raises:
    ConfigError: images smaller than a block.
  """
  h, w = images.shape[1:3]
  if min(h, w) < cell * block:
    raise ConfigError(f'hog: blocks of {block} x {block} cells of {cell} pixels need images of at '
                      f'least {cell * block} x {cell * block} pixels, not {h} x {w}')
  along_y, along_x = _gradients(images.astype(jnp.float32))
  histograms = _histograms(along_y, along_x, bins, cell)
  rows, columns = (n // cell - block + 1 for n in (h, w))
  blocks = jnp.stack([jnp.stack([histograms[:, i:i + rows, j:j + columns] for j in range(block)], 3)
                      for i in range(block)], 3)
  unit = lambda x: x / jnp.sqrt((x ** 2).sum((3, 4, 5), keepdims=True) + EPSILON ** 2)
  return unit(jnp.minimum(unit(blocks), CLIP))


def _gradients(images):
  """(b h w) each, of the channel in which it is largest."""
  along_y = jnp.pad(images[:, 2:] - images[:, :-2], ((0, 0), (1, 1), (0, 0), (0, 0)))
  along_x = jnp.pad(images[:, :, 2:] - images[:, :, :-2], ((0, 0), (0, 0), (1, 1), (0, 0)))
  # Squares of uint8 differences are exact: the first of equal channels is taken, and many are.
  largest = (along_y ** 2 + along_x ** 2).argmax(-1, keepdims=True)
  pick = lambda x: jnp.take_along_axis(x, largest, -1)[..., 0]
  return pick(along_y), pick(along_x)


def _histograms(along_y, along_x, bins, cell):
  """(b rows columns bins): the mean over a cell of the gradients' sizes, by direction."""
  b, h, w = along_y.shape
  rows, columns = h // cell, w // cell
  # Turned into the upper half plane, so that half a turn is no turn.
  down = (along_y < 0) | ((along_y == 0) & (along_x < 0))
  angle = jnp.arctan2(jnp.where(down, -along_y, along_y), jnp.where(down, -along_x, along_x))
  which = jnp.minimum((angle * (bins / math.pi)).astype(jnp.int32), bins - 1)
  squared = along_y ** 2 + along_x ** 2
  size = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)
  votes = jax.nn.one_hot(which, bins) * size[..., None]
  votes = votes[:, :rows * cell, :columns * cell].reshape(b, rows, cell, columns, cell, bins)
  return votes.mean((2, 4))
