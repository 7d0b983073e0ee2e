"""ops/filters.py against scipy.ndimage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.ops import filters
from visionlab.ops.filters import filter_image

ndimage = pytest.importorskip('scipy.ndimage')

RNG = np.random.default_rng(0)
SCIPY = {'zero': 'constant', 'reflect': 'mirror', 'edge': 'nearest'}
KERNELS = {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in (
    ('odd', (3, 5)), ('even', (4, 2)), ('mixed', (1, 4)), ('one', (1, 1)))}


@pytest.mark.parametrize('padding', SCIPY)
@pytest.mark.parametrize('kernel', KERNELS)
def test_filters_are_scipys(kernel, padding):
  kernel = KERNELS[kernel]
  image = RNG.standard_normal((7, 8, 3)).astype(np.float32)
  expected = np.stack([ndimage.correlate(plane, kernel, mode=SCIPY[padding])
                       for plane in np.moveaxis(image, -1, 0)], -1)
  got = filter_image(jnp.asarray(image), kernel, padding)
  np.testing.assert_allclose(got, expected, atol=1e-5)
  batch = filter_image(jnp.stack([2 * image, image]), kernel, padding)
  np.testing.assert_allclose(batch[1], expected, atol=1e-5)


def test_valid_is_the_part_that_needs_no_outside():
  signal = pytest.importorskip('scipy.signal')
  image, kernel = RNG.standard_normal((7, 8)), RNG.standard_normal((4, 3))
  got = filter_image(jnp.asarray(image, jnp.float32)[..., None], kernel, 'valid')
  expected = signal.correlate2d(image, kernel, mode='valid')
  np.testing.assert_allclose(got[..., 0], expected, atol=1e-5)


def test_kernels_are_scipys():
  image = RNG.standard_normal((16, 17)).astype(np.float32)

  def ours(kernel):
    return filter_image(jnp.asarray(image)[..., None], kernel, 'edge')[..., 0]
  for kernel, expected in (
      (filters.IDENTITY, image),
      (filters.box(5), ndimage.uniform_filter(image, 5, mode='nearest')),
      (filters.gaussian(1.3), ndimage.gaussian_filter(image, 1.3, mode='nearest')),
      (filters.SHARPEN, image - ndimage.laplace(image, mode='nearest')),
      (filters.VERTICAL_EDGES, ndimage.sobel(image, 1, mode='nearest')),
      (filters.HORIZONTAL_EDGES, ndimage.sobel(image, 0, mode='nearest'))):
    np.testing.assert_allclose(ours(kernel), expected, atol=1e-4)
  with pytest.raises(ValueError, match='read-only'):
    filters.IDENTITY[0, 0] = 1


def test_the_laplacian_sees_edges_of_every_direction_and_no_slopes():
  y, x = np.mgrid[:9, :9].astype(np.float32)
  inside = np.s_[1:-1, 1:-1]

  def largest(image):
    return float(abs(filter_image(jnp.asarray(image)[..., None], filters.ALL_EDGES)[inside]).max())
  assert largest(3 * x - 2 * y + 1) < 1e-4
  for image in (x > 4, y > 4, x + y > 8, x > y):
    assert largest(image.astype(np.float32)) >= 2


def test_bytes_are_taken_to_the_unit_interval():
  image = RNG.integers(0, 256, (5, 6, 3), np.uint8)
  got = filter_image(jnp.asarray(image), filters.IDENTITY)
  np.testing.assert_allclose(got, image / 255, atol=1e-6)


def test_gradient_reaches_image_and_kernel():
  image, kernel = jnp.asarray(RNG.standard_normal((5, 6, 2)), jnp.float32), filters.gaussian(.5)

  def loss(image, kernel):
    return jnp.sum(filter_image(image, kernel, 'reflect') ** 2)
  dx, dk = jax.jit(jax.grad(loss, (0, 1)))(image, jnp.asarray(kernel))
  for a, d, at in ((image, dx, (0, 3, 1)), (jnp.asarray(kernel), dk, (1, 2))):
    step = jnp.zeros_like(a).at[at].set(1e-2)
    sides = [(a + s * step, kernel) if a is image else (image, a + s * step) for s in (1, -1)]
    slope = (loss(*sides[0]) - loss(*sides[1])) / 2e-2
    np.testing.assert_allclose(d[at], slope, rtol=1e-2, atol=1e-2)


def test_errors():
  image = jnp.ones((4, 5, 3))
  with pytest.raises(ConfigError, match='one of zero, reflect.*not \'reflekt\'.*"reflect"'):
    filter_image(image, filters.IDENTITY, 'reflekt')
  with pytest.raises(ConfigError, match=r'expected a kernel \(k k\)'):
    filter_image(image, jnp.ones((3, 3, 1)))
  with pytest.raises(ConfigError, match=r"'valid' needs an image .* \(5, 5\), not \(4, 5\)"):
    filter_image(image, filters.box(5), 'valid')
  with pytest.raises(ConfigError, match='sigma must be positive'):
    filters.gaussian(0.)
