"""Pictures that show where their boxes are, for tests of sources of images with objects."""

import numpy as np
from PIL import Image

DARK, BRIGHT = 20, 230


def picture(path, boxes=(), size=(40, 60), **options):
  """An image of that height and width, bright inside the boxes of whole pixels."""
  pixels = np.full((*size, 3), DARK, np.uint8)
  for x1, y1, x2, y2 in boxes:
    pixels[y1:y2, x1:x2] = BRIGHT
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path, **options)


def write(path, text):
  """A text file, in folders that are made for it."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)


def everything(source):
  return source[np.arange(len(source))]


def check_boxes_hold_what_is_bright(batch):
  """The bright pixels of a canvas are those in the boxes; the picture ends at its extent."""
  for i in np.flatnonzero(batch['valid']):
    objects = {k: v[i] for k, v in batch['objects'].items()}
    bright = batch['image'][i, ..., 0] > (DARK + BRIGHT) / 2
    y, x = np.mgrid[:bright.shape[0], :bright.shape[1]] + .5
    x1, y1, x2, y2 = objects['boxes'][objects['valid']].T[..., None, None]
    away = np.minimum.reduce([x - x1, x2 - x, y - y1, y2 - y]).max(0, initial=-9)
    sure = abs(away) > .75       # half a pixel of the box's edge, and what scaling blurs
    np.testing.assert_array_equal(bright[sure], away[sure] > 0)
    h, w = batch['extent'][i].astype(int)
    assert batch['image'][i, :h, :w].min() > DARK - 5
    assert not batch['image'][i, h:].any() and not batch['image'][i, :, w:].any()
