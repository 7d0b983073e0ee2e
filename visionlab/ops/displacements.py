"""By how much joints are missed: the moments of errors, and displacements that have them."""

import jax.numpy as jnp


def moments(error, known, joint):
  """Sums (k 6) over errors (b n m 2) of 1, x, y, x^2, xy, y^2; joint: (.. m k), one-hot."""
  x, y = error[..., 0], error[..., 1]
  powers = jnp.stack([jnp.ones_like(x), x, y, x * x, x * y, y * y], -1)
  powers = jnp.where(known[..., None], powers, 0)
  return jnp.einsum('bnmi,bnmk->ki', powers, jnp.broadcast_to(joint, (*known.shape,
                                                                       joint.shape[-1])))


def displacement(means, z):
  """Errors whose x, y, x^2, xy and y^2 have these means (... 5), of standard normal z (... 2)."""
  x, y, xx, xy, yy = jnp.moveaxis(means, -1, 0)
  xx, xy, yy = xx - x * x, xy - x * y, yy - y * y
  # The triangular root of the covariance.
  a = jnp.sqrt(jnp.maximum(xx, 1e-8))
  b = xy / a
  c = jnp.sqrt(jnp.maximum(yy - b * b, 1e-8))
  return jnp.stack([x + a * z[..., 0], y + b * z[..., 0] + c * z[..., 1]], -1)
