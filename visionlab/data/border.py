"""The weight map of U-Net, which makes a network learn the gaps between touching objects."""

import numpy as np

from visionlab.config import ConfigError


def border_weights(instances: np.ndarray, *, class_weights: tuple[float, float] | None = None,
                   strength: float = 10., sigma: float = 5.) -> np.ndarray:
  """w_c(x) + w_0 exp(-(d_1(x) + d_2(x))^2 / (2 sigma^2)), equation 2 of U-Net (Ronneberger et al.
  2015, https://arxiv.org/abs/1505.04597).

  d_1 and d_2 are the distances of a pixel to the borders of the nearest and the second nearest
  object: from outside to its nearest pixel, from inside to the nearest pixel that is not its own.
  With fewer than two objects there is no gap, and only w_c is left.

  Given to a source as `pixel_weight` (n h w) beside its label maps, they weigh the cross-entropy of
  the task `segment`.

  Args:
    instances: (h w) int, 0 for background, another number for each object.
    class_weights: w_c of background and objects; None makes both weigh the same in sum, and 1 in
      the mean.
    strength: w_0; the paper takes 10.
    sigma: in pixels; the paper takes about 5.

  Returns:
    (h w) float32.

  Raises:
    ConfigError: instances are not such a map, or sigma is not above 0.

  >>> touching = np.array([[1, 1, 1, 2, 2, 2, 0, 0]])
  >>> border_weights(touching, class_weights=(1., 1.)).round().tolist()
  [[6.0, 8.0, 10.0, 10.0, 8.0, 8.0, 7.0, 5.0]]
  """
  from scipy.ndimage import distance_transform_edt as distance  # noqa: PLC0415 - slow to import
  instances = np.asarray(instances)
  if instances.ndim != 2 or not np.issubdtype(instances.dtype, np.integer):
    raise ConfigError('border_weights: expected instances (h w) of integers, '
                      f'got {instances.dtype} {instances.shape}')
  if sigma <= 0:
    raise ConfigError(f'border_weights: sigma must be above 0, not {sigma}')
  objects = instances != 0
  weights = _balanced(objects) if class_weights is None else class_weights
  result = np.where(objects, weights[1], weights[0]).astype(np.float32)
  near = np.full((2, *instances.shape), np.inf)
  for i in np.unique(instances[objects]):
    own = instances == i
    # Inside, an image without any other pixel has no border at all.
    there = distance(~own) + (distance(own) if not own.all() else np.inf)
    near = np.sort([*near, there], axis=0)[:2]
  return result + strength * np.exp(-near.sum(0) ** 2 / (2 * sigma ** 2)).astype(np.float32)


def _balanced(objects):
  share = objects.mean()
  return tuple(.5 / part if part > 0 else 1. for part in (1 - share, share))
