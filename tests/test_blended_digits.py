"""Digits on photographs: the recipe, its determinism, and what splits may not share."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.blend import blend
from visionlab.data.images.photographs import cut_out
from visionlab.data.sources.digits import digits
from visionlab.data.sources.digits_m import BANDS, digits_m, views
from visionlab.data.sources.mnist_m import mnist_m

RNG = np.random.default_rng(0)
GLYPHS = RNG.integers(0, 256, (20, 4, 5), np.uint8)
PHOTOS = [RNG.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((4, 5), (9, 6), (5, 12))]


def crops(photos, h, w):
  return {p[y:y + h, x:x + w].tobytes() for p in photos
          for y in range(p.shape[0] - h + 1) for x in range(p.shape[1] - w + 1)}


def test_blending_is_the_absolute_difference_with_a_crop():
  """|g - p| is undone where p is looked up among all crops; g = 0 and 255 need no search."""
  there = crops(PHOTOS, 4, 5)
  assert {x.tobytes() for x in blend(np.zeros_like(GLYPHS), PHOTOS, 3)} <= there
  inverted = blend(np.full_like(GLYPHS, 255), PHOTOS, 3)
  assert {(255 - x).tobytes() for x in inverted} <= there
  plain = blend(np.zeros_like(GLYPHS), PHOTOS, 3).astype(int)      # the same crops: the same seed
  np.testing.assert_array_equal(blend(GLYPHS, PHOTOS, 3), abs(plain - GLYPHS[..., None]))


def test_every_crop_of_every_photograph_is_drawn():
  many = blend(np.zeros((4000, 4, 5), np.uint8), PHOTOS, 0)
  assert {x.tobytes() for x in many} == crops(PHOTOS, 4, 5)


def test_a_blend_hangs_on_the_seed_and_the_index_alone():
  whole = blend(GLYPHS, PHOTOS, 1)
  np.testing.assert_array_equal(whole, blend(GLYPHS[..., None], PHOTOS, 1))
  np.testing.assert_array_equal(whole[:7], blend(GLYPHS[:7], PHOTOS, 1))
  assert (whole != blend(GLYPHS, PHOTOS, 2)).any()


def test_blending_mistakes():
  with pytest.raises(ConfigError, match='no photographs'):
    blend(GLYPHS, [], 0)
  with pytest.raises(ConfigError, match='3 x 9 pixels is smaller than the glyphs, 4 x 5'):
    blend(GLYPHS, [np.zeros((3, 9, 3), np.uint8)], 0)


def test_digits_m_are_the_digits():
  for split, size in (('train', 1438), ('test', 359)):
    plain, blended = digits(split, size=28, channels=3), digits_m(split)
    assert blended.info == plain.info
    assert blended.arrays['image'].shape == plain.arrays['image'].shape == (size, 28, 28, 3)
    assert blended.arrays['image'].dtype == np.uint8
    np.testing.assert_array_equal(blended.arrays['label'], plain.arrays['label'])


def test_digits_m_are_blended_with_their_own_splits_photographs_only():
  """Where a glyph is black the photograph shows: a digit's corner columns almost always are."""
  photos = {split: cut_out(BANDS[split], 1.) for split in ('train', 'test')}
  there = {split: crops(own, 12, 2) | crops(own, 2, 12) for split, own in photos.items()}
  for split, other in (('train', 'test'), ('test', 'train')):
    # Of the first digits, strips of the leftmost pixels where all of them are without ink.
    glyphs = digits(split, size=28).arrays['image'][..., 0]
    chosen = np.flatnonzero((glyphs[:, 8:20, :2] == 0).all((1, 2)))[:5]
    strips = digits_m(split).arrays['image'][chosen, 8:20, :2]
    found = [{s: any(view.tobytes() in there[s] for view in views(x)) for s in (split, other)}
             for x in strips if x.std() > 5]
    assert found and all(f == {split: True, other: False} for f in found), found


def test_bands_of_photographs_are_apart():
  columns = sorted((*band, split) for split, bands in BANDS.items() for band in bands)
  for (_, right, before), (left, _, after) in pairwise(columns):
    assert left - right >= 6 and before != after


def test_views_are_all_different_and_hold_the_same_pixels():
  photo = RNG.integers(0, 256, (4, 5, 3), np.uint8)
  seen = views(photo)
  assert len({(x.shape, x.tobytes()) for x in seen}) == 48
  np.testing.assert_array_equal(seen[0], photo)
  for x in seen:
    np.testing.assert_array_equal(np.sort(x, axis=None), np.sort(photo, axis=None))
    pixels = sorted(tuple(sorted(p)) for p in x.reshape(-1, 3))
    assert pixels == sorted(tuple(sorted(p)) for p in photo.reshape(-1, 3))


def test_digits_m_options():
  small = digits_m('test', size=16, seed=1, zoom=.5).arrays['image']
  assert small.shape == (359, 16, 16, 3)
  np.testing.assert_array_equal(small, digits_m('test', size=16, seed=1, zoom=.5).arrays['image'])
  assert (small != digits_m('test', size=16, seed=2, zoom=.5).arrays['image']).any()
  with pytest.raises(ConfigError, match='did you mean "test"'):
    digits_m('tset')
  with pytest.raises(ConfigError, match='zoom'):
    digits_m('test', zoom=0.)
  with pytest.raises(ConfigError, match='smaller than the glyphs'):
    digits_m('test', zoom=.1)


# --- MNIST-M ---


def mnist_files(folder, n=12):
  folder.mkdir()
  x, y = RNG.integers(0, 256, (n, 28, 28), np.uint8), RNG.integers(0, 10, n).astype(np.uint8)
  np.savez(folder / 'mnist.npz', x_train=x, y_train=y, x_test=x[::-1], y_test=y[::-1])
  return x, y


def test_mnist_m_is_built_from_mnist_and_a_folder_of_photographs(tmp_path):
  x, y = mnist_files(tmp_path / 'mnist')
  photos = tmp_path / 'photos' / 'deeper'
  photos.mkdir(parents=True)
  values = [10, 20, 30, 40, 200]                 # the fifth is for test
  for i, value in enumerate(values):
    Image.new('RGB', (40 + i, 30), (value, value, 0)).save(photos / f'{i}.png')
  options = dict(root=str(tmp_path / 'mnist'), photographs=str(tmp_path / 'photos'))
  for split, glyphs, labels, allowed in (('train', x, y, values[:4]),
                                         ('test', x[::-1], y[::-1], values[4:])):
    source = mnist_m(split, **options)
    image = source.arrays['image']
    np.testing.assert_array_equal(source.arrays['label'], labels)
    np.testing.assert_array_equal(image[..., 2], glyphs)          # the photographs have no blue
    for one, glyph in zip(image.astype(int), glyphs.astype(int), strict=True):
      assert any((one[..., 0] == abs(glyph - v)).all() for v in allowed)
    np.testing.assert_array_equal(mnist_m(split, **options).arrays['image'], image)


def test_mnist_m_is_read_from_its_file(tmp_path):
  image, label = RNG.integers(0, 256, (3, 28, 28, 3), np.uint8), np.array([3, 1, 4])
  np.savez(tmp_path / 'mnist_m_small.npz', x_train=image, y_train=label, x_test=image[:1],
           y_test=label[:1])
  source = mnist_m('train', root=str(tmp_path))
  np.testing.assert_array_equal(source.arrays['image'], image)
  assert source.info.classes == tuple('0123456789')
  assert len(mnist_m('test', root=str(tmp_path))) == 1


def test_mnist_m_of_the_shared_data_is_mnist_blended(shared_data):
  source = mnist_m('test', root=str(shared_data))
  assert source.arrays['image'].shape == (5000, 28, 28, 3)
  counts = np.bincount(source.arrays['label'])
  assert len(counts) == 10 and counts.min() > 400


def test_mnist_m_mistakes(tmp_path):
  mnist_files(tmp_path / 'mnist')
  root = str(tmp_path / 'mnist')
  with pytest.raises(ConfigError, match=r'one mnist_m\*\.npz .* found none'):
    mnist_m('train', root=root)
  with pytest.raises(ConfigError, match='did you mean "train"'):
    mnist_m('trian', root=root)
  with pytest.raises(ConfigError, match='does not exist'):
    mnist_m('train', root=root, photographs=str(tmp_path / 'nowhere'))
  photos = tmp_path / 'photos'
  photos.mkdir()
  with pytest.raises(ConfigError, match='at least 5 photographs .* found 0'):
    mnist_m('train', root=root, photographs=str(photos))
  for i in range(5):
    (photos / f'{i}.jpg').write_bytes(b'no picture')
  with pytest.raises(ConfigError, match='0.jpg cannot be read'):
    mnist_m('train', root=root, photographs=str(photos))
  np.savez(tmp_path / 'mnist_m.npz', x_train=np.zeros((1, 9, 9, 3), np.uint8), y_train=[1])
  with pytest.raises(ConfigError, match=r'\(9, 9, 3\)'):
    mnist_m('train', root=str(tmp_path))


def test_copies_are_the_same_digits_on_other_crops():
  once, thrice = digits_m('train', size=16), digits_m('train', size=16, copies=3)
  n = len(once)
  assert len(thrice) == 3 * n and len(digits_m('test', copies=3)) == len(digits_m('test'))
  assert len(digits_m('test', test_copies=2)) == 2 * len(digits_m('test'))
  np.testing.assert_array_equal(thrice.arrays['image'][:n], once.arrays['image'])
  np.testing.assert_array_equal(thrice.arrays['label'], np.tile(once.arrays['label'], 3))
  assert (thrice.arrays['image'][n:2 * n] != once.arrays['image']).any((1, 2, 3)).all()
  with pytest.raises(ConfigError, match='copies must be at least 1, not 0'):
    digits_m('train', copies=0)
  with pytest.raises(ConfigError, match='test_copies must be at least 1, not 0'):
    digits_m('train', test_copies=0)
