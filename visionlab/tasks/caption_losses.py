"""What a captioner is trained by: some captions of each image, and the terms of their loss."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from visionlab.data.text.vocabulary import SPECIAL
from visionlab.metrics import Ratio


def some_captions(key: jax.Array, caption: Mapping[str, jax.Array], n: int) -> dict:
  """n captions of each image, drawn without replacement from those that are there; where there are
  fewer, the rest are not valid. caption: arrays (b r t), `valid` among them."""
  there = caption['valid'][..., 0]
  order = jax.lax.top_k(jax.random.uniform(key, there.shape) + there, min(n, there.shape[1]))[1]
  return {k: jnp.take_along_axis(v, order[..., None], axis=1) for k, v in caption.items()}


def log_likelihoods(logits: jax.Array, tokens: jax.Array) -> jax.Array:
  """Of each token (n t), by logits (n t v)."""
  of_token = jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]
  return of_token - jax.nn.logsumexp(logits, axis=-1)


def coverage(alpha: jax.Array, counted: jax.Array) -> Ratio:
  """sum_i (1 - sum_t alpha_ti) ** 2 of each caption, which wants every place to be looked at (Xu et
  al. 2015, equation 14). alpha: (n t h w); counted: (n t) bool."""
  seen = jnp.where(counted[..., None, None], alpha, 0).sum(1)
  return Ratio.of(((1 - seen) ** 2).sum((1, 2)), counted.any(-1))


def detection(absent: jax.Array, tokens: jax.Array, valid: jax.Array) -> Ratio:
  """The cross-entropy of which words an image's captions have, summed over words.

  Args:
    absent: (b words), the log-probability that a word, of the first after the special ones, is in
      none of them.
    tokens: (b r t), of all captions; valid: (b,) bool.
  """
  words = len(SPECIAL) + jnp.arange(absent.shape[-1])
  there = (tokens.reshape(len(tokens), -1, 1) == words).any(1)
  absent = jnp.minimum(absent, -1e-6)                    # log(1 - p) has no value at p = 1
  present = jnp.log(-jnp.expm1(absent))
  return Ratio.of(-jnp.where(there, present, absent).sum(-1), valid)
