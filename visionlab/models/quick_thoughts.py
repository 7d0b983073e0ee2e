"""Quick thoughts: a sentence as the vector by which its neighbours are told from others."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import noise
from visionlab.models.sentence_encoder import SentenceEncoder, check_encoder
from visionlab.options.kinds import Amount, Count, Natural


class QuickThoughts(nn.Module):
  """Two encoders (Logeswaran and Lee 2018, https://arxiv.org/abs/1803.02893), f of a sentence and g
  of those beside it: the score of a neighbour is the inner product f(s) g(c). A sentence's vector
  is both of its own, f(s) and g(s), side by side.

  Both encoders read one table of words.

  Attributes:
    words, more: as of `visionlab.models.skip_thoughts.SkipThoughts`.
    encoder, pool: see `visionlab.models.sentence_encoder.SentenceEncoder`.
    width: of a sentence's vector, of which each encoder gives a half.
    embedding: width of what stands for a word.
    spread: standard deviation of these numbers at first.
    dtype: dtype of the products; vectors are float32.

  Raises:
    ConfigError: an unknown encoder or pool.
  """

  words: int
  more: Natural = 0
  encoder: str = 'uni'
  pool: str = 'last'
  width: Count = 512
  embedding: Count = 256
  spread: Amount = 1.
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    check_encoder(self.encoder, self.pool, 'quick_thoughts')
    super().__post_init__()

  def setup(self):
    self.table = self.param('table', lambda key: self.spread * noise(
        key, (self.words + self.more, self.embedding)))
    self.f, self.g = (SentenceEncoder(self.encoder, self.width // 2, self.pool, self.dtype)
                      for _ in range(2))

  def __call__(self, tokens: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sentences (b 3 t), before, itself and after -> f (b d/2) of itself, and g (b 2 d/2) of the
    two beside it."""
    beside, there = (x[:, ::2].reshape(-1, x.shape[-1]) for x in (tokens, valid))
    return (self.f(self._words(tokens[:, 1]), valid[:, 1]),
            self.g(self._words(beside), there).reshape(len(tokens), 2, -1))

  def encode(self, tokens: jax.Array, valid: jax.Array) -> jax.Array:
    """Sentences (b t), padded behind, -> (b d) float32."""
    words = self._words(tokens)
    return jnp.concatenate([self.f(words, valid), self.g(words, valid)], -1)

  def _words(self, tokens):
    return jnp.asarray(self.table, self.dtype)[tokens]
