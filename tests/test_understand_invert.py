"""Images from features."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from understood import photos, subject_of

from visionlab.models.layers import point
from visionlab.understand.invert import feature_errors, invert, invert_layers
from visionlab.understand.objectives import read


class Narrowing(nn.Module):
  """A layer that keeps all of an image, one that keeps its means, and one that keeps a number."""

  @nn.compact
  def __call__(self, x):
    x = point('whole', nn.Conv(4, (1, 1), name='conv')(x))
    x = point('coarse', nn.avg_pool(x, (4, 4), (4, 4)))
    x = point('mean', x.mean((1, 2)))
    return nn.Dense(2, name='head')(x)


@pytest.fixture(scope='module')
def subject():
  return subject_of(Narrowing(), (8, 8, 3), classes=())


def test_the_shallower_the_layer_the_smaller_the_error(subject):
  images, told = photos(2), []
  found = invert_layers(subject, images, ['whole', 'coarse', 'mean'], steps=150, alpha=0., tv=0.,
                        callback=lambda done, of, _: told.append((done, of)))
  errors = [np.abs(inverted.images - images).mean() for inverted in found.values()]
  assert errors[0] < .01 < 5 * errors[0] < errors[1] <= errors[2] * 1.05
  assert all((inverted.errors < .02).all() for inverted in found.values())
  assert told[0] == (10, 450) and told[-1] == (450, 450)


def test_the_error_is_the_distance_by_the_length(subject):
  a, b = photos(2), photos(2, seed=1)
  f, g = (read(subject, x, ['coarse'])['coarse'].reshape(2, -1) for x in (a, b))
  expected = np.sqrt(((f - g) ** 2).sum(1) / (g ** 2).sum(1))
  np.testing.assert_allclose(feature_errors(subject, a, b, 'coarse'), expected, rtol=1e-5)


def test_regularisers_alone_give_grey_and_the_best_restart_is_kept(subject):
  found = invert(subject, photos(1), 'mean', strength=1e-6, restarts=3, steps=150)
  assert found.images.shape == (1, 8, 8, 3) and found.curve.shape == (150, 1)
  assert float(jnp.abs(jnp.diff(found.images, axis=1)).max()) < .01
  assert np.abs(found.images - .5).max() < .2
