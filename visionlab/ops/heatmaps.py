"""Keypoints as heat maps over their boxes: what to predict, and reading predictions."""

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.ops.boxes import LEAST_SIDE


def keypoint_targets(keypoints: jax.Array, boxes: jax.Array, *,
                     size: int) -> tuple[jax.Array, jax.Array]:
  """The cell of each keypoint in a size x size grid over its box (He et al. 2017, section 5).

  A softmax over the size * size cells is to name it. A point on the box's right or lower edge
  belongs to the last column or row.

  Args:
    keypoints: (n j 3) as x, y, visibility; 0 is not labelled.
    boxes: (n 4).
    size: of the grid.

  Returns:
    index (n j) int32 in reading order, and weight (n j) float32: 0, with index 0, for points not
    labelled or outside their box.

  >>> index, weight = keypoint_targets(
  ...   jnp.array([[[3., 1, 2], [9, 9, 2]]]), jnp.array([[0., 0, 4, 4]]), size=2)
  >>> index.tolist(), weight.tolist()
  ([[1, 0]], [[1.0, 0.0]])
  """
  boxes, keypoints = jnp.asarray(boxes, jnp.float32), jnp.asarray(keypoints, jnp.float32)
  low, high = boxes[:, None, :2], boxes[:, None, 2:]
  points = keypoints[..., :2]
  cell = jnp.floor((points - low) * (size / jnp.maximum(high - low, LEAST_SIDE)))
  cell = jnp.where(points == high, size - 1, cell)
  usable = ((cell >= 0) & (cell < size)).all(-1) & (keypoints[..., 2] > 0)
  column, row = jnp.moveaxis(jnp.where(usable[..., None], cell, 0).astype(jnp.int32), -1, 0)
  return row * size + column, usable.astype(jnp.float32)


def decode_keypoints(heatmaps: jax.Array, boxes: jax.Array, *,
                     factor: int = 8) -> tuple[jax.Array, jax.Array]:
  """Where in its box each heat map is highest, to 1 / factor of a cell.

  The map is interpolated (bicubic, Keys 1981 with a = -.75, as torch) and the highest value taken
  within a cell and a half of its highest cell. torchvision interpolates to the pixels of each box
  instead, a shape for every box: on a map with one peak the two differ by at most half a pixel and
  half of 1 / factor of a cell.

  Args:
    heatmaps: (n s s j) logits, rows before columns.
    boxes: (n 4). Sides count as no less than a pixel.
    factor: places per cell and axis.

  Returns:
    points (n j 2) as x, y in pixels of the image, and scores (n j), the interpolated logits there.

  >>> heatmap = jnp.zeros((1, 4, 4, 1)).at[0, 2, 1, 0].set(1)
  >>> points, scores = decode_keypoints(heatmap, jnp.array([[10., 0, 18, 8]]), factor=3)
  >>> points.tolist(), scores.tolist()
  ([[[13.0, 5.0]]], [[1.0]])
  """
  s = heatmaps.shape[1]
  maps = jnp.moveaxis(heatmaps.astype(jnp.float32), -1, 1)                  # (n j s s)
  row, column = jnp.divmod(maps.reshape(*maps.shape[:2], -1).argmax(-1), s)
  rows, columns = (jnp.clip(i[..., None] + np.arange(-3, 4), 0, s - 1) for i in (row, column))
  patch = jnp.take_along_axis(maps, rows[..., None], axis=2)
  patch = jnp.take_along_axis(patch, columns[..., None, :], axis=3)         # (n j 7 7)
  fine = _cubic(factor)
  values = jnp.einsum('ya,njab,xb->njyx', fine, patch, fine, precision='highest')
  shifts = (np.arange(3 * factor) + .5) / factor - 1    # from the highest cell's left edge
  inside = [((i[..., None] + shifts > 0) & (i[..., None] + shifts < s)) for i in (row, column)]
  values = jnp.where(inside[0][..., None] & inside[1][..., None, :], values, -jnp.inf)
  values = values.reshape(*values.shape[:2], -1)
  down, right = jnp.divmod(values.argmax(-1), 3 * factor)
  at = jnp.stack([column + jnp.asarray(shifts)[right], row + jnp.asarray(shifts)[down]], axis=-1)
  boxes = jnp.asarray(boxes, jnp.float32)[:, None]
  sides = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 1.)
  return boxes[..., :2] + at / s * sides, values.max(-1)


def _cubic(factor):
  """Bicubic weights (3*factor 7) of seven cells in a row for the places in the middle three."""
  at = (np.arange(3 * factor) + .5) / factor + 1.5      # cell 3, the fourth, is the middle one
  x = abs(at[:, None] - np.arange(7))
  a = -.75
  near = (a + 2) * x ** 3 - (a + 3) * x ** 2 + 1
  far = a * (x ** 3 - 5 * x ** 2 + 8 * x - 4)
  return np.where(x <= 1, near, np.where(x < 2, far, 0)).astype(np.float32)
