"""Fixed-size features of boxes of any size: RoIAlign, RoIPool, pyramid pooling, plain crops.

Each works on one image; `jax.vmap` adds a batch. Boxes are in pixels of the image, and a feature
map of stride s has a cell for every s pixels. Boxes get no gradient from any of them. Padding boxes
give numbers like others: mask what is made of them.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError
from visionlab.ops import boxes as box_ops
from visionlab.ops.warp import sample

Size = int | tuple[int, int]


def roi_align(features: jax.Array, boxes: jax.Array, *, size: Size, stride: float,
              samples: int = 2, aligned: bool = False) -> jax.Array:
  """RoIAlign (He et al. 2017, section 3): means of bilinear samples in each bin of each box.

  A bin has samples x samples evenly spaced ones. Beyond the outermost cells' centres the map goes
  on flat for one cell, and beyond that it is zero, as in torchvision.

  Args:
    features: (h w c).
    boxes: (n 4).
    size: of the result, one number or (rows, columns).
    stride: pixels per cell.
    samples: per bin and axis.
    aligned: cell i covers [i, i + 1) and has its centre at i + .5, as everywhere in this package.
      If not, its centre is taken for i, half a cell off, and boxes count as no smaller than one
      cell: so torchvision's detectors were trained.

  Returns:
    (n rows columns c), of the features' dtype but computed in float32, the gradient too.

  >>> features = jnp.arange(25.).reshape(5, 5, 1)
  >>> roi_align(features, jnp.array([[1., 1, 3, 3]]), size=2, stride=1, aligned=True)[0, :, :, 0]
  Array([[ 6.,  7.],
         [11., 12.]], dtype=float32)
  """
  return roi_align_levels([features], boxes, jnp.zeros(len(boxes), jnp.int32), size=size,
                          strides=[stride], samples=samples, aligned=aligned)


def roi_align_levels(features: Sequence[jax.Array], boxes: jax.Array, levels: jax.Array, *,
                     size: Size, strides: Sequence[float], samples: int = 2,
                     aligned: bool = False) -> jax.Array:
  """`roi_align` of each box on its own level of a pyramid.

  Args:
    features: (h w c) of each level; the same c.
    boxes: (n 4).
    levels: (n) integers into `features`; see `pyramid_level`.
    size: of the result, one number or (rows, columns).
    strides: pixels per cell of each level.
    samples: per bin and axis.
    aligned: as in `roi_align`.

  Returns:
    (n rows columns c).

  Raises:
    ConfigError: there are not as many strides as levels.
  """
  if len(strides) != len(features):
    raise ConfigError(f'roi_align: {len(strides)} strides for {len(features)} feature maps')
  rows, columns = _pair(size)
  boxes = lax.stop_gradient(jnp.asarray(boxes, jnp.float32))
  boxes = boxes * jnp.asarray([1 / s for s in strides], jnp.float32)[levels, None] - aligned / 2
  h, w = np.array([f.shape[:2] for f in features], np.int32).T
  first = np.cumsum(h * w, dtype=np.int32) - h * w
  first, h, w = (jnp.asarray(per_level)[levels] for per_level in (first, h, w))
  row, row_weight = _taps(boxes[:, 1], boxes[:, 3], h, rows, samples, aligned)
  column, column_weight = _taps(boxes[:, 0], boxes[:, 2], w, columns, samples, aligned)
  row = first[:, None, None] + row * w[:, None, None]

  # All levels in one table, so that every box is gathered once and not once a level; in float32,
  # because the gradient is summed in the table's dtype.
  table = jnp.concatenate([f.reshape(-1, f.shape[-1]) for f in features]).astype(jnp.float32)
  pooled = _weighted_sum(table, (row, row_weight, column, column_weight))
  return pooled.astype(features[0].dtype)


@jax.custom_vjp
def _weighted_sum(table, taps):
  """(n p q c) from a table (m c), with the taps of `_each_tap`."""
  return sum(weight * jnp.take(table, cell, axis=0, mode='clip')
             for cell, weight in _each_tap(taps))


def _each_tap(taps):
  """Cells (n p q) and weights (n p q 1), for each pair of a row and a column that a bin sees."""
  row, row_weight, column, column_weight = taps
  for i in range(row.shape[-1]):
    for j in range(column.shape[-1]):
      weight = row_weight[:, :, None, i] * column_weight[:, None, :, j]
      yield row[:, :, None, i] + column[:, None, :, j], weight[..., None]


def _weighted_sum_forward(table, taps):
  return _weighted_sum(table, taps), (jnp.zeros((0, *table.shape)), taps)


def _weighted_sum_backward(residuals, g):
  like, taps = residuals
  total = jnp.zeros(like.shape[1:])
  # In place, one tap after another; autodiff would make a table for each and add them up.
  for cell, weight in _each_tap(taps):
    total = total.at[cell].add(weight * g, mode='drop')
  return total, None


_weighted_sum.defvjp(_weighted_sum_forward, _weighted_sum_backward)


def _taps(start, end, cells, size, samples, aligned):
  """Along one axis, which cells (n size 2*samples) a bin sees, and their weights."""
  side = end - start if aligned else jnp.maximum(end - start, 1.)
  place = (np.arange(size * samples, dtype=np.float32) + .5) / (size * samples)
  at, cells = start[:, None] + side[:, None] * place, cells[:, None]
  seen = (at >= -1) & (at <= cells)
  at = jnp.clip(at, 0, cells - 1)
  low = jnp.floor(at)
  share = at - low
  index = jnp.stack([low, jnp.minimum(low + 1, cells - 1)], axis=-1).astype(jnp.int32)
  weight = jnp.stack([1 - share, share], axis=-1) * seen[..., None] / samples
  return (a.reshape(len(start), size, 2 * samples) for a in (index, weight))


def pyramid_level(boxes: jax.Array, *, lowest: int, highest: int, canonical_side: float = 224.,
                  canonical_level: int = 4) -> jax.Array:
  """The level (n) int32 of a feature pyramid for each box (n 4), counted from 0 at `lowest`.

  A box of canonical_side squared belongs to canonical_level, one of twice the side a level higher
  (Lin et al. 2017, equation 1). Level l has stride 2^l.

  >>> boxes = jnp.array([[0., 0, 224, 224], [0, 0, 447, 447], [0, 0, 448, 448], [0, 0, 0, 0]])
  >>> pyramid_level(boxes, lowest=2, highest=5).tolist()
  [2, 2, 3, 0]
  """
  side = jnp.sqrt(jnp.maximum(box_ops.area(boxes), box_ops.LEAST_AREA))
  level = jnp.floor(canonical_level + jnp.log2(side / canonical_side) + 1e-6)
  return (jnp.clip(level, lowest, highest) - lowest).astype(jnp.int32)


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
  for axis, (bins, cells) in enumerate(zip(_pair(size), features.shape, strict=False)):
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


def crop_and_resize(image: jax.Array, boxes: jax.Array, *, size: Size, context: int = 0,
                    square: bool = False, fill: float = 0.) -> jax.Array:
  """What is in each box, at one size (R-CNN's warp, Girshick et al. 2014, appendix A).

  Bilinear, without smoothing: what is shrunk to less than half aliases.

  Args:
    image: (h w c).
    boxes: (n 4).
    size: of the crops, one number or (rows, columns).
    context: pixels of the *crop*, on each side, that show what surrounds the box (R-CNN: 16 of
      227). The box is enlarged accordingly.
    square: first widen the box to a square, which keeps the aspect of what is in it.
    fill: the value of what lies outside the image; after subtraction of the mean, 0.

  Returns:
    (n rows columns c) float32.

  Raises:
    ConfigError: the context leaves no room for the box.

  >>> image = jnp.arange(16.).reshape(4, 4, 1)
  >>> crop_and_resize(image, jnp.array([[1., 1, 3, 3]]), size=2)[0, :, :, 0].tolist()
  [[5.0, 6.0], [9.0, 10.0]]
  """
  rows, columns = _pair(size)
  if 2 * context >= min(rows, columns):
    raise ConfigError(f'crop_and_resize.context: expected less than half of {rows}x{columns} '
                      f'pixels, got {context}')
  boxes = lax.stop_gradient(jnp.asarray(boxes, jnp.float32))
  grown = jnp.array([columns / (columns - 2 * context), rows / (rows - 2 * context)])
  if square:
    side = jnp.stack(box_ops.sides(boxes), axis=-1)
    grown = grown * side.max(-1, keepdims=True) / jnp.maximum(side, box_ops.LEAST_SIDE)
  boxes = box_ops.scale(boxes, grown)
  x, y = (boxes[:, i, None] + (boxes[:, i + 2] - boxes[:, i])[:, None] * (np.arange(n) + .5) / n
          for i, n in ((0, columns), (1, rows)))
  coords = jnp.stack(jnp.broadcast_arrays(x[:, None, :], y[:, :, None]), axis=-1)
  return sample(image, coords, fill=fill)


def _pair(size):
  return (size, size) if isinstance(size, int) else tuple(size)
