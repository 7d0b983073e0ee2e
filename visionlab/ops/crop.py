"""Images cut to their middle or to boxes, and filled up to a size that can be halved."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError
from visionlab.ops import boxes as box_ops
from visionlab.ops.roi_align import Size, pair
from visionlab.ops.warp import sample


def centre_crop(x, size: Sequence[int]):
  """The middle `size` = (h, w) pixels of (b h' w' ...); of an odd surplus, less goes at the top.

  Raises:
    ConfigError: x is smaller than that.

  >>> import numpy as np
  >>> centre_crop(np.arange(5).reshape(1, 1, 5), (1, 2)).tolist()
  [[[1, 2]]]
  """
  (h, w), (height, width) = size, x.shape[1:3]
  if h > height or w > width:
    raise ConfigError(f'centre_crop: {h}x{w} pixels asked of {height}x{width}')
  top, left = (height - h) // 2, (width - w) // 2
  return x[:, top:top + h, left:left + w]


def filled_up(x: jax.Array, multiple: int) -> jax.Array:
  """(b h w c) with zeros added at the bottom and the right, up to multiples of `multiple`.

  >>> filled_up(jnp.ones((1, 5, 8, 3)), 4).shape
  (1, 8, 8, 3)
  """
  h, w = x.shape[1:3]
  return jnp.pad(x, [(0, 0), (0, -h % multiple), (0, -w % multiple), (0, 0)])


def crop_and_resize(image: jax.Array, boxes: jax.Array, *, size: Size, context: int = 0,
                    fill: float = 0.) -> jax.Array:
  """What is in each box, at one size (R-CNN's warp, Girshick et al. 2014, appendix A).

  Bilinear, without smoothing: what is shrunk to less than half aliases.

  Args:
    image: (h w c).
    boxes: (n 4).
    size: of the crops, one number or (rows, columns).
    context: pixels of the *crop*, on each side, that show what surrounds the box (R-CNN: 16 of
      227). The box is enlarged accordingly.
    fill: the value of what lies outside the image; after subtraction of the mean, 0.

  Returns:
    (n rows columns c) float32.

  Raises:
    ConfigError: the context leaves no room for the box.

  >>> image = jnp.arange(16.).reshape(4, 4, 1)
  >>> crop_and_resize(image, jnp.array([[1., 1, 3, 3]]), size=2)[0, :, :, 0].tolist()
  [[5.0, 6.0], [9.0, 10.0]]
  """
  rows, columns = pair(size)
  if 2 * context >= min(rows, columns):
    raise ConfigError(f'crop_and_resize.context: expected less than half of {rows}x{columns} '
                      f'pixels, got {context}')
  boxes = lax.stop_gradient(jnp.asarray(boxes, jnp.float32))
  grown = jnp.array([columns / (columns - 2 * context), rows / (rows - 2 * context)])
  boxes = box_ops.scale(boxes, grown)
  x, y = (boxes[:, i, None] + (boxes[:, i + 2] - boxes[:, i])[:, None] * (np.arange(n) + .5) / n
          for i, n in ((0, columns), (1, rows)))
  coords = jnp.stack(jnp.broadcast_arrays(x[:, None, :], y[:, :, None]), axis=-1)
  return sample(image, coords, fill=fill)


def squares(image: jax.Array, centres: jax.Array, sides: jax.Array, size: int) -> jax.Array:
  """What is in upright squares, at one size: bilinear, by two small matrix products.

  What is shrunk is averaged over as much as a pixel of the result covers; beyond the image its
  border goes on. No gradient flows into where the squares lie.

  Args:
    image: (h w c).
    centres: (n 2), x and y in pixels.
    sides: (n,), in pixels.
    size: of the results.

  Returns:
    (n size size c) float32.

  >>> image = jnp.arange(16.).reshape(4, 4, 1)
  >>> squares(image, jnp.array([[2., 2.]]), jnp.array([2.]), 2)[0, :, :, 0].tolist()
  [[5.0, 6.0], [9.0, 10.0]]
  """
  centres, sides = lax.stop_gradient((centres, sides))
  h, w, c = image.shape
  columns, rows = (_taps(centres[:, i], sides, size, n) for i, n in ((0, w), (1, h)))
  # Rows first: all channels are one wide matrix then.
  down = jnp.einsum('myh,hq->myq', rows, image.astype(jnp.float32).reshape(h, w * c))
  return jnp.einsum('mxw,mywc->myxc', columns, down.reshape(len(sides), size, w, c))


def _taps(centre, side, size, n):
  """How much each of n pixels in a row counts for each of `size` (m size n)."""
  place = centre[:, None] + side[:, None] * ((np.arange(size) + .5) / size - .5) - .5
  place = jnp.clip(place, 0, n - 1)
  reach = jnp.maximum(side / size, 1)[:, None, None]
  share = jnp.maximum(1 - abs(place[..., None] - np.arange(n)) / reach, 0)
  return share / share.sum(-1, keepdims=True)
