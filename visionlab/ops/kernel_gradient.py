"""The gradient of a convolution by its kernel as products of matrices, for a CPU.

Tap (i, j) of it is the product of the images, moved by i rows and j columns, with the gradient of
the result, over all examples and places: written as a convolution it is one whose kernel is as
large as an image, which XLA does slowly. Moved by columns the images are packed side by side, and
so is the result's gradient, moved by rows the other way: one product of these two has every pair
of both, which are all taps; 3 x 3 of them from 3 + 3 copies, where it would take 9 to pack the
images alone. Examples are taken a few at a time, so that their copies stay in the cache.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

LEAST = 4, 16            # channels of images and result; with fewer it takes longer than it saves
PACKED = 2 ** 20         # bytes of copies at once
Pair = Sequence[int]


def pays(x: jax.Array, g: jax.Array) -> bool:
  """Whether images x (b h w c) and the result's gradient g (b h' w' o) are of a kind that is done
  faster so."""
  wide = x.shape[-1] >= LEAST[0] and g.shape[-1] >= LEAST[1]
  return wide and x.ndim == 4 and x.size > 0


def kernel_gradient(x: jax.Array, g: jax.Array, taps: Pair, strides: Pair,
                    padding: Sequence[Pair], precision=None) -> jax.Array:
  """Of the convolution of images x (b h w c) whose result has the gradient g (b h' w' o):
  (rows columns c o), of x's dtype, added up in float32 at least.

  Args:
    taps: rows and columns of the kernel.
    strides: down and across.
    padding: (before, after) of rows and columns, not negative.
    precision: as in lax.

  >>> x, g = jnp.arange(4.).reshape(1, 2, 2, 1), jnp.ones((1, 1, 1, 1))
  >>> kernel_gradient(x, g, (2, 2), (1, 1), ((0, 0), (0, 0)))[..., 0, 0].tolist()
  [[0.0, 1.0], [2.0, 3.0]]
  """
  def some(x, g):
    return _of_some(x, g, taps, strides, padding, precision)
  b = len(x)
  few = b if tuple(taps) == (1, 1) else _at_once(b, x, g, taps, padding)
  if few == b:
    return some(x, g).astype(x.dtype)

  def part(i):
    return some(*(lax.dynamic_slice_in_dim(a, i * few, few) for a in (x, g)))
  # Not from zeros: within a shard_map a sum varies over the devices from its start on.
  return lax.fori_loop(1, b // few, lambda i, total: total + part(i), part(0)).astype(x.dtype)


def _at_once(b, x, g, taps, padding):
  """How many examples; a divisor of b."""
  rows = x.shape[1] + sum(padding[0])
  each = 4 * rows * g.shape[2] * (taps[1] * x.shape[-1] + taps[0] * g.shape[-1])
  return max(n for n in range(1, b + 1) if b % n == 0 and n <= max(1, PACKED // each))


def _of_some(x, g, taps, strides, padding, precision):
  (rows, columns), (down, across) = taps, strides
  height, width, o = g.shape[1:]
  x = jnp.pad(x, ((0, 0), *map(tuple, padding), (0, 0)))
  reach = across * (width - 1) + 1
  x = jnp.concatenate([x[:, :, j:j + reach:across] for j in range(columns)], -1)
  found = {}
  # Of every `down`-th row of the images each `down`-th row of taps sees the same.
  for first in range(min(down, rows)):
    seen = range(first, rows, down)
    images = x[:, first::down][:, :height + len(seen) - 1]
    moved = jnp.concatenate([jnp.pad(g, ((0, 0), (t, len(seen) - 1 - t), (0, 0), (0, 0)))
                             for t in range(len(seen))], -1)
    product = lax.dot_general(
      images.reshape(-1, images.shape[-1]), moved.reshape(-1, moved.shape[-1]),
      (((0,), (0,)), ((), ())), precision=precision,
      preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))
    product = product.reshape(columns, -1, len(seen), o)
    found |= {i: product[:, :, t] for t, i in enumerate(seen)}
  return jnp.stack([found[i] for i in range(rows)])
