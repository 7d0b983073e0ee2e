"""Images as parameters."""

import jax
import numpy as np
import pytest
from understood import photos

from visionlab.config import ConfigError
from visionlab.understand.images import fourier, fourier_of, generator, pixels


@pytest.mark.parametrize('shape', [(8, 8, 3), (7, 9, 3), (6, 5, 1), (4, 6, 4)])
def test_the_fourier_form_inverts(shape):
  images = photos(2, shape)
  np.testing.assert_allclose(fourier_of(images).images(), images, atol=2e-5)


def test_a_spectrum_of_noise_falls_as_natural_images_do():
  """Amplitude times frequency is even; without the scale it would rise sixteenfold."""
  images = np.asarray(fourier(32, (64, 64, 1), jax.random.key(0)).images())
  logits = np.log(images / (1 - images))[..., 0]
  power = np.abs(np.fft.fft2(logits)).mean(0)
  frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
  low, high = (frequency > .02) & (frequency < .05), (frequency > .3) & (frequency < .5)
  even = power * frequency
  np.testing.assert_allclose(even[low].mean(), even[high].mean(), rtol=.15)


def test_colours_of_a_spectrum_go_together():
  """A number in the first of three colours changes light, all channels alike."""
  image = fourier(1, (4, 4, 3), jax.random.key(0), sd=0.)
  params = np.array(image.params)
  params[:, 0, 0, 0, 0] = 1
  red, green, blue = np.asarray(image.render(params))[0, 0, 0]
  assert min(red, green, blue) > .5 and max(red, green, blue) - min(red, green, blue) < .02


@pytest.mark.parametrize('bound', ['clip', 'sigmoid', 'none'])
def test_pixels_are_the_images(bound):
  images = photos(2, (3, 4, 2))
  np.testing.assert_allclose(pixels(images, bound).images(), images, atol=1e-6)
  np.testing.assert_allclose(pixels((images * 255).astype(np.uint8), bound).images(), images,
                             atol=1 / 255)


def test_a_generator_starts_grey_and_is_of_any_size():
  image = generator(2, (5, 7, 3), jax.random.key(0), hidden=4, layers=2)
  np.testing.assert_allclose(image.images(), np.full((2, 5, 7, 3), .5))
  first, second = image.params[0]['kernel']
  assert (np.asarray(first) != np.asarray(second)).all()


def test_what_is_no_image_is_said():
  with pytest.raises(ConfigError, match='b h w c'):
    pixels(np.zeros((3, 4, 2)))
  with pytest.raises(ConfigError, match='sigmoid'):
    pixels(np.zeros((1, 3, 4, 2)), 'sigmod')
