"""Normalisation without parameters."""

from functools import partial

import jax
import jax.numpy as jnp


def local_response(x: jax.Array, size: int, alpha: float, beta: float, k: float) -> jax.Array:
  """x / (k + alpha / size * s) ** beta, with s the sum of squares of the `size` nearest channels.

  Local response normalisation (Krizhevsky et al. 2012, section 3.3), as torch's and Caffe's
  LRN. They divide alpha by the size and the paper does not: its n=5, k=2, alpha=1e-4, beta=.75
  are `local_response(x, 5, 5e-4, .75, 2.)`. Channels beyond the first and the last count as zero.

  Args:
    x: (b h w c).
    size: number of channels, size // 2 of them before the normalised one.
    alpha, beta, k: as above; k > 0.

  Returns:
    (b h w c) of x's dtype; computed in float32.

  >>> y = local_response(jnp.ones((1, 1, 1, 3)), 2, alpha=2., beta=1., k=1.)
  >>> [f'{value:.2f}' for value in y.ravel()]
  ['0.50', '0.33', '0.33']
  """
  wide = x.astype(jnp.float32)
  total = _sum_of_channels(wide ** 2, size // 2, (size - 1) // 2)
  return (wide * _inverse_power(k + alpha / size * total, beta)).astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _sum_of_channels(x, before, after):
  """The sum of each channel, `before` channels before it and `after` after it."""
  padded = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (before, after)))
  return sum(padded[..., i:i + x.shape[-1]] for i in range(before + 1 + after))


# Autodiff would add up padded slices, one pass over memory for each.
_sum_of_channels.defvjp(lambda x, before, after: (_sum_of_channels(x, before, after), None),
                        lambda before, after, _, g: (_sum_of_channels(g, after, before),))


def _inverse_power(d, beta):
  """d ** -beta for positive d."""
  if beta == .75:  # the papers' choice; a power costs several times two roots
    root = jax.lax.rsqrt(d)
    return root * jnp.sqrt(root)
  return d ** -beta
