"""Verification's measures against scikit-learn, and against counting by hand."""

import numpy as np
import pytest
from sklearn import metrics

from visionlab.config import ConfigError
from visionlab.measures.verification import (
  best_threshold,
  folded_accuracy,
  identification,
  random_pairs,
  roc,
  verification_scores,
)


@pytest.fixture(scope='module')
def judged():
  """Scores of 400 pairs, many of them equal, and which are of one person."""
  rng = np.random.default_rng(0)
  same = rng.random(400) < .4
  return np.round(rng.normal(same * 1.2, 1), 1), same


def test_the_curve_is_scikit_learns(judged):
  scores, same = judged
  for mine, theirs in zip(roc(scores, same), metrics.roc_curve(same, scores,
                                                               drop_intermediate=False)):
    np.testing.assert_allclose(mine, theirs)
  assert verification_scores(scores, same)['auc'] == pytest.approx(
      metrics.roc_auc_score(same, scores))


def test_rates_by_counting(judged):
  scores, same = judged
  found = verification_scores(scores, same)
  for rate, name in ((.1, 'tar_at_1e-1'), (.01, 'tar_at_1e-2')):
    best = max((scores[same] >= t).mean() for t in [*np.unique(scores), np.inf]
               if (scores[~same] >= t).mean() <= rate)
    assert found[name] == best
  # Between two thresholds: one accepts too many, the next refuses too many.
  wrong = [((scores[~same] >= t).mean(), (scores[same] < t).mean()) for t in np.unique(scores)]
  low, high = max(min(pair) for pair in wrong), min(max(pair) for pair in wrong)
  assert low <= found['eer'] <= high
  assert verification_scores([.9, .8, .2, .1], [1, 1, 0, 0])['eer'] == 0
  assert verification_scores([.9, .8, .2, .1], [0, 0, 1, 1])['eer'] == 1


def test_the_best_threshold_by_trying_all(judged):
  scores, same = judged
  tried = [((scores >= t) == same).mean() for t in np.unique(scores) - .01]
  assert ((scores >= best_threshold(scores, same)) == same).mean() == max(tried)
  assert best_threshold([.3, .2], [True, True]) < .2 < .3 < best_threshold([.3, .2], [False] * 2)


def test_folds_are_judged_by_the_others(judged):
  scores, same = judged
  fold = np.arange(400) % 10
  expected = []
  for k in range(10):
    thresholds = np.unique(scores[fold != k]) - .05
    best = max(thresholds, key=lambda t: (((scores >= t) == same)[fold != k].mean(), t))
    expected.append(((scores >= best) == same)[fold == k].mean())
  found = folded_accuracy(scores, same, fold)
  assert found['accuracy'] == pytest.approx(np.mean(expected), abs=.01)
  assert found['accuracy_se'] == pytest.approx(np.std(expected, ddof=1) / 10 ** .5, abs=.01)
  # A threshold that is chosen on the fold itself would be right everywhere.
  assert folded_accuracy([.9, .1, .4, .3, .8, .2], [1, 0, 1, 0, 1, 0], np.array([0, 0, 1, 1, 2, 2])
                         )['accuracy'] < 1
  with pytest.raises(ConfigError, match='10 folds need'):
    folded_accuracy([.1, .2], [True, False])


def test_pairs_are_as_they_should_be():
  labels = np.repeat(np.arange(20), [1, *[6] * 19])
  pairs, same = random_pairs(labels, 5)
  assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).tolist() == same.tolist()
  assert same.sum() == 19 * 5 == (~same).sum()
  assert len({tuple(sorted(pair)) for pair in pairs.tolist()}) == len(pairs)
  again, _ = random_pairs(labels, 5)
  other, _ = random_pairs(labels, 5, seed=1)
  assert (again == pairs).all() and (other != pairs).any()
  few, known = random_pairs([0, 0, 1], 10)                 # there are only three pairs in all
  assert len(few) == 2 and known.sum() == 1
  lonely, _ = random_pairs([0, 0, 1, 2, 2], 10)             # the one with one picture is another
  assert 2 in lonely and [2, 2] not in lonely.tolist()
  for none in ([0, 0, 0], [0, 1, 2], []):
    with pytest.raises(ConfigError, match='needs two people'):
      random_pairs(none, 5)


def test_identification_by_hand():
  embeddings = np.array([[1, 0], [0, 1], [.8, .6], [.6, .8], [.6, .8]])
  assert identification(embeddings, [0, 1, 0, 0, 1], (1, 2)) == dict(
      rank_1=pytest.approx(2 / 3), rank_2=1)


def test_pairs_of_one_kind_are_refused():
  with pytest.raises(ConfigError, match='pairs of one person and pairs of two'):
    roc([.1, .2], [True, True])
