"""The chain and the warping against all paths there are, one by one."""

import itertools

import jax
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.measures.story_alignment import alignment_scores
from visionlab.ops.story_chain import best_path, shares, steps, warped

SHOTS, SENTENCES = 4, 3


def scored_paths(told, untold, step):
  """(sentences of a path, its score), of all: a place for each shot, and whether it is told."""
  for places in itertools.product(range(SENTENCES), repeat=SHOTS):
    for telling in itertools.product((True, False), repeat=SHOTS):
      if any(not telling[i] and places[i] != places[i - 1] for i in range(1, SHOTS)):
        continue
      score = sum(told[i, places[i]] if telling[i] else untold[i] for i in range(SHOTS))
      score += sum(step[places[i - 1], places[i]] for i in range(1, SHOTS) if telling[i])
      yield tuple(j if t else -1 for j, t in zip(places, telling, strict=True)), score


@pytest.fixture(scope='module')
def chains():
  rng = np.random.default_rng(0)
  return [(rng.normal(0, 2, (SHOTS, SENTENCES)).astype('f4'), rng.normal(0, 1, SHOTS).astype('f4'),
           rng.normal(0, 2, (SENTENCES, SENTENCES)).astype('f4')) for _ in range(20)]


def test_the_best_path_is_the_best_of_all(chains):
  compiled = jax.jit(best_path)
  for chain in chains:
    path, score = max(scored_paths(*chain), key=lambda found: found[1])
    found = compiled(*chain)
    assert tuple(found.sentence.tolist()) == path
    assert float(found.score) == pytest.approx(score, abs=1e-4)


def test_shares_are_those_of_all_paths(chains):
  compiled = jax.jit(shares)
  for chain in chains:
    expected, whole = np.zeros((SHOTS, SENTENCES)), 0
    for path, score in scored_paths(*chain):
      whole += np.exp(score)
      for i, j in enumerate(path):
        if j >= 0:
          expected[i, j] += np.exp(score)
    np.testing.assert_allclose(compiled(*chain), expected / whole, atol=1e-5)


def test_steps_are_probabilities_that_favour_going_on():
  p = np.exp(steps(50, pace=3, stay=.05, back=.1, jump=.1))
  np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
  middle = p[20]
  assert middle[21:].sum() > .75 and middle[20] == pytest.approx(.05 + .1 / 50, rel=.01)
  gaps = np.arange(1, 30)
  on = middle[21:] - .1 / 50
  assert (on * gaps).sum() / on.sum() == pytest.approx(3, rel=.02)
  assert middle[:20].sum() == pytest.approx(.1 + .1 * 20 / 50, rel=.01)


def test_warping_has_the_least_cost_of_all_ways():
  rng = np.random.default_rng(1)

  def ways(i, j):
    if (i, j) == (0, 0):
      yield [(0, 0)]
    for before in ((i - 1, j), (i, j - 1), (i - 1, j - 1)):
      if min(before) >= 0:
        for way in ways(*before):
          yield [*way, (i, j)]
  for _ in range(10):
    cost = rng.random((4, 5))
    best = min(ways(3, 4), key=lambda way: sum(cost[place] for place in way))
    assert list(map(tuple, warped(cost).tolist())) == best


def test_scores_by_hand():
  found, true = [[0, 5, 4, -1, 7], [2, -1, 0, 1, -1]], [[0, 3, 4, 2, -1], [-1, -1, 2, 1, 0]]
  sure = [[.9, .8, .3, 0, .7], [.6, 0, .5, .2, 0]]
  paragraph = [[0, 0, 1, 1, 1, 2, 2, 2], [0, 0, 1, 1, 1, 2, 2, 2]]
  scores = alignment_scores(found, true, sure, paragraph)
  # Seven shots are told: three are found, none beside that, two sentences off are two.
  assert scores['recall_at_0'] == scores['recall_at_1'] == 3 / 7
  assert scores['recall_at_3'] == 5 / 7 and scores['recall_paragraph'] == 3 / 7
  assert scores['accuracy_untold'] == 1 / 3
  # By how sure they are: right, false, false, false, false, right, right.
  assert scores['ap_at_0'] == pytest.approx((1 + 3 / 7 + 3 / 7) / 7)
  assert scores['ap_at_3'] == pytest.approx((1 + 1 + 5 / 7 + 5 / 7 + 5 / 7) / 7)
  known = np.array([[1, 0, 0, 0, 1], [0] * 5], bool)
  few = alignment_scores(found, true, sure, paragraph, known)
  assert few['recall_at_0'] == 1 and few['accuracy_untold'] == 0


def test_without_truth_there_is_nothing_to_measure():
  with pytest.raises(ConfigError, match='no shot whose sentence is known'):
    alignment_scores([[0]], [[-1]], [[1]], [[0]])
