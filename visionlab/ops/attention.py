"""Soft attention: a mean of places, weighed by what a state asks for."""

from functools import partial

import jax
import jax.numpy as jnp

from visionlab.ops.recurrent import Params


def init_attention(key: jax.Array, features: int, hidden: int) -> dict[str, jax.Array]:
  """Fresh parameters for states (b h) of h `features` and keys (b l a) with a `hidden`: `query`
  (h a) and `score` (a 1), Glorot uniform, `gate` (h 1) and `gate_bias` (1), zeros."""
  glorot = jax.nn.initializers.glorot_uniform()
  query, score = jax.random.split(key)
  return dict(query=glorot(query, (features, hidden)), score=glorot(score, (hidden, 1)),
              gate=jnp.zeros((features, 1)), gate_bias=jnp.zeros(1))


def attend(params: Params, keys: jax.Array, places: jax.Array,
           state: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Additive attention (Bahdanau et al. 2015), gated (Xu et al. 2015, equations 4, 5, 13 and
  section 4.2.1).

    alpha_i = softmax_i(tanh(keys_i + state query) . score)
    context = sigmoid(state gate + gate_bias) sum_i alpha_i places_i

  Args:
    params: see `init_attention`.
    keys: (b l a), a linear function of the places that is the same for all states.
    places: (b l c).
    state: (b h).

  Returns:
    context (b c), and the weights alpha (b l), which add up to 1: float32, as are the scores.

  >>> params = init_attention(jax.random.key(0), features=3, hidden=4)
  >>> context, alpha = attend(params, jnp.ones((1, 2, 4)), jnp.ones((1, 2, 5)), jnp.ones((1, 3)))
  >>> alpha.tolist(), context.shape
  ([[0.5, 0.5]], (1, 5))
  """
  product = partial(jnp.matmul, precision='highest')    # softmax takes what is added to a score
  keys, state = (x.astype(jnp.float32) for x in (keys, state))      # as a factor of the weight
  hidden = jnp.tanh(keys + product(state, params['query'])[:, None])
  alpha = jax.nn.softmax(product(hidden, params['score'])[..., 0])
  gate = jax.nn.sigmoid(product(state, params['gate']) + params['gate_bias'])
  return gate * jnp.einsum('bl,blc->bc', alpha, places, precision='highest'), alpha
