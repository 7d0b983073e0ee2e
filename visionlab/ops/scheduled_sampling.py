"""Scheduled sampling: training on a mixture of true words and the model's own."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.ops.decoding import Step


def scheduled(key: jax.Array, step: Step, state: Any, tokens: jax.Array,
              rate: jax.Array | float) -> jax.Array:
  """What a model is given in place of `tokens`: each but the first is, with probability `rate`,
  drawn from what the model says after those before it (Bengio et al. 2015, section 2.4).

  The draws have no gradient, so that teaching the model with what comes out of this is the method.

  Args:
    key: typed PRNG key.
    step, state: as for `visionlab.ops.decoding.greedy`.
    tokens: (n t) int32, the true ones.
    rate: in [0, 1]; may be traced.

  >>> step = lambda state, token: (jax.nn.one_hot(token + 1, 9) * 99, state)
  >>> scheduled(jax.random.key(0), step, (), jnp.array([[4, 8, 8]]), 1.).tolist()
  [[4, 5, 6]]
  """
  def advance(carry, now):
    state, fed = carry
    true, key = now
    drawing, choosing = jax.random.split(key)
    logits, state = step(state, fed)
    drawn = jax.random.categorical(drawing, logits).astype(true.dtype)
    fed = jnp.where(jax.random.bernoulli(choosing, rate, true.shape), drawn, true)
    return (state, fed), fed
  rest = tokens[:, 1:].T
  _, fed = lax.scan(advance, (state, tokens[:, 0]), (rest, jax.random.split(key, len(rest))))
  return lax.stop_gradient(jnp.concatenate([tokens[:, :1], fed.T], axis=1))
