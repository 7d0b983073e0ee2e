"""Decoding against slow searches in Python, and against all sequences there are."""

from functools import cache, partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from visionlab.config import ConfigError
from visionlab.ops.decoding import _nucleus, _top_k, beam, greedy, sample
from visionlab.parallel.sharding import data_mesh

START, END, PAD = 0, 1, 9
KEYS = jax.random.split(jax.random.key(0), 2)
PENALTIES = [(0., 'wu'), (.7, 'wu'), (2., 'wu'), (1., 'length'), (-1., 'length')]


def network(seed, v, h=6, sharpness=2.):
  """A random recurrent network over v tokens; its state has parts of different shapes."""
  rng = np.random.default_rng(seed)
  embed, recur, out = (rng.normal(size=s).astype(np.float32) for s in ((v, h), (h, h), (h, v)))

  def step(state, token, np=jnp):
    h = np.tanh(state['h'] @ recur + np.asarray(embed)[token])
    return sharpness * h @ out, dict(h=h, seen=state['seen'] + token[:, None])
  return step


def first_state(seed, b, h=6):
  rng = np.random.default_rng(100 + seed)
  return dict(h=rng.normal(size=(b, h)).astype(np.float32), seen=np.zeros((b, 1), np.int32))


def log_softmax(x):
  x = x.astype(np.float64)
  x = x - x.max(-1, keepdims=True)
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def model(seed, v, i, b):
  """A function of tokens: the log-probabilities (v,) of what follows them in row i, in NumPy."""
  step, state = network(seed, v), row(first_state(seed, b), slice(i, i + 1))

  @cache
  def after(tokens):
    before = after(tokens[:-1])[1] if tokens else state
    logits, new = step(before, np.array([tokens[-1] if tokens else START]), np)
    return log_softmax(logits[0]), new
  return lambda tokens: after(tokens)[0]


def score(log_p, n, exponent, penalty):
  return log_p / ((5 + n) / 6 if penalty == 'wu' else n) ** exponent


def slow_greedy(follow, length):
  tokens, total = (), 0.
  while len(tokens) < length and END not in tokens:
    log_p = follow(tokens)
    tokens, total = (*tokens, int(log_p.argmax())), total + log_p.max()
  return tokens, total


def slow_beam(follow, length, beams, exponent, penalty, keep_greedy):
  """All steps to the end, every sequence a tuple."""
  live, ended, best = [((), 0.)], [], slow_greedy(follow, length)[0]
  for i in range(length):
    grown = []
    for tokens, total in live:
      log_p = follow(tokens)
      grown += [((*tokens, int(k)), total + log_p[k]) for k in np.argsort(-log_p)[:beams]]
    grown.sort(key=lambda s: -s[1])
    last = i == length - 1
    ended += [s for s in grown if s[0][-1] == END or last]
    grown = [s for s in grown if s[0][-1] != END and not last]
    if keep_greedy:
      grown.sort(key=lambda s: s[0] != best[:len(s[0])])
    live = grown[:beams]
  return sorted(ended, key=lambda s: -score(s[1], len(s[0]), exponent, penalty))[:beams]


def log_probability(follow, tokens):
  return sum(follow(tokens[:i])[k] for i, k in enumerate(tokens))


def every_sequence(follow, v, length):
  words = [k for k in range(v) if k != END]
  ended = [(*s, END) for n in range(length) for s in product(words, repeat=n)]
  return [(s, log_probability(follow, s)) for s in [*ended, *product(words, repeat=length)]]


def row(tree, i):
  return jax.tree.map(lambda x: x[i], tree)


def sequences(decoded):
  """[(tokens without padding, log-probability)] of each row; the padding is checked."""
  found = []
  for tokens, log_p, n in zip(*(np.asarray(x) for x in decoded), strict=True):
    assert (tokens[n:] == PAD).all() and END not in tokens[:max(n - 1, 0)]
    assert n == len(tokens) or n == 0 or tokens[n - 1] == END
    found.append((tuple(tokens[:n].tolist()), float(log_p)))
  return found


def same(found, expected):
  assert [tokens for tokens, _ in found] == [tokens for tokens, _ in expected]
  np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], atol=1e-4)


@partial(jax.jit, static_argnums=(0, 1, 2, 3, 4, 6))
def searched(seed, v, b, length, beams, exponent, penalty, keep_greedy=True):
  return beam(network(seed, v), first_state(seed, b), jnp.full(b, START), END, length, beams=beams,
              length_penalty=exponent, penalty=penalty, keep_greedy=keep_greedy, pad=PAD)


def test_greedy_takes_the_likeliest():
  seed, b, v, length = 0, 64, 7, 8
  decoded = jax.jit(lambda: greedy(network(seed, v), first_state(seed, b), jnp.full(b, START), END,
                                   length, pad=PAD))()
  same(sequences(decoded), [slow_greedy(model(seed, v, i, b), length) for i in range(b)])


@pytest.mark.parametrize('exponent, penalty', PENALTIES)
@pytest.mark.parametrize('beams', [2, 5])
def test_beam_equals_the_slow_search(beams, exponent, penalty):
  """So stopping early loses nothing."""
  b, v, length = 12, 7, 8
  for keep_greedy in (True, False):
    decoded = searched(1, v, b, length, beams, exponent, penalty, keep_greedy)
    for i in range(b):
      same(sequences(row(decoded, i)),
           slow_beam(model(1, v, i, b), length, beams, exponent, penalty, keep_greedy))


def test_waits_for_what_grows_better_with_its_length():
  """Three sequences end within three tokens; the unlikely one that never ends wins at last."""
  end, a, b, c, d = range(1, 6)
  p = np.zeros((6, 6))
  p[START, [a, b, c]] = .05, .55, .4
  p[b, [end, d]] = .6, .4
  p[a, a] = p[c, end] = p[d, end] = 1
  table = np.log(np.maximum(p, 1e-30)).astype(np.float32)
  step = lambda state, token: (jnp.asarray(table)[token], state)
  search = jax.jit(lambda exponent: beam(step, (), jnp.array([START]), end, 30, beams=3,
                                         length_penalty=exponent))
  assert search(2.).tokens[0, 0].tolist() == [a] * 30
  assert search(0.).lengths[0].tolist() == [2, 2, 3]


@pytest.mark.parametrize('exponent, penalty', PENALTIES)
def test_enough_beams_find_everything(exponent, penalty):
  """Of v = 4 tokens there are 1 + 3 + 9 + 27 * 4 sequences of at most 4; two beams stay empty."""
  b, v, length, count = 3, 4, 4, 1 + 3 + 9 + 27 * 4
  decoded = searched(5, v, b, length, count + 2, exponent, penalty)
  for i in range(b):
    found = sequences(row(decoded, i))
    expected = every_sequence(model(5, v, i, b), v, length)
    assert len(expected) == count
    expected.sort(key=lambda s: -score(s[1], len(s[0]), exponent, penalty))
    assert found[count:] == [((), -np.inf)] * 2
    assert found[0][0] == expected[0][0]
    assert dict(found[:count]).keys() == dict(expected).keys()
    scores = [score(p, len(s), exponent, penalty) for s, p in found[:count]]
    np.testing.assert_allclose(scores, [score(p, len(s), exponent, penalty) for s, p in expected],
                               atol=1e-4)
    np.testing.assert_allclose(sum(np.exp(p) for _, p in found), 1, atol=1e-4)


def test_one_beam_is_greedy_and_more_are_no_worse():
  seed, b, v, length = 0, 512, 12, 10
  best = jax.jit(lambda: greedy(network(seed, v), first_state(seed, b), jnp.full(b, START), END,
                                length, pad=PAD))()
  _, best_log_p, best_n = (np.asarray(x) for x in best)
  for exponent, penalty in PENALTIES[:3]:
    one = searched(seed, v, b, length, 1, exponent, penalty)
    assert (one.tokens[:, 0] == best.tokens).all()
    _, log_p, n = (np.asarray(x) for x in searched(seed, v, b, length, 2, exponent, penalty))
    found = score(log_p, n, exponent, penalty)
    assert (np.diff(found, axis=1) <= 1e-6).all()
    gain = found[:, 0] - score(best_log_p, best_n, exponent, penalty)
    assert gain.min() > -1e-5 and gain.max() > .01
  usual = searched(seed, v, b, length, 2, 0., 'wu', False).log_probabilities[:, 0]
  assert (usual < best_log_p - .01).any()          # or there were nothing to promise


def test_rows_do_not_depend_on_one_another():
  step, state = network(0, 7), first_state(0, 6)
  for decode in (partial(greedy, end=END, length=8),
                 partial(beam, end=END, length=8, beams=3, length_penalty=.6)):
    decode = jax.jit(decode, static_argnums=0)
    together = decode(step, state, jnp.arange(6))
    for i in range(6):
      alone = decode(step, row(state, slice(i, i + 1)), jnp.array([i]))
      for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a[i:i + 1], b, atol=1e-5)
  keys = jax.random.split(jax.random.key(0), 6)
  drawn = jax.jit(lambda keys, state, start: sample(keys, step, state, start, END, 8))
  together = drawn(keys, state, jnp.arange(6))
  for i in range(6):
    one = slice(i, i + 1)
    alone = drawn(keys[one], row(state, one), jnp.array([i]))
    np.testing.assert_array_equal(together.tokens[one], alone.tokens)


@pytest.mark.parametrize('decode, most', [
    (greedy, 6), (partial(sample, KEYS), 6), (partial(beam, beams=1), 6),
    (partial(beam, beams=4), 20)])
def test_stops_when_all_have_ended(decode, most):
  """Token k is followed by k + 1, surely, and 9 ends: six steps from 3, of the 30 allowed."""
  calls = []

  def step(state, token):
    jax.debug.callback(lambda: calls.append(1))
    return 200 * jax.nn.one_hot(token + 1, 10), state
  decoded = jax.jit(lambda: decode(step, (), jnp.array([3, 7]), 9, 30))()
  jax.block_until_ready(decoded)
  jax.effects_barrier()
  assert 6 <= len(calls) <= most
  first = decoded.lengths.reshape(2, -1)[:, 0]
  assert first.tolist() == [6, 2]


def frequencies(v=6, n=20000, **options):
  """Of the first token drawn, and the logits it was drawn by."""
  logits = jnp.array([2., 1., 1.5, -1., 0., .5])
  step = lambda state, token: (jnp.broadcast_to(logits, (*token.shape, v)), state)
  keys = jax.random.split(jax.random.key(1), n)
  decoded = jax.jit(lambda: sample(keys, step, (), jnp.zeros(n, int), END, 1, **options))()
  log_p = log_softmax(np.asarray(logits))
  np.testing.assert_allclose(decoded.log_probabilities, log_p[decoded.tokens[:, 0]], atol=1e-5)
  return np.bincount(decoded.tokens[:, 0], minlength=v) / n, np.exp(log_p)


@pytest.mark.parametrize('options, kept, power', [
    ({}, range(6), 1), (dict(temperature=.5), range(6), 2), (dict(top_k=2), (0, 2), 1),
    (dict(top_k=100, top_p=1.), range(6), 1),
    (dict(top_p=.4), (0,), 1), (dict(top_p=.45), (0, 2), 1),     # they are .42, .25, .15, ...
    (dict(top_k=3, top_p=.8, temperature=.5), (0, 2), 2)])
def test_samples_in_proportion(options, kept, power):
  found, p = frequencies(**options)
  expected = np.zeros(6)
  expected[list(kept)] = p[list(kept)] ** power
  expected /= expected.sum()
  np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(.25 / 20000))
  assert (found[expected == 0] == 0).all()


def test_nucleus_by_sorting():
  p = np.random.default_rng(0).dirichlet(np.full(50, .3), 200).astype(np.float32)
  nucleus = jax.jit(_nucleus)
  for top_p in (.01, .3, .9, .999):
    order = np.argsort(-p, axis=-1)
    likelier = np.take_along_axis(p, order, -1).astype(np.float64).cumsum(-1)
    likelier = np.pad(likelier, ((0, 0), (1, 0)))[:, :-1]
    expected = np.zeros_like(p, bool)
    np.put_along_axis(expected, order, likelier < top_p, -1)
    assert (np.asarray(nucleus(p, top_p)) == expected).all()
  assert nucleus(jnp.full((1, 4), .25), .4).all()              # all are as likely as the last


@pytest.mark.parametrize('v', [1281, 3000, 4096])
def test_top_k_in_groups_is_that_of_all(v):
  """The same places too, among equals."""
  x = np.round(3 * np.random.default_rng(0).normal(size=(40, 5, v))).astype(np.float32)
  x[0, 0] = -np.inf
  x[0, 1, :v - 2] = -np.inf
  x[0, 2] = 1.
  for found, expected in zip(jax.jit(lambda x: _top_k(x, 5))(x), jax.lax.top_k(x, 5), strict=True):
    np.testing.assert_array_equal(found, expected)


def test_samples_whole_sequences():
  """They follow the model's own states: their log-probabilities are those of the sequences."""
  b, v, length = 16, 7, 8
  run = jax.jit(lambda key, temperature: sample(
      jax.random.split(key, b), network(0, v), first_state(0, b), jnp.full(b, START), END, length,
      pad=PAD, temperature=temperature))
  found = sequences(run(jax.random.key(0), 1.))
  for i, (tokens, log_p) in enumerate(found):
    assert log_p == pytest.approx(log_probability(model(0, v, i, b), tokens), abs=1e-4)
  assert sequences(run(jax.random.key(0), 1.)) == found
  assert sequences(run(jax.random.key(1), 1.)) != found
  same(sequences(run(jax.random.key(0), 1e-4)),
       [slow_greedy(model(0, v, i, b), length) for i in range(b)])
  assert run._cache_size() == 1


@pytest.mark.parametrize('decode', [greedy, partial(beam, beams=3)])
def test_tokens_that_are_ruled_out_do_not_occur(decode):
  step = network(0, 7)

  def without(state, token):
    logits, state = step(state, token)
    return logits.at[:, 2:4].set(-jnp.inf), state
  decoded = jax.jit(lambda: decode(without, first_state(0, 8), jnp.full(8, START), END, 8))()
  assert not np.isin(decoded.tokens, (2, 3)).any()
  assert np.isfinite(decoded.log_probabilities).all()


@pytest.mark.parametrize('decode', [greedy, partial(beam, beams=3)])
def test_examples_on_several_devices(decode):
  run = jax.jit(lambda state, start: decode(network(0, 7), state, start, END, 8))
  state, start, spec = first_state(0, 8), jnp.arange(8) % 7, PartitionSpec('data')
  mesh = data_mesh(jax.devices()[:4])
  split = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec))
  for a, b in zip(split(state, start), run(state, start), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize('decode, message', [
    (partial(sample, KEYS, temperature=0.), 'temperature: .* not 0.0'),
    (partial(sample, KEYS, top_k=-1), 'top_k: .* not -1'),
    (partial(sample, KEYS, top_p=1.5), 'top_p: .* not 1.5'),
    (partial(beam, beams=0), 'beams: .* not 0'),
    (partial(beam, beams=2, penalty='lenght'), 'did you mean "length"')])
def test_errors(decode, message):
  with pytest.raises(ConfigError, match=message):
    decode(network(0, 7), first_state(0, 2), jnp.zeros(2, int), END, 5)
