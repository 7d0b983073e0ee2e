"""Crops of polygons and run lengths: exact areas, NumPy, and pycocotools' bitmaps."""

import importlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visionlab.data.sources.outlines import Outlines, Runs, bitmap, coverage, read_counts, runs_of
from visionlab.ops.host_masks import paste_bitmaps

GOLDEN = np.load(Path(__file__).parent / 'golden' / 'outlines.npz')
H, W = GOLDEN['shape'].tolist()


def area(ring):
  x, y = np.reshape(ring, (-1, 2)).T
  return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def overlap(a, b):
  return (a & b).sum() / max((a | b).sum(), 1)


def pasted(outlines, i, frame, size):
  return paste_bitmaps(outlines.crop(i, frame)[None], np.array(frame)[None], size)[0]


def test_coverage_by_hand():
  triangle = np.array([[0, 0], [4, 0], [0, 2.]])
  # The hypotenuse falls by half a cell a cell: one cell of a quarter, ... of each row by hand.
  np.testing.assert_allclose(coverage(triangle, 4),
                             [[1, 1, .75, .25], [.75, .25, 0, 0], [0] * 4, [0] * 4], atol=1e-12)
  np.testing.assert_allclose(coverage(triangle[::-1], 4), coverage(triangle, 4))
  np.testing.assert_array_equal(coverage(np.array([[1, 1], [3, 1.]]), 4), 0)
  # An hourglass crosses itself: its two halves wind around in opposite directions.
  hourglass = np.array([[0, 0], [2, 0], [0, 2], [2, 2.]])
  np.testing.assert_allclose(coverage(hourglass, 2), [[.5, .5], [.5, .5]])


def test_coverage_adds_up_to_the_area_that_is_inside():
  rng = np.random.default_rng(0)
  for corners in (3, 5, 40):
    ring = np.sort(rng.uniform(0, 2 * np.pi, corners))
    ring = 10 + rng.uniform(3, 9, (corners, 1)) * np.stack([np.cos(ring), np.sin(ring)], axis=-1)
    np.testing.assert_allclose(coverage(ring, 20).sum(), area(ring), rtol=1e-9)
  # Whatever is cut off at the grid's edges, on either side.
  square = np.array([[-3, -5], [30, -5], [30, 7.5], [-3, 7.5]])
  np.testing.assert_allclose(coverage(square, 20).sum(1), [20.] * 7 + [10.] + [0] * 12)
  np.testing.assert_allclose(coverage(square[:, ::-1], 20).sum(0), [20.] * 7 + [10.] + [0] * 12)


def test_coverage_is_what_a_fine_drawing_covers():
  rng = np.random.default_rng(1)
  ring, fine = rng.uniform(-2, 12, (6, 2)), 32
  # Even-odd and winding twice differ where an outline overlaps itself; a triangle fan does not.
  ring = ring[np.argsort(np.arctan2(*(ring - ring.mean(0)).T))]
  canvas = Image.new('L', (10 * fine, 10 * fine))
  ImageDraw.Draw(canvas).polygon([tuple(point) for point in ring * fine - .5], fill=1)
  drawn = np.asarray(canvas).reshape(10, fine, 10, fine).mean((1, 3))
  np.testing.assert_allclose(coverage(ring, 10), drawn, atol=3 / fine)


def test_run_lengths_are_pycocotools():
  bitmaps = np.unpackbits(GOLDEN['bitmaps']).reshape(-1, H, W).astype(bool)
  counts = [read_counts(text) for text in GOLDEN['counts'].tolist()]
  outlines = Outlines(Runs(c, (H, W)) for c in counts)
  for i, expected in enumerate(bitmaps):
    np.testing.assert_array_equal(bitmap(Runs(counts[i], (H, W))), expected)
    np.testing.assert_array_equal(runs_of(expected).counts, counts[i])
    x, y, w, h = GOLDEN['boxes'][i]
    np.testing.assert_array_equal(outlines.bounds[i], [x, y, x + w, y + h])
  for damaged in ('', '5P', '5 3', 'o' * 9 + '0', '5\x7f'):
    with pytest.raises(ValueError, match='damaged'):
      read_counts(damaged)


def test_polygons_are_pycocotools():
  rings = np.split(GOLDEN['coordinates'], np.cumsum(GOLDEN['lengths'])[:-1])
  parts = np.cumsum([0, *GOLDEN['parts']])
  shapes = [rings[a:b] for a, b in zip(parts[:-1], parts[1:], strict=True)]
  united = np.unpackbits(GOLDEN['united']).reshape(-1, H, W).astype(bool)
  outlines = Outlines(shapes)
  for i, expected in enumerate(united):
    frame = np.clip(outlines.bounds[i], 0, [W, H, W, H])
    assert overlap(pasted(outlines, i, frame, (H, W)), expected) > .95
    points = np.concatenate(shapes[i]).reshape(-1, 2)
    np.testing.assert_allclose(outlines.bounds[i], [*points.min(0), *points.max(0)], rtol=1e-6)


def test_crops_of_bitmaps_keep_what_pixels_cover():
  rng = np.random.default_rng(0)
  mask = rng.random((12, 9)) < .5
  outlines = Outlines([(), runs_of(mask), [(1, 1, 8, 1, 8, 9)]])
  assert len(outlines) == 3
  np.testing.assert_array_equal(outlines.crop(1, (0, 0, 9, 12), size=36)[1::3, 2::4], 255 * mask)
  halved = outlines.crop(1, (0, 0, 8, 12), size=4)
  mean = mask[:, :8].reshape(4, 3, 4, 2).mean((1, 3))
  np.testing.assert_allclose(halved / 255, mean, atol=.01)
  assert outlines.bounds[0].tolist() == [0, 0, 0, 0] and not outlines.crop(0, (0, 0, 4, 4)).any()
  assert outlines.crop(2, (0, 0, 9, 12)).mean() / 255 == pytest.approx(28 / 108, abs=.002)
  assert Outlines([]).bounds.shape == (0, 4)


@pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # pycocotools
def test_cocos_own_masks(shared_data):
  """Crops of COCO's polygons and crowds, put back, beside what its own library decodes."""
  for name in ('pycocotools.mask', 'faster_coco_eval.core.mask'):
    try:
      coco = importlib.import_module(name)
      break
    except ImportError:
      continue
  else:
    pytest.skip('neither pycocotools nor faster_coco_eval is installed')
  with tarfile.open(shared_data / 'coco_eval_json.tar.gz') as archive:
    name = 'faster_coco_eval/tests/dataset/cocoapi/instances_val2014_100.json'
    content = json.load(archive.extractfile(name))
  sizes = {image['id']: (image['height'], image['width']) for image in content['images']}
  found, crowds = [], 0
  large = [one for one in content['annotations'] if one['area'] >= 32 ** 2]
  for one in [one for one in large if one['iscrowd']] + large[::3]:
    (h, w), shape = sizes[one['image_id']], one['segmentation']
    codes = coco.frPyObjects(shape, h, w)
    expected = coco.decode(coco.merge(codes) if isinstance(shape, list) else codes).astype(bool)
    if isinstance(shape, dict):
      crowds += 1
      shape = Runs(np.array(shape['counts']), (h, w))
      np.testing.assert_array_equal(bitmap(shape), expected)
    outlines = Outlines([shape])
    frame = np.clip(outlines.bounds[0], 0, [w, h, w, h])
    x, y, wide, high = one['bbox']
    np.testing.assert_allclose(frame, [x, y, x + wide, y + high], atol=1.01)
    top, left, bottom, right = (int(v) for v in (frame[1], frame[0], frame[3] + 1, frame[2] + 1))
    moved = frame - [left, top, left, top]
    mine = pasted(outlines, 0, frame, (h, w)) if not found else None
    crop = outlines.crop(0, frame).astype(np.float32) / 255
    near = _numpy_paste(crop, moved, (bottom - top, right - left))
    if mine is not None:           # the short cut of this test is the function it stands for
      np.testing.assert_array_equal(mine[top:bottom, left:right], near[:h - top, :w - left])
    found.append(overlap(near[:h - top, :w - left], expected[top:bottom, left:right]))
  # Measured over all 431: .994 on average, at least .938.
  assert crowds > 3 and len(found) > 150
  assert np.mean(found) > .99 and np.min(found) > .93 and np.quantile(found, .02) > .95


def _numpy_paste(crop, box, size):
  """By the definition, a bilinear sample for each pixel."""
  weights = [np.maximum(1 - abs(((np.arange(n) + .5 - box[k]) / (box[k + 2] - box[k]) * len(crop)
                                 - .5)[:, None] - np.arange(len(crop))), 0)
             for n, k in ((size[0], 1), (size[1], 0))]
  return weights[0] @ crop @ weights[1].T >= .5
