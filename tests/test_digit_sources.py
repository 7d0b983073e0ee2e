"""SVHN, USPS and rendered numbers: files written by hand, and what drawings may hang on."""

import bz2
import pickle

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.images.stretch import stretched
from visionlab.data.sources.svhn import svhn
from visionlab.data.sources.synnumbers import CONTRAST, synnumbers
from visionlab.data.sources.usps import usps

RNG = np.random.default_rng(0)


# --- stretched ---


def test_stretching_is_pillows_and_channels_are_repeated():
  images = RNG.integers(0, 256, (3, 6, 9, 1), np.uint8)
  expected = [np.asarray(Image.fromarray(x[..., 0]).resize((7, 7), Image.Resampling.BILINEAR))
              for x in images]
  found = stretched(images, 7, 3)
  assert found.shape == (3, 7, 7, 3)
  assert abs(found.astype(int) - np.stack(expected)[..., None]).max() <= 1   # two resizers
  same = images[:, :, :6]
  np.testing.assert_array_equal(stretched(same, 6, 3), np.repeat(same, 3, 3))
  assert stretched(same, 6, 1) is same


def test_colour_becomes_grey_by_its_weights():
  image = np.broadcast_to(np.array([200, 100, 50], np.uint8), (2, 4, 4, 3))
  grey = stretched(np.ascontiguousarray(image), 4, 1)
  assert grey.shape == (2, 4, 4, 1)
  assert abs(grey.astype(float) - (.299 * 200 + .587 * 100 + .114 * 50)).max() <= 1


@pytest.mark.parametrize('size, channels', [(-1, 1), (8, 2)])
def test_stretching_mistakes(size, channels):
  with pytest.raises(ConfigError, match='must be'):
    stretched(np.zeros((1, 4, 4, 1), np.uint8), size, channels)


# --- SVHN ---


def test_svhn_is_read_as_its_file_has_it(tmp_path):
  image = RNG.integers(0, 256, (5, 32, 32, 3), np.uint8)
  savemat(tmp_path / 'test_32x32.mat', dict(X=image.transpose(1, 2, 3, 0),
                                            y=np.array([[10], [1], [9], [2], [10]], np.uint8)))
  source = svhn('test', root=str(tmp_path))
  np.testing.assert_array_equal(source.arrays['image'], image)
  assert source.arrays['label'].tolist() == [0, 1, 9, 2, 0]
  assert source.arrays['label'].dtype == np.int32 and len(source.info.classes) == 10
  assert svhn('test', root=str(tmp_path), size=28, channels=1).arrays['image'].shape == (
      5, 28, 28, 1)


def test_svhn_mistakes(tmp_path):
  root = str(tmp_path)
  with pytest.raises(ConfigError, match='train, test, extra.*did you mean "extra"'):
    svhn('extras', root=root)
  with pytest.raises(ConfigError, match='lacks train_32x32.mat; it holds nothing'):
    svhn('train', root=root)
  (tmp_path / 'train_32x32.mat').write_bytes(b'MATLAB 5.0' + bytes(150))
  with pytest.raises(ConfigError, match='train_32x32.mat cannot be read'):
    svhn('train', root=root)
  for x, y, said in ((np.zeros((32, 32, 3, 2)), [[1], [2]], 'should hold X'),
                     (np.zeros((32, 32, 3, 2), np.uint8), [[0], [2]], 'from 0 to 2, not 1 to 10')):
    savemat(tmp_path / 'train_32x32.mat', dict(X=x, y=np.array(y)))
    with pytest.raises(ConfigError, match=said):
      svhn('train', root=root)


# --- USPS ---


def usps_line(label, pixels):
  return f'{label} ' + ' '.join(f'{i}:{v:.4f}' for i, v in enumerate(pixels.ravel(), 1))


@pytest.mark.parametrize('packed', [True, False])
def test_usps_is_read_as_its_file_has_it(tmp_path, packed):
  pixels = RNG.uniform(-1, 1, (4, 16, 16))
  text = '\n'.join(map(usps_line, (1, 10, 4, 7), pixels)).encode()
  (tmp_path / ('usps.t.bz2' if packed else 'usps.t')).write_bytes(
      bz2.compress(text) if packed else text)
  source = usps('test', root=str(tmp_path))
  assert source.arrays['label'].tolist() == [0, 9, 3, 6]
  image = source.arrays['image']
  assert image.shape == (4, 16, 16, 1) and image.dtype == np.uint8
  assert abs(image[..., 0] - (pixels + 1) * 127.5).max() <= .51
  large = usps('test', root=str(tmp_path), size=28, channels=3).arrays['image']
  assert large.shape == (4, 28, 28, 3) and (large[..., 0] == large[..., 2]).all()


@pytest.mark.parametrize('content, said', [
    (b'1 1:0.5\n11 1:0.5', 'line 2: expected a label from 1 to 10'),
    (b'1 1:0.5\n\n2 1:1.5', 'line 2: expected .* pixels from -1 to 1, found 2 and 1.5'),
    (b'1 257:0.5', 'line 1 is not a label'), (b'1 a:b', 'line 1 is not a label'),
    (b'1', 'line 1 is not a label')])
def test_usps_mistakes(tmp_path, content, said):
  with pytest.raises(ConfigError, match='lacks usps.bz2'):
    usps('train', root=str(tmp_path))
  (tmp_path / 'usps').write_bytes(content)
  with pytest.raises(ConfigError, match=said):
    usps('train', root=str(tmp_path))
  (tmp_path / 'usps.bz2').write_bytes(b'no bz2')
  with pytest.raises(ConfigError, match='usps.bz2 cannot be read'):
    usps('train', root=str(tmp_path))


# --- rendered numbers ---


def test_numbers_hang_on_seed_split_and_index_alone():
  source = synnumbers('train', size=24)
  some = source[np.array([7, 2, 99_999])]
  assert some['image'].shape == (3, 24, 24, 3) and some['image'].dtype == np.uint8
  for row, i in enumerate((7, 2, 99_999)):
    alone = pickle.loads(pickle.dumps(source))[np.array([i])]
    np.testing.assert_array_equal(alone['image'][0], some['image'][row])
    assert alone['label'][0] == some['label'][row]
  for other in (synnumbers('train', size=24, seed=1), synnumbers('test', size=24)):
    assert all((a != b).any() for a, b in zip(other[np.arange(5)]['image'],
                                              source[np.arange(5)]['image'], strict=True))
  assert len(synnumbers('test')) == 10_000
  assert len(open_split(lambda split: synnumbers(split, examples=50), 'train[:20%]')) == 10


def test_numbers_vary_and_their_labels_are_even():
  batch = synnumbers('train')[np.arange(600)]
  counts = np.bincount(batch['label'], minlength=10)
  assert counts.min() > 30 and len(counts) == 10           # 60 each, standard deviation 7
  spread = np.ptp(batch['image'] @ np.array([.299, .587, .114]), axis=(1, 2))
  assert (spread > .3 * CONTRAST).mean() > .95              # blur takes some of it
  paper = batch['image'][:, 0, 0]
  assert (paper.std(0) > 50).all()


def test_the_label_is_the_digit_in_the_middle(monkeypatch):
  """With one font, one height and nothing turned or blurred, the middle of every image of a label
  is that digit as Pillow draws it alone."""
  from PIL import ImageDraw, ImageFont

  from visionlab.data.sources import synnumbers as module
  for name, value in dict(HEIGHT=(1., 1.), TURN=0., BLUR=0., SHIFT=0.).items():
    monkeypatch.setattr(module, name, value)
  source = synnumbers('train')
  source.fonts = [next(f for f in source.fonts if f.endswith('DejaVuSansMono.ttf'))]
  font = ImageFont.truetype(source.fonts[0], 64)
  glyphs = []
  for digit in '0123456789':
    mask = Image.new('L', (64, 64))
    left, top, right, bottom = font.getbbox(digit)
    place = (32 - font.getlength(digit) / 2, 32 - (top + bottom) / 2)
    ImageDraw.Draw(mask).text(place, digit, fill=255, font=font)
    glyphs.append(np.asarray(mask.resize((32, 32), Image.Resampling.BOX), float)[:, 8:24])
  batch = source[np.arange(60)]
  for image, label in zip(batch['image'].astype(float), batch['label'], strict=True):
    strip = image[:, 8:24].mean(-1)
    alike = [abs(np.corrcoef(strip.ravel(), g.ravel())[0, 1]) for g in glyphs]
    assert np.argmax(alike) == label and alike[label] > .85


def test_synnumbers_mistakes(tmp_path):
  with pytest.raises(ConfigError, match='did you mean "train"'):
    synnumbers('trian')
  with pytest.raises(ConfigError, match='size must be at least 8'):
    synnumbers('train', size=4)
  with pytest.raises(ConfigError, match='no .ttf or .otf files in'):
    synnumbers('train', fonts=str(tmp_path))
  (tmp_path / 'a.ttf').write_bytes(b'no font')
  with pytest.raises(ConfigError, match='a.ttf is not a font'):
    synnumbers('train', fonts=str(tmp_path))[np.arange(1)]
