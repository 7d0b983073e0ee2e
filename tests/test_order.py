"""The order of examples: permutations, the same everywhere, and as good as random."""

import itertools
from contextlib import suppress

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from visionlab.data.order import BLOCK, batch_indices, shuffled, traced_indices


def order(n, epoch, seed=0):
  return shuffled(np.arange(n, dtype=np.uint32), np.full(n, epoch, np.uint32), n, seed)


def positions(n, place, epochs, seed=0):
  """The example at `place` of each of the first `epochs` epochs."""
  return shuffled(np.full(epochs, place, np.uint32), np.arange(epochs, dtype=np.uint32), n, seed)


# --- it is a permutation ---

@pytest.mark.parametrize('n', [1, 2, 3, 5, 7, 31, 32, 33, 63, 64, 65, 100, 255, 256, 257, 1000,
                               1797, 4096, 4097, 60000])
def test_every_epoch_is_a_permutation(n):
  for epoch, seed in [(0, 0), (1, 0), (2, 1), (999, 12345), (2**31, 7), (2**32 - 1, 2**32 - 1)]:
    np.testing.assert_array_equal(np.sort(order(n, epoch, seed)), np.arange(n))


def test_distinct_places_of_a_huge_set_hold_distinct_examples():
  n = 2**31 - 1
  places = np.unique(np.random.default_rng(0).integers(0, n, 10**5)).astype(np.uint32)
  got = shuffled(places, np.zeros_like(places), n, 0)
  assert got.max() < n and len(np.unique(got)) == len(places)


def test_seeds_and_epochs_give_different_orders():
  orders = {tuple(order(50, epoch, seed)) for epoch in range(20) for seed in range(20)}
  assert len(orders) == 400


def test_seed_may_be_any_integer():
  assert (order(40, 0, -1) == order(40, 0, 2**32 - 1)).all()
  assert (order(40, 0, 3) == order(40, 0, 2**32 + 3)).all()


# --- it is as good as random ---

@pytest.mark.parametrize('n, place, seed', [(2, 0, 0), (3, 2, 0), (10, 0, 0), (10, 9, 1),
                                            (50, 0, 2), (64, 63, 3), (65, 0, 4), (100, 17, 2**31)])
def test_every_example_is_equally_likely_at_a_place(n, place, seed):
  counts = np.bincount(positions(n, place, 400 * n, seed), minlength=n)
  assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize('n, seed', [(4, 0), (4, 1), (5, 2), (7, 3)])
def test_every_beginning_of_four_examples_is_equally_likely(n, seed):
  beginnings = list(itertools.permutations(range(n), 4))
  epochs = 200 * len(beginnings)
  code = sum(positions(n, place, epochs, seed).astype(int) * n ** place for place in range(4))
  counts = np.bincount(code, minlength=n ** 4)
  expected = [sum(x * n ** place for place, x in enumerate(b)) for b in beginnings]
  assert counts[expected].sum() == epochs and chisquare(counts[expected]).pvalue > 1e-3


@pytest.mark.parametrize('n', [6, 40])
def test_every_pair_is_equally_likely_at_two_neighbouring_places(n):
  epochs = 100 * n * (n - 1)
  first, second = positions(n, 0, epochs), positions(n, 1, epochs)
  counts = np.bincount(first.astype(int) * n + second, minlength=n * n).reshape(n, n)
  assert (np.diag(counts) == 0).all()
  assert chisquare(counts[~np.eye(n, dtype=bool)]).pvalue > 1e-3


@pytest.mark.parametrize('other', ['epoch', 'seed', 'source'])
def test_orders_that_follow_each_other_are_not_correlated(other):
  """r of two random permutations of n is close to normal with variance 1 / (n - 1)."""
  n = 1000
  pairs = {'epoch': lambda i: (order(n, i), order(n, i + 1)),
           'seed': lambda i: (order(n, 0, i), order(n, 0, i + 1)),
           'source': lambda i: (order(n, i), order(n, i, 1000003))}[other]
  r = [np.corrcoef(*pairs(i))[0, 1] * np.sqrt(n - 1) for i in range(200)]
  assert kstest(r, 'norm').pvalue > 1e-3


def test_an_order_is_not_correlated_with_places():
  n = 1000
  r = [np.corrcoef(order(n, i), np.arange(n))[0, 1] * np.sqrt(n - 1) for i in range(200)]
  assert kstest(r, 'norm').pvalue > 1e-3


def test_an_order_has_one_fixed_point_on_average():
  fixed = [(order(500, i) == np.arange(500)).sum() for i in range(1000)]
  assert abs(np.mean(fixed) - 1) < 4 / np.sqrt(1000)       # their variance is 1


# --- batches ---

@pytest.mark.parametrize('n, batch', [(50, 8), (50, 50), (7, 3), (12, 4), (5, 16), (1, 3),
                                      (97, 10)])
def test_batches_laid_end_to_end_hold_each_example_once_an_epoch(n, batch):
  epochs = 6
  stream = np.concatenate([batch_indices(i, batch, n, 3) for i in range(-(-epochs * n // batch))])
  for epoch in stream[:epochs * n].reshape(epochs, n):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(n))
  np.testing.assert_array_equal(stream[:epochs * n].reshape(epochs, n),
                                [order(n, e, 3) for e in range(epochs)])


def test_a_batch_is_a_function_of_its_number():
  forward = [batch_indices(i, 6, 45, 1).tolist() for i in range(3 * BLOCK)]
  backward = [batch_indices(i, 6, 45, 1).tolist() for i in reversed(range(3 * BLOCK))]
  assert forward == backward[::-1]


def test_writing_to_a_batch_changes_no_later_one():
  before = batch_indices(2, 4, 30, 5).copy()
  with suppress(ValueError):       # read-only is as good
    batch_indices(2, 4, 30, 5)[:] = 0
  np.testing.assert_array_equal(batch_indices(2, 4, 30, 5), before)


@pytest.mark.parametrize('n, batch', [(50, 8), (64, 64), (5, 16), (1797, 128), (50000, 32), (1, 2)])
def test_traced_indices_equal_those_on_the_host(n, batch):
  last = (2**32 - 1) // batch - 1
  steps = [0, 1, 2, BLOCK - 1, BLOCK, n // batch, 10**6, last]
  traced = jax.jit(lambda s: jax.lax.map(lambda s: traced_indices(s, batch, n, 9), s))
  got = traced(jnp.array(steps, jnp.uint32))
  assert got.dtype == jnp.int32
  for i, step in enumerate(steps):
    want = batch_indices(step, batch, n, 9)
    assert want.dtype == np.int64 and want.shape == (batch,)
    np.testing.assert_array_equal(got[i], want)
