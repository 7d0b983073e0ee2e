"""What alarms are worth: how many incidents they find, of which kinds, at how many false ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.measures.per_class import auroc, average_precision


def alert_scores(scores, kinds, names: Sequence[str] = (), *, days: float) -> dict[str, float]:
  """How well scores tell what is unusual.

  Args:
    scores: (n,), the greater the more unusual.
    kinds: (n,) int, 0 where nothing is wrong, else which incident it is.
    names: of kinds 0, 1, ...; () for no numbers by kind.
    days: the time that the n examples are of, all users at once.

  Returns:
    in [0, 1] `auroc`; `average_precision`; `found`, the share of incidents that score above a
    threshold which usual examples exceed once a day; and for each kind there is `auroc of <name>`,
    beside the usual examples, and `found of <name>`.

  Raises:
    ConfigError: there are no incidents, or nothing else.

  >>> alert_scores([1, 2, 3, 4], [0, 0, 2, 2], days=1)['found']
  1.0
  """
  scores, kinds = np.asarray(scores, np.float64), np.asarray(kinds)
  wrong = kinds > 0
  if wrong.all() or not wrong.any():
    raise ConfigError('alerts: needs examples with an incident, and examples without')
  limit = threshold(scores[~wrong], days)
  found = {'auroc': _auroc(scores, wrong),
           'average_precision': float(average_precision(scores[:, None], wrong[:, None])[0]),
           'found': float((scores[wrong] > limit).mean())}
  for kind in np.unique(kinds[wrong]) if names else ():
    own = kinds == kind
    either = own | ~wrong
    found[f'auroc of {names[kind]}'] = _auroc(scores[either], own[either])
    found[f'found of {names[kind]}'] = float((scores[own] > limit).mean())
  return found


def weekly_alerts(probabilities, incident, user) -> dict[str, float]:
  """`alert_scores` of weeks of several users, for config.evals.<name>.metrics.

  Args:
    probabilities: (n 2), of usual and of unusual.
    incident: (n,) int, 0 where nothing is wrong.
    user: (n,), of whom each week is.
  """
  days = 7 * len(user) / len(np.unique(user))
  return alert_scores(probabilities[:, 1], incident, days=days)


def error_alerts(error, incident, user) -> dict[str, float]:
  """`weekly_alerts` of an autoencoder: error (n,) is what it leaves of each week."""
  return weekly_alerts(np.stack([-error, error], -1), incident, user)


class Delays(NamedTuple):
  """Attributes, of n examples with an incident:
    hours: (n,) from the incident's first hour to the alert; inf where there is none.
    limits: (t,) what scores have to exceed at each time.
  """
  hours: np.ndarray
  limits: np.ndarray


def detection_delays(scores, begins, times, *, false: float) -> Delays:
  """How long it takes until an incident is found, where examples are looked at again and again.

  Args:
    scores: (n, t), the greater the more unusual, at times (t,), in hours since each example began,
      that rise.
    begins: (n,) the hour at which what is wrong began; -1 where nothing is wrong.
    false: how many usual examples may be above the threshold at each time; times a day apart, of
      examples of w weeks, allow one false alarm a day with w.

  What was above the threshold before anything was wrong is no detection.

  >>> scores = [[0, 0, 1], [0, 3, 9], [5, 5, 5], [1, 2, 3]]     # the last two are as usual
  >>> detection_delays(scores, [30, 30, -1, -1], [24, 48, 72], false=1).hours.tolist()
  [inf, 18.0]
  """
  scores, begins, times = (np.asarray(x, np.float64) for x in (scores, begins, times))
  wrong = begins >= 0
  limits = np.array([threshold(column, false) for column in scores[~wrong].T])
  found = (scores[wrong] > limits) & (times > begins[wrong, None])
  hours = np.where(found, times, np.inf).min(1) - begins[wrong]
  return Delays(hours, limits)


def auroc_over_time(scores, kinds, when) -> dict[int, float]:
  """The area under the ROC curve of examples (n,) of each `when` (n,) int alone; NaN where all are
  usual, or none; kinds (n,) int, 0 where nothing is wrong."""
  scores, wrong, when = np.asarray(scores, np.float64), np.asarray(kinds) > 0, np.asarray(when)
  parts = {int(w): when == w for w in np.unique(when)}
  return {w: _auroc(scores[own], wrong[own]) if 0 < wrong[own].sum() < own.sum() else np.nan
          for w, own in parts.items()}


def _auroc(scores, positive) -> float:
  return float(auroc(scores[:, None], positive[:, None])[0])


def threshold(scores, days: float) -> float:
  """What usual examples' scores (n,) of so many days exceed at most once a day.

  >>> threshold([1, 5, 2, 4, 3], days=2)           # 5 and 4 are above it
  3.0
  """
  ranked = np.sort(np.asarray(scores, np.float64))[::-1]
  allowed = int(days)
  return float(ranked[allowed]) if allowed < len(ranked) else -np.inf
