"""Images and sentences in one space."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice, nearest
from visionlab.models.captioner import POOLS
from visionlab.models.layers import Dense, noise, pooled
from visionlab.ops import recurrent
from visionlab.options.kinds import Count


class VisualSemantic(nn.Module):
  """A backbone that sees images, and a recurrent cell that reads sentences, to vectors of one space
  (Kiros et al. 2014, https://arxiv.org/abs/1411.2539, section 2.2).

  An image is a linear function of what `pool` takes of the backbone's map; a sentence is the cell's
  last state. A clip (b t h w c) is the mean of its frames, as the clips of Zhu et al. 2015 are.

  Attributes:
    words: v, of the vocabulary.
    backbone: a module with `features`.
    level: the map that is used; '' for the last.
    pool: what is taken of the map as a whole: see `visionlab.models.layers.pooled`.
    cell: 'lstm', 'gru' or 'rnn'.
    width: d, of the space, and of the cell's state.
    embedding: width of what stands for a word.
    dtype: dtype in which images are seen; all about words is float32.

  Raises:
    ConfigError: an option that is none of those, or no backbone.
  """

  words: int
  backbone: Any = None
  level: str = ''
  pool: str = 'mean'
  cell: str = 'lstm'
  width: Count = 256
  embedding: Count = 128
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    check_choice(self.cell, recurrent.CELLS, 'model.cell of visual_semantic')
    check_choice(self.pool, POOLS, 'model.pool of visual_semantic')
    if self.backbone is None:
      raise ConfigError('model.backbone of visual_semantic: missing; it sees the images, such as '
                        'dict(name="resnet", depth=18)')
    super().__post_init__()

  def setup(self):
    self.table = self.param('table', lambda key: .1 * noise(key, (self.words, self.embedding)))
    self.reader = self.param('reader', recurrent.init, recurrent.CELLS[self.cell], self.embedding,
                             self.width)
    self.project = Dense(self.width, dtype=self.dtype)

  def __call__(self, images: jax.Array, tokens: jax.Array, *, train: bool = False):
    """(`see`, `read`) of images and of sentences (n t)."""
    return self.see(images, train=train), self.read(tokens, tokens > 0)

  def see(self, images: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c), or clips (b t h w c) -> (b d) float32."""
    frames = images.reshape(-1, *images.shape[-3:])
    maps = self.backbone.features(frames, train=train)
    if self.level and self.level not in maps:
      raise ConfigError(f'model.level of visual_semantic: the backbone has no map {self.level!r}'
                        f'{nearest(self.level, maps)}; there are: {", ".join(maps)}')
    chosen = maps[self.level] if self.level else list(maps.values())[-1]
    seen = self.project(pooled(chosen, self.pool)).astype(jnp.float32)
    return seen.reshape(len(images), -1, self.width).mean(1)

  def read(self, tokens: jax.Array, valid: jax.Array) -> jax.Array:
    """Sentences (n t), padded behind, -> (n d) float32."""
    cell, words = recurrent.CELLS[self.cell], jnp.asarray(self.table)[tokens]
    begin = recurrent.zero_state(cell, self.reader, len(words))
    return recurrent.run(cell, self.reader, begin, words, valid)[1][0]
