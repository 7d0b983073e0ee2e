"""What reads a sentence and gives its vector: gated recurrent units, or the mean of its words."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.models.layers import Dense
from visionlab.ops import recurrent
from visionlab.ops.recurrent import GRU

# What reads, and of how many parts its vector is one.
READERS = dict(uni=dict(ahead=1), bi=dict(ahead=2, back=2), combine=dict(whole=2, ahead=4, back=4),
               bag=dict(bag=1), both=dict(bag=2, ahead=2))
POOLS = ('last', 'mean', 'max')


class SentenceEncoder(nn.Module):
  """Words (b t e), padded behind, with `valid` (b t) -> vectors (b width) float32.

  Attributes:
    kind: 'uni' reads ahead; 'bi' also, with other units, from the end, both vectors side by side;
      'combine' is both of these side by side. 'bag' is a linear map of the mean of the words, which
      knows no order, 'both' that and 'uni' side by side.
    width: of the vector; with 'bi' and 'both' of two halves, with 'combine' of a half and two
      quarters.
    pool: what is taken of the states of units: the 'last', or of each unit the 'mean' or the
      'max' over words (Conneau et al. 2017, https://arxiv.org/abs/1705.02364, section 3.2).
    dtype: dtype of the products; states are float32.
  """

  kind: str
  width: int
  pool: str = 'last'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, words: jax.Array, valid: jax.Array) -> jax.Array:
    parts, found = READERS[self.kind], []
    widths = [self.width // n for n in parts.values()]
    widths[0] += self.width - sum(widths)
    for name, width in zip(parts, widths, strict=True):
      if name == 'bag':
        mean = pooled(words, valid, 'mean')
        found.append(Dense(width, dtype=self.dtype, name=name)(mean).astype(jnp.float32))
        continue
      params = self.param(name, recurrent.init, GRU, words.shape[-1], width)
      turn = slice(None, None, -1 if name == 'back' else 1)
      states, last = read(params, words[:, turn], valid[:, turn], dtype=self.dtype)
      found.append(last if self.pool == 'last' else pooled(states, valid[:, turn], self.pool))
    return jnp.concatenate(found, -1)


def check_encoder(kind: str, pool: str, model: str) -> None:
  """Raises `ConfigError` where a model's encoder or pool is unknown."""
  check_choice(kind, READERS, f'model.encoder of {model}')
  check_choice(pool, POOLS, f'model.pool of {model}')


def read(params, words: jax.Array, valid: jax.Array | None, more: jax.Array | float = 0., *,
         dtype=jnp.float32) -> tuple[jax.Array, jax.Array]:
  """The states (b t h) and the last (b h) of units that have read words (b t e). more: what each
  example adds to the projected input of every step, (b 3h)."""
  params = jax.tree.map(lambda x: x.astype(dtype), params)
  begin = recurrent.zero_state(GRU, params, len(words))
  states, (last,) = recurrent.run(GRU, {**params, 'bias': params['bias'] + more}, begin, words,
                                  valid)
  return states, last


def pooled(states: jax.Array, valid: jax.Array, how: str) -> jax.Array:
  """Of states (b t h) the mean or the largest over those that are valid (b t): (b h) float32; of
  none 0."""
  states, valid = states.astype(jnp.float32), valid[..., None]
  if how == 'mean':
    return jnp.where(valid, states, 0).sum(1) / jnp.maximum(valid.sum(1), 1)
  return jnp.where(valid.any(1), jnp.where(valid, states, -jnp.inf).max(1), 0)
