"""What is done without context: measures weighed pair by pair, and warping."""

from collections.abc import Mapping, Sequence

import numpy as np

from visionlab.ops.story_chain import warped


def logistic(train: Mapping, test: Mapping, channels: Sequence[int]) -> np.ndarray:
  """Scores (n s m) of the test films' pairs, as `visionlab.tasks.align` has them, by a logistic
  regression on some measures, fitted to all pairs of the known shots."""
  from sklearn.linear_model import LogisticRegression

  channels = list(channels)
  seen, new = (standardised(x['image'][..., channels]) for x in (train, test))
  film, shot = np.nonzero(train['known'])
  m = seen.shape[2]
  right = train['sentence'][film, shot][:, None] == np.arange(m)
  model = LogisticRegression(C=100.).fit(seen[film, shot].reshape(-1, len(channels)),
                                         right.ravel())
  return (new @ model.coef_[0] + model.intercept_[0] + np.log(m)).astype(np.float32)


def standardised(x: np.ndarray) -> np.ndarray:
  """Measures (n s m k), each of mean 0 and variance 1 within a film."""
  return (x - x.mean((1, 2), keepdims=True)) / np.maximum(x.std((1, 2), keepdims=True), 1e-3)


def warped_sentences(scores: np.ndarray) -> np.ndarray:
  """(n s) int: of the sentences that dynamic time warping brings together with a shot, the one with
  the highest score."""
  return np.stack([_of_film(film) for film in scores])


def _of_film(scores: np.ndarray) -> np.ndarray:
  steps = warped(scores.max() - scores)
  return np.array([max(steps[steps[:, 0] == i, 1], key=lambda j, i=i: scores[i, j])
                   for i in range(len(scores))])
