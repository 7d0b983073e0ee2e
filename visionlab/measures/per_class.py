"""What a classifier is worth class by class, where some are rare: precision, recall, F1, AUROC, AP.

Definitions and corner cases are scikit-learn's, with `zero_division=nan`: what is not defined is
nan and left out of means.
"""

import numpy as np


def precision_recall_f1(both, true, predicted) -> dict[str, np.ndarray]:
  """By class, each (k,) in [0, 1] or nan.

  Args:
    both, true, predicted: (k,) counts of examples that are of a class and said to be, that are,
      and that are said to be.

  >>> precision_recall_f1([1, 0], [2, 0], [1, 1])['recall'].tolist()
  [0.5, nan]
  """
  both, true, predicted = (np.asarray(x, np.float64) for x in (both, true, predicted))
  return dict(precision=_ratio(both, predicted), recall=_ratio(both, true),
              f1=_ratio(2 * both, true + predicted))


def auroc(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
  """Area under the ROC curve by class, (k,): the chance that a positive example scores above a
  negative one, ties counting one half (Hanley and McNeil 1982). nan where one of both is missing.

  Args:
    scores: (n k), the larger the surer.
    positive: (n k) bool, which examples are of a class.
  """
  return np.array([_auroc(s, p) for s, p in zip(scores.T, positive.T, strict=True)])


def average_precision(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
  """Average precision by class, (k,): precision summed over the steps of recall, without
  interpolation. nan where no example is positive. Arguments as of `auroc`."""
  return np.array([_average_precision(s, p) for s, p in zip(scores.T, positive.T, strict=True)])


def mean(values: np.ndarray) -> float:
  """Over the classes that have a value (macro average); nan where none has."""
  known = np.asarray(values)[~np.isnan(values)]
  return float(known.mean()) if len(known) else float('nan')


def _auroc(scores, positive):
  positives, negatives = int(positive.sum()), int((~positive).sum())
  if not positives or not negatives:
    return np.nan
  _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
  ends = np.cumsum(counts)
  rank = (ends - (counts - 1) / 2)[which]            # the mean rank of those that tie
  above = rank[positive].sum() - positives * (positives + 1) / 2
  return above / (positives * negatives)


def _average_precision(scores, positive):
  if not positive.any():
    return np.nan
  order = np.argsort(-scores, kind='stable')
  scores, positive = scores[order], positive[order]
  last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)    # of those that tie
  hits = np.cumsum(positive)[last]
  gained = np.diff(hits, prepend=0)
  return (gained * hits / (last + 1)).sum() / positive.sum()


def _ratio(a, b):
  return np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)
