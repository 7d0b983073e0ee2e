"""U-Net's weight map against its equation, pixel by pixel."""

import numpy as np
import pytest
import scipy.ndimage
from scipy.ndimage import distance_transform_edt

from visionlab.config import ConfigError
from visionlab.data import border, open_split
from visionlab.data.border import BorderWeighted, border_weights
from visionlab.data.source import Arrays


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


def by_whole_transforms(instances, class_weights, strength=10., sigma=5.):
  """Equation 2 with two transforms of the whole image for each object."""
  own = [instances == i for i in np.unique(instances[instances != 0])]
  two = np.sort([distance_transform_edt(~o) + distance_transform_edt(o) for o in own], axis=0)[:2]
  gap = strength * np.exp(-two.sum(0) ** 2 / (2 * sigma ** 2))
  return np.where(instances != 0, *class_weights[::-1]) + gap


def cells(side, across):
  """across x across instances in a square image, numbered with gaps, a pixel apart or more."""
  rng, pitch = np.random.default_rng(across), side // across
  image = np.zeros((side, side), np.int64)
  for i, (y, x) in enumerate(np.ndindex(across, across)):
    h, w = rng.integers(1, pitch, 2)
    image[y * pitch:y * pitch + h, x * pitch:x * pitch + w] = 7 * i - 20
  return image


@pytest.mark.parametrize('across', [2, 3, 10])
@pytest.mark.parametrize('class_weights', [(.7, 1.4), (0., 0.)])
def test_far_objects_as_by_whole_transforms(across, class_weights):
  instances = cells(240, across)
  got = border_weights(instances, class_weights=class_weights)
  want = by_whole_transforms(instances, class_weights)
  np.testing.assert_allclose(got, want, rtol=3e-7, atol=1e-37)


def test_transforms_stay_around_each_object(monkeypatch):
  seen = []

  def counting(mask):
    seen.append(mask.size)
    return distance_transform_edt(mask)
  monkeypatch.setattr(scipy.ndimage, 'distance_transform_edt', counting)
  instances = cells(512, 12)
  border_weights(instances)
  assert sum(seen) < 8 * instances.size      # 288 with two transforms of the whole for each


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
  (np.zeros((3, 3), int), np.nan, 'not nan'),
])
def test_errors(instances, sigma, says):
  with pytest.raises(ConfigError, match=says):
    border_weights(instances, sigma=sigma)


def label_maps():
  maps = np.zeros((5, 9, 12), np.int32)
  maps[:, 2:5, 1:4] = 1
  maps[:, 2:5, 6:9] = 2
  maps[3:, 7] = 255
  return Arrays(dict(image=np.zeros((5, 9, 12, 1), np.uint8), label_map=maps))


def test_a_source_weighs_its_objects():
  source = BorderWeighted(label_maps())
  instances = np.where(source.source.arrays['label_map'] == 255, 0,
                       source.source.arrays['label_map'])
  got = source[np.array([3, 0])]
  np.testing.assert_array_equal(got['pixel_weight'],
                                [border_weights(instances[3]), border_weights(instances[0])])
  assert sorted(got) == ['image', 'label_map', 'pixel_weight'] and len(source) == 5


def test_weights_are_made_once_and_of_the_slice_alone(monkeypatch):
  made = []
  monkeypatch.setattr(border, 'border_weights',
                      lambda instances: made.append(1) or border_weights(instances))
  source = open_split(lambda split: BorderWeighted(label_maps()), 'train[:60%]')
  assert not made
  first = source[np.array([0, 1, 2])]['pixel_weight']
  np.testing.assert_array_equal(source[np.array([2, 0])]['pixel_weight'], first[[2, 0]])
  assert len(made) == 3


def test_no_more_is_remembered_than_fits(monkeypatch):
  monkeypatch.setattr(border, 'KEPT_BYTES', 2 * 9 * 12 * 4)
  source = BorderWeighted(label_maps())
  whole = source[np.arange(5)]['pixel_weight']
  np.testing.assert_array_equal(source[np.arange(5)]['pixel_weight'], whole)
  assert len(source.known) == 2
