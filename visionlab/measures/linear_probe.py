"""What can be read off features by a linear classifier."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import issparse

from visionlab.config import ConfigError

STRENGTHS = (1e-5, 1e-4, 1e-3, .01, .1, 1., 10., 100.)
FOLDS = 3


def linear_probe(features, labels: Sequence, tested, true: Sequence,
                 strengths: Sequence[float] = STRENGTHS, groups: Sequence[int] | None = None
                 ) -> float:
  """The accuracy of logistic regression on features, as of SentEval (Conneau and Kiela 2018,
  https://arxiv.org/abs/1803.05449).

  Features are standardised by what is fitted to; sparse ones, as of words, stay what they are. Of
  the strengths, the inverse of the penalty, that is taken which does best on the thirds of what is
  fitted to, each told by the two others; then it is fitted to all. Wide features need it small, and
  counts of words great.

  Args:
    features, labels: (n d), also sparse, and (n,), in no order.
    tested, true: (m d) and (m,), of others.
    strengths: rising; after two that do worse than one before them, no greater ones are tried.
    groups: (n,) int, of rows that are not to be told by each other, such as those of one file.

  Raises:
    ConfigError: features and labels that do not fit, or labels of fewer than two kinds.
  """
  from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - half a second
  from sklearn.pipeline import make_pipeline  # noqa: PLC0415
  from sklearn.preprocessing import StandardScaler  # noqa: PLC0415
  labels, true = np.asarray(labels), np.asarray(true)
  for x, y in ((features, labels), (tested, true)):
    if x.shape[:1] != y.shape or x.shape[1:] != features.shape[1:]:
      raise ConfigError(f'linear_probe: {x.shape} features of {y.shape} labels; expected (n d) and '
                        f'(n,), and as many features of those tested, {features.shape[1:]}')
  fold = np.arange(len(labels)) % FOLDS
  if groups is not None:
    fold = np.unique(np.asarray(groups), return_inverse=True)[1] % FOLDS
  if any(len(set(labels[fold != k].tolist())) < 2 for k in range(FOLDS)):
    raise ConfigError('linear_probe: labels of at least two kinds are needed')

  def fitted(strength, x, y):
    scale = None if issparse(x) else StandardScaler()
    return make_pipeline(scale, LogisticRegression(C=strength, max_iter=300)).fit(x, y)
  scores: list[float] = []
  for strength in strengths:
    if len(scores) > 2 and max(scores[-2:]) < max(scores):
      break
    scores.append(np.mean([fitted(strength, features[fold != k], labels[fold != k]).score(
        features[fold == k], labels[fold == k]) for k in range(FOLDS)]))
  best = strengths[int(np.argmax(scores))]
  return float(fitted(best, features, labels).score(tested, true))
