"""What distributions of steering are judged by."""

import numpy as np

from visionlab.measures.regression import regression_scores

TAKEN = .1                       # the probability from which on a branch counts as known
INTERVAL = .9                    # of the probability, whose coverage is measured


def driving_scores(prediction, target, nll, below, taken=None, there=None, fork=None, previous=None,
                   age=None) -> dict[str, float]:
  """Args:
    prediction, target: (n,) in 1/m, the distribution's mean and what was driven.
    nll: (n,) negative log-likelihoods.
    below: (n,) the probability of steering less than what was driven (the probability integral
      transform, uniform in [0, 1] where the distributions are right).
    taken: (n 3) the probability of each branch; there: (n 3) bool; fork: (n,); where they are
      known.
    previous: (n,) the last command before, in a recording; age: (n,) for how many seconds it was,
      or nan.

  Returns:
    `rmse`, `mae`, `r2` (`regression_scores`); `coverage`, the share of what was driven within the
    middle 90 % of probability; `pit_distance`, the largest distance between the distribution of
    `below` and the uniform one (Kolmogorov-Smirnov); with `previous` `rmse_constant`, of the best
    command that never changes, `rmse_last`, of the last one, and `last_age`, the median of `age`,
    which says how hard that is to beat; and where branches are known
    `nll_at_forks`, `r2_at_forks` and `branch_recall`, the share of a fork's branches of which each
    has a probability of .1 or more.
  """
  below = np.asarray(below, np.float64)
  found = regression_scores(np.reshape(prediction, (-1, 1)), np.reshape(target, (-1, 1)))
  found['coverage'] = float((np.abs(below - .5) <= INTERVAL / 2).mean())
  steps = np.arange(len(below) + 1) / len(below)
  ranked = np.sort(below)
  found['pit_distance'] = float(max((steps[1:] - ranked).max(), (ranked - steps[:-1]).max()))
  if previous is not None:
    target = np.asarray(target, np.float64)
    found['rmse_constant'] = float(target.std())
    found['rmse_last'] = float(np.sqrt(np.mean((target - np.asarray(previous)) ** 2)))
  if age is not None and np.isfinite(age).any():
    found['last_age'] = float(np.nanmedian(age))
  if fork is not None:
    forks, there = np.asarray(fork, bool), np.asarray(there, bool)
    some = forks.any()
    found['nll_at_forks'] = float(np.asarray(nll)[forks].mean()) if some else np.nan
    found['r2_at_forks'] = regression_scores(
        np.reshape(prediction, (-1, 1))[forks], np.reshape(target, (-1, 1))[forks])['r2']
    known = (np.asarray(taken) >= TAKEN)[forks][there[forks]]
    found['branch_recall'] = float(known.mean()) if some else np.nan
  return found


def closed_loop_scores(intervention, off, offset, curvature, speed: float, seconds: float
                       ) -> dict[str, float]:
  """How a car drove by itself.

  Args:
    intervention, off, offset, curvature: (commands, cars), see `visionlab.data.roads.simulator`.
    speed: metres a second; seconds: between two commands.

  Returns:
    `interventions`, how many; `metres` between two, which is all that was driven where there was
    one at most; `autonomy`, the share of the time in %, when each takes 6 s (Bojarski et al. 2016,
    section 7.1), of which less than 0 is possible; `off`, the share of the time with a wheel off
    the road; `offset`, its mean in metres; and `jerk`, the root of the mean square of the lateral
    one, speed^2 d curvature / dt, in m/s^3.
  """
  lost = np.asarray(intervention, bool)
  elapsed = lost.size * seconds
  # A car that was put back does not steer from where it was.
  change = np.where(lost[:-1], 0, np.diff(np.asarray(curvature, np.float64), axis=0))
  jerk = speed ** 2 * change / seconds
  return dict(interventions=int(lost.sum()), metres=float(elapsed * speed / max(lost.sum(), 1)),
              autonomy=float(100 * (1 - 6 * lost.sum() / elapsed)), off=float(np.mean(off)),
              offset=float(np.mean(offset)), jerk=float(np.sqrt(np.mean(jerk ** 2))))
