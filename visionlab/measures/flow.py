"""How far estimated optical flow is from the true one.

Fields are (... h w 2), in pixels, x first; `valid` (... h w) says where the true one is known. Both
errors are Baker et al.'s (2011, https://doi.org/10.1007/s11263-010-0390-2, section 4).
"""

import numpy as np

OUTLIER = 3., .05               # pixels, and share of the true length (Menze and Geiger 2015)


def end_point_errors(estimated, true) -> np.ndarray:
  """The distance (... h w), in pixels, between the ends of estimated and true vectors.

  >>> end_point_errors([[[3., 4.]]], [[[0., 0.]]]).tolist()
  [[5.0]]
  """
  difference = np.asarray(estimated, np.float64) - np.asarray(true, np.float64)
  return np.sqrt((difference ** 2).sum(-1))


def angular_errors(estimated, true) -> np.ndarray:
  """The angle (... h w), in degrees, between (u, v, 1) and the true such vector in space-time
  (Barron et al. 1994): it is defined where nothing moves, and weighs slow motion more.

  >>> angular_errors([[[1., 0.]]], [[[0., 0.]]]).round(3).tolist()
  [[45.0]]
  """
  a, b = (_with_time(field) for field in (estimated, true))
  # Not by the arc cosine, which knows nothing of angles below 1e-8.
  return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)))


def _with_time(field) -> np.ndarray:
  field = np.asarray(field, np.float64)
  return np.concatenate([field, np.ones((*field.shape[:-1], 1))], -1)


def flow_scores(estimated, true, valid=None) -> dict[str, float]:
  """Means over all pixels that are valid; nan where there are none.

  Returns:
    `end_point_error` in pixels; `angular_error` in degrees; `outliers`, the share of pixels off by
    more than 3 pixels and 5 % of the true length (KITTI's).
  """
  distance, length = end_point_errors(estimated, true), end_point_errors(true, 0 * np.asarray(true))
  valid = np.ones(distance.shape, bool) if valid is None else np.asarray(valid, bool)
  if not valid.any():
    return dict.fromkeys(('end_point_error', 'angular_error', 'outliers'), float('nan'))
  beyond = (distance > OUTLIER[0]) & (distance > OUTLIER[1] * length)
  return dict(end_point_error=float(distance[valid].mean()),
              angular_error=float(angular_errors(estimated, true)[valid].mean()),
              outliers=float(beyond[valid].mean()))
