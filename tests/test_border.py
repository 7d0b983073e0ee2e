"""U-Net's weight map against its equation, pixel by pixel."""

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.border import border_weights


def by_equation(instances, class_weights, strength, sigma):
  """Equation 2 by looking at every pair of pixels."""
  h, w = instances.shape
  at = np.stack(np.mgrid[:h, :w], -1).reshape(-1, 2)
  flat, objects = instances.ravel(), [i for i in np.unique(instances) if i]
  result = []
  for place, own in zip(at, flat, strict=True):
    far = np.sqrt(((at - place) ** 2).sum(1))
    nearest = sorted(far[flat != i].min() if own == i else far[flat == i].min() for i in objects)
    gap = strength * np.exp(-(nearest[0] + nearest[1]) ** 2 / (2 * sigma ** 2)) if len(
        objects) > 1 else 0
    result.append(class_weights[int(own != 0)] + gap)
  return np.array(result).reshape(h, w)


@pytest.mark.parametrize('objects', [1, 2, 4])
@pytest.mark.parametrize('sigma', [1.5, 5.])
def test_equals_the_equation(objects, sigma):
  rng = np.random.default_rng(objects)
  instances = np.zeros((15, 18), np.int32)
  for i in range(objects):
    y, x = rng.integers(0, 10, 2)
    instances[y:y + 4, x:x + 6] = 3 * i + 2
  got = border_weights(instances, class_weights=(.5, 2.), strength=7., sigma=sigma)
  assert got.dtype == np.float32
  np.testing.assert_allclose(got, by_equation(instances, (.5, 2.), 7., sigma), rtol=1e-5)


def test_classes_are_balanced():
  instances = np.zeros((8, 10), int)
  instances[:2, :5] = 1
  weights = border_weights(instances)
  np.testing.assert_allclose([weights[instances == 0].sum(), weights[instances == 1].sum(),
                              weights.mean()], [40, 40, 1], rtol=1e-5)


@pytest.mark.parametrize('value', [0, 3])
def test_one_class_alone(value):
  np.testing.assert_allclose(border_weights(np.full((4, 5), value)), .5 if value else .5)


@pytest.mark.parametrize('instances, sigma, says', [
  (np.zeros((3, 3)), 5., r'of integers, got float64 \(3, 3\)'),
  (np.zeros((1, 3, 3), int), 5., r'\(1, 3, 3\)'),
  (np.zeros((3, 3), int), 0., 'sigma must be above 0'),
])
def test_errors(instances, sigma, says):
  with pytest.raises(ConfigError, match=says):
    border_weights(instances, sigma=sigma)
