"""The weight map of U-Net, which makes a network learn the gaps between touching objects."""

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Source
from visionlab.ops.geometry import IGNORE

KEPT_BYTES = 2**30             # of weights that a source remembers


def border_weights(instances: np.ndarray, *, class_weights: tuple[float, float] | None = None,
                   strength: float = 10., sigma: float = 5.) -> np.ndarray:
  """w_c(x) + w_0 exp(-(d_1(x) + d_2(x))^2 / (2 sigma^2)), equation 2 of U-Net (Ronneberger et al.
  2015, https://arxiv.org/abs/1505.04597).

  d_1 and d_2 are the distances of a pixel to the borders of the nearest and the second nearest
  object: from outside to its nearest pixel, from inside to the nearest pixel that is not its own.
  With fewer than two objects there is no gap, and only w_c is left.

  As `pixel_weight` (n h w) beside a source's label maps, which `BorderWeighted` makes of them, they
  weigh the cross-entropy of the task `segment`.

  Args:
    instances: (h w) int, 0 for background, another number for each object.
    class_weights: w_c of background and objects; None makes both weigh the same in sum, and 1 in
      the mean.
    strength: w_0; the paper takes 10.
    sigma: in pixels; the paper takes about 5.

  Returns:
    (h w) float32.

  Raises:
    ConfigError: instances are not such a map, or sigma is not above 0 and finite.

  >>> touching = np.array([[1, 1, 1, 2, 2, 2, 0, 0]])
  >>> border_weights(touching, class_weights=(1., 1.)).round().tolist()
  [[6.0, 8.0, 10.0, 10.0, 8.0, 8.0, 7.0, 5.0]]
  """
  instances = np.asarray(instances)
  if instances.ndim != 2 or not np.issubdtype(instances.dtype, np.integer):
    raise ConfigError('border_weights: expected instances (h w) of integers, '
                      f'got {instances.dtype} {instances.shape}')
  if not 0 < sigma < np.inf:
    raise ConfigError(f'border_weights: sigma must be above 0 and finite, not {sigma}')
  objects = instances != 0
  weights = _balanced(objects) if class_weights is None else class_weights
  result = np.where(objects, weights[1], weights[0]).astype(np.float32)
  nearest, second = _two_nearest(instances, _reach(min(weights), strength, sigma))
  return result + strength * np.exp(-(nearest + second) ** 2 / (2 * sigma ** 2)).astype(np.float32)


def _two_nearest(instances, reach):
  """Distances (h w) to the borders of the nearest and the second nearest object, infinite where it
  is further than `reach` pixels: each object is looked at only that far around it."""
  from scipy import ndimage  # noqa: PLC0415 - slow to import
  objects = instances != 0
  numbered = np.zeros(instances.shape, np.int32)
  numbered[objects] = np.unique(instances[objects], return_inverse=True)[1].reshape(-1) + 1
  nearest, second = (np.full(instances.shape, np.inf) for _ in range(2))
  depth = np.zeros(instances.shape)
  for i, box in enumerate(ndimage.find_objects(numbered), start=1):
    around, inside = _grown(box, reach), _grown(box, 1)
    there = ndimage.distance_transform_edt(numbered[around] != i)
    np.minimum(second[around], np.maximum(nearest[around], there), out=second[around])
    np.minimum(nearest[around], there, out=nearest[around])
    depth[inside] += ndimage.distance_transform_edt(numbered[inside] == i)
  # Inside an object the way to its border, which is never longer than that to another one.
  return nearest + depth, second


def _grown(box, by):
  """The slices of a box that is so many pixels larger on each side."""
  return tuple(slice(max(0, side.start - by), side.stop + by) for side in box)


def _reach(weight, strength, sigma):
  """How wide, in pixels, a gap is that no longer shows in a float32 beside a class's weight."""
  least = max(weight * 2. ** -26, 2. ** -150)
  return int(sigma * np.sqrt(2 * np.log(max(abs(strength) / least, 1)))) + 1


def _balanced(objects):
  share = objects.mean()
  return tuple(.5 / part if part > 0 else 1. for part in (1 - share, share))


class BorderWeighted:
  """`source` with `pixel_weight` (n h w), the `border_weights` of its label maps, in its examples.

  An object is an area that hangs together and is neither class 0 nor ignored. Weights are made when
  an example is read, some .1 s for 512 x 512 pixels and 140 objects, and remembered as far as
  `KEPT_BYTES` go: nothing is computed for examples that a split leaves out.
  """

  def __init__(self, source: Source):
    self.source, self.info = source, source.info
    self.known: dict[int, np.ndarray] = {}

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    examples = self.source[indices]
    weights = [self._weights(int(i), labels)
               for i, labels in zip(indices, examples['label_map'], strict=True)]
    return {**examples, 'pixel_weight': np.stack(weights)}

  def _weights(self, i, labels):
    from scipy.ndimage import label  # noqa: PLC0415 - slow to import
    if i in self.known:
      return self.known[i]
    weights = border_weights(label((labels != 0) & (labels != IGNORE))[0])
    if (len(self.known) + 1) * weights.nbytes <= KEPT_BYTES:
      self.known[i] = weights
    return weights
