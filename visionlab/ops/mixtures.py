"""Mixtures of normal distributions of one number."""

import math

import jax
import jax.numpy as jnp


def log_density(x: jax.Array, log_weights: jax.Array, means: jax.Array, sigmas: jax.Array
                ) -> jax.Array:
  """The logarithm of a mixture's density (...).

  Args:
    x: (...); log_weights, means, sigmas: (..., k), the weights summing to 1.

  >>> one = jnp.zeros((1, 1))
  >>> round(float(log_density(jnp.zeros(1), one, one, one + 1)[0]), 4)       # -log(2 pi) / 2
  -0.9189
  """
  apart = (x[..., None] - means) / sigmas
  each = -.5 * apart ** 2 - jnp.log(sigmas) - .5 * math.log(2 * math.pi)
  return jax.nn.logsumexp(log_weights + each, -1)


def cumulative(x: jax.Array, log_weights: jax.Array, means: jax.Array, sigmas: jax.Array
               ) -> jax.Array:
  """The probability (...) of what is at most x; arguments as of `log_density`."""
  each = jax.scipy.stats.norm.cdf(x[..., None], means, sigmas)
  return (jnp.exp(log_weights) * each).sum(-1)


def mode(log_weights: jax.Array, means: jax.Array, sigmas: jax.Array) -> jax.Array:
  """Of a mixture's means (... k) the one at which it is densest (...).

  >>> round(float(mode(jnp.log(jnp.array([.6, .4])), jnp.array([0., 1.]), jnp.array([1., .1]))), 4)
  1.0
  """
  at = jnp.moveaxis(means, -1, 0)
  dense = jax.vmap(lambda x: log_density(x, log_weights, means, sigmas))(at)
  return jnp.take_along_axis(at, dense.argmax(0)[None], 0)[0]
