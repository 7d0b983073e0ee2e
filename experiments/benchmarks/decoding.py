"""Captions by beam search, from one layer of LSTM, against PyTorch."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.harness import Row, cores, in_turn, require
from visionlab.ops import recurrent
from visionlab.ops.decoding import beam

BATCH, BEAMS, WIDTH, LENGTH = 64, 5, 512, 20
VOCABULARIES = (100, 10_000)
START, END = 1, 2
Search = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


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


def random_weights(words: int, width: int) -> dict[str, np.ndarray]:
  """Of a layer as in `visionlab.ops.recurrent`, a table of words and a classifier that never says
  END."""
  rng = np.random.default_rng(0)

  def draw(*shape):
    return rng.normal(size=shape).astype(np.float32)
  bias = .1 * draw(words)
  bias[END] = -1e4
  return dict(table=draw(words, width), input_kernel=draw(width, 4 * width) / width ** .5,
              state_kernel=draw(width, 4 * width) / width ** .5, bias=.1 * draw(4 * width),
              head=5 * draw(width, words) / width ** .5, head_bias=bias)


def random_features(batch: int, width: int) -> np.ndarray:
  return np.random.default_rng(1).normal(size=(batch, width)).astype(np.float32)


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


def torch_search(weights: Mapping[str, np.ndarray], beams: int = BEAMS,
                 length: int = LENGTH) -> Search:
  """The same of PyTorch, as its users write it."""
  torch = require('torch')
  device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
  w = {k: torch.from_numpy(v).to(device) for k, v in weights.items()}
  words, width = w['table'].shape
  table, cell = torch.nn.Embedding(words, width), torch.nn.LSTMCell(width, width)
  head = torch.nn.Linear(width, words)
  with torch.no_grad():
    for parameter, value in ((table.weight, w['table']), (cell.weight_ih, w['input_kernel'].T),
                             (cell.weight_hh, w['state_kernel'].T), (cell.bias_ih, w['bias']),
                             (head.weight, w['head'].T), (head.bias, w['head_bias'])):
      parameter.copy_(value)
    cell.bias_hh.zero_()
  table, cell, head = (module.to(device) for module in (table, cell, head))
  after_end = torch.full((words,), -torch.inf, device=device)
  after_end[END] = 0.

  @torch.inference_mode()
  def call(features):
    seen, b = torch.from_numpy(features).to(device), len(features)
    h = c = seen.repeat_interleave(beams, 0)
    token = torch.full((b * beams,), START, device=device)
    scores = torch.full((b, beams), -torch.inf, device=device)
    scores[:, 0] = 0
    ended = torch.zeros(b, beams, dtype=torch.bool, device=device)
    tokens = torch.zeros(b * beams, 0, dtype=torch.long, device=device)
    first = beams * torch.arange(b, device=device)[:, None]
    for _ in range(length):
      h, c = cell(table(token), (h, c))
      log_p = torch.log_softmax(head(h), -1).view(b, beams, words)
      log_p = torch.where(ended[..., None], after_end, log_p)
      scores, place = (scores[..., None] + log_p).view(b, -1).topk(beams)
      source, token = (first + place // words).view(-1), (place % words).view(-1)
      h, c = h[source], c[source]
      tokens = torch.cat([tokens[source], token[:, None]], 1)
      ended = ended.view(-1)[source].view(b, beams) | (token == END).view(b, beams)
      if ended.all():
        break
    return tokens.view(b, beams, -1).cpu().numpy(), scores.cpu().numpy()
  return call
