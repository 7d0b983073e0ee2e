"""How far landmarks that were found lie from the true ones."""

from collections.abc import Sequence

import numpy as np

from visionlab.config import ConfigError

BETWEEN = {5: (0, 1), 29: (8, 9), 49: (19, 28), 51: (19, 28), 68: (36, 45), 98: (60, 72)}
"""By their number, the landmarks whose distance errors are divided by: the centres of the eyes, or
their outer corners (COFW's 29 points; WFLW's 98; iBUG's 68, and those without the jaw, or inner
lips too)."""
FAILED = .1                     # of that distance: the usual bound of a failure


def normalised_errors(found, true, between: Sequence[int] = ()) -> np.ndarray:
  """The mean distance of an image's landmarks from the true ones, over that between its eyes.

  Args:
    found: (n k 2), x and y.
    true: (n k 3), x, y, and 0 for a landmark that is not known, which counts nowhere.
    between: two landmarks whose true distance is the unit; () for those of `BETWEEN`.

  Returns:
    (n,) float64; nan where that distance is not known, or zero.

  Raises:
    ConfigError: so many landmarks have no usual unit, and none is given.

  >>> true = [[[0, 0, 2], [10, 0, 2], [5, 5, 2], [0, 0, 0]]]
  >>> normalised_errors([[[0, 1], [10, 0], [5, 7], [99, 99]]], true, (0, 1)).tolist()
  [0.1]
  """
  found, true = np.asarray(found, np.float64), np.asarray(true, np.float64)
  a, b = check_between(between, true.shape[1])
  known = true[..., 2] > 0
  unit = np.linalg.norm(true[:, a, :2] - true[:, b, :2], axis=-1)
  apart = np.where(known, np.linalg.norm(found - true[..., :2], axis=-1), 0)
  good = known[:, a] & known[:, b] & (unit > 0)
  error = apart.sum(1) / np.maximum(known.sum(1), 1)
  return np.where(good, error / np.where(good, unit, 1), np.nan)


def check_between(between: Sequence[int], count: int) -> tuple[int, int]:
  """The two landmarks of `count` whose distance is the unit."""
  pair = tuple(between) or BETWEEN.get(count, ())
  if len(pair) != 2 or not all(0 <= i < count for i in pair) or pair[0] == pair[1]:
    given = f'not {pair!r}' if pair else 'e.g. (0, 1)'
    raise ConfigError(f'landmarks: between must name two of the {count} landmarks, those whose '
                      f'distance errors are divided by, {given}')
  return pair


def landmark_scores(found, true, between: Sequence[int] = ()) -> dict[str, float]:
  """`nme`, the mean of `normalised_errors`; `failures`, the share above .1; and `auc`, the area
  under the cumulative curve up to there, of 1 (as 300-W has them). nan where none is known."""
  errors = normalised_errors(found, true, between)
  errors = errors[~np.isnan(errors)]
  if not len(errors):
    return dict.fromkeys(('nme', 'failures', 'auc'), np.nan)
  # The curve steps up by 1 / n at each error: from there on it is that much higher.
  area = np.maximum(FAILED - errors, 0).mean() / FAILED
  return dict(nme=float(errors.mean()), failures=float((errors > FAILED).mean()), auc=float(area))
