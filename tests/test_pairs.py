"""Folders of images and masks: layouts, kinds of masks, geometry, mistakes, broken files."""

import pickle

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.images.crop import RandomCrop
from visionlab.data.images.decode import Canvas
from visionlab.data.images.masks import Labels, label_map, read_labels
from visionlab.data.sources.pairs import pairs

RNG = np.random.default_rng(0)
NAMES = ('sky', 'road', 'car')
COLOURS = ((10, 20, 200), (90, 90, 90), (250, 0, 0))


def save(path, pixels, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
  image.save(path, **options)
  return path


def blocks(height=12, width=16, block=4):
  """A mask of blocks of classes 0 to 2, and the image that shows them in COLOURS."""
  mask = RNG.integers(0, 3, (height // block, width // block), np.uint8)
  mask = mask.repeat(block, 0).repeat(block, 1)
  return mask, np.array(COLOURS, np.uint8)[mask]


def data(root, count=3, split='train/'):
  masks = []
  for i in range(count):
    mask, image = blocks()
    save(root / f'{split}images' / f'{i}.png', image)
    save(root / f'{split}masks' / f'{i}.png', mask)
    masks.append(mask)
  return np.stack(masks)


def opened(folder, split='train', **options):
  return pairs(split, **{'root': str(folder), 'classes': NAMES, 'size': (12, 16), **options})


def everything(source):
  return source[np.arange(len(source))]


# --- layouts ---


def test_images_and_masks_pair_up(tmp_path):
  masks = data(tmp_path, 3)
  source = opened(tmp_path)
  assert len(source) == 3
  assert source.info.map_classes == NAMES and source.info.classes == ()
  batch = everything(source)
  assert batch['image'].dtype == np.uint8 and batch['label_map'].dtype == np.int32
  np.testing.assert_array_equal(batch['label_map'], masks)
  np.testing.assert_array_equal(batch['image'], np.array(COLOURS)[masks])
  assert batch['valid'].tolist() == [True] * 3
  order = np.array([2, 0, -1])
  for copy in (source, pickle.loads(pickle.dumps(source))):
    np.testing.assert_array_equal(copy[order]['label_map'], masks[order])


def test_splits_and_spelt_out_layouts(tmp_path):
  train, val = data(tmp_path / 'a', 3), data(tmp_path / 'a', 2, 'val/')
  np.testing.assert_array_equal(everything(opened(tmp_path / 'a', 'val'))['label_map'], val)
  both = open_split(lambda name: opened(tmp_path / 'a', name), 'train+val[:50%]')
  assert len(both) == 4
  with pytest.raises(ConfigError, match='no split "vali"; there are train, val.*"val"'):
    opened(tmp_path / 'a', 'vali')
  flat = data(tmp_path / 'b', 2, '')
  np.testing.assert_array_equal(everything(opened(tmp_path / 'b'))['label_map'], flat)
  with pytest.raises(ConfigError, match='no split "val"; there are train'):
    opened(tmp_path / 'b', 'val')
  # SegNet's CamVid, ADE20K's.
  (tmp_path / 'c').mkdir()
  for here, there in (('a/train/images', 'c/train'), ('a/train/masks', 'c/trainannot')):
    (tmp_path / here).rename(tmp_path / there)
  camvid = opened(tmp_path / 'c', images='{split}', masks='{split}annot')
  np.testing.assert_array_equal(everything(camvid)['label_map'], train)
  with pytest.raises(ConfigError, match='c has no split "test"; there are train$'):
    opened(tmp_path / 'c', 'test', images='{split}', masks='{split}annot')


def test_suffixes_differ_and_strangers_are_left_alone(tmp_path):
  mask, image = blocks()
  save(tmp_path / 'images' / 'a.b.JPG', image, format='JPEG', quality=95)
  save(tmp_path / 'masks' / 'a.b_mask.png', mask)
  save(tmp_path / 'masks' / 'overlay.png', image)
  save(tmp_path / 'masks' / '.hidden.png', image)
  (tmp_path / 'images' / 'notes.txt').write_text('no image')
  batch = everything(opened(tmp_path, mask_suffix='_mask'))
  np.testing.assert_array_equal(batch['label_map'][0], mask)


def test_layout_errors(tmp_path):
  def fails(match, **options):
    with pytest.raises(ConfigError, match=match):
      opened(tmp_path, **options)
  fails('root must name the folder', root='')
  fails('has no folder images, nor <split>/images')
  (tmp_path / 'images').mkdir()
  fails('no folder .*masks; expected it by')
  (tmp_path / 'masks').mkdir()
  fails(r'images holds no images \*.* \(.jpg')
  mask, image = blocks()
  save(tmp_path / 'images' / '1.png', image)
  fails(r'masks holds no images')
  save(tmp_path / 'masks' / '2.png', mask)
  save(tmp_path / 'images' / '2.png', image)
  fails(r'images/1.png has no mask; expected .*masks/1.\* \(1 of 2')
  save(tmp_path / 'masks' / '1.png', mask)
  save(tmp_path / 'masks' / '3.png', mask)
  fails(r'masks/3.png has no image; expected .*images/3.\* \(1 of 3')
  save(tmp_path / 'images' / '3.bmp', image)
  save(tmp_path / 'images' / '3.png', image)
  fails('images/3.bmp and .*images/3.png have one name')
  (tmp_path / 'images' / '3.bmp').unlink()
  fails('classes must name', classes=())
  fails('on_broken.*"skip"', on_broken='skp')


# --- kinds of masks ---


@pytest.mark.parametrize('kind, suffix', [
    ('palette', 'png'), (np.uint8, 'png'), (np.uint16, 'png'), ('palette', 'tiff'),
    (np.int32, 'tiff')])
def test_numbers_are_taken_as_they_are(tmp_path, kind, suffix):
  mask, image = blocks()
  mask[0, 0] = 255
  stored = Image.fromarray(mask if kind == 'palette' else mask.astype(kind))
  if kind == 'palette':
    stored.putpalette([(v * 37) % 256 for v in range(768)])
  save(tmp_path / 'images' / '1.png', image)
  save(tmp_path / 'masks' / f'1.{suffix}', stored)
  np.testing.assert_array_equal(everything(opened(tmp_path))['label_map'][0], mask)
  ignoring = everything(opened(tmp_path, ignore=2))['label_map'][0]
  np.testing.assert_array_equal(ignoring, np.where(mask == 2, 255, mask))
  from_one = everything(opened(tmp_path, classes=('a', 'b'), ignore=0, offset=-1))['label_map'][0]
  np.testing.assert_array_equal(from_one, np.select([mask == 1, mask == 2], [0, 1], 255))


def test_bits_are_two_classes(tmp_path):
  mask = blocks()[0] > 0
  save(tmp_path / 'images' / '1.png', blocks()[1])
  save(tmp_path / 'masks' / '1.png', Image.fromarray(mask))
  got = everything(opened(tmp_path, classes=('off', 'on')))['label_map'][0]
  np.testing.assert_array_equal(got, mask)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'P'])
def test_colours_are_looked_up_in_the_palette(tmp_path, mode):
  mask, image = blocks()
  void, second = (0, 0, 0), (251, 0, 0)
  coloured = image.copy()
  coloured[0, :2] = void, second
  expected = mask.astype(int)
  expected[0, :2] = 255, 2
  stored = Image.fromarray(coloured)
  # A picture program's own palette has colours in an order that means nothing.
  stored = stored.quantize(16) if mode == 'P' else stored.convert(mode)
  save(tmp_path / 'images' / '1.png', image)
  # A palette may say how opaque each colour is; what counts is the colour.
  save(tmp_path / 'masks' / '1.png', stored,
       **(dict(transparency=bytes(range(16))) if mode == 'P' else {}))
  palette = {'sky': COLOURS[0], 'road': COLOURS[1], 'car': (COLOURS[2], second), 'ignore': void}
  got = everything(opened(tmp_path, palette=palette))['label_map'][0]
  np.testing.assert_array_equal(got, expected)
  by_name = opened(tmp_path, palette=palette, classes=())
  assert by_name.info.map_classes == ('car', 'road', 'sky')
  renumbered = np.where(expected == 255, 255, 2 - np.minimum(expected, 2))
  np.testing.assert_array_equal(everything(by_name)['label_map'][0], renumbered)
  del palette['ignore']
  with pytest.raises(ConfigError, match=r'masks/1.png: the mask holds the colour \(0, 0, 0\), 1 p'):
    everything(opened(tmp_path, palette=palette))


def test_black_and_white_masks_need_a_palette_of_greys(tmp_path):
  mask = blocks()[0] > 0
  save(tmp_path / 'images' / '1.png', blocks()[1])
  save(tmp_path / 'masks' / '1.png', np.where(mask, 255, 0).astype(np.uint8))
  source = opened(tmp_path, classes=('background', 'cell'), palette=dict(background=0, cell=255))
  np.testing.assert_array_equal(everything(source)['label_map'][0], mask)


def test_mistaken_masks_are_named(tmp_path, warned):
  mask, image = blocks()
  save(tmp_path / 'images' / '1.png', image)

  def fails(match, mask, name='1.png', check=(True,), **options):
    path = save(tmp_path / 'masks' / name, mask)
    for when in check:
      with pytest.raises(ConfigError, match=match):
        everything(opened(tmp_path, check=when, **options))
    path.unlink()
  always = (True, False)
  fails(r'masks/1.png: the mask holds colours \(RGB\); expected .* option palette', image,
        check=always)
  fails('1.png: the mask holds the value 3; expected 0 to 2 for 3 classes, or 255 for', mask + 1)
  fails('value 0; expected 1 to 3 for 3 classes, or 255 or 9 for', mask, ignore=9, offset=-1)
  fails('masks/1.png is 16x10 pixels; expected 16x12, the size of .*images/1.png', mask[:10],
        check=always)
  fails('masks/1.jpg: the mask is a JPEG', mask, '1.jpg', check=always)
  fails('palette has no colour for class \'car\'', image, palette=dict(sky=1, road=2))
  fails('colour for \'cars\'.*"car"', image, palette=dict(sky=1, road=2, car=3, cars=4))
  fails(r'gives \(1, 1, 1\) to \'car\' and \'sky\'', image, palette=dict(sky=1, road=2, car=1))
  fails(r'palette.car: expected \(r, g, b\)', image, palette=dict(sky=1, road=2, car=(1, 2)))
  fails(r'palette.car: expected \(r, g, b\)', image, palette=dict(sky=1, road=2, car=256))
  assert not warned


# --- geometry ---


@pytest.mark.parametrize('options', [
    dict(size=24), dict(size=(9, 31), resize='pad'), dict(size=(31, 9), resize='pad'),
    dict(size=(15, 22), resize='stretch'), dict(size=(17, 11), crop_fraction=.8)])
@pytest.mark.parametrize('shape', [(48, 64), (40, 24), (7, 5)])
def test_masks_lie_where_their_images_lie(shape, options):
  """What is half bright in the image is class 1 in the mask, but for pixels at the border."""
  y, x = np.mgrid[:shape[0], :shape[1]] / (max(shape) / 4)
  mask = (np.sin(x) + np.cos(1.3 * y) > .1).astype(np.uint8)
  canvas = Canvas(**options, channels=1)
  image = canvas(Image.fromarray(255 * mask))[..., 0]
  values = label_map(mask, Labels(('off', 'on')), canvas, 'mask')
  seen = values != 255
  assert not image[~seen].any()
  # Where interpolation left a pixel purely black or white, the nearest pixel is of that colour.
  sure = seen & ((image < 8) | (image > 247))
  assert sure.sum() > .4 * seen.sum()
  assert np.mean((image > 127)[sure] == values[sure]) == 1
  if options.get('resize') != 'pad':
    assert seen.all()
  else:
    rows, columns = seen.any(1), seen.any(0)
    assert seen.sum() == rows.sum() * columns.sum() and (rows.all() or columns.all())


def test_nearest_pixels_by_hand():
  mask = np.tile(np.arange(5, dtype=np.uint8), (3, 1))
  labels = Labels(tuple('abcde'))
  middle = label_map(mask, labels, Canvas(3), 'mask')
  np.testing.assert_array_equal(middle, [[1, 2, 3]] * 3)
  padded = label_map(mask, labels, Canvas((5, 5), 'pad'), 'mask')
  np.testing.assert_array_equal(padded, [[255] * 5, *[list(range(5))] * 3, [255] * 5])
  halves = label_map(mask, labels, Canvas((1, 2), 'stretch'), 'mask')
  np.testing.assert_array_equal(halves, [[1, 3]])  # centres at 1.25 and 3.75
  twice = label_map(mask, labels, Canvas((1, 10), 'stretch'), 'mask')
  np.testing.assert_array_equal(twice, [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]])


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_images_that_exif_turns(tmp_path, orientation):
  """Masks are drawn on upright images."""
  mask, image = blocks()
  exif = Image.Exif()
  exif[0x0112] = orientation
  turned = np.rot90(image, {3: 2, 6: 1, 8: 3}[orientation])
  save(tmp_path / 'images' / '1.png', np.ascontiguousarray(turned), exif=exif)
  save(tmp_path / 'masks' / '1.png', mask)
  batch = everything(opened(tmp_path))
  np.testing.assert_array_equal(batch['image'][0], image)
  np.testing.assert_array_equal(batch['label_map'][0], mask)
  if orientation != 3:
    save(tmp_path / 'masks' / '1.png', np.ascontiguousarray(mask.T))
    with pytest.raises(ConfigError, match=r'is 12x16 .* expected 16x12.*EXIF orientation'):
      opened(tmp_path)


def test_random_crops_cut_both_alike(tmp_path):
  masks = data(tmp_path, 2)
  source, crop = opened(tmp_path), RandomCrop((6, 8), scale=(.2, .6))
  draws = crop.draws(0, 0, 8)
  batch = source.crops(np.arange(8) % 2, crop, draws)
  assert batch['image'].shape == (8, 6, 8, 3) and batch['label_map'].shape == (8, 6, 8)
  # Where the image shows one of the three colours purely, the mask names it.
  distance = abs(batch['image'][..., None, :].astype(int) - COLOURS).max(-1)
  sure = distance.min(-1) < 3
  assert sure.mean() > .3
  np.testing.assert_array_equal(distance.argmin(-1)[sure], batch['label_map'][sure])
  x1, y1, x2, y2 = crop.box(draws[1], 12, 16)
  rows = np.floor(y1 + (np.arange(6) + .5) * (y2 - y1) / 6).astype(int)
  columns = np.floor(x1 + (np.arange(8) + .5) * (x2 - x1) / 8).astype(int)
  np.testing.assert_array_equal(batch['label_map'][1], masks[1][np.ix_(rows, columns)])


# --- broken files ---


def test_broken_files_are_skipped_or_stop_the_run(tmp_path, warned):
  masks = data(tmp_path, 5)
  images, drawn = tmp_path / 'train' / 'images', tmp_path / 'train' / 'masks'
  (images / '1.png').write_text('not an image')
  (drawn / '2.png').write_bytes(b'')
  content = (drawn / '3.png').read_bytes()
  (drawn / '3.png').write_bytes(content[:len(content) - 30])
  source = opened(tmp_path)
  assert len(source) == 3 and '2 of 5 pairs' in warned[0] and 'images/1.png' in warned[0]
  batch = everything(source)
  assert batch['valid'].tolist() == [True, False, True]
  assert 'masks/3.png' in warned[1]
  assert not batch['image'][1].any() and not batch['label_map'][1].any()
  np.testing.assert_array_equal(batch['label_map'][::2], masks[[0, 4]])
  with pytest.raises(ConfigError, match=r'images/1.png cannot be read .*on_broken="skip"'):
    opened(tmp_path, on_broken='stop')
  late = opened(tmp_path, on_broken='stop', check=False)
  assert set(late[np.array([0])]) == {'image', 'label_map'}
  with pytest.raises(ConfigError, match='masks/2.png cannot be read'):
    late[np.array([2])]
  for i in range(5):
    (images / f'{i}.png').write_text('not an image')
  with pytest.raises(ConfigError, match='images/0.png cannot be read'):
    opened(tmp_path)


def test_options_in_any_order_give_the_same_labels():
  palette = dict(b=(1, 2, 3), a=((4, 5, 6), (7, 8, 9)))
  again = dict(reversed(palette.items()))
  assert read_labels('x', palette=palette) == read_labels('x', palette=again)
  with pytest.raises(ConfigError, match='at most 255'):
    read_labels('x', classes=tuple(map(str, range(256))))
