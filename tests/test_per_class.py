"""Measures by class are scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from visionlab.measures.per_class import auroc, average_precision, mean, precision_recall_f1


def drawn(seed, n=200, k=6, levels=0):
  """Scores (n k) and labels (n,), rare classes among them, the last never; levels: ties."""
  rng = np.random.default_rng(seed)
  label = rng.choice(k, n, p=[.6, .3, .06, .03, .01, 0])
  scores = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[label]
  return np.round(scores * levels) / levels if levels else scores, label


@pytest.mark.parametrize('seed, levels', [(0, 0), (1, 2), (2, 1)])
def test_auroc_and_ap_are_those_of_scikit_learn(seed, levels):
  scores, label = drawn(seed, levels=levels)
  positive = label[:, None] == np.arange(6)
  ours = auroc(scores, positive), average_precision(scores, positive)
  there = np.flatnonzero(positive.any(0))
  assert len(there) >= 4
  for k in there:
    assert ours[0][k] == pytest.approx(metrics.roc_auc_score(positive[:, k], scores[:, k]))
    assert ours[1][k] == pytest.approx(metrics.average_precision_score(positive[:, k],
                                                                       scores[:, k]))
  assert np.isnan(ours[0][5]) and np.isnan(ours[1][5])
  assert mean(ours[0]) == pytest.approx(np.mean(ours[0][there]))


@pytest.mark.parametrize('seed', range(3))
def test_precision_recall_and_f1_are_those_of_scikit_learn(seed):
  scores, label = drawn(seed)
  predicted = scores[:, :4].argmax(1)                 # two classes are never said
  counts = metrics.confusion_matrix(label, predicted, labels=range(6))
  ours = precision_recall_f1(np.diag(counts), counts.sum(1), counts.sum(0))
  theirs = metrics.precision_recall_fscore_support(label, predicted, labels=range(6),
                                                   zero_division=np.nan)
  for name, values in zip(('precision', 'recall', 'f1'), theirs, strict=False):
    np.testing.assert_allclose(ours[name], values)
  assert mean(ours['f1']) == pytest.approx(np.nanmean(theirs[2]))


def test_of_no_value_the_mean_is_nan():
  assert np.isnan(mean(np.array([np.nan, np.nan])))
  assert np.isnan(auroc(np.ones((3, 1)), np.ones((3, 1), bool))[0])
