"""Max pooling that remembers where each maximum was, and its inverse (SegNet, arXiv 1511.00561).

Windows do not overlap. Neither direction, nor its gradient, needs a scatter: a switch is a place
inside its window, so putting a value back compares and selects.
"""

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError


def max_pool_switches(x: jax.Array, window: int) -> tuple[jax.Array, jax.Array]:
  """The largest value of each `window` x `window` block, and its place there.

  Rows and columns that fill no block are left out. Of equal values the first in reading order
  counts, for the switch and for the gradient, as in torch; so does the first NaN.

  Args:
    x: (... h w c).
    window: at most 16.

  Returns:
    The maxima (... h//window w//window c), and switches of that shape, uint8 in reading order:
    0 is the block's upper left, window^2 - 1 its lower right.

  Raises:
    ConfigError: the window is too large for the switches.

  >>> values, switches = max_pool_switches(jnp.array([[1., 5, 2, 3], [4, 0, 7, 7]])[..., None], 2)
  >>> values[..., 0].tolist(), switches[..., 0].tolist()
  ([[5.0, 7.0]], [[1, 2]])
  """
  if not 1 <= window <= 16:
    raise ConfigError(f'max_pool_switches: a window of {window}; expected 1 to 16')
  *batch, h, w, c = x.shape
  rows, columns = h // window, w // window
  blocks = x[..., :rows * window, :columns * window, :]
  blocks = blocks.reshape(*batch, rows, window, columns, window, c)
  top = jax.lax.stop_gradient(blocks).max((-4, -2), keepdims=True)
  places = _places(window)
  is_top = (blocks == top) | (blocks != blocks)
  first = jnp.where(is_top, places, window ** 2 - 1).min((-4, -2), keepdims=True)
  values = jnp.where(places == first, blocks, 0).sum((-4, -2))
  return values, first[..., :, 0, :, 0, :].astype(jnp.uint8)


def max_unpool(x: jax.Array, switches: jax.Array, window: int,
               shape: tuple[int, int]) -> jax.Array:
  """Puts each value back where `max_pool_switches` found one, among zeros (torch's MaxUnpool2d).

  Args:
    x: (... h w c).
    switches: (... h w c), from `max_pool_switches` with the same window.
    window: the pooling's.
    shape: (height, width) of the result, which were those of what was pooled; rows and columns
      that filled no block are zero.

  Returns:
    (... height width c).

  Raises:
    ConfigError: something of `shape` does not pool to x.

  >>> x, switches = jnp.array([[5., 7.]])[..., None], jnp.array([[1, 2]])[..., None]
  >>> max_unpool(x, switches, 2, (2, 5))[..., 0].tolist()
  [[0.0, 5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 7.0, 0.0, 0.0]]
  """
  *batch, h, w, c = x.shape
  if (shape[0] // window, shape[1] // window) != (h, w):
    raise ConfigError(f'max_unpool: {shape[0]}x{shape[1]} pools to {shape[0] // window}x'
                      f'{shape[1] // window} with a window of {window}, but the values are {h}x{w}')
  values, switches = (a[..., :, None, :, None, :] for a in (x, switches))
  blocks = jnp.where(_places(window) == switches, values, 0)
  y = blocks.reshape(*batch, h * window, w * window, c)
  left_out = [(0, shape[0] - h * window), (0, shape[1] - w * window)]
  return jnp.pad(y, [(0, 0)] * len(batch) + left_out + [(0, 0)])


def _places(window: int) -> jax.Array:
  """The reading order of a block's pixels (window 1 window 1)."""
  return jnp.arange(window ** 2, dtype=jnp.int32).reshape(window, 1, window, 1)
