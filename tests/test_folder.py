"""Folders of image files: layouts, modes, geometry, and files that are broken."""

import os
import pickle
import stat
import sys
import types

import numpy as np
import pytest
from PIL import Image, ImageOps

from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.images.decode import Canvas, open_image
from visionlab.data.sources.folder import folder

RNG = np.random.default_rng(0)
RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


def save(path, image=None, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  (image or Image.new('RGB', (20, 12), RED)).save(path, **options)
  return path


def photo(width, height):
  """A smooth picture, so that JPEG and interpolation change it little; every side differs."""
  x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
  planes = np.stack([x, y, .5 + .5 * np.sin(4 * x + 7 * y)], -1)
  return Image.fromarray(np.round(planes * 255).astype(np.uint8))


def read(path, **options):
  with open_image(path) as image:
    return Canvas(**options)(image)


# --- layouts ---


def test_split_folders(tmp_path):
  for name in ('train/dog/1.jpg', 'train/dog/2.PNG', 'train/cat/1.jpeg', 'val/emu/1.jpg',
               'train/.hidden/1.jpg', 'train/cat/.1.jpg', 'docs.jpg', 'train/dog/deeper/3.jpg'):
    path = tmp_path / name
    save(path, format='JPEG')
  (tmp_path / 'train' / 'cat' / 'notes.txt').write_text('no image')
  train, val = folder('train', root=str(tmp_path)), folder('val', root=str(tmp_path))
  # Classes are those of all splits, so that a label means the same in each.
  assert train.info.classes == val.info.classes == ('cat', 'dog', 'emu')
  batch = train[np.arange(3)]
  assert batch['label'].tolist() == [0, 1, 1] and batch['label'].dtype == np.int32
  assert batch['image'].shape == (3, 224, 224, 3) and batch['image'].dtype == np.uint8
  assert batch['valid'].tolist() == [True] * 3
  assert val[np.array([0])]['label'].tolist() == [2]
  with pytest.raises(ConfigError, match='no split "vall"; there are train, val.*"val"'):
    folder('vall', root=str(tmp_path))


def test_plain_class_folders_and_slices(tmp_path):
  for i in range(40):
    save(tmp_path / 'ab'[i % 2] / f'{i}.png', Image.new('RGB', (4, 4), (i, 0, 0)))

  def opened(split):
    return open_split(lambda name: folder(name, root=str(tmp_path), size=4), split)
  seen = [opened(split)[np.arange(size)]['image'][:, 0, 0, 0].tolist()
          for split, size in (('train[:75%]', 30), ('train[75%:]', 10))]
  assert sorted(seen[0] + seen[1]) == list(range(40))
  with pytest.raises(ConfigError, match='no split "test"; there are train'):
    opened('test')


def test_reads_in_any_order_and_after_pickling(tmp_path):
  for i in range(5):
    save(tmp_path / 'ü' / f'{i} ö.png', Image.new('L', (3, 3), 10 * i))
  source = folder('train', root=str(tmp_path), size=2, channels=1)
  for copy in (source, pickle.loads(pickle.dumps(source))):
    batch = copy[np.array([4, 0, 4, -1])]
    assert batch['image'].shape == (4, 2, 2, 1)
    assert batch['image'][:, 0, 0, 0].tolist() == [40, 0, 40, 40]
  assert len(pickle.dumps(source)) < 2000


def test_layout_errors(tmp_path):
  with pytest.raises(ConfigError, match='root must name the folder'):
    folder('train')
  with pytest.raises(ConfigError, match='does not exist'):
    folder('train', root=str(tmp_path / 'nothing'))
  with pytest.raises(ConfigError, match='is a file, not a folder'):
    folder('train', root=str(save(tmp_path / '1.jpg')))
  with pytest.raises(ConfigError, match='no subfolders, only 1 images'):
    folder('train', root=str(tmp_path))
  (tmp_path / 'empty').mkdir()
  with pytest.raises(ConfigError, match='hold no images'):
    folder('train', root=str(tmp_path))
  for options, match in (({'size': 0}, 'positive'), ({'size': (1, 2, 3)}, 'two'),
                         ({'resize': 'strech'}, 'did you mean "stretch"'),
                         ({'channels': 4}, '1 or 3'), ({'on_broken': 'ignore'}, '"skip" or'),
                         ({'crop_fraction': 1.2}, r'\(0, 1\]')):
    with pytest.raises(ConfigError, match=match):
      folder('train', root=str(tmp_path), **options)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_folders_without_permission(tmp_path):
  save(tmp_path / 'a' / '1.jpg')
  (tmp_path / 'a').chmod(0)
  try:
    with pytest.raises(ConfigError, match='cannot be listed: Permission denied'):
      folder('train', root=str(tmp_path))
  finally:
    (tmp_path / 'a').chmod(stat.S_IRWXU)


# --- modes ---


def test_colours_of_every_mode(tmp_path):
  half = Image.new('RGBA', (8, 8), (255, 0, 0, 128))
  palette = Image.new('P', (8, 8), 1)
  palette.putpalette([0, 0, 0, 255, 0, 0])
  hollow = palette.copy()
  hollow.info['transparency'] = 1
  deep = Image.fromarray(np.full((8, 8), 32896, np.uint16))
  cases = {
      'rgb.png': (Image.new('RGB', (8, 8), RED), RED),
      'grey.jpg': (Image.new('L', (8, 8), 77), (77, 77, 77)),
      'grey_alpha.png': (Image.new('LA', (8, 8), (0, 0)), WHITE),
      'half.png': (half, (255, 127, 127)),
      'clear.png': (Image.new('RGBA', (8, 8), (0, 0, 0, 0)), WHITE),
      'clear.webp': (Image.new('RGBA', (8, 8), (0, 0, 0, 0)), WHITE),
      'palette.png': (palette, RED),
      'hollow.png': (hollow, WHITE),
      'cmyk.jpg': (Image.new('CMYK', (8, 8), (0, 255, 255, 0)), RED),
      'deep.png': (deep, (128, 128, 128)),
      'deep.tiff': (deep, (128, 128, 128)),
      'deep.pgm': (deep, (128, 128, 128)),
      'bits.png': (Image.new('1', (8, 8), 1), WHITE),
      'bits.pbm': (Image.new('1', (8, 8), 0), BLACK),
      'one.png': (Image.new('RGB', (1, 1), RED), RED),
      'line.png': (Image.new('RGB', (300, 1), RED), RED),
      'photo.bmp': (Image.new('RGB', (8, 8), RED), RED),
      'lab.tiff': (Image.new('RGB', (8, 8), RED).convert('YCbCr'), RED),
  }
  for name, (image, colour) in cases.items():
    pixels = read(save(tmp_path / name, image), size=5)
    assert pixels.shape == (5, 5, 3) and pixels.dtype == np.uint8
    assert abs(pixels.astype(int) - colour).max() <= 3, name
    grey = read(tmp_path / name, size=5, channels=1)
    luma = np.dot(colour, (.299, .587, .114))
    assert grey.shape == (5, 5, 1) and abs(grey - luma).max() <= 3, name


def test_sixteen_bits_are_scaled_over_the_whole_range(tmp_path):
  ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
  pixels = read(save(tmp_path / 'ramp.png', Image.fromarray(ramp)), size=16, channels=1)
  np.testing.assert_array_equal(pixels.ravel(), np.arange(256))


def test_animations_give_their_first_frame(tmp_path):
  frames = [Image.new('RGB', (8, 8), colour) for colour in (RED, (0, 255, 0), (0, 0, 255))]
  for name in ('a.gif', 'a.webp', 'a.png'):
    path = save(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
    assert abs(read(path, size=4).astype(int) - RED).max() <= 3


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tiff'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation(tmp_path, orientation, suffix):
  exif = Image.Exif()
  exif[0x0112] = orientation
  path = save(tmp_path / f'a.{suffix}', photo(40, 24), exif=exif)
  with Image.open(path) as image:
    upright = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
  height, width = upright.shape[:2]
  assert (height, width) == ((24, 40) if orientation < 5 else (40, 24))
  np.testing.assert_array_equal(read(path, size=(height, width)), upright)


@pytest.mark.filterwarnings('ignore:Corrupt EXIF')  # Pillow's own
@pytest.mark.parametrize('exif', [b'garbage', b'MM\0*\xff\xff\xff\xff'])
def test_damaged_exif_is_no_reason_to_lose_the_image(tmp_path, exif):
  path = save(tmp_path / 'a.jpg', exif=b'Exif\0\0' + exif)
  assert read(path, size=4).shape == (4, 4, 3)


@pytest.mark.parametrize('orientation', [0, 9, 77])
def test_meaningless_orientations_are_upright(tmp_path, orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  path = save(tmp_path / 'a.png', photo(40, 24), exif=exif)
  np.testing.assert_array_equal(read(path, size=(24, 40)), np.asarray(photo(40, 24)))


# --- geometry ---


def ramps(width, height):
  """Red grows with x and green with y, 4 and 2 levels a pixel, measured at pixel centres."""
  x, y = np.meshgrid(np.arange(width), np.arange(height))
  return Image.fromarray(np.stack([4 * x, 2 * y, 0 * x], -1).astype(np.uint8))


@pytest.mark.parametrize('size, fraction', [(16, 1.), (16, .5), ((8, 16), 1.), ((16, 8), .8)])
def test_crop_is_centred_and_keeps_proportions(size, fraction):
  height, width = (size, size) if isinstance(size, int) else size
  pixels = Canvas(size, 'crop', fraction)(ramps(60, 32)).astype(float)
  scale = max(width / 60, height / 32) / fraction
  x = (np.arange(width) - (width - 1) / 2) / scale + 59 / 2
  y = (np.arange(height) - (height - 1) / 2) / scale + 31 / 2
  inside = np.s_[2:-2, 2:-2]  # the filter reaches over the edge
  assert abs(pixels[..., 0] - 4 * x)[inside].max() < 2
  assert abs(pixels[..., 1] - 2 * y[:, None])[inside].max() < 2


def test_stretch_and_pad():
  stretched = Canvas((16, 30), 'stretch')(ramps(60, 32)).astype(float)
  assert abs(stretched[8, 2:-2, 0] - 4 * (2 * np.arange(30) + .5)[2:-2]).max() < 2
  assert abs(stretched[2:-2, 8, 1] - 2 * (2 * np.arange(16) + .5)[2:-2]).max() < 2
  for image, canvas, seen in ((Image.new('RGB', (40, 20), WHITE), 20, np.s_[5:15, :]),
                              (Image.new('RGB', (20, 40), WHITE), 20, np.s_[:, 5:15]),
                              (Image.new('RGB', (5, 5), WHITE), (10, 30), np.s_[:, 10:20])):
    padded = Canvas(canvas, 'pad')(image)
    assert np.all(padded[seen] == 255) and padded.sum() == 255 * padded[seen].size


@pytest.mark.parametrize('resize', ['crop', 'pad', 'stretch'])
@pytest.mark.parametrize('size', [(1, 1), (1, 700), (700, 1), (3, 2), (640, 31)])
def test_extreme_sizes(size, resize):
  for canvas in (1, 7, (5, 64)):
    assert Canvas(canvas, resize, .5)(photo(*size)).shape == Canvas(canvas).shape


def test_scaled_jpeg_decoding_changes_nothing_but_the_time(tmp_path):
  for width, height, options in ((1600, 1200, {}), (1200, 1600, {'resize': 'pad'}),
                                 (1001, 333, {'resize': 'stretch'}),
                                 (1601, 1203, {'crop_fraction': .875})):
    path = save(tmp_path / 'a.jpg', photo(width, height), quality=95)
    with Image.open(path) as image:
      whole = Canvas(60, **options)(image.copy())  # a copy knows no file, so is not scaled
    difference = abs(read(path, size=60, **options).astype(int) - whole)
    assert difference.mean() < 1 and difference.max() < 12


# --- broken files ---


def broken_folder(root):
  noise = Image.fromarray(RNG.integers(0, 256, (60, 80, 3), np.uint8))
  for i in range(6):
    save(root / 'a' / f'{i}.jpg', noise)
  (root / 'a' / '1.jpg').write_bytes(b'')
  (root / 'a' / '2.jpg').write_text('not an image')
  truncated = (root / 'a' / '4.jpg').read_bytes()
  (root / 'a' / '4.jpg').write_bytes(truncated[:len(truncated) // 2])
  return str(root)


def test_broken_files_are_skipped_and_named(tmp_path, warned):
  source = folder('train', root=broken_folder(tmp_path), size=8)
  assert len(source) == 4 and len(warned) == 1
  assert '2 of 6' in warned[0] and '1.jpg, 2.jpg' in warned[0]
  batch = source[np.arange(4)]
  assert batch['valid'].tolist() == [True, True, False, True]
  assert len(warned) == 2 and '4.jpg' in warned[1]
  assert not batch['image'][2].any() and batch['image'][3].any() and batch['label'][2] == 0
  unchecked = folder('train', root=str(tmp_path), size=8, check=False)
  assert unchecked[np.arange(6)]['valid'].tolist() == [True, False, False, True, False, True]


def test_broken_files_stop_the_run_if_so_wished(tmp_path):
  root = broken_folder(tmp_path)
  with pytest.raises(ConfigError, match='a/1.jpg cannot be read'):
    folder('train', root=root, on_broken='stop')
  for name in ('1.jpg', '2.jpg'):
    (tmp_path / 'a' / name).unlink()
  source = folder('train', root=root, on_broken='stop', size=8)
  assert set(source[np.array([0, 1])]) == {'image', 'label'}
  with pytest.raises(ConfigError, match='a/4.jpg cannot be read.*truncated'):
    source[np.arange(4)]


def test_labels_follow_the_files_that_are_left(tmp_path, warned):
  root = broken_folder(tmp_path)
  save(tmp_path / 'b' / '1.jpg')
  source = folder('train', root=root, size=8)
  assert source[np.arange(5)]['label'].tolist() == [0, 0, 0, 0, 1]


def test_nothing_but_broken_files_is_an_error(tmp_path):
  (tmp_path / 'a').mkdir()
  (tmp_path / 'a' / '1.jpg').write_text('not an image')
  (tmp_path / 'a' / '2.jpg').symlink_to(tmp_path / 'nowhere')
  with pytest.raises(ConfigError, match='1.jpg cannot be read'):
    folder('train', root=str(tmp_path))


def test_decompression_bombs_are_broken_files(tmp_path, warned, monkeypatch):
  save(tmp_path / 'a' / 'small.png', Image.new('1', (30, 30)))
  save(tmp_path / 'a' / 'large.png', Image.new('1', (50, 30)))
  save(tmp_path / 'a' / 'huge.png', Image.new('1', (500, 300)))
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
  assert len(folder('train', root=str(tmp_path))) == 1
  assert '2 of 3' in warned[0] and 'scale it down' in warned[0].lower()


def test_float_images_are_refused(tmp_path, warned):
  save(tmp_path / 'a' / '1.tiff', Image.fromarray(np.ones((4, 4), np.float32)))
  with pytest.raises(ConfigError, match='1.tiff .*no known range; save it with 8 or 16 bits'):
    folder('train', root=str(tmp_path), size=4)
  save(tmp_path / 'a' / '2.png')
  assert len(folder('train', root=str(tmp_path), size=4)) == 1
  assert '1.tiff (the first: floating point' in warned[0]


@pytest.mark.parametrize('content, why', [
    (b'', 'the file is empty'),
    (b'version https://git-lfs.github.com/spec/v1\n', 'it is a pointer of Git LFS'),
    (b'<!DOCTYPE html><html>', 'it is a web page; download'),
    (b'no image at all', 'cannot identify the image'),
    (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'it is HEIC; pip install pillow-heif'),
])
def test_what_is_no_image_is_told_apart(tmp_path, content, why, monkeypatch):
  monkeypatch.setitem(sys.modules, 'pillow_heif', None)                 # as if not installed
  (tmp_path / 'a').mkdir()
  (tmp_path / 'a' / '1.heic').write_bytes(content)
  with pytest.raises(ConfigError, match=f'a/1.heic cannot be read as an image: {why}'):
    folder('train', root=str(tmp_path))
  with pytest.raises((OSError, ValueError), match=why):
    open_image(content)


def test_heic_is_read_where_its_package_is(tmp_path, monkeypatch):
  """It is registered when the first file asks for it."""
  content = b'\0\0\0\x18ftypheic'
  opened = []
  fake = types.SimpleNamespace(register_heif_opener=lambda: opened.append(1) or monkeypatch.setattr(
      Image, 'open', lambda file: Image.new('RGB', (4, 4), RED)))
  monkeypatch.setitem(sys.modules, 'pillow_heif', fake)
  (tmp_path / 'a').mkdir()
  (tmp_path / 'a' / '1.HEIC').write_bytes(content)
  source = folder('train', root=str(tmp_path), size=2)
  assert (source[np.array([0])]['image'] == RED).all() and opened == [1]


def test_truncated_files_tell_what_helps(tmp_path, warned):
  source = folder('train', root=broken_folder(tmp_path), size=8)
  assert 'the first: the file is empty' in warned[0]
  source[np.arange(4)]
  assert 'truncated' in warned[1] and 'copy or download it again' in warned[1]


@pytest.mark.parametrize('largest, told', [(4095, '16'), (255, '257'), (1, '65535')])
def test_dim_images_of_16_bits_are_named(tmp_path, warned, largest, told):
  ramp = np.linspace(0, largest, 64).astype(np.uint16).reshape(8, 8)
  save(tmp_path / 'a' / 'dim.png', Image.fromarray(ramp))
  assert len(folder('train', root=str(tmp_path), size=8)) == 1
  assert f'a/dim.png has 16 bits, but no value above {largest}' in warned[0]
  assert f'image * {told}' in warned[0]
  warned.clear()
  save(tmp_path / 'a' / 'dim.png', Image.fromarray(ramp * int(told)))
  save(tmp_path / 'a' / 'plain.png')
  source = folder('train', root=str(tmp_path), size=8)
  assert not warned and source[np.array([0])]['image'].max() == 255


@pytest.mark.parametrize('value', [-1, 65536, 2**31 - 1])
def test_values_beyond_16_bits_are_refused(tmp_path, warned, value):
  save(tmp_path / 'a' / '1.tif', Image.fromarray(np.full((4, 4), value, np.int32)))
  assert not folder('train', root=str(tmp_path), size=4)[np.array([0])]['valid'].any()
  assert f'a/1.tif is left out, it cannot be decoded: its values lie in {value} to' in warned[-1]


def test_lab_becomes_grey_as_it_becomes_coloured(tmp_path):
  path = save(tmp_path / '1.tif', Image.new('LAB', (4, 4), (128, 0, 0)))
  red, green, blue = read(path, size=2)[0, 0].astype(float)
  assert abs(read(path, size=2, channels=1) - (.299 * red + .587 * green + .114 * blue)).max() <= 1
