"""What of an image excites a unit, and how large the field is that it uses."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.layers import point
from visionlab.understand import Subject
from visionlab.understand.detectors import discrepancy, field_size, segmented, used_field
from visionlab.understand.dissect import Dissection
from visionlab.understand.patches import best_patches, patches
from visionlab.understand.unit_cards import concept_bars, detector_cards, patch_sheet

SIDE = 21
IMAGES = np.random.default_rng(0).random((5, SIDE, SIDE, 1)).astype(np.float32)


class Small(nn.Module):
  """Units that could see 9 x 9 pixels, of which the first uses 3 x 3."""

  @nn.compact
  def __call__(self, x):
    def init(key, shape, dtype):
      kernel = np.zeros(shape, np.float32)
      kernel[3:6, 3:6, :, 0] = 1
      kernel[:, :, :, 1] = .1
      return jnp.asarray(kernel)
    x = point('map', nn.relu(nn.Conv(2, (9, 9), name='conv', kernel_init=init)(x)))
    return x.mean((1, 2))


@pytest.fixture(scope='module')
def subject():
  model = Small()
  variables = model.init(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 1)))
  return Subject.of((model, variables), (SIDE, SIDE, 1))


def test_only_blocks_over_what_a_unit_uses_change_it(subject):
  """By hand: the change by a block is the sum of what it hides, less what it is."""
  image = IMAGES[0]
  found = discrepancy(subject, image, 'map', 0, (10, 8), side=3, stride=3, chunk=7)
  expected = np.zeros((SIDE, SIDE))
  for y in range(0, SIDE, 3):
    for x in range(0, SIDE, 3):
      hidden = image[..., 0].copy()
      hidden[y:y + 3, x:x + 3] = .5
      change = (hidden - image[..., 0])[9:12, 7:10].sum()
      expected[y:y + 3, x:x + 3] = abs(change)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert found[9, 7] > 0 and not found[:9].any() and not found[:, :6].any()


def test_blocks_reach_the_borders(subject):
  found = discrepancy(subject, IMAGES[0], 'map', 1, (20, 20), side=4, stride=3)
  assert found[20, 20] > 0 and not found[:13].any()
  with pytest.raises(ConfigError, match='side 30'):
    discrepancy(subject, IMAGES[0], 'map', 1, (0, 0), side=30)


def test_the_field_a_unit_uses_is_found(subject):
  best = best_patches(subject, IMAGES, 'map', k=4)
  sizes = [field_size(used_field(subject, IMAGES, best, unit, side=1, stride=1)) for unit in (0, 1)]
  mean = used_field(subject, IMAGES, best, 0, side=1, stride=1)
  y, x = np.nonzero(mean)
  assert (y.min(), y.max(), x.min(), x.max()) == (9, 11, 9, 11)
  assert sizes[0] <= 3 < sizes[1] <= 9


def test_segmented_images_by_hand(subject):
  best = best_patches(subject, IMAGES, 'map', k=7)
  images, masks = segmented(subject, IMAGES, best, [1, 0], level=.6)
  maps = np.asarray(subject.read(IMAGES, ['map'])[1]['map'])
  for i, unit in enumerate((1, 0)):
    for j in range(5):
      number = best.images[unit, j]
      one = maps[number, ..., unit]
      np.testing.assert_array_equal(images[i, j], IMAGES[number])
      np.testing.assert_array_equal(masks[i, j], one > .6 * one.max())
  assert not masks[:, 5:].any()


def test_pages(subject):
  best = best_patches(subject, IMAGES, 'map', k=7)
  parts = patches(subject, IMAGES, best, [0, 1], deconvnet=False)[0]
  sheet = patch_sheet(parts, parts, best, [0, 1])
  assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
  found = Dissection('map', ('one', 'two'), np.array([[.5, .1], [0, .01]]), np.zeros(2),
                     np.array([5, 0]))
  cards = detector_cards(found, *segmented(subject, IMAGES, best, [0, 1]), [0, 1])
  assert cards.dtype == np.uint8 and len(np.unique(cards[0].reshape(-1, 3), axis=0)) >= 2
  assert concept_bars(found).shape[2] == 3
