"""Selective Search: its parts beside brute force, and what it must find."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from visionlab.config import ConfigError
from visionlab.data import selective_search as ss
from visionlab.data.scenes.scenes import scenes
from visionlab.measures.average_precision import box_iou, proposal_recall

pytest.importorskip('skimage', reason='Selective Search needs scikit-image')


@pytest.fixture(scope='module')
def photograph():
  return scenes('train', size=64)[np.arange(1)]['image'][0]


@pytest.mark.parametrize('space', ['hsv', 'lab', 'rgi', 'hue', 'grey'])
def test_colours_stay_between_0_and_1(space):
  corners = np.array(list(itertools.product((0, 255), repeat=3)), np.uint8).reshape(2, 4, 3)
  said = ss.in_colour_space(corners, space)
  assert said.shape[:2] == (2, 4) and said.min() >= 0 and said.max() <= 1


def test_neighbours_touch(photograph):
  labels = ss.segments(ss.in_colour_space(photograph, 'hsv'), 50)
  touching = set()
  for a in range(labels.max() + 1):
    around = ndimage.binary_dilation(labels == a) & (labels != a)
    touching |= {(min(a, b), max(a, b)) for b in np.unique(labels[around]).tolist()}
  assert touching == set(map(tuple, ss.neighbours(labels).tolist()))


def test_regions_are_described_as_the_pixels_in_them_say(photograph):
  pixels = ss.in_colour_space(photograph, 'lab')
  labels = ss.segments(pixels, 50)
  regions = ss.describe(pixels, labels)
  for i in (0, labels.max() // 2, labels.max()):
    y, x = np.nonzero(labels == i)
    assert regions.size[i] == len(y)
    assert regions.boxes[i].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    counts = [np.histogram(pixels[y, x, c], 25, (0, 1))[0] for c in range(3)]
    np.testing.assert_allclose(regions.colour[i], np.concatenate(counts) / (3 * len(y)))
  np.testing.assert_allclose(regions.texture.sum(1), 1)


def test_merging_takes_the_most_alike_first():
  """Every step beside a search over all pairs, likeness computed from scratch."""
  rng = np.random.default_rng(0)
  labels = np.repeat(np.repeat(np.arange(12).reshape(3, 4), 5, 0), 4, 1)
  pixels = rng.random((3, 4, 3)).repeat(5, 0).repeat(4, 1) * .5 + rng.random((15, 16, 3)) * .3
  regions = ss.describe(pixels, labels)
  slopes, area, expected = ss.slopes(pixels), labels.size, list(regions.boxes)
  now = labels.copy()

  def histogram(values, bins, mask):
    each = [np.histogram(values[..., c][mask], bins, (0, 1))[0] for c in range(values.shape[-1])]
    return np.concatenate(each) / (len(each) * mask.sum())

  def box(mask):
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
  for new in range(12, 23):
    def likeness(a, b):
      one, two = now == a, now == b
      colour, texture = (np.minimum(histogram(v, n, one), histogram(v, n, two)).sum()
                         for v, n in ((pixels, 25), (slopes, 10)))
      w, h = box(one | two)[2:] - box(one | two)[:2]
      both = one.sum() + two.sum()
      return colour + texture + 1 - both / area + 1 - (w * h - both) / area
    a, b = max(map(tuple, ss.neighbours(now).tolist()), key=lambda pair: likeness(*pair))
    now[(now == a) | (now == b)] = new
    expected.append(box(now == new))
  np.testing.assert_array_equal(ss.hierarchy(regions, 'ctsf'), expected)


def test_objects_are_among_the_boxes():
  source = scenes('train', size=96, objects=(1, 3), visible=.85, scale=(.45, .6))
  examples = source[np.arange(12)]
  found = [ss.SelectiveSearch('fast', least_side=8.)(image) for image in examples['image']]
  boxes = np.zeros((12, 1000, 4), np.float32)
  for row, own in zip(boxes, found, strict=True):
    row[:len(own)] = own
  recall = proposal_recall(examples['objects'], boxes, boxes.any(-1), counts=(1000,))
  assert recall['recall50_at_1000'] > .9 and max(map(len, found)) < 1000


def test_boxes_are_ordered_limited_and_the_same_every_time(photograph):
  search = ss.SelectiveSearch('fast', least_side=5.)
  boxes = search(photograph)
  assert boxes.dtype == np.float32 and len(np.unique(boxes, axis=0)) == len(boxes)
  assert (boxes[:, 2:] - boxes[:, :2]).min() >= 5 and boxes.min() >= 0 and boxes.max() <= 64
  np.testing.assert_array_equal(boxes, search(photograph))
  few = ss.SelectiveSearch('fast', least_side=5., most=7)(photograph)
  np.testing.assert_array_equal(few, boxes[:7])
  assert box_iou(boxes[:10], np.array([[0, 0, 64, 64]])).max() == 1      # the whole image is early


def test_an_even_image_is_one_region():
  assert ss.SelectiveSearch()(np.full((20, 30, 3), 7, np.uint8)).tolist() == [[0, 0, 30, 20]]


def test_an_unknown_mode():
  with pytest.raises(ConfigError, match='selective_search: mode.*did you mean "fast"'):
    ss.SelectiveSearch('fats')
