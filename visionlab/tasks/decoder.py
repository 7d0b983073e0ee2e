"""How the captioning task finds its sentences: the options of config.task that say so."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice
from visionlab.data.text.vocabulary import END, PAD, START
from visionlab.ops import decoding
from visionlab.tasks.draws import keys_of

WAYS = ('greedy', 'sample', 'beam')
DRAWING = dict(temperature=1., top_k=0, top_p=1., seed=0)         # what is for 'sample' alone


@dataclasses.dataclass(frozen=True)
class Decoder:
  """Options of config.task.

  Attributes:
    decode: 'greedy', the likeliest word at each step; 'sample', words drawn by their probability;
      'beam', the best sentences that a beam search finds, which with one beam is greedy.
    beams: sentences of each image: the beams of the search, or how many are drawn.
    length_penalty, penalty: the exponent by which, and the form in which, the search favours longer
      sentences; see `visionlab.ops.decoding.beam`.
    temperature, top_k, top_p: how words are drawn; see `visionlab.ops.decoding.sample`.
    seed: of what is drawn. What is drawn of an image depends on its pixels and the seed alone, in
      whatever batch it comes.

  Raises:
    ConfigError: an option out of range, or one that this way of decoding does not read.
  """
  decode: str = 'beam'
  beams: int = 1
  length_penalty: float = 0.
  penalty: str = 'wu'
  temperature: float = 1.
  top_k: int = 0
  top_p: float = 1.
  seed: int = 0

  def __post_init__(self):
    check_choice(self.decode, WAYS, 'config.task.decode')
    check_choice(self.penalty, ('wu', 'length'), 'config.task.penalty')
    for name, fits, range_ in (('beams', self.beams >= 1, 'at least 1'),
                               ('temperature', self.temperature > 0, 'above 0'),
                               ('top_k', self.top_k >= 0, 'at least 0'),
                               ('top_p', 0 < self.top_p <= 1, 'above 0 and at most 1')):
      if not fits:
        raise ConfigError(f'config.task.{name}: must be {range_}, not {getattr(self, name)}')
    unread = {'greedy': dict(beams=1, length_penalty=0., penalty='wu', **DRAWING),
              'sample': dict(length_penalty=0., penalty='wu'), 'beam': DRAWING}[self.decode]
    for name, default in unread.items():
      if getattr(self, name) != default:
        raise ConfigError(f'config.task.{name}: decode={self.decode!r} does not read it')

  def __call__(self, step: decoding.Step, state: Any, images: jax.Array,
               length: int) -> decoding.Decoded:
    """Sentences of b images, (b beams ...), best first.

    Args:
      step: the model's, for b or for b * beams rows, those of an image side by side.
      state: before the first word, arrays (b ...).
      images: (b h w c).
      length: the most words there may be, END included.
    """
    start = jnp.full(len(images), START)
    if self.decode == 'beam' and self.beams > 1:
      return decoding.beam(step, state, start, END, length, beams=self.beams, pad=PAD,
                           length_penalty=self.length_penalty, penalty=self.penalty)
    if self.decode == 'sample':
      return self._drawn(step, state, images, length)
    found = decoding.greedy(step, state, start, END, length, pad=PAD)
    return jax.tree.map(lambda x: x[:, None], found)

  def _drawn(self, step, state, images, length):
    keys = keys_of(jax.random.key(self.seed), images)
    keys = jax.vmap(lambda key: jax.random.split(key, self.beams))(keys)
    state = jax.tree.map(lambda x: jnp.repeat(x, self.beams, axis=0), state)
    drawn = decoding.sample(keys.reshape(-1), step, state, jnp.full(keys.size, START), END, length,
                            temperature=self.temperature, top_k=self.top_k,
                            top_p=None if self.top_p == 1 else self.top_p, pad=PAD)
    drawn = jax.tree.map(lambda x: x.reshape(len(images), self.beams, *x.shape[1:]), drawn)
    order = jnp.argsort(-drawn.log_probabilities, axis=1)
    return jax.tree.map(lambda x: jax.vmap(lambda row, place: row[place])(x, order), drawn)
