"""Pooling over windows that do not overlap, with a gradient that needs no scatter."""

from functools import partial

import jax
import jax.numpy as jnp


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool(x: jax.Array, window: int) -> jax.Array:
  """The largest value of each `window` x `window` block, (b h w c) -> (b h//window w//window c).

  Rows and columns that fill no block are left out. The gradient goes to the first of equal values
  in reading order, as in torch. Where autodiff of `nn.max_pool` scatters, this compares and
  selects, which on CPU is about ten times faster.

  >>> max_pool(jnp.arange(16.).reshape(1, 4, 4, 1), 2)[0, ..., 0].tolist()
  [[5.0, 7.0], [13.0, 15.0]]
  """
  return _blocks(x, window).max((2, 4))


def _forward(x, window):
  y = max_pool(x, window)
  return y, (x, y)


def _backward(window, residuals, g):
  x, y = residuals
  order = jnp.arange(window ** 2, dtype=jnp.int32).reshape(window, 1, window, 1)
  is_max = _blocks(x, window) == y[:, :, None, :, None]
  first = jnp.where(is_max, order, window ** 2).min((2, 4), keepdims=True)
  blocks = jnp.where(order == first, g[:, :, None, :, None], 0)
  b, rows, _, columns, _, c = blocks.shape
  dx = blocks.reshape(b, rows * window, columns * window, c)
  left_out = ((0, 0), (0, x.shape[1] - dx.shape[1]), (0, x.shape[2] - dx.shape[2]), (0, 0))
  return (jnp.pad(dx, left_out),)


max_pool.defvjp(_forward, _backward)


def _blocks(x, window):
  b, h, w, c = x.shape
  rows, columns = h // window, w // window
  x = x[:, :rows * window, :columns * window]
  return x.reshape(b, rows, window, columns, window, c)
