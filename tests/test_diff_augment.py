"""What a critic's images go through, and the gradients that come back through it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops.diff_augment import POLICIES, diff_augment

POLICY, SHAPE = tuple(POLICIES), (8, 12, 3)


def keys(n, seed=0):
  return jax.random.split(jax.random.key(seed), n)


@pytest.fixture(scope='module')
def augmented():
  """jitted: (keys, images), by the augmentations' names."""
  return {name: jax.jit(partial(diff_augment, policy=(name,))) for name in POLICY}


@pytest.fixture(scope='module')
def changed():
  """By all of them, jitted."""
  return jax.jit(partial(diff_augment, policy=POLICY))


def images(n, seed=0):
  return jnp.asarray(np.random.default_rng(seed).random((n, *SHAPE)), jnp.float32)


def test_colours_are_drawn_from_the_authors_ranges(augmented):
  """Of an image with one grey and one coloured half, in which the three numbers are seen."""
  x = np.full((2000, 8, 12, 3), .5, np.float32)
  x[:, :, :6] += np.float32([.1, 0, -.1])
  y = np.asarray(augmented['colour'](keys(2000), x), np.float64)
  brightness = y.mean((1, 2, 3)) - .5
  spread = (y[:, 0, 0] - y[:, 0, 0].mean(-1, keepdims=True))[:, 0] / .1      # saturation x contrast
  assert abs(brightness).max() <= .2501 and abs(brightness.mean()) < .02
  assert brightness.std() == pytest.approx(.5 / 12 ** .5, rel=.05)
  assert spread.min() >= 0 and 2.5 < spread.max() <= 3 and abs(spread.mean() - 1) < .05
  # Of a grey image with edges the contrast alone is seen.
  x = np.zeros((2000, 8, 12, 3), np.float32)
  x[:, :4] = 1
  y = np.asarray(augmented['colour'](keys(2000), x))
  contrast = (y[:, 0] - y[:, -1]).mean((1, 2))
  assert .5 <= contrast.min() < .51 and 1.49 < contrast.max() <= 1.5


def test_images_are_moved_by_whole_pixels_and_what_comes_in_is_grey(augmented):
  x = images(400)
  y = np.asarray(augmented['translation'](keys(400), x))
  padded = np.pad(np.asarray(x), ((0, 0), (1, 1), (2, 2), (0, 0)), constant_values=.5)
  seen = set()
  for one, whole in zip(y, padded, strict=True):
    places = [(i, j) for i in range(3) for j in range(5)
              if np.array_equal(one, whole[i:i + 8, j:j + 12])]
    assert len(places) == 1
    seen |= set(places)
  assert len(seen) == 15                                           # every way there is


def test_boxes_are_half_as_long_and_may_hang_over_the_edge(augmented):
  x = np.ones((500, *SHAPE), np.float32)
  y = np.asarray(augmented['cutout'](keys(500), x))
  grey = y == .5
  assert np.array_equal(grey | (y == 1), np.ones_like(grey))
  rows, columns = grey.any((2, 3)).sum(1), grey.any((1, 3)).sum(1)
  assert np.array_equal(grey.sum((1, 2, 3)), rows * columns * 3)   # a box
  assert rows.max() == 4 and columns.max() == 6 and rows.min() == 2


def test_gradients_are_those_of_differences(changed):
  """All of it is affine in the image, so that differences are exact."""
  x, way, weights = images(3), images(3, 1), images(3, 2)
  _, pull = jax.vjp(lambda x: changed(keys(3), x), x)
  slope = (pull(weights)[0] * way).sum((1, 2, 3))
  expected = ((changed(keys(3), x + way) - changed(keys(3), x)) * weights).sum((1, 2, 3))
  np.testing.assert_allclose(slope, expected, rtol=1e-4)
  assert (np.abs(slope) > 0).all()


def test_an_image_is_changed_as_its_own_key_says(changed):
  x = images(3)
  whole = changed(keys(3), x)
  np.testing.assert_allclose(changed(keys(3)[::-1], x[::-1]), whole[::-1], rtol=1e-5)
  assert not np.allclose(whole, changed(keys(3, 1), x))
