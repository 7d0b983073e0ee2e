"""Photographs in which drawn people are small, and somewhere."""

import jax
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.faces.crowds import Crowds, crowds
from visionlab.runs.face_crops import Found, cut_out

SIZE, N = 64, 96


@pytest.fixture(scope='module')
def drawn():
  """The source, and its first photographs: people who look straight ahead."""
  source = crowds('train', size=SIZE, examples=N, height=(.25, .4), yaw=0., pitch=0., roll=0.,
                  occluded=.5, keep=False)
  return source, source[np.arange(N)]


def test_a_photograph_depends_on_its_index_alone(drawn):
  source, whole = drawn
  some = source[np.array([40, 3, -1])]
  jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[[40, 3, -1]]), some, whole)
  for own in ({'split': np.int32(1)}, {'seed': np.uint32(1)}):
    other = Crowds(SIZE, 2, {**source.arrays, **own}, N)[np.arange(32)]
    assert (other['image'] != whole['image'][:32]).mean() > .5
    both = other['objects']['valid'] & whole['objects']['valid'][:32]
    assert (other['person'] != whole['person'][:32])[both].mean() > .9


def test_faces_are_where_it_says(drawn):
  source, whole = drawn
  objects, there = whole['objects'], whole['objects']['valid']
  assert set(there.sum(1)) == {0, 1, 2} and ((whole['person'] >= 0) == there).all()
  assert whole['person'].max() > 600
  boxes, points = objects['boxes'][there], objects['keypoints'][there]
  assert (objects['boxes'][~there] == 0).all() and (objects['keypoints'][~there] == 0).all()
  heights = (boxes[:, 3] - boxes[:, 1]) / SIZE
  assert .2 < heights.min() < .3 and .36 < heights.max() < .48
  assert set(np.unique(points[..., 2])) == {1, 2}
  assert ((points[..., :2] > boxes[:, None, :2]) & (points[..., :2] < boxes[:, None, 2:])).all()
  two = objects['boxes'][there.all(1)]
  apart = np.maximum(two[:, 0, :2] - two[:, 1, 2:], two[:, 1, :2] - two[:, 0, 2:]).max(-1)
  assert (apart > 0).all()                               # nobody hides another
  # With other people on the same background, what differs lies about these boxes.
  more = Crowds(SIZE, 2, {**source.arrays, 'people': np.int32(1)}, N)[np.arange(N)]
  differ = abs(more['image'].astype(float) - whole['image']).max(-1) > 30
  y, x = np.mgrid[:SIZE, :SIZE] + .5
  for i in range(N):
    near = np.zeros((SIZE, SIZE), bool)
    for x1, y1, x2, y2 in objects['boxes'][i][there[i]]:
      wide = .6 * (y2 - y1)
      near |= (x > x1 - wide) & (x < x2 + wide) & (y > y1 - wide) & (y < y2 + wide)
    assert not (differ[i] & ~near).any()
  assert differ[there.any(1)].mean() > .02


def test_what_is_cut_out_looks_as_faces_do(drawn):
  """Of those of `faces`, the middle is at (.5, .45) of the side and their unit .465 of it; eyes
  lie .17 above it and .36 to each side."""
  _, whole = drawn
  objects = whole['objects']
  eyes = []
  for i, k in np.argwhere(objects['valid']):
    box, points = objects['boxes'][i, k], objects['keypoints'][i, k, :2, :2]
    marked = np.zeros((SIZE, SIZE, 3), np.uint8)
    for j, (x, y) in enumerate(points.astype(int)):
      marked[y, x, j] = 255
    (cut,) = cut_out([Found(marked, box[None], np.ones(1))], 40)
    cut = cut.astype(float)
    row, column = np.mgrid[:len(cut), :len(cut)] + .5
    eyes.append([[(axis * cut[..., j]).sum() / cut[..., j].sum() / len(cut)
                  for axis in (column, row)] for j in range(2)])
  np.testing.assert_allclose(np.mean(eyes, 0), [[.5 - .36 * .465, .45 - .17 * .465],
                                                [.5 + .36 * .465, .45 - .17 * .465]], atol=.02)


@pytest.mark.parametrize('options, message', [
  (dict(faces=(2, 1)), 'faces must be'), (dict(faces=(0, 0)), 'faces must be'),
  (dict(height=(.2, .9)), 'height must be'), (dict(size=8), 'size must lie between 32'),
  (dict(people=-1), 'people must lie'), (dict(glasses=1.5), 'crowds: glasses must lie'),
  (dict(yaw=120.), 'yaw must lie'), (dict(seed=-1), 'seed must be 0 or more'),
])
def test_options_out_of_range(options, message):
  with pytest.raises(ConfigError, match=message):
    crowds('train', **options)
