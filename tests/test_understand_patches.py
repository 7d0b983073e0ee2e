"""First filters, and the patches that excite units most."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.source import Arrays
from visionlab.models.cnn import CNN
from visionlab.understand import Subject
from visionlab.understand.filters import filter_sheet, filter_tiles, first_filters
from visionlab.understand.patches import best_patches, cut, patches, unit_slopes
from visionlab.understand.receptive_field import receptive_fields

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (11, *SHAPE), np.uint8)


def subject_of(model, shape=SHAPE):
  variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *shape)))
  return Subject.of((model, variables), shape)


@pytest.fixture(scope='module')
def small():
  return subject_of(CNN(3, widths=(4, 5), hidden=4))


@pytest.mark.parametrize('batch', [4, 11, 64])
@pytest.mark.parametrize('at', ['conv1', 'head'])
def test_the_best_of_a_split_are_those_of_a_sort(small, at, batch):
  maps = np.asarray(small.read(IMAGES, [at])[1][at])
  maps = maps.reshape(len(IMAGES), -1, maps.shape[-1])
  seen = []
  best = best_patches(small, IMAGES, at, k=3, batch=batch, progress=lambda *x: seen.append(x))
  order = np.argsort(-maps.max(1), 0, kind='stable')[:3].T
  np.testing.assert_array_equal(best.images, order)
  np.testing.assert_allclose(best.values, np.take_along_axis(maps.max(1).T, order, 1), rtol=1e-5)
  width = {'conv1': 4, 'head': 1}[at]
  for unit, row in enumerate(order):
    where = maps[row, :, unit].argmax(1)
    np.testing.assert_array_equal(best.places[unit], np.stack([where // width, where % width], -1))
  assert seen[-1] == (11, 11)


def test_broken_images_are_never_among_the_best(small):
  valid = np.arange(len(IMAGES)) % 2 == 0
  best = best_patches(small, Arrays({'image': IMAGES, 'valid': valid}), 'conv0', k=9, batch=4)
  assert (best.images[:, :6] % 2 == 0).all() and (best.images[:, 6:] == -1).all()
  shown, _ = patches(small, IMAGES, best, [1])
  assert shown.shape == (1, 9, 3, 3, 3) and (shown[0, 6:] == .5).all()


def test_a_patch_is_what_the_unit_sees(small):
  """Of an image that is black beside a patch the unit is what it was of the whole."""
  best = best_patches(small, IMAGES, 'conv1', k=2)
  field = receptive_fields(small, ['conv1'])['conv1']
  assert field.size == (8, 8)                                   # all of the image
  assert cut(IMAGES[0] / 255., field, (1, 1)).shape == SHAPE
  field = receptive_fields(small, ['conv0'])['conv0']
  np.testing.assert_array_equal(cut(IMAGES[0], field, (2, 3)), IMAGES[0, 1:4, 2:5])
  corner = cut(IMAGES[0] / 255., field, (0, 7))
  assert (corner[0] == .5).all() and (corner[:, 2] == .5).all()
  np.testing.assert_array_equal(corner[1:, :2], IMAGES[0, :2, 6:] / 255.)
  assert best.layer == 'conv1'


class Rectified(nn.Module):
  act: object = nn.relu

  @nn.compact
  def __call__(self, x):
    x = self.act(nn.Conv(2, (3, 3), name='first')(x))
    x = self.act(nn.Conv(2, (3, 3), name='second')(x))
    return nn.Dense(2, name='head')(x.mean((1, 2)))


def test_deconvnet_pictures_by_hand():
  """Back through `second`, what is positive of it, and back through `first`: whatever the image."""
  subject = subject_of(Rectified())
  best = best_patches(subject, IMAGES, 'second', k=2)
  shown, backwards = patches(subject, IMAGES, best, [1])
  params = subject.variables['params']
  top = np.zeros((1, 8, 8, 2), np.float32)
  y, x = best.places[1, 0]
  top[0, y, x, 1] = 1
  back = lambda g, kernel: jax.lax.conv_transpose(
      g, kernel, (1, 1), 'SAME', transpose_kernel=True, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  expected = back(jax.nn.relu(back(top, params['second']['kernel'])), params['first']['kernel'])
  expected = np.asarray(expected)[0] / np.abs(expected).max() / 2 + .5
  field = receptive_fields(subject, ['second'])['second']
  np.testing.assert_allclose(backwards[0, 0], cut(expected, field, (y, x)), atol=1e-5)
  np.testing.assert_allclose(shown[0, 0], cut(IMAGES[best.images[1, 0]] / 255., field, (y, x)),
                             atol=1e-6)


def test_a_silent_unit_has_no_deconvnet_picture():
  subject = subject_of(CNN(3, widths=(2, 3), hidden=4))
  params = dict(subject.variables['params'])
  params['conv1'] = dict(params['conv1'], bias=np.float32([0, -99, 0]))
  subject = dataclasses.replace(subject, variables={'params': params})
  best = best_patches(subject, IMAGES, 'pool1', k=1)
  pictures = patches(subject, IMAGES, best, [0, 1, 2])[1]
  assert best.values[1] == 0 and [np.ptp(x) > .3 for x in pictures] == [True, False, True]


def test_a_units_slope_is_that_of_its_value(small):
  x = IMAGES[:2] / np.float32(255)
  slopes = unit_slopes(small, x, 'conv1', [3, 0], [[1, 2], [0, 0]])
  step = np.float32(1e-2) * np.sign(slopes)
  read = lambda x: np.asarray(small.read(x, ['conv1'])[1]['conv1'])
  rises = (read(x + step) - read(x - step))[[0, 1], [1, 0], [2, 0], [3, 0]] / 2
  np.testing.assert_allclose(rises, (slopes * step).sum((1, 2, 3)), rtol=.05)


def test_what_is_wrong_is_said(small):
  with pytest.raises(ConfigError, match='conv9.*has'):
    best_patches(small, IMAGES, 'conv9')
  with pytest.raises(ConfigError, match='no images'):
    best_patches(small, IMAGES[:0], 'conv0')
  with pytest.raises(ConfigError, match='k: at least one'):
    best_patches(small, IMAGES, 'conv0', k=0)
  best = best_patches(small, IMAGES, 'conv0')
  with pytest.raises(ConfigError, match='unit 4: this layer has 4 units, 0 to 3'):
    patches(small, IMAGES, best, [0, 4])


def test_another_batch_compiles_nothing_new(small):
  from visionlab.understand import patches as module
  best_patches(small, IMAGES, 'conv0', batch=4)
  programs = module._better._cache_size()
  best_patches(small, IMAGES[::-1], 'conv0', batch=4)
  assert module._better._cache_size() == programs


def test_a_planted_gabor_comes_back(small):
  y, x = np.mgrid[-1:1:3j, -1:1:3j]
  gabor = np.exp(-x ** 2 - y ** 2) * np.cos(3 * x)
  params = dict(small.variables['params'])
  kernel = np.asarray(params['conv0']['kernel']).copy()
  kernel[..., 2] = -7 * gabor[..., None] + 1
  params['conv0'] = dict(params['conv0'], kernel=kernel)
  planted = dataclasses.replace(small, variables={'params': params})
  name, found = first_filters(planted)
  assert name == 'conv0' and found.shape == (3, 3, 3, 4)
  shown = filter_tiles(found)[2]
  expected = (gabor.max() - gabor) / (gabor.max() - gabor.min())
  np.testing.assert_allclose(shown, np.repeat(expected[..., None], 3, -1), atol=1e-6)


def test_filters_are_scaled_over_all_their_weights_alike():
  kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4))
  tiles = filter_tiles(kernel)
  assert tiles.shape == (4, 2, 3, 3, 1)
  for tile, filter in zip(tiles, np.moveaxis(kernel, -1, 0), strict=True):
    np.testing.assert_allclose(
        tile[..., 0].transpose(1, 2, 0), (filter - filter.min()) / np.ptp(filter))
  assert filter_sheet(kernel, zoom=2).shape == (2 * 6 + 2, 4 * 6 + 3 * 2, 3)
  assert filter_sheet(kernel[:, :, :1], zoom=2).shape == (2 * 6 + 2, 3 * 6 + 2 * 2, 3)
  assert (filter_tiles(np.ones((2, 2, 3, 1))) == .5).all()


def test_filters_of_a_network_that_sees_bgr_are_shown_in_rgb(small):
  @dataclasses.dataclass(frozen=True)
  class Preprocess:
    channel_order: str

  @dataclasses.dataclass(frozen=True)
  class Asked:
    task: object
    ask: object

    def __call__(self, *args):
      return self.ask(*args)

  class Task:
    preprocess = Preprocess('BGR')
  _, kernel = first_filters(small)
  _, shown = first_filters(dataclasses.replace(small, ask=Asked(Task(), small.ask)))
  np.testing.assert_array_equal(shown, kernel[:, :, ::-1])


def test_no_filters_of_a_network_without_convolutions():
  class Flat(nn.Module):
    @nn.compact
    def __call__(self, x):
      return nn.Dense(2)(x.reshape(len(x), -1))
  with pytest.raises(ConfigError, match='no convolutions'):
    first_filters(subject_of(Flat()))
