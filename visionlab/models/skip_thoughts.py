"""Skip-thoughts: a sentence as the vector from which its neighbours are best told."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.models.layers import Head, lecun_normal, noise
from visionlab.ops import recurrent
from visionlab.ops.recurrent import GRU
from visionlab.options.kinds import Count, Natural

READERS = dict(uni=('ahead',), bi=('ahead', 'back'), combine=('whole', 'ahead', 'back'))
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
    encoder: 'uni' reads ahead; 'bi' also, with other units, from the end, both states side by side;
      'combine' is both of these side by side, trained together, where the paper joins two networks
      that were trained apart.
    width: of the thought; with 'bi' of two halves, with 'combine' of a half and two quarters.
    embedding: width of what stands for a word.
    decoder: width of the decoders' states; 0: that of the thought.
    dtype: dtype of the products; logits and states are float32.

  Raises:
    ConfigError: an unknown encoder.
  """

  words: int
  more: Natural = 0
  encoder: str = 'uni'
  width: Count = 512
  embedding: Count = 256
  decoder: Natural = 0
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    check_choice(self.encoder, READERS, 'model.encoder of skip_thoughts')
    super().__post_init__()

  def setup(self):
    widths = dict(uni=(self.width,), bi=(self.width // 2,) * 2,
                  combine=(self.width // 2, *(self.width // 4,) * 2))[self.encoder]
    decoder = self.decoder or self.width
    # Words that began as small as the paper's, within .1, left all thoughts alike after three
    # epochs of 32,000 sentences.
    self.table = self.param('table', noise, (self.words + self.more, self.embedding))
    self.readers = [self.param(name, recurrent.init, GRU, self.embedding, width)
                    for name, width in zip(READERS[self.encoder], widths, strict=True)]
    self.tellers = [self.param(name, recurrent.init, GRU, self.embedding, decoder)
                    for name in NEIGHBOURS]
    # C_r, C_z and C, side by side.
    self.from_thought = [self.param(f'{name}_thought', lecun_normal, (sum(widths), 3 * decoder))
                         for name in NEIGHBOURS]
    self.head = Head(self.words)

  def __call__(self, tokens: jax.Array, valid: jax.Array) -> jax.Array:
    """Sentences (b 3 t), before, itself and after -> logits (2 b t-1 v) of the words of the one
    before and of the one after, each given the words that come before it."""
    thought = self.encode(tokens[:, 1], valid[:, 1])
    return jnp.stack([self.tell(thought, tokens[:, 2 * i, :-1], i) for i in range(2)])

  def encode(self, tokens: jax.Array, valid: jax.Array) -> jax.Array:
    """Sentences (b t), padded behind, -> thoughts (b d) float32."""
    words, last = self._words(tokens), []
    for name, params in zip(READERS[self.encoder], self.readers, strict=True):
      turn = slice(None, None, -1 if name == 'back' else 1)
      last.append(self._run(params, words[:, turn], valid[:, turn])[1])
    return jnp.concatenate(last, -1)

  def tell(self, thought: jax.Array, tokens: jax.Array, which: int) -> jax.Array:
    """Logits (b t v) of what follows each word (b t) of a neighbour. which: 0, the one before, or
    1, the one after."""
    params = dict(self.tellers[which])
    kernel = self.from_thought[which].astype(self.dtype)
    own = thought.astype(self.dtype) @ kernel                        # (b 3s), the same at each step
    states, _ = self._run(params, self._words(tokens), None, own)
    return self.head(states)

  def _words(self, tokens):
    return jnp.asarray(self.table, self.dtype)[tokens]

  def _run(self, params, words, valid, more=0.):
    """The states (b t h) and the last (b h) of units that have read words (b t e). more: what each
    example adds to the projected input of every step, (b 3h)."""
    params = jax.tree.map(lambda x: x.astype(self.dtype), params)
    begin = recurrent.zero_state(GRU, params, len(words))
    states, (last,) = recurrent.run(GRU, {**params, 'bias': params['bias'] + more}, begin, words,
                                    valid)
    return states, last
