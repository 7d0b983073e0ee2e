"""What is done without a network: how unusual each week is, by classical scores."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from visionlab.data.behaviour.encode import Levels
from visionlab.data.behaviour.flows import COUNTED
from visionlab.data.behaviour.populations import POPULATIONS, Timeline

TYPICAL = .05          # events an hour that are added to means, so that a first event is no wonder
COMPONENTS = 32
STEADY = .05           # standard deviation of logarithms of totals that is added to each user's own
STILL = 8.             # that of grey levels, to those of cells: half an event


class Weeks(NamedTuple):
  """Attributes:
    history: counts (u n 7 24 k) of u users; weeks: (u m 7 24 k), those that are judged.
    levels: grey levels of counts.
  """
  history: np.ndarray
  weeks: np.ndarray
  levels: Levels

  @classmethod
  def of(cls, lines: Sequence[Timeline], population: str) -> 'Weeks':
    return cls(*(np.stack([getattr(t, name) for t in lines]).astype(float)
                 for name in ('history', 'weeks')), POPULATIONS[population].levels)


def scores_of(lines: Sequence[Timeline], population: str = 'people',
              names: Sequence[str] = ()) -> dict[str, np.ndarray]:
  """The scores (users * weeks,), the greater the more unusual, of each baseline or of some."""
  weeks, made = Weeks.of(lines, population), BASELINES[population]
  return {name: made[name](weeks) for name in names or made}


def flat(weeks: np.ndarray) -> np.ndarray:
  """(u m 7 24 k) -> (u * m, 7 * 24 * k)."""
  return weeks.reshape(weeks.shape[0] * weeks.shape[1], -1)


def z_of_total(data: Weeks) -> np.ndarray:
  """Standard deviations between a week's number of events and that of all others."""
  known = data.history.sum((2, 3, 4)).reshape(1, -1)
  return z_scores(data.weeks.sum((2, 3, 4)), known, 1).ravel()


def z_of_own_total(data: Weeks) -> np.ndarray:
  """The same beside the user's own weeks."""
  return z_scores(data.weeks.sum((2, 3, 4)), data.history.sum((2, 3, 4)), 1).ravel()


def z_of_own_totals(data: Weeks) -> np.ndarray:
  """The same of each channel's total; the greatest of them."""
  return z_scores(data.weeks.sum((2, 3)), data.history.sum((2, 3)), 1).max(-1).ravel()


def z_scores(totals: np.ndarray, known: np.ndarray, axis: int) -> np.ndarray:
  """How many standard deviations, over an axis of `known`, logarithms of totals are from theirs."""
  totals, known = np.log1p(totals), np.log1p(known)
  spread = known.std(axis, keepdims=True) + STEADY
  return np.abs(totals - known.mean(axis, keepdims=True)) / spread


def z_of_cells(data: Weeks) -> np.ndarray:
  """The sum over cells of the squared standard deviations between a week's levels and the user's
  own."""
  known = data.levels(data.history)
  z = (data.levels(data.weeks) - known.mean(1, keepdims=True)) / (
      known.std(1, keepdims=True) + STILL)
  return (z ** 2).sum((2, 3, 4)).ravel()


def principal(data: Weeks) -> np.ndarray:
  """What the principal components of all users' known weeks leave of a week."""
  return pca_error(flat(data.levels(data.history)), flat(data.levels(data.weeks)))


def principal_of_deviations(data: Weeks) -> np.ndarray:
  """The same of levels less those that the user has on average."""
  return pca_error(*deviations(data))


def deviations(data: Weeks) -> tuple[np.ndarray, np.ndarray]:
  """Levels of known weeks and of those judged, less the user's own mean ones."""
  known = data.levels(data.history)
  own = known.mean(1, keepdims=True)
  return flat(known - own), flat(data.levels(data.weeks) - own)


def pca_error(known: np.ndarray, new: np.ndarray) -> np.ndarray:
  """The squared errors (n,) of weeks (n d), told by the principal components of known ones."""
  from sklearn.decomposition import PCA
  pca = PCA(COMPONENTS, random_state=0).fit(known)
  return ((new - pca.inverse_transform(pca.transform(new))) ** 2).sum(1)


def forest(data: Weeks) -> np.ndarray:
  """How soon 200 random trees of known weeks isolate a week (Liu et al. 2008)."""
  from sklearn.ensemble import IsolationForest
  trees = IsolationForest(n_estimators=200, random_state=0)
  return -trees.fit(flat(data.levels(data.history))).score_samples(flat(data.levels(data.weeks)))


def deviance(data: Weeks) -> np.ndarray:
  """Poisson deviance from the user's own mean week."""
  return poisson_deviance(data.weeks, data.history.mean(1, keepdims=True)).ravel()


def deviance_of_counts(data: Weeks) -> np.ndarray:
  """The same of the channels that count, without those of bytes."""
  k = len(COUNTED)
  return deviance(data._replace(history=data.history[..., :k], weeks=data.weeks[..., :k]))


def poisson_deviance(weeks, mean) -> np.ndarray:
  """Twice the log-likelihood that a mean (u 1 7 24 k) lacks of weeks (u m 7 24 k), summed over
  cells: (u m)."""
  mean = mean + TYPICAL
  informed = np.where(weeks > 0, weeks * np.log(np.maximum(weeks, 1e-9) / mean), 0)
  return 2 * (informed - (weeks - mean)).sum((2, 3, 4))


BASELINES: Mapping[str, Mapping[str, Callable[[Weeks], np.ndarray]]] = dict(
    people={'z of the total': z_of_total, 'z of the total, own history': z_of_own_total,
            f'PCA {COMPONENTS}': principal, 'isolation forest': forest,
            f'PCA {COMPONENTS} of deviations': principal_of_deviations,
            'Poisson deviance': deviance},
    devices={'z of totals, own history': z_of_own_totals, 'z of cells, own history': z_of_cells,
             f'PCA {COMPONENTS}': principal, 'isolation forest': forest,
             f'PCA {COMPONENTS} of deviations': principal_of_deviations,
             'Poisson deviance of counts': deviance_of_counts})
