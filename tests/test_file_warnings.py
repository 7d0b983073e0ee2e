"""Files that are damaged are named, and once: not in every epoch, nor by Pillow without a name."""

import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.file_warnings import with_files
from visionlab.data.images.any_image import read
from visionlab.data.sources.folder import folder
from visionlab.data.sources.pairs import pairs


def damaged(path, size=(40, 40)):
  """A file with a sound header, whose pixels end early."""
  path.parent.mkdir(parents=True, exist_ok=True)
  noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
  Image.fromarray(noise).save(path)
  path.write_bytes(path.read_bytes()[:1000])


def sound(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('RGB', (40, 40)).save(path)


@pytest.mark.parametrize('kind', ['folder', 'pairs'])
def test_a_broken_image_is_named_once(tmp_path, warned, kind):
  if kind == 'folder':
    sound(tmp_path / 'a' / 'x.png')
    damaged(tmp_path / 'b' / 'y.png')
    source = folder('train', root=str(tmp_path), size=8)
  else:
    for name in ('x', 'y'):
      Image.new('L', (40, 40)).save(_made(tmp_path / 'masks' / f'{name}.png'))
    sound(tmp_path / 'images' / 'x.png')
    damaged(tmp_path / 'images' / 'y.png')
    source = pairs('train', root=str(tmp_path), size=8, classes=('sky',))
  for _ in range(3):
    assert source[np.arange(2)]['valid'].tolist() == [True, False]
  named = [line for line in warned if 'y.png' in line]
  assert len(named) == 1, warned


def _made(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  return path


def with_damaged_exif(path):
  """A sound JPEG, the text in whose EXIF data lies beyond their end."""
  exif = Image.Exif()
  exif[0x010e] = 'a text that is stored apart'
  _made(path)
  Image.new('RGB', (40, 40)).save(path, exif=exif)
  content = bytearray(path.read_bytes())
  tag = content.find(struct.pack('>HHI', 0x010e, 2, 28))
  content[tag + 8:tag + 12] = struct.pack('>I', 5000)
  path.write_bytes(content)


def test_what_pillow_warns_of_is_named_with_the_file(tmp_path, warned):
  for name in ('a/x.jpg', 'b/y.jpg'):
    with_damaged_exif(tmp_path / name)
  others = []
  with warnings.catch_warnings():
    warnings.simplefilter('always')
    warnings.showwarning = with_files(lambda message, *rest: others.append(str(message)))
    source = folder('train', root=str(tmp_path), size=8)
    for _ in range(2):
      assert source[np.arange(2)]['valid'].all()
    read(tmp_path / 'a' / 'x.jpg', lambda image: image.getexif(), 'image 0')
    warnings.warn('mine', stacklevel=1)
  assert others == ['mine']
  assert sorted(line.partition(': ')[0] for line in warned) == [
      str(tmp_path / 'a/x.jpg'), str(tmp_path / 'b/y.jpg')]


def test_of_a_bomb_its_reader_speaks(tmp_path, warned, monkeypatch):
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
  Image.new('L', (40, 30)).save(tmp_path / 'large.png')
  with warnings.catch_warnings():
    warnings.simplefilter('always')
    warnings.showwarning = with_files(lambda message, *rest: pytest.fail(str(message)))
    with pytest.raises(ConfigError, match=r'large.png: cannot be read .* 40x30 pixels exceed'):
      read(tmp_path / 'large.png', np.asarray, 'image 0')
  assert not warned
