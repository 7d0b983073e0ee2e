"""Annotations of images as they are stored lie where they should in upright images."""

import numpy as np
import pytest
from annotated import coco_json, one, xml
from pictured import BRIGHT, DARK, check_boxes_hold_what_is_bright, everything, write
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.sources.coco import coco
from visionlab.data.sources.outlines import runs_of
from visionlab.data.sources.voc import voc_objects
from visionlab.data.sources.yolo import yolo

SIZES = [(40, 60), (60, 40), (50, 50)]      # of the image as stored
BOX = (6, 8, 26, 38)                        # in pixels of that, which cannot be turned into itself


def stored(path, orientation, size):
  """An image with a bright box, to be turned by its EXIF data."""
  pixels = np.full((*size, 3), DARK, np.uint8)
  pixels[BOX[1]:BOX[3], BOX[0]:BOX[2]] = BRIGHT
  exif = Image.Exif()
  exif[0x0112] = orientation
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path, exif=exif)


def check(source, size, orientation):
  batch = everything(source)
  assert batch['original'].tolist() == [list(size[::-1] if orientation >= 5 else size)]
  assert batch['objects']['valid'].all()
  check_boxes_hold_what_is_bright(batch)
  return {k: v[0] for k, v in batch['objects'].items()}


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('orientation', range(1, 9))
def test_boxes_of_stored_images(tmp_path, orientation, size):
  for folder in ('train', 'JPEGImages', 'images/train'):
    stored(tmp_path / folder / '0.png', orientation, size)
  options = dict(root=str(tmp_path), size=60, coordinates='stored', on_broken='stop')
  x1, y1, x2, y2 = BOX
  height, width = size
  box = one((x1, y1, x2 - x1, y2 - y1))
  coco_json(tmp_path, [box], [size])
  xml(tmp_path / 'Annotations' / '0.xml', [('dog', 0, (x1 + 1, y1 + 1, x2, y2))], size)
  shares = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
  write(tmp_path / 'labels' / 'train' / '0.txt', f'0 {" ".join(map(str, shares))}')
  check(coco('train', **options), size, orientation)
  check(coco('train', **options, check=False), size, orientation)
  check(voc_objects('train', **options, classes=('dog',)), size, orientation)
  check(yolo('train', **options, classes=('dog',)), size, orientation)


@pytest.mark.parametrize('runs', [False, True])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_masks_and_keypoints_of_stored_images(tmp_path, orientation, runs):
  size = (40, 60)
  stored(tmp_path / 'train' / '0.png', orientation, size)
  x1, y1, x2, y2 = BOX
  mask = np.zeros(size, bool)
  mask[y1:y2, x1:x2] = True
  shape = (dict(size=list(size), counts=runs_of(mask).counts.tolist()) if runs
           else [[x1, y1, x2, y1, x2, y2, x1, y2]])
  points = [x1, y1, 2, 0, 0, 0, x2 - 1, y2 - 1, 1]      # the first pixel, none, the last pixel
  box = (x1, y1, x2 - x1, y2 - y1)
  coco_json(tmp_path, [one(box, segmentation=shape, keypoints=points)], [size])
  source = coco('train', root=str(tmp_path), size=60, coordinates='stored', masks=True,
                keypoints=True, on_broken='stop')
  read = check(source, size, orientation)
  assert (read['masks'] == 255).all()
  np.testing.assert_allclose(read['frames'], read['boxes'])
  # Where Pillow puts the two pixels.
  marks = np.zeros(size, np.uint8)
  marks[y1, x1], marks[y2 - 1, x2 - 1] = 1, 2
  image = Image.fromarray(marks)
  turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
  image = image.transpose(turns[orientation]) if orientation > 1 else image
  for joint, mark in ((0, 1), (2, 2)):
    y, x = np.argwhere(np.asarray(image) == mark)[0] + .5
    np.testing.assert_allclose(read['keypoints'][0, joint, :2], (x, y))
  assert read['keypoints'][0, :, 2].tolist() == [2, 0, 1] and not read['keypoints'][0, 1].any()


def test_the_option_is_told_where_it_is_missing(tmp_path):
  stored(tmp_path / 'train' / '0.png', 6, (40, 60))
  coco_json(tmp_path, [one()], [(40, 60)])
  with pytest.raises(ConfigError, match="40x60 .*turns it.*expected 60x40.*coordinates='stored'"):
    coco('train', root=str(tmp_path))
  coco_json(tmp_path, [one()], [(60, 40)])
  with pytest.raises(ConfigError, match="coordinates='upright'"):
    coco('train', root=str(tmp_path), coordinates='stored')
  with pytest.raises(ConfigError, match='coco: coordinates: .*did you mean "stored"'):
    coco('train', root=str(tmp_path), coordinates='store')


def test_boxes_without_an_area_have_none_when_turned(tmp_path):
  stored(tmp_path / 'train' / '0.png', 3, (40, 60))
  coco_json(tmp_path, [one((36, 8, -30, 20))], [(40, 60)])
  with pytest.raises(ConfigError, match='expected x1 < x2'):
    coco('train', root=str(tmp_path), coordinates='stored')
