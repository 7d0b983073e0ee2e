"""Images of two, four and six channels: from arrays and files, of the network's size and others."""

import numpy as np
import pytest
from PIL import Image
from tiny import config

from visionlab.config import ConfigError
from visionlab.data.images.bands import BandCanvas, bands_of
from visionlab.runs.load import load
from visionlab.train import train

RNG = np.random.default_rng(0)


def images_of(channels, n=4, size=(8, 8)):
  return RNG.integers(0, 256, (n, *size, channels)).astype(np.uint8)


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """By their channels, runs trained on such images."""
  folder, found = tmp_path_factory.mktemp('bands'), {}
  for channels in (4, 6):
    np.savez(folder / f'{channels}.npz', x_train=images_of(channels, 8), y_train=np.arange(8) % 2)
    train(config(steps=1, evals={}, batch=4, augment={}, model=dict(norm=False), data=dict(
        name='arrays', path=str(folder / f'{channels}.npz'))), folder / str(channels))
    found[channels] = load(folder / str(channels))
  return found


@pytest.mark.parametrize('channels', [4, 6])
def test_arrays_in_every_form_give_the_same(runs, channels):
  run, images = runs[channels], images_of(channels)
  exact = run.task.predict(run.variables, {'image': images})['logits']
  for form in (images, list(images), images / 255):
    np.testing.assert_allclose(run.predict(form)['logits'], exact, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(run.predict(images[0])['logits'], exact[:1], rtol=1e-4, atol=1e-5)
  assert run.predict([np.zeros((20, 10, channels), np.uint8)])['logits'].shape == (1, 2)


def test_a_file_with_alpha_is_four_channels(runs, tmp_path):
  """Not laid on white, as for a network of colours."""
  run, image = runs[4], images_of(4)[0]
  image[..., 3] = 7
  Image.fromarray(image).save(tmp_path / 'a.png')
  Image.fromarray(image).save(tmp_path / 'a.tif')
  expected = run.predict(image)['logits']
  for form in (tmp_path / 'a.png', tmp_path / 'a.tif', Image.fromarray(image),
               (tmp_path / 'a.png').read_bytes()):
    np.testing.assert_array_equal(run.predict(form)['logits'], expected)


@pytest.mark.parametrize('given, said', [
    ((8, 8, 3), 'image 0: this network takes images of 4 channels, and this one has 3; give an '
                'array .h w 4. or an RGBA file'),
    ((8, 8), 'and this one has 1')])
def test_another_number_of_channels_is_one_line(runs, given, said):
  with pytest.raises(ConfigError, match=said):
    runs[4].predict([np.zeros(given, np.uint8)])
  with pytest.raises(ConfigError, match=r'expected an array \(h w 6\), got ndarray'):
    runs[6].predict([np.zeros(given, np.uint8)])


def test_each_channel_is_scaled_like_a_grey_image():
  from visionlab.data.images.decode import Canvas
  image = images_of(6, 1, (20, 10))[0]
  for resize in ('crop', 'pad', 'stretch'):
    placed = BandCanvas((8, 6), 6, resize=resize)(image)
    assert placed.shape == (8, 6, 6)
    for k in range(6):
      grey = Canvas((8, 6), resize, channels=1)(Image.fromarray(image[..., k]))
      np.testing.assert_array_equal(placed[..., k], grey[..., 0])


def test_an_image_that_exif_turns_is_turned():
  image = Image.fromarray(images_of(4, 1, (4, 6))[0])
  image.getexif()[0x0112] = 6
  turned = bands_of(image, 4)
  np.testing.assert_array_equal(turned, np.rot90(np.asarray(image), -1))
