"""Dreams, and films of them."""

import jax
import numpy as np
import pytest
from PIL import Image
from understood import Smooth, photos, subject_of

from visionlab.config import ConfigError
from visionlab.figures.films import write_film
from visionlab.understand.dream import dream, endless_zoom, enlarged, resized
from visionlab.understand.galleries import gallery, strip
from visionlab.understand.objectives import energy, guided, read


@pytest.fixture(scope='module')
def subject():
  return subject_of(Smooth())


def power(subject, image):
  return float(np.square(read(subject, image[None], ['second'])['second']).mean())


def test_a_dream_of_odd_size_has_more_of_the_layer(subject):
  image, told = photos(1, (45, 51, 3))[0], []
  made = dream(subject, image, 'second', octaves=3, steps=4, jitter=3,
               callback=lambda done, of, _: told.append((done, of)))
  assert made.shape == image.shape and made.min() >= 0 and made.max() <= 1
  assert power(subject, made) > power(subject, image)
  assert told == [(4, 8), (8, 8)]               # the smallest of the octaves is under 32 pixels
  np.testing.assert_array_equal(made, dream(subject, image, 'second', octaves=3, steps=4, jitter=3))


def test_no_steps_no_dream(subject):
  image = photos(1, (64, 64, 3))[0]
  np.testing.assert_allclose(dream(subject, image, 'second', octaves=2, steps=0), image, atol=1e-6)


def test_by_tiles_it_is_the_same_dream(subject):
  """The rolls are those of the key, and the tiles overlap by twice as far as the network looks."""
  image = photos(1, (36, 48, 3))[0]
  whole, parts = (dream(subject, image, energy(subject, 'second'), octaves=1, steps=2, jitter=5,
                        **options) for options in ({}, dict(tile=24, overlap=8)))
  assert np.abs(whole - image).max() > .005
  np.testing.assert_allclose(parts, whole, atol=2e-4)


def test_a_guide_leads_elsewhere(subject):
  image, guide = photos(2, (32, 32, 3))
  plain, led = (dream(subject, image, at, octaves=1, steps=3, jitter=0)
                for at in ('second', guided(subject, 'second', guide[:8])))
  assert np.abs(plain - led).max() > 1e-3


def test_zooming_enlarges_the_middle():
  y, x = np.mgrid[:60, :80] / 100.
  image = np.stack([x, y, x], -1).astype(np.float32)
  larger = enlarged(image, .25)
  centre = np.array([(80 - 1) / 2, (60 - 1) / 2]) / 100
  np.testing.assert_allclose(larger[..., 0] - centre[0], (image[..., 0] - centre[0]) / 1.25,
                             atol=.006)
  np.testing.assert_allclose(larger[..., 1] - centre[1], (image[..., 1] - centre[1]) / 1.25,
                             atol=.006)
  np.testing.assert_allclose(resized(image, (30, 40))[:, :, 0],
                             image.reshape(30, 2, 40, 2, 3).mean((1, 3))[..., 0], atol=.003)


def test_a_film_of_an_endless_zoom(subject, tmp_path):
  frames = list(endless_zoom(subject, photos(1, (33, 40, 3))[0], 'second', 3, octaves=1, steps=1,
                             key=jax.random.key(1)))
  write_film(tmp_path / 'zoom.gif', frames, .1)
  with Image.open(tmp_path / 'zoom.gif') as film:
    assert film.n_frames == 3 and film.size == (40, 33) and film.info['loop'] == 0
    assert film.info['duration'] == 100
  assert [path.name for path in tmp_path.iterdir()] == ['zoom.gif']


def test_pictures_of_images():
  images = photos(3, (6, 5, 1))
  assert strip(images, gap=2).shape == (6, 19, 3)
  np.testing.assert_array_equal(strip(images, gap=2)[:, 7:12, 0],
                                np.round(images[1, ..., 0] * 255).astype(np.uint8))
  picture = gallery(images, ['a', 'b', 'c'])
  assert picture.dtype == np.uint8 and picture.shape[2] == 3


def test_what_is_wrong_is_said(subject):
  with pytest.raises(ConfigError, match='h w c'):
    dream(subject, photos(1), 'second')
  with pytest.raises(ConfigError, match='did you mean'):
    dream(subject, photos(1)[0], 'secondd')
