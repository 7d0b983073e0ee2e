"""What is done without a network: how unusual each week is, by five classical scores."""

import numpy as np

from visionlab.data.behaviour.behaviour import Timeline

TYPICAL = .05          # events an hour that are added to means, so that a first event is no wonder
COMPONENTS = 32


def scores_of(lines: list[Timeline]) -> dict[str, np.ndarray]:
  """The scores (users * weeks,) of each, the greater the more unusual."""
  from sklearn.decomposition import PCA
  from sklearn.ensemble import IsolationForest

  history = np.stack([t.history for t in lines]).astype(float)        # (u n 7 24 k)
  weeks = np.stack([t.weeks for t in lines]).astype(float)            # (u m 7 24 k)
  known, new = (flat(np.sqrt(x)) for x in (history, weeks))
  own = np.sqrt(history).mean(1, keepdims=True)
  known_apart, new_apart = (flat(np.sqrt(x) - own) for x in (history, weeks))
  forest = IsolationForest(n_estimators=200, random_state=0).fit(known)
  return {'z of the total': z_of_total(weeks, history.sum((2, 3, 4)).reshape(1, -1)),
          'z of the total, own history': z_of_total(weeks, history.sum((2, 3, 4))),
          f'PCA {COMPONENTS}': pca_error(PCA(COMPONENTS), known, new),
          'isolation forest': -forest.score_samples(new),
          f'PCA {COMPONENTS} of deviations': pca_error(PCA(COMPONENTS), known_apart, new_apart),
          'Poisson deviance': poisson_deviance(weeks, history.mean(1, keepdims=True)).ravel()}


def flat(weeks: np.ndarray) -> np.ndarray:
  """(u m 7 24 k) -> (u * m, 7 * 24 * k)."""
  return weeks.reshape(weeks.shape[0] * weeks.shape[1], -1)


def z_of_total(weeks, known_totals) -> np.ndarray:
  """Standard deviations between a week's number of events, its logarithm, and that of others:
  known_totals (u n), of each user, or (1 n)."""
  total, known = np.log1p(weeks.sum((2, 3, 4))), np.log1p(known_totals)
  z = (total - known.mean(1, keepdims=True)) / (known.std(1, keepdims=True) + .05)
  return np.abs(z).ravel()


def pca_error(pca, known, new) -> np.ndarray:
  """What the principal components of `known` weeks leave of `new` ones, squared."""
  pca.fit(known)
  return ((new - pca.inverse_transform(pca.transform(new))) ** 2).sum(1)


def poisson_deviance(weeks, mean) -> np.ndarray:
  """Twice the log-likelihood that a mean (u 1 7 24 k) lacks of weeks (u m 7 24 k), summed over
  cells: (u m)."""
  mean = mean + TYPICAL
  informed = np.where(weeks > 0, weeks * np.log(np.maximum(weeks, 1) / mean), 0)
  return 2 * (informed - (weeks - mean)).sum((2, 3, 4))
