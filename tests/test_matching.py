"""ops/matching.py and ops/sampling.py: torchvision's matches; what a sample must hold."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops.matching import match
from visionlab.ops.sampling import sample

GOLDEN = np.load(Path(__file__).parent / 'golden' / 'detection.npz')
RUN = {low_quality: jax.jit(partial(match, low=.3, high=.6, low_quality=low_quality))
       for low_quality in (False, True)}


@pytest.mark.parametrize('name', ['match', 'match_low'])
def test_matches_are_torchvisions(name):
  quality, expected = GOLDEN[f'{name}.quality'], GOLDEN[f'{name}.index']
  assert set(expected) > {-2, -1}
  index, label = RUN[name == 'match_low'](quality, np.ones(len(quality), bool))
  np.testing.assert_array_equal(label, np.select([expected == -1, expected == -2], [0, -1], 1))
  np.testing.assert_array_equal(np.where(label == 1, index, 0), np.maximum(expected, 0))


def test_low_quality_matches_add_positives_and_keep_ties():
  a, b = (GOLDEN[f'{name}.index'] for name in ('match', 'match_low'))
  assert (b >= 0).sum() > (a >= 0).sum()
  quality = np.array([[.2, .1, .2, 0.]], np.float32)
  assert RUN[True](quality, np.ones(1, bool))[1].tolist() == [1, 0, 1, 0]


def test_a_threshold_belongs_to_what_is_above_it():
  quality = np.array([[.6, .3, .59, .29]], np.float32)
  assert RUN[False](quality, np.ones(1, bool))[1].tolist() == [1, -1, -1, 0]


@pytest.mark.parametrize('low_quality', [False, True])
@pytest.mark.parametrize('padding', [0., -1., 1.])
def test_padding_is_as_if_it_were_not_there(low_quality, padding):
  quality = GOLDEN['match.quality'][:3]
  padded = np.concatenate([quality[:1], np.full((3, 80), padding, np.float32), quality[1:]])
  valid = np.array([1, 0, 0, 0, 1, 1], bool)
  index, label = RUN[low_quality](padded, valid)
  expected, expected_label = RUN[low_quality](quality, np.ones(3, bool))
  np.testing.assert_array_equal(label, expected_label)
  np.testing.assert_array_equal(np.array([0, -1, -1, -1, 1, 2])[index], expected)


@pytest.mark.parametrize('quality', [np.zeros((0, 5)), np.zeros((3, 5)), np.ones((3, 5))])
def test_without_objects_all_is_negative(quality):
  index, label = match(quality.astype(np.float32), np.zeros(len(quality), bool), low=.3, high=.7,
                       low_quality=True)
  assert label.tolist() == index.tolist() == [0] * 5


def test_an_object_that_touches_no_anchor_makes_none_positive():
  quality = np.array([[0, 0, 0], [.5, .1, 0]], np.float32)
  assert RUN[True](quality, np.ones(2, bool))[1].tolist() == [1, 0, 0]


def counts(label, index, weight):
  drawn = np.asarray(index)[np.asarray(weight) > 0]
  assert len(set(drawn)) == len(drawn)
  return [(label[drawn] == value).sum() for value in (1, 0, -1)]


@pytest.mark.parametrize('positives, negatives, expected', [
  (20, 50, [4, 12, 0]), (2, 50, [2, 14, 0]), (0, 50, [0, 16, 0]), (20, 5, [4, 5, 0]),
  (20, 0, [4, 0, 0]), (0, 0, [0, 0, 0])])
def test_as_many_of_each_as_there_should_be(positives, negatives, expected):
  label = np.concatenate([np.ones(positives, int), np.zeros(negatives, int),
                          np.full(80 - positives - negatives, -1)])
  label = np.random.default_rng(0).permutation(label)
  index, weight = SAMPLE(jax.random.key(0), label)
  assert index.shape == weight.shape == (16,)
  assert counts(label, index, weight) == expected
  assert weight.tolist() == sorted(weight.tolist(), reverse=True)
  assert (label[np.asarray(index)[:expected[0]]] == 1).all()  # positives first


SAMPLE = jax.jit(partial(sample, size=16, positive_share=.25))


def test_fewer_candidates_than_slots():
  label = np.array([1, 0, -1, 0])
  assert counts(label, *sample(jax.random.key(1), label, size=6, positive_share=.5)) == [1, 2, 0]


def test_each_candidate_is_equally_likely():
  label = np.repeat([1, 0, -1], [10, 40, 30])
  def drawn(key):
    index, weight = sample(key, label, size=16, positive_share=.25)
    return jnp.zeros(80).at[index].add(weight)
  share = jax.jit(jax.vmap(drawn))(jax.random.split(jax.random.key(2), 4000)).mean(0)
  # 4 of 10 positives, 12 of 40 negatives; five standard deviations are .04
  np.testing.assert_allclose(share, np.repeat([.4, .3, 0], [10, 40, 30]), atol=.04)
