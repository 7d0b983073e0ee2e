"""Pooling: maxima whose gradient needs no scatter on CPU, and means over a grid of cells.

Autodiff of a maximum over windows is a scatter, which XLA's CPU backend runs one element at a
time. Here each pixel asks the windows it lies in whether it was their maximum: comparisons and
selections, which become vector instructions. For windows that overlap this replaces lax's own
program on CPU only.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def max_pool(x: jax.Array, window: int, stride: int | None = None, padding: int = 0, *,
             ceil: bool = False) -> jax.Array:
  """The largest value of each square window, (b h w c) -> (b h' w' c), as torch's `max_pool2d`.

  The gradient goes to the first of equal values in reading order, as in torch.

  Args:
    x: floating-point images.
    window: side of the windows in pixels.
    stride: distance between windows; None is `window`, so that they do not overlap.
    padding: pixels, never the largest, added on each side.
    ceil: keep a last window that begins in the image or its left padding and ends beyond them;
      else rows and columns that fill no window are left out.

  >>> max_pool(jnp.arange(16.).reshape(1, 4, 4, 1), 2)[0, ..., 0].tolist()
  [[5.0, 7.0], [13.0, 15.0]]
  >>> max_pool(jnp.arange(16.).reshape(1, 4, 4, 1), 3, 2, ceil=True)[0, ..., 0].tolist()
  [[10.0, 11.0], [14.0, 15.0]]
  """
  stride = stride or window
  ends = [padding + (_overhang(n + 2 * padding, window, stride, padding) if ceil else 0)
          for n in x.shape[1:3]]
  if window == stride and not any((padding, *ends)):
    return _max_of_blocks(x, window)
  return _max_of_windows(x, window, stride, tuple((padding, end) for end in ends))


def largest(x: jax.Array, axis: int = -1) -> jax.Array:
  """`x.max(axis)`, whose gradient goes to the place of the first maximum.

  The gradient of `max` asks where x is its maximum. XLA may compute x anew for that, rounded
  otherwise, and where it is nowhere, what is divided by zero is NaN.

  >>> jax.grad(lambda x: largest(x).sum())(jnp.array([[1., 3., 3.]])).tolist()
  [[0.0, 1.0, 0.0]]
  """
  place = jnp.expand_dims(x.argmax(axis), axis)
  return jnp.take_along_axis(x, place, axis).squeeze(axis)


def adaptive_mean(x: jax.Array, size: int) -> jax.Array:
  """Means over size x size cells that cover the image, (b h w c) -> (b size size c).

  Cell i holds the rows from floor(i h / size) up to ceil((i + 1) h / size), as in torch's
  `AdaptiveAvgPool2d`: cells overlap where h is no multiple of size, and rows repeat where h is
  smaller. An image that is size x size already comes back as it is.

  >>> adaptive_mean(jnp.arange(9.).reshape(1, 3, 3, 1), 2)[0, ..., 0].tolist()
  [[2.0, 3.0], [5.0, 6.0]]
  """
  if x.shape[1:3] == (size, size):
    return x
  rows, columns = (_cells(n, size) for n in x.shape[1:3])
  means = jnp.einsum('ih,bhwc,jw->bijc', rows, x, columns, precision=lax.Precision.HIGHEST)
  return means.astype(x.dtype)


def _cells(n, size):
  """(size n): each row averages the pixels of a cell."""
  cell, pixel = np.arange(size)[:, None], np.arange(n)
  inside = (pixel >= cell * n // size) & (pixel < -(-(cell + 1) * n // size))
  return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def _overhang(n, window, stride, padding):
  """Pixels by which torch's last window in ceil mode reaches over n padded pixels."""
  last = -(-max(0, n - window) // stride) * stride
  if last >= n - padding:  # it would begin in the padding on the right
    last -= stride
  return max(0, last + window - n)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_of_blocks(x, window):
  return _blocks(x, window).max((2, 4))


def _blocks_forward(x, window):
  y = _max_of_blocks(x, window)
  return y, (x, y)


def _blocks_backward(window, residuals, g):
  x, y = residuals
  order = jnp.arange(window ** 2, dtype=jnp.int32).reshape(window, 1, window, 1)
  is_max = _blocks(x, window) == y[:, :, None, :, None]
  first = jnp.where(is_max, order, window ** 2).min((2, 4), keepdims=True)
  blocks = jnp.where(order == first, g[:, :, None, :, None], 0)
  b, rows, _, columns, _, c = blocks.shape
  dx = blocks.reshape(b, rows * window, columns * window, c)
  left_out = ((0, 0), (0, x.shape[1] - dx.shape[1]), (0, x.shape[2] - dx.shape[2]), (0, 0))
  return (jnp.pad(dx, left_out),)


_max_of_blocks.defvjp(_blocks_forward, _blocks_backward)


def _blocks(x, window):
  b, h, w, c = x.shape
  rows, columns = h // window, w // window
  x = x[:, :rows * window, :columns * window]
  return x.reshape(b, rows, window, columns, window, c)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_of_windows(x, window, stride, padding):
  return lax.platform_dependent(
    x, cpu=lambda x: _rows_then_columns(x, window, stride, padding),
    default=lambda x: _reduce_windows(x, (window, window), (stride, stride), padding))


def _windows_forward(x, window, stride, padding):
  y = _max_of_windows(x, window, stride, padding)
  return y, (x, y)


def _windows_backward(window, stride, padding, residuals, g):
  def scatter(x, y, g):
    return jax.vjp(lambda x: _reduce_windows(x, (window,) * 2, (stride,) * 2, padding), x)[1](g)[0]
  return (lax.platform_dependent(*residuals, g, default=scatter,
                                 cpu=partial(_gather_gradient, window, stride, padding)),)


_max_of_windows.defvjp(_windows_forward, _windows_backward)


def _reduce_windows(x, window, stride, padding):
  return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *stride, 1),
                           ((0, 0), *padding, (0, 0)))


def _rows_then_columns(x, window, stride, padding):
  x = _reduce_windows(x, (window, 1), (stride, 1), (padding[0], (0, 0)))
  return _reduce_windows(x, (1, window), (1, stride), ((0, 0), padding[1]))


def _gather_gradient(window, stride, padding, x, y, g):
  """Sums for each pixel the gradients of the windows in which it is the first maximum.

  All pixels at one place modulo the stride lie at the same taps of their windows, so they are
  computed together; the stride * stride results are then interleaved.
  """
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
  winner = _first_maximum(x, y, window, stride)
  b, _, _, c = x.shape
  rows, columns = (-(-n // stride) for n in x.shape[1:3])
  reach = (window - 1) // stride  # earlier windows that a pixel may lie in
  around = ((0, 0), (reach, rows - y.shape[1]), (reach, columns - y.shape[2]), (0, 0))
  winner = jnp.pad(winner, around, constant_values=-1)
  g = jnp.pad(g, around)

  def at_tap(i, j):
    top, left = reach - i // stride, reach - j // stride
    here = (slice(None), slice(top, top + rows), slice(left, left + columns))
    return jnp.where(winner[here] == i * window + j, g[here], 0)

  def at_phase(row, column):
    taps = [(i, j) for i in range(row, window, stride) for j in range(column, window, stride)]
    return sum((at_tap(i, j) for i, j in taps), jnp.zeros((b, rows, columns, c), g.dtype))

  phases = jnp.stack([jnp.stack([at_phase(i, j) for j in range(stride)], 3)
                      for i in range(stride)], 2)
  dx = phases.reshape(b, rows * stride, columns * stride, c)
  (top, bottom), (left, right) = padding
  return dx[:, top:x.shape[1] - bottom, left:x.shape[2] - right]


def _first_maximum(x, y, window, stride):
  """(b h' w' c) int16: each window's first tap, in reading order, that equals its maximum."""
  b, rows, columns, c = y.shape
  winner = jnp.full(y.shape, -1, jnp.int16)
  for tap in reversed(range(window ** 2)):
    i, j = divmod(tap, window)
    end = (b, i + stride * (rows - 1) + 1, j + stride * (columns - 1) + 1, c)
    winner = jnp.where(lax.slice(x, (0, i, j, 0), end, (1, stride, stride, 1)) == y,
                       jnp.int16(tap), winner)
  return winner
