"""Captions by beam search, from one layer of LSTM, against PyTorch."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.harness import Row, cores, in_turn, require
from experiments.benchmarks.torch_decoding import (
  BEAMS,
  END,
  LENGTH,
  START,
  Search,
  random_features,
  random_weights,
  torch_search,
)
from visionlab.ops import recurrent
from visionlab.ops.decoding import beam

BATCH, WIDTH = 64, 512
VOCABULARIES = (100, 10_000)


def beam_search(repeats: int) -> Iterator[Row]:
  """Seconds for a batch; nothing ends before its last word, so that both sides do all steps."""
  torch = require('torch')
  torch.set_num_threads(cores())
  features = random_features(BATCH, WIDTH)
  for words in VOCABULARIES:
    weights = random_weights(words, WIDTH)
    search, peer = jax_search(weights), torch_search(weights)

    def ours(search=search):
      return search(features)

    def together(peer=peer):
      return peer(features)

    def alone(peer=peer):
      return [peer(features[i:i + 1]) for i in range(BATCH)]
    ours(), together()                           # compiled here
    seconds = in_turn(repeats, *(partial(timed, f) for f in (ours, together, alone)))
    for name, theirs in (('batch', seconds[1]), ('one_by_one', seconds[2])):
      yield Row(f'beam_search/{words}_{name}', seconds[0], theirs,
                f'{BATCH} captions of {LENGTH} words')


def timed(search: Callable) -> float:
  begun = time.perf_counter()
  search()
  return time.perf_counter() - begun


def jax_search(weights: Mapping[str, np.ndarray], beams: int = BEAMS,
               length: int = LENGTH) -> Search:
  """features (b h) -> tokens (b beams t) and their log-probabilities (b beams)."""
  @jax.jit
  def search(weights, projected, features):
    def step(state, token):
      state = recurrent.LSTM.update(weights, state, projected[token])
      return state[0] @ weights['head'] + weights['head_bias'], state
    start = jnp.full(len(features), START)
    return beam(step, (features, features), start, END, length, beams=beams, keep_greedy=False)
  weights = jax.device_put(dict(weights))
  # What the cell makes of a word is the same wherever the word is.
  projected = recurrent.project(weights, weights['table'])

  def call(features):
    found = search(weights, projected, features)
    return np.asarray(found.tokens), np.asarray(found.log_probabilities)
  return call
