"""ops/masks.py against torchvision's targets, and exact areas."""

from pathlib import Path

import jax
import numpy as np
import pytest

from visionlab.ops.host_masks import paste_bitmaps
from visionlab.ops.masks import mask_targets

TARGETS = jax.jit(mask_targets, static_argnames=('size', 'aligned'))
GOLDEN = np.load(Path(__file__).parent / 'golden' / 'detection.npz')


def disc(cx, cy, r, n=40):
  y, x = np.mgrid[:n, :n] + .5
  return (x - cx) ** 2 + (y - cy) ** 2 < r ** 2


def test_targets_from_bitmaps_are_torchvisions():
  targets = TARGETS(GOLDEN['masks.bitmaps'], GOLDEN['masks.boxes'], size=7, aligned=False)
  np.testing.assert_allclose(targets, GOLDEN['masks.targets'], atol=2e-5)


def test_a_cell_of_whole_pixels_is_their_mean():
  rng = np.random.default_rng(0)
  masks = rng.random((2, 16, 16)) < .5
  boxes = np.array([[2, 0, 14, 12], [4, 4, 16, 16]], np.float32)
  expected = [m[y1:y2, x1:x2].reshape(4, 3, 4, 3).mean((1, 3))
              for m, (x1, y1, x2, y2) in zip(masks, boxes.astype(int))]
  np.testing.assert_allclose(TARGETS(masks, boxes, size=4), expected, atol=1e-6)


def test_targets_from_crops_are_about_those_from_bitmaps():
  bitmaps = np.stack([disc(14, 17, 9), disc(25, 20, 12)])
  frames = np.array([[5, 8, 23, 26], [13, 8, 37, 32]], np.float32)  # the discs' own boxes
  boxes = frames + np.array([[-3, 2, 1, 3], [4, -5, 2, 6]], np.float32)  # proposals
  crops = TARGETS(bitmaps, frames, size=56)
  targets = TARGETS(crops, boxes, size=14, frames=frames)
  expected = TARGETS(bitmaps, boxes, size=14)
  assert np.abs(np.subtract(targets, expected)).mean() < .01
  targets, expected = np.asarray(targets), np.asarray(expected)
  np.testing.assert_array_equal(targets[0, :, :2] == 0, True)  # left of its frame there is nothing
  np.testing.assert_allclose(targets.mean((1, 2)), expected.mean((1, 2)), atol=.015)


def test_a_full_crop_fills_its_frame_up_to_the_edges():
  frames = np.array([[4, 4, 12, 8]], np.float32)
  ones = np.ones((1, 8, 8), bool)
  np.testing.assert_allclose(TARGETS(ones, frames, size=4, frames=frames), 1, atol=1e-6)
  half = TARGETS(ones, np.array([[0, 4, 16, 8]], np.float32), size=4, frames=frames)
  np.testing.assert_allclose(half[0], np.tile([0, 1, 1, 0], (4, 1)), atol=1e-6)


@pytest.mark.parametrize('box', [[5, 5, 5, 5], [9, 9, 3, 3], [-90, -90, -80, -80]])
def test_of_boxes_without_area(box):
  box = np.array([box], np.float32)
  for frames in (None, box):
    targets = TARGETS(disc(14, 17, 9)[None], box, size=4, frames=frames)
    assert np.isfinite(targets).all() and targets.min() >= 0 and targets.max() < 1.0001


def test_what_is_cropped_and_pasted_again_is_the_mask():
  bitmaps = np.stack([disc(14, 17, 9), disc(25, 20, 12)])
  boxes = np.array([[5, 8, 23, 26], [13, 8, 37, 32]], np.float32)
  back = paste_bitmaps(np.asarray(TARGETS(bitmaps, boxes, size=28)), boxes, (40, 40))
  union, both = (back | bitmaps).sum((1, 2)), (back & bitmaps).sum((1, 2))
  assert (both / union > .97).all()
