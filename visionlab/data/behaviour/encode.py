"""Weeks of counts as images: 7 x 24 pixels, days by hours, and channels by what is counted."""

from collections.abc import Callable, Sequence

import numpy as np

from visionlab.data.behaviour.flows import COUNTED

ROOT = 16.                       # grey levels of one event; 255 are reached at 254 events
OCTAVE = 12.                     # grey levels of twice as many bytes, above some kilobytes
KB = 1000
SPREAD = 4.                      # times which the standard deviation of grey levels is shown
LEVEL = 128.                     # the grey level of what is as usual
GROUPS = ('week', 'usual', 'spread', 'apart')
"""What the channels of `beside_history` are, as many of each as there are resources."""

Levels = Callable[[np.ndarray], np.ndarray]


def roots(counts: np.ndarray) -> np.ndarray:
  """16 grey levels times the root of each count, floats; 255 is reached at 254 events an hour.

  The root of a Poisson number has a variance of about 1/4 whatever its mean (Anscombe 1948), so
  that one grey level means as much at night as at noon.
  """
  return ROOT * np.sqrt(counts)


def octaves(counts: np.ndarray) -> np.ndarray:
  """12 grey levels for each doubling of 1 + kilobytes, floats: of bytes (...), of which factors
  count; 1 MB is 120, and 255 is reached at 2.5 GB an hour."""
  return OCTAVE * np.log2(1 + np.asarray(counts) / KB)


def device_levels(counts: np.ndarray) -> np.ndarray:
  """`roots` of the channels of (..., 9) that count, and `octaves` of those of bytes; see
  `visionlab.data.behaviour.flows.CHANNELS`."""
  k = len(COUNTED)
  return np.concatenate([roots(counts[..., :k]), octaves(counts[..., k:])], -1)


def grey(levels: np.ndarray) -> np.ndarray:
  """Levels as uint8; what is above 255 is 255.

  >>> grey(roots(np.array([0, 1, 4, 254, 10**6]))).tolist()
  [0, 16, 32, 255, 255]
  >>> grey(octaves(np.array([0, 1000, 10**6, 10**12]))).tolist()
  [0, 12, 120, 255]
  """
  return np.clip(np.round(levels), 0, 255).astype(np.uint8)


def beside_history(weeks: np.ndarray, history: np.ndarray, levels: Levels = roots) -> np.ndarray:
  """Weeks of one user beside what they did before, as images.

  Args:
    weeks: counts (m, 7, 24, k).
    history: counts (n, 7, 24, k) of the weeks before.
    levels: grey levels of counts, as floats.

  Returns:
    (m, 7, 24, 4 k) uint8, `GROUPS`: the levels of each week; those of the mean week; 4 times the
    standard deviation of the levels over the weeks, which is 32 where counts are Poisson numbers
    and levels their roots; and 128 and how far the week's levels are above the mean's.
  """
  mean = history.mean(0)
  usual, here = levels(mean), levels(weeks)
  known = grey(np.concatenate([usual, SPREAD * levels(history).std(0)], -1))
  return np.concatenate([grey(here), np.broadcast_to(known, (len(weeks), *known.shape)),
                         grey(LEVEL + here - usual)], -1)


def of_groups(images: np.ndarray, groups: Sequence[str]) -> np.ndarray:
  """Of images (..., 4 k) that `beside_history` made some groups alone, in their order."""
  parts = images.reshape(*images.shape[:-1], len(GROUPS), -1)
  chosen = parts[..., [GROUPS.index(group) for group in groups], :]
  return chosen.reshape(*images.shape[:-1], -1)


def so_far(weeks: np.ndarray, history: np.ndarray, days: int) -> np.ndarray:
  """Weeks (m, 7, 24, k), floats, as they are known after so many days: what is to come is as in
  the mean of the weeks before (n, 7, 24, k), so that nothing speaks of it."""
  known = np.arange(7)[:, None, None] < days
  return np.where(known, weeks, history.mean(0))
