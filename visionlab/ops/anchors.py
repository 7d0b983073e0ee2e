"""Anchors: the boxes of given sizes and shapes at every place of a feature map."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
  """The anchors (a 4) of one place, about the origin: a = len(ratios) * len(sizes).

  A size s and a ratio r = height / width make a box of s / sqrt(r) by s sqrt(r) pixels. Sizes vary
  fastest. Corners are rounded to whole pixels, halves to even, as torchvision does: its published
  weights want that, though a box of size 32 and ratio .5 becomes 46 wide instead of 45.25.

  >>> cell_anchors([32], [.5, 1]).tolist()
  [[-23.0, -11.0, 23.0, 11.0], [-16.0, -16.0, 16.0, 16.0]]
  """
  root = np.sqrt(np.asarray(ratios, np.float32))[:, None]
  sizes = np.asarray(sizes, np.float32)
  w, h = (1 / root * sizes).ravel(), (root * sizes).ravel()
  return np.round(np.stack([-w, -h, w, h], axis=-1) / 2) + 0.   # + 0 turns -0 into 0


def grid_anchors(cells: np.ndarray, shape: tuple[int, int], stride: int) -> jax.Array:
  """The anchors (h*w*a 4) of a feature map of shape (h, w), in pixels of the image.

  Rows vary slowest, then columns, then the a `cells` (a 4): the order of a head's output (h w a).
  The anchors of place (i, j) are about (stride * j, stride * i), the upper left corner of what the
  cell covers and not its middle, as in torchvision.

  >>> grid_anchors(cell_anchors([4], [1]), (1, 2), 8).tolist()
  [[-2.0, -2.0, 2.0, 2.0], [6.0, -2.0, 10.0, 2.0]]
  """
  h, w = shape
  x, y = jnp.meshgrid(jnp.arange(w) * stride, jnp.arange(h) * stride)
  shift = jnp.stack([x, y, x, y], axis=-1).astype(jnp.float32)
  return (shift[:, :, None] + cells).reshape(-1, 4)


def pyramid_anchors(shapes: Sequence[tuple[int, int]], strides: Sequence[int],
                    sizes: Sequence[Sequence[float]],
                    ratios: Sequence[float]) -> list[jax.Array]:
  """The anchors (h*w*a 4) of every level of a pyramid, the same ratios on all.

  Args:
    shapes: (h, w) of each level's feature map.
    strides: pixels per cell of each level.
    sizes: of each level, several or one.
    ratios: heights / widths.

  Raises:
    ConfigError: there are not as many strides and lists of sizes as feature maps.

  >>> [len(a) for a in pyramid_anchors([(4, 6), (2, 3)], [8, 16], [[32], [64]], [.5, 1, 2])]
  [72, 18]
  """
  if not len(shapes) == len(strides) == len(sizes):
    raise ConfigError(f'anchors: {len(sizes)} lists of sizes and {len(strides)} strides for '
                      f'{len(shapes)} feature maps; expected one of each for each map')
  return [grid_anchors(cell_anchors(s, ratios), shape, stride)
          for shape, stride, s in zip(shapes, strides, sizes, strict=True)]
