"""RandAugment's and TrivialAugment's operations are Pillow's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from visionlab.augmentation.augment import make_augment
from visionlab.config import ConfigError
from visionlab.ops import photometric, policies
from visionlab.ops.policies import OPERATIONS, RAND, WIDE, operate

RNG = np.random.default_rng(0)
# Smooth and dark on the left, so that histograms and contrast have something to do.
PICTURE = (RNG.integers(0, 200, (24, 32, 3)) * np.linspace(.2, 1, 32)[:, None]).astype(np.uint8)


def ours(name, strength, ranges=RAND):
  which = [f.__name__ for f in OPERATIONS].index(name)
  result = jax.jit(operate, static_argnums=3)(which, jnp.float32(PICTURE) / 255, strength, ranges)
  return np.asarray(result) * 255


def enhanced(kind):
  return lambda image, s: getattr(ImageEnhance, kind)(image).enhance(1 + .9 * s)


def moved(matrix):
  return lambda image, s: image.transform(image.size, Image.Transform.AFFINE, matrix(s))


PILLOW = dict(
    identity=lambda image, s: image,
    brightness=enhanced('Brightness'), saturation=enhanced('Color'), contrast=enhanced('Contrast'),
    sharpness=enhanced('Sharpness'),
    posterise=lambda image, s: ImageOps.posterize(image, 8 - round(4 * abs(s))),
    solarise=lambda image, s: ImageOps.solarize(image, 255 * (1 - abs(s))),
    autocontrast=lambda image, s: ImageOps.autocontrast(image),
    equalise=lambda image, s: ImageOps.equalize(image),
    shear_x=moved(lambda s: (1, .3 * s, 0, 0, 1, 0)),
    shear_y=moved(lambda s: (1, 0, 0, .3 * s, 1, 0)),
    translate_x=moved(lambda s: (1, 0, round(150 / 331 * s * 32), 0, 1, 0)),
    translate_y=moved(lambda s: (1, 0, 0, 0, 1, round(150 / 331 * s * 24))))


@pytest.mark.parametrize('strength', [.5, -.5, 1.])
@pytest.mark.parametrize('name', PILLOW)
def test_an_operation_is_pillows(name, strength):
  theirs = np.asarray(PILLOW[name](Image.fromarray(PICTURE), strength), np.float32)
  off = abs(ours(name, strength) - theirs).max(-1)
  # Pillow rounds to bytes in between; where a sheared place falls on an edge, either is right.
  assert np.mean(off <= 2) > (.97 if name.startswith('shear') else .999), (name, off.max())


def test_rotation_by_90_degrees():
  quarter = RAND._replace(degrees=90.)
  square = jnp.float32(PICTURE[:, :24]) / 255
  which = [f.__name__ for f in OPERATIONS].index('rotate')
  turned = jax.jit(operate, static_argnums=3)(which, square, 1., quarter)
  assert min(abs(turned - np.rot90(square, k)).max() for k in (1, 3)) < 1e-6


def test_fourteen_operations_are_drawn_evenly_and_in_both_directions():
  keys = jax.random.split(jax.random.key(0), 2000)
  image = jnp.full((4, 4, 3), .4).at[0, 0].set(.9)
  results = jax.jit(jax.vmap(lambda k: policies.drawn(k, image, .8, WIDE)))(keys)
  assert len(OPERATIONS) == 14
  assert len(np.unique(np.asarray(results).round(4).reshape(2000, -1), axis=0)) >= 15
  unchanged = np.mean(np.all(np.asarray(results) == image, axis=(1, 2, 3)))
  assert .05 < unchanged < .2                 # `identity`, and what this image is blind to


def test_a_policy_is_a_function_of_the_key_and_stays_in_range():
  augment = jax.jit(make_augment(dict(rand_augment=dict(number=2, magnitude=20.))))
  batch = {'image': np.stack([PICTURE] * 8)}
  one, two = (augment(jax.random.key(k), batch)['image'] for k in (0, 0))
  assert np.array_equal(one, two) and one.min() >= 0 and one.max() <= 1
  assert not np.array_equal(one, augment(jax.random.key(1), batch)['image'])
  half = augment(jax.random.key(0), {'image': batch['image'][4:]}, offset=4)['image']
  np.testing.assert_allclose(half, one[4:], atol=1e-6)        # however the batch is split


def test_policies_are_refused_where_targets_lie_on_the_pixels():
  batch = {'image': np.zeros((2, 8, 8, 3), np.uint8), 'label_map': np.zeros((2, 8, 8), np.uint8)}
  with pytest.raises(ConfigError, match='config.augment.trivial_augment: moves the pixels and not'):
    make_augment(dict(trivial_augment=True))(jax.random.key(0), batch)


def test_erasing_fills_a_rectangle_of_the_wanted_share():
  example, shares = {'image': jnp.zeros((40, 60, 1))}, []
  erase = jax.jit(partial(photometric.erase, p=1.))
  for seed in range(60):
    holes = np.asarray(erase(jax.random.key(seed), example)['image'][..., 0] > 0)
    rows, columns = np.flatnonzero(holes.any(1)), np.flatnonzero(holes.any(0))
    assert holes.sum() == len(rows) * len(columns)
    assert len(rows) == np.ptp(rows) + 1 and len(columns) == np.ptp(columns) + 1
    shares.append(float(holes.mean()))
  assert min(shares) > .015 and .25 < max(shares) < .36
  assert photometric.erase(jax.random.key(0), example, p=0.)['image'].max() == 0


def test_blur_is_scipys():
  ndimage = pytest.importorskip('scipy.ndimage')
  image = jnp.float32(PICTURE) / 255
  ours_ = photometric.blur(jax.random.key(0), {'image': image}, sigma=(1.5, 1.5), p=1.)['image']
  theirs = ndimage.gaussian_filter(np.asarray(image), (1.5, 1.5, 0), mode='nearest',
                                   radius=(4, 4, 0))
  np.testing.assert_allclose(ours_, theirs, atol=1e-5)
