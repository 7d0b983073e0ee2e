"""Captions of images, a word at a time: Show and Tell, and Show, Attend and Tell."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from visionlab.config import ConfigError, check_choice, nearest
from visionlab.data.text.vocabulary import SPECIAL, START
from visionlab.models.batch_norm import BatchNorm
from visionlab.models.layers import Dense, Head, map_axes, noise, pooled
from visionlab.ops import recurrent
from visionlab.ops.attention import attend, init_attention
from visionlab.options.kinds import Count, Natural, Share

POOLS = ('mean', 'flatten', 'points')
Memory = Mapping[str, jax.Array]


class Taught(NamedTuple):
  """Attributes:
    logits: (n t v) float32, of what follows each token.
    alpha: (n t h w), the weights of the image's places at each token; None without attention.
  """
  logits: jax.Array
  alpha: jax.Array | None


class Captioner(nn.Module):
  """A backbone that sees an image, and recurrent cells that say what is on it.

  Without attention it is Show and Tell (Vinyals et al. 2015, equations 10 to 12). The cells see the
  image once, at step -1, then the words S_0 (the start), S_1, ...; m_t is what they put out:

    x_-1 = W_i CNN(image);  x_t = W_e S_t;  p_t+1 = softmax(W_p m_t)

  With attention it is Show, Attend and Tell with "soft" attention (Xu et al. 2015, equations 4 to
  7, 13). The first state is a linear function, then tanh, of CNN(image); at each step the cell also
  sees a mean of the image's places a_i, weighed as `visionlab.ops.attention` has it:

    z_t = attend(h_t-1, a);  m_t = cell([x_t, z_t]);  p_t+1 = softmax(W_p (x_t + L_h m_t + L_z z_t))

  Here CNN(image) and the a_i are linear functions of the pooled map and of its places, with the
  words' width, and go through BatchNorm (not in the papers: maps of any scale then leave the cells
  neither saturated nor starved). Without a backbone this is a language model, which sees zeros at
  step -1.

  A caption is decoded with `encode`, `start` and `step`; `teach` gives the logits of known ones.

  Attributes:
    words: v, of the vocabulary.
    backbone: a module with `features`.
    level: the map that is used; '' for the last.
    pool: what is taken of the map as a whole: see `pooled`.
    attention: width of the hidden layer of attention; 0: none.
    position: puts x and y in [-1, 1] beside each place's features (not in the paper: networks
      with few layers do not know where they look).
    detected: so many words, the first after the special ones, are looked for at each place by a
      linear classifier, whose scores join the place's features. A word is absent if it is at no
      place (Fang et al. 2015, section 3); the task teaches that by which words captions have, so
      that networks trained from scratch see much sooner what there is. 0: none.
    cell: 'lstm', 'gru' or 'rnn'.
    width: of a state.
    embedding: width of what stands for a word.
    layers: of cells; with attention 1.
    dropout: share of the inputs and outputs of cells that is set to zero in training, anew at each
      step (rng stream 'dropout').
    dtype: dtype in which images are seen; all about words is float32.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.

  Raises:
    ConfigError: an option that is none of those.
  """

  words: int
  backbone: Any = None
  level: str = ''
  pool: str = 'mean'
  attention: Natural = 0
  position: bool = False
  detected: Natural = 0
  cell: str = 'lstm'
  width: Count = 512
  embedding: Count = 512
  layers: Count = 1
  dropout: Share = 0.
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    check_choice(self.cell, recurrent.CELLS, 'model.cell of captioner')
    check_choice(self.pool, POOLS, 'model.pool of captioner')
    if self.attention and (self.backbone is None or self.layers > 1):
      raise ConfigError('model.attention of captioner: needs a backbone, and layers=1')
    if not 0 <= self.detected <= self.words - len(SPECIAL):
      raise ConfigError(f'model.detected of captioner: must be between 0 and the vocabulary\'s '
                        f'{self.words - len(SPECIAL)} words, not {self.detected}')
    super().__post_init__()

  def setup(self):
    cell, seen = recurrent.CELLS[self.cell], self.embedding * (2 if self.attention else 1)
    self.table = self.param('table', noise, (self.words, self.embedding))
    self.stack = [self.param(f'layer{i}', recurrent.init, cell, self.width if i else seen,
                             self.width) for i in range(self.layers)]
    self.image = Dense(self.embedding, dtype=self.dtype)
    self.norm = BatchNorm(dtype=self.dtype, axis_name=self.axis_name)
    self.drop = nn.Dropout(self.dropout)
    if self.detected:
      # At first a word is hardly anywhere, or there would be one somewhere in any larger map.
      self.detector = Dense(self.detected, dtype=self.dtype,
                            bias_init=nn.initializers.constant(-6.))
    self.head = Head(self.words)
    if self.attention:
      self.place = Dense(self.embedding, dtype=self.dtype)
      self.place_norm = BatchNorm(dtype=self.dtype, axis_name=self.axis_name)
      self.key = Dense(self.attention, dtype=self.dtype)
      self.first = Dense(self.width * cell.parts)
      self.attend = self.param('attend', init_attention, self.width, self.attention)
      self.from_state, self.from_context = Dense(self.embedding), Dense(self.embedding)

  def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b v) of their first words; makes all parameters."""
    start = jnp.full((images.shape[0], 1), START)
    return self.teach(self.encode(images, train=train), start, train=train).logits[:, 0]

  def encode(self, images: jax.Array, *, train: bool = False) -> Memory:
    """Images (b h w c) -> what is remembered of them: `vector` (b e); with attention `places`
    (b h w e) and their `keys` (b h w a); where words are detected `absent` (b words), the
    log-probability that each is nowhere."""
    if self.backbone is None:
      return dict(vector=jnp.zeros((images.shape[0], self.embedding)))
    seen, memory = self._map(images, train), {}
    if self.detected:
      scores = self.detector(seen)
      memory['absent'] = jax.nn.log_sigmoid(-scores).sum((1, 2))
      seen = jnp.concatenate([seen, scores], axis=-1)
    if self.position:
      where = [jnp.broadcast_to(axis, (*seen.shape[:3], 1)) for axis in map_axes(seen)]
      seen = jnp.concatenate([seen, *where], axis=-1)
    whole = pooled(seen, self.pool)
    if self.detected:
      whole = jnp.concatenate([whole, 1 - jnp.exp(memory['absent'])], axis=-1)
    memory['vector'] = self.norm(self.image(whole), use_running_average=not train)
    if self.attention:
      memory['places'] = self.place_norm(self.place(seen), use_running_average=not train)
      memory['keys'] = self.key(memory['places'])
    return {k: v.astype(jnp.float32) for k, v in memory.items()}

  def start(self, memory: Memory) -> list[recurrent.State]:
    """The state of each layer before the first token, arrays (b h)."""
    if self.attention:
      first = jnp.tanh(self.first(memory['vector']))
      return [tuple(jnp.split(first, recurrent.CELLS[self.cell].parts, axis=-1))]
    cell, x = recurrent.CELLS[self.cell], memory['vector']
    empty = [recurrent.zero_state(cell, layer, len(x)) for layer in self.stack]
    return recurrent.run_layers(cell, self.stack, empty, x[:, None])[1]

  def step(self, memory: Memory, states: list[recurrent.State],
           token: jax.Array) -> tuple[jax.Array, list[recurrent.State]]:
    """Logits (n v) of what follows `token` (n,), and the states after it. The n rows are those of
    the b images, n / b beside one another for each."""
    (logits, _), states = self._run(memory, states, token[:, None], train=False)
    return logits[:, 0], states

  def teach(self, memory: Memory, tokens: jax.Array, *, train: bool = False) -> Taught:
    """What follows each token of captions (n t), whose order is as for `step`."""
    states = repeated(self.start(memory), len(tokens))
    return self._run(memory, states, tokens, train)[0]

  def _run(self, memory, states, tokens, train):
    """What follows each token (n t), and the states after the last."""
    cell, words = recurrent.CELLS[self.cell], jnp.asarray(self.table)[tokens]
    xs = self.drop(words, deterministic=not train)
    if self.attention:
      outputs, contexts, alpha, states = self._look(cell, repeated(memory, len(tokens)), states, xs)
    else:
      key = self.make_rng('dropout') if train and self.dropout else None
      outputs, states = recurrent.run_layers(cell, self.stack, states, xs, dropout=self.dropout,
                                             key=key)
    outputs = self.drop(outputs, deterministic=not train)
    if not self.attention:
      return Taught(self.head(outputs), None), states
    outputs = xs + self.from_state(outputs) + self.from_context(contexts)
    return Taught(self.head(outputs), alpha), states

  def _look(self, cell, memory, states, xs):
    """Outputs (n t h), contexts (n t e), attention's weights (n t h w), and the states after."""
    layer, e = dict(self.stack[0]), self.embedding
    kernel = layer['input_kernel']
    projected = recurrent.project({**layer, 'input_kernel': kernel[:e]}, xs)
    params, (b, h, w, _) = self.attend, memory['places'].shape
    places, keys = (memory[k].reshape(b, h * w, -1) for k in ('places', 'keys'))

    def advance(state, projected):
      context, alpha = attend(params, keys, places, state[0])
      state = cell.update(layer, state, projected + context @ kernel[e:])
      return state, (state[0], context, alpha.reshape(b, h, w))
    state, seen = lax.scan(advance, states[0], jnp.moveaxis(projected, 1, 0))
    return *(jnp.moveaxis(x, 0, 1) for x in seen), [state]

  def _map(self, images, train):
    """The backbone's map (b h w c)."""
    maps = self.backbone.features(images, train=train)
    if self.level and self.level not in maps:
      raise ConfigError(f'model.level of captioner: the backbone has no map {self.level!r}'
                        f'{nearest(self.level, maps)}; there are: {", ".join(maps)}')
    return maps[self.level] if self.level else list(maps.values())[-1]


def repeated(tree, n: int):
  """Rows of b images as n rows, n / b of each side by side."""
  return jax.tree.map(lambda x: jnp.repeat(x, n // x.shape[0], axis=0), tree)
