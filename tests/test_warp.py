"""Warping against SciPy's spline interpolation, torch's grid_sample and NumPy's matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from visionlab.config import ConfigError
from visionlab.ops import warp

SCIPY_MODES = {'constant': 'grid-constant', 'edge': 'nearest', 'reflect': 'reflect'}


@pytest.fixture
def image():
  return np.random.default_rng(0).random((7, 9, 3), dtype=np.float32)


@pytest.fixture
def coords():
  """Places within and well beyond a 7x9 image, none on the seam between two pixels."""
  return np.random.default_rng(1).uniform(-9, 18, (40, 5, 2)).astype(np.float32)


@pytest.mark.parametrize('order', [0, 1])
@pytest.mark.parametrize('mode', warp.MODES)
def test_sample_agrees_with_scipy(image, coords, order, mode):
  ours = warp.sample(image, coords, order=order, mode=mode, fill=.25)
  places = [coords[..., 1] - .5, coords[..., 0] - .5]
  theirs = np.stack([
      ndimage.map_coordinates(image[..., c], places, order=order, mode=SCIPY_MODES[mode], cval=.25,
                              prefilter=False) for c in range(3)], axis=-1)
  np.testing.assert_allclose(ours, theirs, atol=1e-5)
  grey = warp.sample(image[..., 1], coords, order=order, mode=mode, fill=.25)
  np.testing.assert_allclose(grey, theirs[..., 1], atol=1e-5)


@pytest.mark.parametrize('order, kind', [(1, 'bilinear'), (3, 'bicubic')])
@pytest.mark.parametrize('mode, padding', [('constant', 'zeros'), ('edge', 'border'),
                                           ('reflect', 'reflection')])
def test_sample_agrees_with_torch(image, coords, mode, padding, order, kind):
  torch = pytest.importorskip('torch')
  h, w = image.shape[:2]
  theirs = torch.nn.functional.grid_sample(
      torch.tensor(image).permute(2, 0, 1)[None],
      torch.tensor(2 * coords / np.array([w, h], 'f4') - 1)[None],
      mode=kind, padding_mode=padding, align_corners=False)
  ours = warp.sample(image, coords, order=order, mode=mode)
  np.testing.assert_allclose(ours, theirs[0].permute(1, 2, 0).numpy(), atol=1e-5)


def test_sample_keeps_integer_labels_whole():
  labels = np.arange(20, dtype=np.int32).reshape(4, 5)
  moved = warp.sample(labels, warp.centres(4, 5) + jnp.array([1, 0]), order=0, fill=255)
  assert moved.dtype == jnp.int32
  np.testing.assert_array_equal(moved, np.pad(labels, ((0, 0), (0, 1)), constant_values=255)[:, 1:])


def test_the_identity_is_exact(image):
  places = warp.transform(jnp.eye(3), warp.centres(*image.shape[:2]))
  np.testing.assert_array_equal(warp.sample(image, places), image)


def test_affine_sampling_agrees_with_scipy(image):
  matrix = np.array(warp.compose(warp.translation(1.3, -.4), warp.rotation(.5),
                                 warp.shearing(.2), warp.scaling(.8, 1.1)), np.float64)
  ours = warp.sample(image, warp.transform(matrix, warp.centres(6, 11)), mode='edge')
  # SciPy counts rows before columns and puts pixel centres at whole numbers.
  turn = matrix[:2, :2][::-1, ::-1]
  shift = matrix[:2, 2][::-1] + turn @ [.5, .5] - .5
  theirs = ndimage.affine_transform(image[..., 0].astype(float), turn, shift, output_shape=(6, 11),
                                    order=1, mode='nearest')
  np.testing.assert_allclose(ours[..., 0], theirs, atol=1e-5)


def test_matrices_move_points_as_named():
  point = jnp.array([2., 0.])
  def moved(matrix):
    return np.asarray(warp.transform(matrix, point))
  np.testing.assert_allclose(moved(warp.rotation(np.pi / 2)), [0, 2], atol=1e-6)
  np.testing.assert_allclose(moved(warp.scaling(3, 5)), [6, 0])
  np.testing.assert_allclose(moved(warp.translation(1, -1)), [3, -1])
  lean = warp.transform(warp.shearing(np.pi / 4), jnp.array([0., 2.]))
  np.testing.assert_allclose(lean, [2, 2], rtol=1e-6)


def test_invert_agrees_with_numpy():
  matrix = warp.compose(warp.rotation(.7), warp.translation(30, -4), warp.scaling(.3, 2.))
  np.testing.assert_allclose(warp.invert(matrix), np.linalg.inv(matrix), rtol=1e-5, atol=1e-5)


def test_gaussian_agrees_with_scipy():
  signal = np.random.default_rng(0).random(30)
  theirs = ndimage.gaussian_filter1d(signal, 2., mode='constant', truncate=4.)
  np.testing.assert_allclose(warp.gaussian(30, 2.) @ signal, theirs, atol=1e-6)


def test_elastic_displacement_has_the_stated_size():
  field = warp.elastic_displacement(jax.random.key(0), 200, 200, alpha=34., sigma=4.)
  assert field.shape == (200, 200, 2)
  inner = np.asarray(field)[20:-20, 20:-20]
  assert inner.std() == pytest.approx(34 / (4 * np.sqrt(12 * np.pi)), rel=.08)
  assert abs(inner.mean()) < .2


def test_jit_and_vmap_agree_with_a_loop(image, coords):
  images = np.stack([image, image[::-1]])
  together = jax.jit(jax.vmap(lambda i: warp.sample(i, coords)))(images)
  for one, i in zip(together, images, strict=True):
    np.testing.assert_allclose(one, warp.sample(i, coords), atol=1e-6)


@pytest.mark.parametrize('options, hint', [(dict(mode='edgy'), 'did you mean "edge"'),
                                           (dict(order=2), 'order')])
def test_wrong_options_are_explained(image, coords, options, hint):
  with pytest.raises(ConfigError, match=hint):
    warp.sample(image, coords, **options)
