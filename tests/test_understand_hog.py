"""HOG, beside scikit-image's."""

import jax
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.ops.hog import hog
from visionlab.understand.hog import hog_picture

RNG = np.random.default_rng(0)


def photograph():
  """Smooth, so that channels tie, with a grey part where all of them do."""
  image = RNG.integers(0, 256, (6, 8, 3)).repeat(8, 0).repeat(8, 1)
  image[:, :24] = image[:, :24, :1]
  return np.clip(image + RNG.integers(-3, 4, image.shape), 0, 255).astype(np.uint8)[:45]


@pytest.mark.parametrize('options', [{}, dict(bins=6, cell=6, block=2), dict(cell=5, block=1)])
@pytest.mark.parametrize('channels', [1, 3])
def test_it_is_that_of_scikit_image(options, channels):
  feature = pytest.importorskip('skimage.feature')
  image = photograph()[..., :channels]
  bins, cell, block = (options.get(k, v) for k, v in (('bins', 9), ('cell', 8), ('block', 3)))
  expected = feature.hog(image, bins, (cell, cell), (block, block), feature_vector=False,
                         channel_axis=-1)
  found = jax.jit(lambda x: hog(x, **options))(image[None])[0]
  assert found.shape == expected.shape
  np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_step_has_one_direction():
  """A vertical edge: all gradients point along x, the first bin."""
  image = np.zeros((1, 24, 24, 1), np.float32)
  image[:, :, 12:] = 1
  found = np.asarray(jax.jit(hog)(image))[0, 0, 0]
  assert (found[..., 1:] == 0).all() and (found[:, 1, 0] > 0).all()
  picture = np.asarray(jax.jit(lambda x: hog_picture(hog(x)))(image))[0]
  assert picture.shape == (24, 24) and picture.max() == 1
  assert picture[:, 11:13].mean() > 4 * picture[:, 8].mean()      # and is drawn upright


def test_a_picture_smaller_than_a_block():
  with pytest.raises(ConfigError, match='at least 24 x 24 pixels, not 20 x 30'):
    hog(np.zeros((1, 20, 30, 1)))
