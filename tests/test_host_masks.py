"""Masks on the host: pasted as torch samples them, encoded as COCO's own code does it."""

from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import mask as coco

from visionlab.ops.host_masks import encode, paste_bitmap, paste_bitmaps


def sampled(masks, boxes, size):
  """By the definition, a bilinear sample of each mask for each pixel: (n h w)."""
  def weights(start, end, cells, pixels):
    at = (np.arange(pixels) + .5 - start[:, None]) / (end - start)[:, None] * cells - .5
    return np.maximum(1 - abs(at[..., None] - np.arange(cells)), 0)
  rows, columns = (weights(boxes[:, i], boxes[:, i + 2], masks.shape[2 - i], size[1 - i])
                   for i in (1, 0))
  return np.einsum('nyh,nhw,nxw->nyx', rows, masks, columns, optimize=True)


def test_samples_are_torchs():
  torch = pytest.importorskip('torch')
  golden = np.load(Path(__file__).parent / 'golden' / 'detection.npz')
  masks, boxes = golden['paste.masks'], golden['paste.boxes']
  y, x = np.mgrid[:32, :38] + .5
  grid = [np.stack([(x - x1) / (x2 - x1), (y - y1) / (y2 - y1)], -1) * 2 - 1
          for x1, y1, x2, y2 in boxes.astype(float)]
  expected = torch.nn.functional.grid_sample(
    torch.tensor(masks[:, None]), torch.tensor(np.array(grid), dtype=torch.float32),
    align_corners=False, padding_mode='zeros')[:, 0].numpy()
  np.testing.assert_allclose(sampled(masks, boxes, (32, 38)), expected, atol=2e-5)
  clear = abs(expected - .5) > 1e-4
  np.testing.assert_array_equal(paste_bitmaps(masks, boxes, (32, 38))[clear],
                                (expected >= .5)[clear])


def test_pasted_as_by_the_definition():
  rng = np.random.default_rng(0)
  masks = rng.random((200, 5, 7)).astype(np.float32)
  low = rng.uniform(-15, 35, (200, 2))
  boxes = np.concatenate([low, low + rng.uniform(.5, 40, (200, 2))], 1).astype(np.float32)
  there = sampled(masks, boxes, (24, 30))
  clear = abs(there - .5) > 1e-4                   # rounding may tip the others
  here = paste_bitmaps(masks, boxes, (24, 30))
  assert here.any((1, 2)).sum() > 100 and not here.any((1, 2)).all()
  np.testing.assert_array_equal(here[clear], there[clear] >= .5)
  bytes_ = np.round(masks * 255).astype(np.uint8)
  clear = abs(there - .5) > 3e-3
  np.testing.assert_array_equal(paste_bitmaps(bytes_, boxes, (24, 30))[clear], here[clear])


def test_bitmaps_of_the_image_stay_as_they_are():
  bitmap = np.random.default_rng(1).random((6, 9)) < .5
  part, corner = paste_bitmap(bitmap, np.array([0, 0, 9, 6]), (6, 9))
  np.testing.assert_array_equal(part, bitmap)
  assert corner == (0, 0)
  double = paste_bitmaps(np.stack([np.ones((6, 9))] * 2), np.array([[0, 0, 18, 12]] * 2), (12, 18))
  assert double.shape == (2, 12, 18) and double.mean() > .95     # corners of the edge fade


@pytest.mark.parametrize('frame', [(40, 3, 50, 9), (-9, 3, -1, 9), (3, 40, 9, 50), (5, 5, 5, 5),
                                   (9, 9, 2, 2), (3.2, 3.2, 3.4, 3.4)])
def test_frames_without_a_pixel(frame):
  assert not paste_bitmaps(np.ones((1, 4, 4)), np.array([frame]), (20, 20)).any()
  texts, areas = encode(np.ones((1, 4, 4)), np.array([frame], float), (20, 20))
  assert areas.tolist() == [0] and coco.area(dict(size=[20, 20], counts=texts[0])) == 0


def test_codes_are_those_of_coco():
  rng = np.random.default_rng(2)
  for n in range(300):
    h, w = rng.integers(1, 40, 2).tolist()
    part = rng.random((h, w)) < rng.random()
    if n % 3 == 0:
      part = np.kron(part, np.ones((7, 90), bool))               # long runs take several letters
    h, w = part.shape
    size = tuple(side + int(rng.integers(0, 4)) for side in part.shape)
    top, left = (int(rng.integers(0, a - b + 1)) for a, b in zip(size, part.shape, strict=True))
    whole = np.zeros(size, np.uint8)
    whole[top:top + part.shape[0], left:left + part.shape[1]] = part
    (text,), (area,) = encode([part], np.array([[left, top, left + w, top + h]]), size)
    assert text == coco.encode(np.asfortranarray(whole))['counts'] and area == whole.sum()
  assert encode([], np.zeros((0, 4)), (4, 4))[0] == []


def test_areas_are_pixels():
  masks = np.random.default_rng(3).random((20, 6, 6))
  boxes = np.tile([2.5, 1, 17, 12.5], (20, 1))
  texts, areas = encode(masks, boxes, (15, 20))
  bitmaps = paste_bitmaps(masks, boxes, (15, 20))
  np.testing.assert_array_equal(areas, bitmaps.sum((1, 2)))
  for text, bitmap in zip(texts, bitmaps, strict=True):
    np.testing.assert_array_equal(coco.decode(dict(size=[15, 20], counts=text)), bitmap)
