"""Skip-thoughts: a sentence as the vector from which its neighbours are best told."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import Head, lecun_normal, noise
from visionlab.models.sentence_encoder import SentenceEncoder, check_encoder, read
from visionlab.ops import recurrent
from visionlab.ops.recurrent import GRU
from visionlab.options.kinds import Amount, Count, Natural

NEIGHBOURS = ('before', 'after')


class SkipThoughts(nn.Module):
  """An encoder and two decoders (Kiros et al. 2015, https://arxiv.org/abs/1506.06726).

  The encoder's gated recurrent units read a sentence, and their last state is its thought h. Each
  decoder, of the sentence before and of the one after, tells words one by one, with the thought in
  all its gates at every step (equations 5 to 8; x is the word before):

    r = sigma(W_r x + U_r s + C_r h);  z = sigma(W_z x + U_z s + C_z h)
    s <- (1 - z') * s + z' * tanh(W x + U (r * s) + C h)

  As elsewhere here the units reset after the product with U, and the gate that updates is
  z = 1 - z' (see `visionlab.ops.recurrent`). Both decoders have one matrix from states to words,
  and all read one table of words.

  Attributes:
    words: v, of the vocabulary.
    more: words beyond these, which the encoder reads and no decoder says
      (`visionlab.runs.expansion`).
    encoder, width, pool: see `visionlab.models.sentence_encoder.SentenceEncoder`; the two of
      'combine' are trained together, where the paper joins two networks that were trained apart.
    embedding: width of what stands for a word.
    spread: standard deviation of these numbers at first.
    decoder: width of the decoders' states; 0: that of the thought.
    dtype: dtype of the products; logits and states are float32.

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
  decoder: Natural = 0
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    check_encoder(self.encoder, self.pool, 'skip_thoughts')
    super().__post_init__()

  def setup(self):
    decoder = self.decoder or self.width
    # Words that began as small as the paper's, within .1, left all thoughts alike after three
    # epochs of 32,000 sentences.
    self.table = self.param('table', lambda key: self.spread * noise(
        key, (self.words + self.more, self.embedding)))
    self.reader = SentenceEncoder(self.encoder, self.width, self.pool, self.dtype)
    self.tellers = [self.param(name, recurrent.init, GRU, self.embedding, decoder)
                    for name in NEIGHBOURS]
    # C_r, C_z and C, side by side.
    self.from_thought = [self.param(f'{name}_thought', lecun_normal, (self.width, 3 * decoder))
                         for name in NEIGHBOURS]
    self.head = Head(self.words)

  def __call__(self, tokens: jax.Array, valid: jax.Array, heard: jax.Array | None = None
               ) -> jax.Array:
    """Sentences (b 3 t), before, itself and after -> logits (2 b t-1 v) of the words of the one
    before and of the one after, each given the words that come before it; or, where they are given,
    those `heard` in their place, (b 3 t)."""
    thought = self.encode(tokens[:, 1], valid[:, 1])
    heard = tokens if heard is None else heard
    return jnp.stack([self.tell(thought, heard[:, 2 * i, :-1], i) for i in range(2)])

  def encode(self, tokens: jax.Array, valid: jax.Array) -> jax.Array:
    """Sentences (b t), padded behind, -> thoughts (b d) float32."""
    return self.reader(self._words(tokens), valid)

  def tell(self, thought: jax.Array, tokens: jax.Array, which: int) -> jax.Array:
    """Logits (b t v) of what follows each word (b t) of a neighbour. which: 0, the one before, or
    1, the one after."""
    kernel = self.from_thought[which].astype(self.dtype)
    own = thought.astype(self.dtype) @ kernel                        # (b 3s), the same at each step
    return self.head(read(dict(self.tellers[which]), self._words(tokens), None, own,
                          dtype=self.dtype)[0])

  def _words(self, tokens):
    return jnp.asarray(self.table, self.dtype)[tokens]
