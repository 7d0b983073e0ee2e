"""RoIPool and spatial pyramid pooling: maxima over the bins of boxes.

Each works on one image; `jax.vmap` adds a batch. Boxes are in pixels of the image, and a feature
map of stride s has a cell for every s pixels. Boxes get no gradient from either. Padding boxes give
numbers like others: mask what is made of them.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.ops.roi_align import Size, pair


def roi_pool(features: jax.Array, boxes: jax.Array, *, size: Size, stride: float) -> jax.Array:
  """RoIPool (Girshick 2015, section 2.1): the maximum in each bin of each box, as torchvision's.

  Corners are rounded to cells, halves away from zero, and the last cell belongs to the box. Bins
  overlap where the box is no multiple of them; one wholly outside the map gives 0. The gradient
  goes to the first of equal cells in reading order.

  Args:
    features: (h w c).
    boxes: (n 4).
    size: of the result, one number or (rows, columns).
    stride: pixels per cell.

  Returns:
    (n rows columns c).

  >>> features = jnp.arange(64.).reshape(8, 8, 1)
  >>> roi_pool(features, jnp.array([[0., 0, 7, 7]]), size=2, stride=1)[0, :, :, 0].tolist()
  [[27.0, 31.0], [59.0, 63.0]]
  """
  corners = lax.round(jnp.asarray(boxes, jnp.float32) * (1 / stride)).astype(jnp.int32)
  edges = []
  for axis, (bins, cells) in enumerate(zip(pair(size), features.shape, strict=False)):
    first, last = corners[:, 1 - axis], corners[:, 3 - axis]
    number = jnp.maximum(last - first + 1, 1)
    low, high = _bins(number, bins)
    tabled = (number <= cells + 1)[:, None]   # always, if the box is in the image
    for edge, table in zip((low, high), _float_bins(cells + 1, bins), strict=True):
      edge = jnp.where(tabled, jnp.take(table, number, axis=0, mode='clip'), edge)
      edges.append(jnp.clip(first[:, None] + edge, 0, cells))
  return _maximum(features, *edges)


def _float_bins(most, bins):
  """`_bins` of 0 to `most` cells as torchvision rounds them, tables (1 + most, bins).

  In single precision the last bin of 57 cells in 7 ends at ceil(57.000004). XLA would round
  otherwise: it makes x / 7 into x * (1 / 7). So NumPy does it.
  """
  width = np.arange(most + 1, dtype=np.float32)[:, None] / np.float32(bins)
  bin_ = np.arange(bins, dtype=np.float32)
  return np.floor(bin_ * width).astype(np.int32), np.ceil((bin_ + 1) * width).astype(np.int32)


def _bins(number, bins):
  """Where each of `bins` overlapping shares of `number` (n) cells begins and ends, (n bins)."""
  bin_, number = np.arange(bins, dtype=np.int32), number[:, None]
  return bin_ * number // bins, -(-(bin_ + 1) * number // bins)


def spatial_pyramid_pool(features: jax.Array, boxes: jax.Array, *, sizes: Sequence[int],
                         stride: float) -> jax.Array:
  """Spatial pyramid pooling (He et al. 2014): maxima over grids of several sizes in each box.

  A box owns the cells that it touches, so the whole image owns the whole map, and its grids are
  those of torch's `adaptive_max_pool2d`; the paper's rounding (appendix A) is up to a cell tighter.

  Args:
    features: (h w c).
    boxes: (n 4).
    sizes: of the grids, such as (1, 2, 3, 6).
    stride: pixels per cell.

  Returns:
    (n m c) where m is the sum of the squares of `sizes`: grid after grid, each in reading order.
  """
  h, w, c = features.shape
  boxes = jnp.asarray(boxes, jnp.float32) * (1 / stride)
  x1, y1 = (jnp.clip(jnp.floor(boxes[:, i]), 0, n - 1).astype(jnp.int32)
            for i, n in ((0, w), (1, h)))
  x2, y2 = (jnp.clip(jnp.ceil(boxes[:, i]), 1, n).astype(jnp.int32) for i, n in ((2, w), (3, h)))
  grids = []
  for bins in sizes:
    edges = [first[:, None] + edge for first, last in ((y1, y2), (x1, x2))
             for edge in _bins(jnp.maximum(last - first, 1), bins)]
    grids.append(_maximum(features, *edges).reshape(-1, bins * bins, c))
  return jnp.concatenate(grids, axis=1)


@jax.custom_vjp
def _maximum(features, top, bottom, left, right):
  """(n p q c) from features (h w c), rows top to bottom (n p) and columns left to right (n q)."""
  return _search(features, top, bottom, left, right)[0]


def _search(features, top, bottom, left, right):
  """The maxima and where they are, as an index into the h*w cells: h*w in bins without a cell."""
  h, w, c = features.shape
  table = features.reshape(h * w, c)
  wide = (right - left).max()

  def look(i, carry):
    best, place = carry
    row, column = top + i // wide, left + i % wide
    cell = row[:, :, None] * w + column[:, None, :]
    exists = (row < bottom)[:, :, None] & (column < right)[:, None, :]
    value = jnp.take(table, cell, axis=0, mode='clip')
    better = exists[..., None] & (value > best)
    return jnp.where(better, value, best), jnp.where(better, cell[..., None], place)

  shape = (*top.shape, left.shape[1], c)
  start = jnp.full(shape, -jnp.inf, features.dtype), jnp.full(shape, h * w, jnp.int32)
  # As many cells as the largest bin has, which is not known before: hence no gradient of autodiff.
  # The first look is outside of the loop because in a shard_map the carry must vary from the start.
  best, place = lax.fori_loop(1, (bottom - top).max() * wide, look, look(0, start))
  return jnp.where(place < h * w, best, 0), place


def _maximum_forward(features, *edges):
  best, place = _search(features, *edges)
  return best, (place, jnp.zeros((0, *features.shape), features.dtype))


def _maximum_backward(residuals, g):
  place, like = residuals
  _, h, w, c = like.shape
  total = jnp.zeros((h * w, c), jnp.float32).at[place, jnp.arange(c)].add(
    g.astype(jnp.float32), mode='drop')
  return total.reshape(h, w, c).astype(like.dtype), None, None, None, None


_maximum.defvjp(_maximum_forward, _maximum_backward)
