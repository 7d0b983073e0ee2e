"""Crops of instance masks; `visionlab.ops.host_masks` puts them back into their images.

Resampling is separable, two matrix products per mask, so its gradient scatters nothing.
"""

import jax
import jax.numpy as jnp

from visionlab.ops.boxes import LEAST_SIDE


def mask_targets(masks: jax.Array, boxes: jax.Array, *, size: int, frames: jax.Array | None = None,
                 aligned: bool = True) -> jax.Array:
  """What part of each cell of each box its mask covers: what a mask head is to predict.

  A cell is the mean of evenly spaced bilinear samples, about one for each pixel of the mask that it
  spans. With bitmaps and aligned=False these are torchvision's targets.

  This also makes the crops: bitmaps of 1024 x 1024 take a hundred times the memory of
  `mask_targets(bitmaps, boxes, size=112)`, which later serve as `masks` with `frames=boxes`.

  Args:
    masks: (n h w), bool or in [0, 1].
    boxes: (n 4), pixels of the image.
    size: of the targets.
    frames: (n 4) the part of the image that each mask depicts, outside of which there is nothing of
      the object. None: the masks are bitmaps of the image itself.
    aligned: pixel i covers [i, i + 1); if not, its centre is taken for i, as in torchvision.

  Returns:
    (n size size) float32 in [0, 1]; a loss may threshold them at .5.

  >>> mask = jnp.zeros((1, 4, 4), bool).at[0, 1:3, 1:3].set(True)
  >>> mask_targets(mask, jnp.array([[1., 0, 3, 4]]), size=2)[0].tolist()
  [[0.5, 0.5], [0.5, 0.5]]
  """
  n, h, w = masks.shape
  boxes = jnp.asarray(boxes, jnp.float32)
  if frames is not None:
    low, high = frames[:, :2], frames[:, 2:]
    zoom = jnp.array([w, h]) / jnp.maximum(high - low, LEAST_SIDE)
    boxes = (boxes - jnp.tile(low, 2)) * jnp.tile(zoom, 2)
  rows = _cell_means(boxes[:, 1], boxes[:, 3], h, size, aligned)
  columns = _cell_means(boxes[:, 0], boxes[:, 2], w, size, aligned)
  return jnp.einsum('nyh,nhw,nxw->nyx', rows, masks.astype(jnp.float32), columns,
                    precision='highest')


def _cell_means(start, end, pixels, size, aligned):
  """Along one axis, the weights (n size pixels) of a mask's pixels in each cell of a box."""
  side = end - start
  if not aligned:
    side = jnp.maximum(side, 1.)
  most = -(-pixels // size)
  number = jnp.clip(jnp.ceil(side / size), 1, most)[:, None, None]
  i = jnp.arange(most)
  cell = jnp.arange(size)[:, None] + (i + .5) / number                     # (n size most)
  at = start[:, None, None] + side[:, None, None] / size * cell
  weight = ((i < number) & (at >= 0) & (at <= pixels)) / number
  at = jnp.clip(at - aligned / 2, 0, pixels - 1)
  return _hat(at, pixels, weight)


def _hat(at, pixels, weight):
  """Weights (n m pixels) of bilinear samples at `at` (n m s), summed over the s."""
  distance = abs(at[..., None] - jnp.arange(pixels))
  return (jnp.maximum(1 - distance, 0) * weight[..., None]).sum(-2)
