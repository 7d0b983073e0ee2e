"""ops/heatmaps.py against torchvision's targets and decoding."""

from pathlib import Path

import jax
import numpy as np
import pytest

from visionlab.ops.heatmaps import decode_keypoints, keypoint_targets

GOLDEN = np.load(Path(__file__).parent / 'golden' / 'detection.npz')
DECODE = jax.jit(decode_keypoints, static_argnames='factor')
TARGETS = jax.jit(keypoint_targets, static_argnames='size')


def test_targets_are_torchvisions():
  points, boxes = GOLDEN['keypoints.points'], GOLDEN['keypoints.boxes']
  index, weight = TARGETS(points, boxes, size=14)
  np.testing.assert_array_equal(index, GOLDEN['keypoints.index'])
  np.testing.assert_array_equal(weight, GOLDEN['keypoints.weight'])
  assert 0 < weight.sum() < weight.size


def test_of_a_box_without_area():
  points = np.array([[[3, 3, 2], [4, 4, 2]]], np.float32)
  index, weight = TARGETS(points, np.array([[3., 3, 3, 3]]), size=4)
  assert weight[0, 1] == 0 and index.min() >= 0 and index.max() < 16
  points, scores = DECODE(np.zeros((1, 4, 4, 2)), np.array([[3., 3, 3, 3]]))
  assert np.isfinite(points).all() and np.isfinite(scores).all()


def test_decoding_is_torchvisions_to_a_pixel():
  heatmaps = GOLDEN['heatmaps.heatmaps'].astype(np.float32)
  boxes = GOLDEN['heatmaps.boxes']
  points, scores = DECODE(heatmaps, boxes)
  side = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)[:, None]
  away = abs(points - GOLDEN['heatmaps.points'])
  # Half a place of ours and half a pixel of torchvision's. Its pixels may miss the peak of a map
  # that is small on the image; box 5 is large.
  assert (away <= .5 * side / (14 * 8) + .5).all()
  assert (scores >= GOLDEN['heatmaps.scores'] - .02).all()
  np.testing.assert_allclose(scores[5], GOLDEN['heatmaps.scores'][5], atol=.03)


@pytest.mark.parametrize('factor', [1, 4])
def test_decoding_is_the_argmax_of_torchs_bicubic(factor):
  torch = pytest.importorskip('torch')
  rng = np.random.default_rng(0)
  y, x = np.mgrid[:9, :9]
  u, v = rng.uniform(-.5, 8.5, (2, 6, 5, 1, 1))  # some peaks are at, or beyond, the border
  heatmaps = (np.exp(-((x - u) ** 2 + (y - v) ** 2) / 5) * 4).astype(np.float32)
  side = 9 * factor
  large = torch.nn.functional.interpolate(torch.tensor(heatmaps), (side, side), mode='bicubic')
  best, place = large.reshape(6, 5, -1).max(-1)
  expected = np.stack([place % side, place // side], -1) + .5
  boxes = np.tile(np.array([10, 20, 10 + side, 20 + side], np.float32), (6, 1))
  points, scores = DECODE(heatmaps.transpose(0, 2, 3, 1), boxes, factor=factor)
  np.testing.assert_allclose(points, expected + [10, 20], atol=1e-4)
  np.testing.assert_allclose(scores, best, atol=1e-5)


@pytest.mark.parametrize('joints', [1, 14])
def test_targets_and_decoding_undo_each_other(joints):
  rng = np.random.default_rng(joints)
  boxes = np.array([[5, 5, 61, 33], [0, 0, 28, 56]], np.float32)
  points = boxes[:, None, :2] + rng.random((2, joints, 2)) * (boxes[:, 2:] - boxes[:, :2])[:, None]
  labelled = np.concatenate([points, np.full((2, joints, 1), 2)], -1)
  index, weight = TARGETS(labelled, boxes, size=28)
  assert (weight == 1).all()
  heatmaps = np.moveaxis(np.eye(784)[index].reshape(2, joints, 28, 28), 1, -1)
  decoded, _ = DECODE(heatmaps, boxes, factor=1)
  cell = (boxes[:, 2:] - boxes[:, :2])[:, None] / 28
  assert (abs(decoded - points) <= cell / 2 + 1e-4).all()
