"""What is taken as an image, and what is said of what is not."""

import io

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.images.any_image import eight_bits, one_by_one, read

GREY, COLOUR = (8, 8, 1), (8, 8, 3)
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize('kind, values, expected', [
    (np.uint8, (0, 7, 255), (0, 7, 255)), (bool, (0, 1), (0, 255)),
    (np.int64, (0, 7, 255), (0, 7, 255)), (np.float32, (0, .5, 1), (0, 128, 255)),
    (np.float64, (.1,), (26,)), (np.float16, (1,), (255,)),
    (np.uint16, (0, 257, 300, 65535), (0, 1, 1, 255)), (np.uint16, (0, 0), (0, 0)),
])
def test_numbers_of_any_type_as_eight_bits(kind, values, expected):
  said = eight_bits(np.array(values).astype(kind))
  assert said.dtype == np.uint8 and said.tolist() == list(expected)


@pytest.mark.parametrize('values, said', [
    (np.array([0., 255.]), 'go from 0 to 255'), (np.array([-.1, 1.]), 'from -0.1 to 1'),
    (np.array([.5, np.nan]), 'nan'), (np.array([np.inf]), 'inf'),
    (np.array([1, 255], np.uint16), r'the largest here is 255; .*astype\(np.uint8\)'),
    (np.array([0, 256]), 'int64 must lie in 0..255'), (np.array([-1, 5]), 'from -1 to 5'),
    (np.array([1j]), 'expected numbers, got complex128'),
])
def test_numbers_that_are_no_pixels(values, said):
  with pytest.raises(ConfigError, match=said):
    eight_bits(values)


@pytest.mark.parametrize('shape, own, n', [
    ((8, 8), GREY, 1), ((20, 30), GREY, 1), ((20, 30, 3), GREY, 1), ((20, 30, 4), COLOUR, 1),
    ((5, 20, 30), GREY, 5), ((1, 20, 30), COLOUR, 1), ((2, 20, 30), COLOUR, 2),
    ((3, 8, 8), GREY, 3), ((4, 8, 8), GREY, 4), ((2, 20, 30, 3), GREY, 2),
    ((7, 4, 4), (4, 4, 1), 7),
])
def test_an_array_holds_as_many_images(shape, own, n):
  images = one_by_one(np.zeros(shape, np.uint8), own)
  assert images.ndim == 4 and len(images) == n
  assert images.size == np.prod(shape)


@pytest.mark.parametrize('shape, own, said', [
    ((3, 20, 30), GREY, r'transpose\(1, 2, 0\), or images\[..., None\]'),
    ((3, 8, 8), COLOUR, r'transpose\(1, 2, 0\)'), ((2, 3, 8, 8), COLOUR, r'\(0, 2, 3, 1\)'),
    ((2, 8, 8, 5), COLOUR, '1 to 4 channels'), ((8,), GREY, r'expected an array \(h w c\)'),
    ((), GREY, 'expected an array'), ((1, 2, 8, 8, 3), COLOUR, 'expected an array'),
    ((0, 8, 8, 1), GREY, 'no images'), ((2, 0, 8, 1), GREY, 'no pixels'),
])
def test_arrays_that_hold_none(shape, own, said):
  with pytest.raises(ConfigError, match=said):
    one_by_one(np.zeros(shape, np.uint8), own)


@pytest.mark.parametrize('given, said', [
    (None, 'None'), (5, 'int'), ({'image': 1}, 'dict'), (io.BytesIO(b'x'), 'BytesIO'),
    ([], 'no images'), (np.array(['a.png'])[:0], 'no images')])
def test_what_is_no_images_at_all(given, said):
  with pytest.raises(ConfigError, match=said):
    one_by_one(given, GREY)


def test_lists_of_any_kind_stay_lists():
  picture = Image.fromarray(PICTURE)
  for given in (picture, 'a.png', b'GIF'):
    assert one_by_one(given, GREY) == [given]
  assert one_by_one(np.array(['a.png', 'b.png']), GREY) == ['a.png', 'b.png']
  assert one_by_one(iter([picture]), GREY) == [picture]


def test_one_picture_in_every_form_is_the_same(tmp_path):
  path = tmp_path / 'a.png'
  Image.fromarray(PICTURE).save(path)
  forms = [PICTURE, PICTURE / 255, (PICTURE / 255).astype(np.float32), PICTURE.astype(int),
           PICTURE.astype(np.uint16) * 257, PICTURE.tolist(), Image.fromarray(PICTURE), path,
           str(path), path.read_bytes()]
  for form in forms:
    np.testing.assert_array_equal(read(form, np.asarray, 'image 0'), PICTURE)
  np.testing.assert_array_equal(one_by_one(PICTURE / 255, GREY), PICTURE[None])
  grey = PICTURE[..., 0]
  for form in (grey, grey[..., None], grey[None], Image.fromarray((grey / 255).astype('f'))):
    np.testing.assert_array_equal(read(form, np.asarray, ''), grey)
  mask = read(PICTURE > 100, np.asarray, '')
  np.testing.assert_array_equal(mask, 255 * (PICTURE > 100))


@pytest.mark.parametrize('image, said', [
    (None, 'expected an image, got None'), ({}, 'got dict'), ('nowhere.png', 'no such file'),
    ('.', 'is a folder'), (b'no image', 'cannot be read as an image'),
    (np.zeros((0, 5, 3), np.uint8), 'no pixels'), (np.zeros((0, 5), np.uint8), 'no pixels'),
    (np.zeros((3, 20, 30)), r'channels come last.*transpose\(1, 2, 0\)'),
    (np.zeros((8, 8, 5)), '1 to 4 channels'), (np.zeros(4), r'expected an array \(h w\)'),
    (np.zeros((2, 8, 8, 3)), r'expected an array \(h w\)'), ([[1, 2], [3]], 'no array|no image'),
    (PICTURE.astype(float), 'floats must lie in 0..1'), (Image.new('RGB', (0, 4)), 'no pixels'),
    (Image.fromarray(np.full((4, 4), 7, np.float32)), 'floats must lie in 0..1'),
    (np.full((4, 4), 'a'), 'expected numbers'),
])
def test_errors_say_which_image(image, said):
  with pytest.raises(ConfigError, match=rf'^image 3[:,].*({said})'):
    read(image, np.asarray, 'image 3')


def test_a_damaged_file_is_named(tmp_path):
  Image.fromarray(PICTURE).save(tmp_path / 'a.jpg')
  whole = (tmp_path / 'a.jpg').read_bytes()
  (tmp_path / 'cut.jpg').write_bytes(whole[:len(whole) // 2])
  with pytest.raises(ConfigError, match=r'^image 1, .*cut\.jpg: cannot be read as an image'):
    read(tmp_path / 'cut.jpg', np.asarray, 'image 1')
