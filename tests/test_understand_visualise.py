"""Images that excite classes and channels."""

import jax
import numpy as np
import pytest
from understood import Linear, Smooth, subject_of

from visionlab.understand.visualise import channel_images, class_images


def test_a_class_model_of_a_linear_network_is_its_weights():
  """The best of w.x - penalty * mean((x - .5)^2) is .5 + w n / (2 penalty), n the numbers in x."""
  shape = (2, 3, 2)
  subject = subject_of(Linear(), shape)
  images, curve = class_images(subject, ['cow', 'ant'], penalty=40., steps=300)
  kernel = np.asarray(subject.variables['params']['head']['kernel']).T[[2, 0]]
  np.testing.assert_allclose(images, .5 + kernel.reshape(2, *shape) * 12 / 80, atol=2e-3)
  assert (curve[-1] > curve[0]).all()


def test_a_large_penalty_gives_back_the_start():
  images, _ = class_images(subject_of(Linear(), (2, 3, 2)), ['bee'], penalty=1e5, steps=100)
  np.testing.assert_allclose(images, .5, atol=1e-2)


@pytest.fixture(scope='module')
def seen():
  subject = subject_of(Smooth())
  options = dict(steps=12, size=(12, 10), transforms=(), key=jax.random.key(4))
  return [channel_images(subject, 'second', [1, 4], **options) for _ in range(2)]


def test_a_channel_rises_and_a_seeded_run_is_bit_equal(seen):
  first, again = seen
  assert first.images.shape == (2, 12, 10, 3) and (first.curve[-1] > first.curve[0]).all()
  np.testing.assert_array_equal(first.images, again.images)
