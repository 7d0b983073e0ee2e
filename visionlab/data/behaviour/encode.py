"""Weeks of counts as images: 7 x 24 pixels, days by hours, and channels by resource."""

import numpy as np

ROOT = 16.                       # grey levels of one event; 255 are reached at 254 events
SPREAD = 64.                     # grey levels of a standard deviation of 1
LEVEL = 128.                     # the grey level of what is as usual
GROUPS = ('week', 'usual', 'spread', 'apart')
"""What the channels of `beside_history` are, as many of each as there are resources."""


def roots(counts: np.ndarray) -> np.ndarray:
  """16 grey levels times the root of each count, uint8; 254 events an hour, and all above, are 255.

  The root of a Poisson number has a variance of about 1/4 whatever its mean (Anscombe 1948), so
  that one grey level means as much at night as at noon.

  >>> roots(np.array([0, 1, 4, 254, 10**6])).tolist()
  [0, 16, 32, 255, 255]
  """
  return np.minimum(np.round(ROOT * np.sqrt(counts)), 255).astype(np.uint8)


def beside_history(weeks: np.ndarray, history: np.ndarray) -> np.ndarray:
  """Weeks of one user beside what they did before, as images.

  Args:
    weeks: counts (m, 7, 24, k).
    history: counts (n, 7, 24, k) of the weeks before.

  Returns:
    (m, 7, 24, 4 k) uint8, `GROUPS`: the `roots` of each week; those of the mean week; 64 grey
    levels times the standard deviation of the roots over the weeks, which is .5 where counts are
    Poisson numbers; and 128 and 16 grey levels times how far the week's roots are above the mean's.
  """
  mean = history.mean(0)
  spread = np.minimum(np.round(SPREAD * np.sqrt(history).std(0)), 255).astype(np.uint8)
  apart = np.clip(np.round(LEVEL + ROOT * (np.sqrt(weeks) - np.sqrt(mean))), 0, 255)
  known = np.concatenate([roots(mean), spread], -1)
  return np.concatenate([roots(weeks), np.broadcast_to(known, (len(weeks), *known.shape)),
                         apart.astype(np.uint8)], -1)
