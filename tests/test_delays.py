"""How long it takes until an incident is found, and how scores fare over time."""

import numpy as np
import pytest

from visionlab.measures.alerts import (
  auroc_over_time,
  detection_delays,
  error_alerts,
  weekly_alerts,
)


def test_delays_by_hand():
  scores = [[0, 0, 1], [0, 3, 9], [9, 0, 0], [5, 5, 5], [1, 2, 3]]
  found = detection_delays(scores, [30, 30, 30, -1, -1], [24, 48, 72], false=1)
  # Above 1, 2 and 3 but one of the usual ones; the third was above it before anything was wrong.
  assert found.limits.tolist() == [1, 2, 3]
  assert found.hours.tolist() == [np.inf, 18, np.inf]


def test_delays_are_those_of_a_loop():
  rng = np.random.default_rng(0)
  times, allowed = np.arange(1, 8) * 24, 4
  begins = np.where(rng.random(80) < .3, rng.integers(0, 168, 80), -1)
  scores = rng.normal(0, 1, (80, 7)) + 1.5 * ((begins >= 0)[:, None] & (times > begins[:, None]))
  found = detection_delays(scores, begins, times, false=allowed)
  expected = []
  for row, begin in zip(scores, begins, strict=True):
    if begin < 0:
      continue
    hours = np.inf
    for t, time in reversed(list(enumerate(times))):
      usual = sorted(scores[begins < 0, t], reverse=True)
      if row[t] > usual[allowed] and time > begin:
        hours = time - begin
    expected.append(hours)
  assert found.hours.tolist() == expected and 0 < np.isfinite(expected).mean() < 1
  above = scores[begins < 0] > found.limits
  assert (above.sum(0) == allowed).all()                    # what is allowed, and no more


def test_auroc_of_each_week_is_scikit_learns():
  metrics = pytest.importorskip('sklearn.metrics')
  rng = np.random.default_rng(1)
  kinds, when = rng.choice(3, 200, p=(.7, .2, .1)), rng.integers(1, 5, 200)
  scores = rng.normal(0, 1, 200) + kinds
  kinds[when == 4] = 0
  found = auroc_over_time(scores, kinds, when)
  assert list(found) == [1, 2, 3, 4] and np.isnan(found[4])
  for week in (1, 2, 3):
    own = when == week
    assert found[week] == pytest.approx(metrics.roc_auc_score(kinds[own] > 0, scores[own]))


def test_errors_are_scores():
  rng = np.random.default_rng(2)
  error, incident, user = rng.random(60), rng.choice(3, 60), np.repeat(np.arange(10), 6)
  p = np.stack([1 - error, error], -1)
  assert error_alerts(error, incident, user) == weekly_alerts(p, incident, user)
