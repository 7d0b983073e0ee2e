"""RoIAlign: features of one size for boxes of any, from one map or a pyramid.

It works on one image; `jax.vmap` adds a batch. Boxes are in pixels of the image, and a feature map
of stride s has a cell for every s pixels. Boxes get no gradient. Padding boxes give numbers like
others: mask what is made of them.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError
from visionlab.ops import boxes as box_ops

Size = int | tuple[int, int]


def roi_align_levels(features: Sequence[jax.Array], boxes: jax.Array, levels: jax.Array, *,
                     size: Size, strides: Sequence[float], samples: int = 2,
                     aligned: bool = False) -> jax.Array:
  """RoIAlign (He et al. 2017, section 3) of each box on its own level of a pyramid: means of
  bilinear samples in each bin of each box.

  A bin has samples x samples evenly spaced ones. Beyond the outermost cells' centres a map goes on
  flat for one cell, and beyond that it is zero, as in torchvision.

  Args:
    features: (h w c) of each level; the same c.
    boxes: (n 4).
    levels: (n) integers into `features`; see `pyramid_level`.
    size: of the result, one number or (rows, columns).
    strides: pixels per cell of each level.
    samples: per bin and axis.
    aligned: cell i covers [i, i + 1) and has its centre at i + .5, as everywhere in this package.
      If not, its centre is taken for i, half a cell off, and boxes count as no smaller than one
      cell: so torchvision's detectors were trained.

  Returns:
    (n rows columns c), of the features' dtype but computed in float32, the gradient too.

  Raises:
    ConfigError: there are not as many strides as levels.

  >>> features, boxes = jnp.arange(25.).reshape(5, 5, 1), jnp.array([[1., 1, 3, 3]])
  >>> pooled = roi_align_levels([features], boxes, jnp.array([0]), size=2, strides=[1],
  ...                           aligned=True)
  >>> pooled[0, :, :, 0].tolist()
  [[6.0, 7.0], [11.0, 12.0]]
  """
  if len(strides) != len(features):
    raise ConfigError(f'roi_align: {len(strides)} strides for {len(features)} feature maps')
  size = pair(size)
  boxes = lax.stop_gradient(jnp.asarray(boxes, jnp.float32))
  boxes = boxes * jnp.asarray([1 / s for s in strides], jnp.float32)[levels, None] - aligned / 2
  cells = jnp.array([f.shape[:2] for f in features])[levels]
  row, column = (_taps(boxes[:, 1 - i], boxes[:, 3 - i], cells[:, i], size[i], samples, aligned)
                 for i in (0, 1))
  return _align(tuple(features), Taps(levels, *row, *column))


class Taps(NamedTuple):
  """What the bins of each box see: the level (n), and along each axis the cells and their weights,
  (n p t) of p bins down and (n q t) of q bins across."""
  level: jax.Array
  row: jax.Array
  row_weight: jax.Array
  column: jax.Array
  column_weight: jax.Array


@jax.custom_vjp
def _align(features, taps):
  """(n p q c), of features (h w c) of each level."""
  # All levels in one table, so that every box is gathered once and not once a level.
  table = jnp.concatenate([f.reshape(-1, f.shape[-1]) for f in features]).astype(jnp.float32)
  pooled = sum(_seen(table, *tap) for tap in _each_tap(features, taps))
  return pooled.astype(features[0].dtype)


def _each_tap(features, taps):
  """For each pair of a row and a column seen, where they begin in the table, (n p 1) and (n 1 q):
  the sum is the cell; and their weights, the product is the cell's."""
  h, w = np.array([f.shape[:2] for f in features], np.int32).T
  first, w = (jnp.asarray(per_level)[taps.level, None, None]
              for per_level in (np.cumsum(h * w, dtype=np.int32) - h * w, w))
  rows = jnp.unstack(first[..., None] + taps.row[:, :, None] * w[..., None], axis=-1)
  downs = jnp.unstack(taps.row_weight[:, :, None], axis=-1)
  columns = jnp.unstack(taps.column[:, None], axis=-1)
  acrosses = jnp.unstack(taps.column_weight[:, None], axis=-1)
  for row, down in zip(rows, downs, strict=True):
    for column, across in zip(columns, acrosses, strict=True):
      yield row, column, down, across


@jax.jit     # as the one below: traced once for all taps
def _seen(table, row, column, down, across):
  return (down * across)[..., None] * jnp.take(table, row + column, axis=0, mode='clip')


@jax.jit
def _given_back(table, row, column, down, across, g):
  return table.at[row + column].add((down * across)[..., None] * g, mode='drop')


def _align_forward(features, taps):
  return _align(features, taps), ([jnp.zeros((0, *f.shape), f.dtype) for f in features], taps)


def _align_backward(residuals, g):
  like, taps = residuals
  like = [jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for a in like]
  ways = dict(default=partial(_scattered, like))
  if _is_small(like, taps):
    ways['cpu'] = partial(_multiplied, like)
  return tuple(lax.platform_dependent(taps, g.astype(jnp.float32), **ways)), None


def _is_small(like, taps):
  """Whether products of matrices, which see every cell, are still less work than scattering.

  On a CPU, XLA scatters a number in the time of some 200 multiplications.
  """
  (_, p, t), (_, q, u) = taps.row.shape, taps.column.shape
  return sum(h * q * (p + w) for h, w, _ in (a.shape for a in like)) <= 200 * p * q * t * u


def _scattered(like, taps, g):
  cells = [a.shape[0] * a.shape[1] for a in like]
  total = jnp.zeros((sum(cells), g.shape[-1]))
  # In place, one tap after another; autodiff would make a table for each and add them up.
  for tap in _each_tap(like, taps):
    total = _given_back(total, *tap, g)
  return [part.reshape(a.shape).astype(a.dtype)
          for part, a in zip(jnp.split(total, np.cumsum(cells)[:-1]), like, strict=True)]


def _multiplied(like, taps, g):
  def matrix(cell, weight, cells):
    return jnp.where(cell[..., None] == np.arange(cells), weight[..., None], 0).sum(-2)
  result = []
  for level, a in enumerate(like):
    rows = matrix(taps.row, taps.row_weight, a.shape[0])
    rows = jnp.where((taps.level == level)[:, None, None], rows, 0)
    columns = matrix(taps.column, taps.column_weight, a.shape[1])
    down = jnp.einsum('nph,npqc->nhqc', rows, g, precision='highest')
    result.append(jnp.einsum('nhqc,nqw->hwc', down, columns, precision='highest').astype(a.dtype))
  return result


_align.defvjp(_align_forward, _align_backward)


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


def pair(size: Size) -> tuple[int, int]:
  """(rows, columns) of one number or two."""
  return (size, size) if isinstance(size, int) else tuple(size)
