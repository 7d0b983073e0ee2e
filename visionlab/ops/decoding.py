"""Sequences from a model that predicts one token at a time: greedy, sampled, by beam search.

A model is a function `step(state, token (n,)) -> (logits (n v), state)`: what follows `token`. Its
state is any tree of arrays whose first axis is n. Row i of what is decoded depends on row i alone.

A sequence ends with its first `end`, or after `length` tokens. All such sequences exclude one
another, so that their probabilities add up to 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.config import ConfigError, check_choice

Step = Callable[[Any, jax.Array], tuple[jax.Array, Any]]


class Decoded(NamedTuple):
  """Sequences of b examples; `beam` has an axis of beams behind that of examples.

  Attributes:
    tokens: (b t) int32, without the start; after `end` there is `pad`.
    log_probabilities: (b,) float32: the sum over a sequence's tokens, `end` included, of the
      logarithms of the model's probabilities.
    lengths: (b,) int32: its number of tokens, `end` included.
  """
  tokens: jax.Array
  log_probabilities: jax.Array
  lengths: jax.Array


def greedy(step: Step, state: Any, start: jax.Array, end: int, length: int, *,
           pad: int = 0) -> Decoded:
  """The likeliest token at each step.

  Args:
    state: of the model before `start`; arrays (b ...).
    start: (b,) int32, the first tokens the model is given.
    end: the token that ends a sequence.
    length: the most tokens there may be; static.
    pad: what follows `end`.

  >>> step = lambda state, token: (jax.nn.one_hot((token + 1) % 5, 5) * 9, state)
  >>> greedy(step, (), jnp.array([0, 2]), end=4, length=6).tokens.tolist()
  [[1, 2, 3, 4, 0, 0], [3, 4, 0, 0, 0, 0]]
  """
  return _decode(lambda i, logits: logits.argmax(-1), step, state, start, end, length, pad)


def sample(keys: jax.Array, step: Step, state: Any, start: jax.Array, end: int, length: int, *,
           temperature: float = 1., top_k: int = 0, top_p: float | None = None,
           pad: int = 0) -> Decoded:
  """A token drawn at each step, from what three restrictions leave, taken in this order.

  Args:
    keys: (b,) typed PRNG keys, one for each row.
    state, start, end, length, pad: as in `greedy`.
    temperature: divides the logits; above 0. May be traced.
    top_k: how many of the likeliest tokens may be drawn; 0: all (Fan et al. 2018). Static.
    top_p: only the fewest of the likeliest tokens may be drawn whose probabilities add up to
      top_p (Holtzman et al. 2020), and those as likely as the last of them; in (0, 1]. None leaves
      it out; a number may be traced.

  Returns:
    Sequences; their log-probabilities are the model's own, whatever the restrictions.

  Raises:
    ConfigError: an option out of range.
  """
  _check(temperature, lambda x: x > 0, 'temperature: must be above 0')
  _check(top_k, lambda x: x >= 0, 'top_k: must be at least 0')
  _check(top_p, lambda x: 0 < x <= 1, 'top_p: must be above 0 and at most 1')

  def draw(i, logits):
    logits, now = logits / temperature, jax.vmap(lambda key: jax.random.fold_in(key, i))(keys)
    index = None
    if 0 < top_k < logits.shape[-1]:
      logits, index = lax.top_k(logits, top_k)
    if top_p is not None:
      logits = jnp.where(_nucleus(jax.nn.softmax(logits), top_p), logits, -jnp.inf)
    drawn = jax.vmap(jax.random.categorical)(now, logits)
    return drawn if index is None else _pick(index, drawn)
  return _decode(draw, step, state, start, end, length, pad)


def _nucleus(p, top_p):
  """Which of the probabilities p (n v) are at least the greatest bound above which there is top_p.

  Floats that are not negative are ordered like their bits, so the bound is found bit by bit: 30
  sums, a tenth of the time of sorting 10,000 words on CPU.
  """
  bits = lax.bitcast_convert_type(p, jnp.int32)

  def decide(i, bound):
    higher = bound | 1 << (29 - i)
    enough = jnp.where(bits >= higher, p, 0).sum(-1, keepdims=True) >= top_p
    return jnp.where(enough, higher, bound)
  return bits >= lax.fori_loop(0, 30, decide, jnp.zeros_like(bits[:, :1]))


def _decode(choose, step, state, start, end, length, pad):
  def unfinished(carry):
    i, _, _, done, _ = carry
    return (i < length) & ~done.all()

  def advance(carry):
    i, state, token, ended, (tokens, total, lengths) = carry
    logits, state = step(state, token)
    logits = logits.astype(jnp.float32)
    token = choose(i, logits).astype(jnp.int32)
    log_p = _pick(logits, token) - jax.nn.logsumexp(logits, axis=-1)
    decoded = Decoded(tokens.at[:, i].set(jnp.where(ended, pad, token)),
                      total + jnp.where(ended, 0, log_p), lengths + ~ended)
    return i + 1, state, token, ended | (token == end), decoded
  start = jnp.asarray(start, jnp.int32)
  zero = 0 * start  # which in a shard_map varies over the devices, as a carry must from the first
  empty = Decoded(jnp.full((len(start), length), pad, jnp.int32) + zero[:, None],
                  zero.astype(jnp.float32), zero)
  return lax.while_loop(unfinished, advance, (0, state, start, zero > 0, empty))[-1]


def beam(step: Step, state: Any, start: jax.Array, end: int, length: int, *, beams: int,
         length_penalty: float = 0., penalty: str = 'wu', keep_greedy: bool = True,
         pad: int = 0) -> Decoded:
  """Beam search with two sets of at most `beams` sequences, open and ended.

  Every open sequence is continued by its `beams` likeliest tokens. Continuations by `end` go to the
  ended ones, the best of which are kept by score; of the others, the likeliest stay open. So the
  ended take no place from the open, and with one beam the search is greedy. It stops when no open
  sequence can outdo the worst of `beams` ended ones; those open after `length` tokens count as
  ended.

  The score is log-probability / divisor, of a sequence of n tokens, a = length_penalty:

    wu      ((5 + n) / 6) ** a   (Wu et al. 2016, section 7)
    length  n ** a               (a = 1: the mean per token)

  Args:
    step: is given b * beams rows, those of an example side by side. What is the same for all its
      beams, such as features of the image, is better repeated in `step` than kept in the state,
      which is reordered at every token.
    state, start, end, length, pad: as in `greedy`.
    beams: static.
    length_penalty: 0 scores by log-probability alone. May be traced.
    keep_greedy: keeps the greedy sequence open even where `beams` others are likelier, so that the
      best found never scores less than it, as can happen in the usual search, which is had with
      False.

  Returns:
    tokens (b beams t), log_probabilities and lengths (b beams), best score first. Where there are
    fewer sequences than beams the rest have log-probability -inf and length 0.

  Raises:
    ConfigError: an option out of range.

  >>> p = jnp.array([[.5, .4, .1], [.1, .1, .8], [.4, .3, .3]])
  >>> step = lambda state, token: (jnp.log(p)[token], state)
  >>> decoded = beam(step, (), jnp.array([0]), end=2, length=2, beams=2)
  >>> decoded.tokens[0].tolist(), jnp.exp(decoded.log_probabilities[0]).round(2).tolist()
  ([[1, 2], [0, 0]], [0.3..., 0.25])
  """
  _check(beams, lambda x: x > 0, 'beams: must be above 0')
  check_choice(penalty, ('wu', 'length'), 'penalty')

  def score(log_p, n):
    base = (5. + n) / 6 if penalty == 'wu' else jnp.maximum(n, 1.)
    return log_p / base ** length_penalty

  def reachable(log_p, n):
    """The most that a sequence open after n tokens can score: as if all that follow were sure."""
    return jnp.maximum(score(log_p, n + 1.), score(log_p, jnp.float32(length)))

  def unfinished(carry):
    i, _, _, _, live, ended = carry
    worst = score(ended.log_probabilities[:, -1], ended.lengths[:, -1])
    return (i < length) & (reachable(live.log_probabilities.max(-1), i) > worst).any()

  def advance(carry):
    i, state, token, is_greedy, live, ended = carry
    logits, state = step(state, token.reshape(-1))
    tokens, log_p = _likeliest(logits.reshape(*token.shape, -1), beams)
    log_p = live.log_probabilities[..., None] + log_p
    closing = (tokens == end) | (i == length - 1)

    def choose(own, first):
      """The likeliest continuations, but before them the first where `first` (b,) says so; and
      whence each comes."""
      flat = lambda x: x.reshape(len(token), -1)
      _, place = lax.top_k(flat(own).at[:, 0].set(jnp.where(first, jnp.inf, own[:, 0, 0])), beams)
      source = place // tokens.shape[-1]
      rows = _pick(live.tokens, source).at[..., i].set(_pick(flat(tokens), place))
      return Decoded(rows, _pick(flat(own), place), jnp.full_like(place, i + 1)), source
    closed, _ = choose(jnp.where(closing, log_p, -jnp.inf), False)
    is_greedy &= ~closing[:, 0, 0]
    live, source = choose(jnp.where(closing, -jnp.inf, log_p), is_greedy)
    ended = _best(ended, closed, score, beams)
    state = jax.tree.map(lambda x: _reorder(x, source), state)
    return i + 1, state, live.tokens[..., i], is_greedy, live, ended

  start = jnp.asarray(start, jnp.int32)
  zero = jnp.zeros((len(start), beams), jnp.int32) + 0 * start[:, None]
  rows = jnp.full((length,), pad, jnp.int32) + zero[..., None]
  none = jnp.full(beams, -jnp.inf) + zero
  one = jnp.where(jnp.arange(beams) == 0, 0., none)     # the others would be its copies
  state = jax.tree.map(lambda x: jnp.repeat(x, beams, axis=0), state)
  is_greedy = (zero[:, 0] == 0) & keep_greedy
  carry = (0, state, start[:, None] + zero, is_greedy, Decoded(rows, one, zero),
           Decoded(rows, none, zero))
  ended = lax.while_loop(unfinished, advance, carry)[-1]
  there = ended.log_probabilities > -jnp.inf
  return Decoded(jnp.where(there[..., None], ended.tokens, pad), ended.log_probabilities,
                 jnp.where(there, ended.lengths, 0))


def _likeliest(logits, count):
  """The `count` likeliest tokens and their log-probabilities, (b beams count)."""
  logits = logits.astype(jnp.float32)
  best, tokens = _top_k(logits, min(count, logits.shape[-1]))
  return tokens, best - jax.nn.logsumexp(logits, axis=-1, keepdims=True)


def _top_k(x, k, group=128):
  """lax.top_k, of thousands in a quarter of its time on CPU.

  The k greatest are in the k groups with the greatest maxima, of which only the entries are sorted.
  With the groups in order, of equals the first are taken, as lax.top_k does.
  """
  v = x.shape[-1]
  if v <= 2 * k * group:
    return lax.top_k(x, k)
  groups = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -v % group)], constant_values=-jnp.inf)
  _, held = lax.top_k(groups.reshape(*x.shape[:-1], -1, group).max(-1), k)
  index = jnp.sort(held)[..., None] * group + jnp.arange(group)
  index = index.reshape(*x.shape[:-1], -1)
  best, place = lax.top_k(jnp.take_along_axis(x, index, -1, mode='fill', fill_value=-jnp.inf), k)
  return best, jnp.take_along_axis(index, place, -1)


def _best(a, b, score, count):
  """The `count` best of two sets of sequences, best first; of equals those of `a`."""
  both = jax.tree.map(lambda x, y: jnp.concatenate([x, y], axis=1), a, b)
  _, place = lax.top_k(score(both.log_probabilities, both.lengths), count)
  return jax.tree.map(lambda x: _pick(x, place), both)


def _reorder(x, source):
  """Rows (b * beams ...) of the state as those of the beams they continue, source (b beams)."""
  b, beams = source.shape
  rows = (jnp.arange(b)[:, None] * beams + source).reshape(-1)
  return x.at[rows].get(mode='promise_in_bounds')


def _pick(x, place):
  """In each row of x (b n ...) the entries at `place` (b,) or (b m)."""
  pick = lambda row, i: row.at[i].get(mode='promise_in_bounds')
  return jax.vmap(pick)(x, place)


def _check(value, fits, message):
  if isinstance(value, int | float) and not fits(value):
    raise ConfigError(f'{message}, not {value}')
