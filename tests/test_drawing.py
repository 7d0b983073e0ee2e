"""Drawn annotations can be found again in the picture, where they belong."""

import numpy as np
import pytest

from visionlab.figures import drawing
from visionlab.figures.charts import palette

GREY = np.full((20, 30, 3), 100, np.uint8)


def test_pictures_of_every_kind():
  for image in (GREY, GREY[..., :1], GREY[..., 0], GREY / np.float32(255)):
    picture = drawing.as_picture(image, zoom=3)
    assert picture.shape == (60, 90, 3) and picture.dtype == np.uint8
    assert (picture == 100).all()


def test_a_box_is_drawn_on_its_edges():
  colour = np.array([[255, 0, 0]], np.uint8)
  drawn = drawing.draw_boxes(GREY, np.array([[4., 5, 12, 15]]), colour, [''])
  rows, cols = np.nonzero((drawn == colour).all(-1))
  assert (rows.min(), rows.max(), cols.min(), cols.max()) == (5, 14, 4, 11)
  assert len(rows) == 2 * 8 + 2 * 8                      # an outline, and nothing inside
  named = drawing.draw_boxes(drawing.as_picture(GREY, 4), np.array([[4., 5, 12, 15]]),
                                 colour, ['seven'], zoom=4)
  tag = named[20 - 13:20, 16:50]
  assert (tag == colour).all(-1).mean() > .5 and (tag.max(-1) > 250).any()


def test_masks_tint_only_themselves():
  mask = np.zeros((1, 20, 30), bool)
  mask[0, 2:5, 3:9] = True
  drawn = drawing.draw_masks(drawing.as_picture(GREY, 2), mask,
                                 np.array([[0, 0, 250]]), zoom=2)
  changed = (drawn != 100).any(-1)
  np.testing.assert_array_equal(changed, mask[0].repeat(2, 0).repeat(2, 1))
  assert drawn[changed].tolist()[0] == [45, 45, 182]       # 55 % of the colour


def test_label_maps_and_their_legend():
  classes = ('background', 'cat', 'dog')
  label_map = np.array([[0, 1], [2, 255]])
  drawn = drawing.draw_label_map(label_map, classes, zoom=2)[::2, ::2]
  np.testing.assert_array_equal(drawn.reshape(4, 3), [*palette(classes), [255] * 3])
  for width in (60, 400):                                # names go on to further rows
    legend = drawing.legend(classes, width)
    assert legend.shape[1] == width
    for colour in palette(classes):
      assert (legend == colour).all(-1).sum() > 50


def test_keypoints_show_their_visibility():
  points = np.array([[[5., 5, 2], [15, 5, 1], [25, 5, 0]]])
  drawn = drawing.draw_keypoints(drawing.as_picture(GREY, 4), points, ((0, 1),), zoom=4)
  assert abs(drawn[20, 20].astype(int) - drawing.SIDES['middle']).max() < 30
  assert drawn[20, 60].min() > 225                       # a ring around white
  assert (drawn[20, 40] != 100).any() and (drawn[20, 80:] == 100).all()


def test_only_valid_objects_are_drawn():
  objects = dict(boxes=np.array([[2., 2, 8, 8], [12, 2, 18, 8]]), valid=np.array([True, False]))
  drawn = drawing.annotated(GREY, objects, ('cat', 'dog'))
  assert (drawn[:9, :9] != 100).any()
  assert (drawn[9:] == 100).all() and (drawn[:, 9:] == 100).all()
  objects |= dict(classes=np.array([1, 0]), scores=np.array([.5, .6]))
  assert (drawing.annotated(GREY, objects, ('cat', 'dog')) != drawn).any()     # a name
  nothing = {**objects, 'valid': np.zeros(2, bool)}
  np.testing.assert_array_equal(drawing.annotated(GREY, nothing, ('cat', 'dog')), GREY)


def test_layout():
  row = drawing.beside([GREY, GREY[:10]], gap=4)
  assert row.shape == (20, 64, 3) and (row[:, 30:34] == 255).all() and (row[10:, 34:] == 255).all()
  column = drawing.below([GREY, GREY[:, :10]], gap=4)
  assert column.shape == (44, 30, 3)
  texted = drawing.captioned(GREY, 'a caption of several words', lines=2)
  assert len(texted) > 20 + 2 * 16 and (texted[:20] == 100).all() and (texted[20:] < 50).any()
  assert (drawing.captioned(GREY, 'x', above=True)[-20:] == 100).all()


def test_tags_do_not_hide_each_other():
  boxes = np.array([[20, 20, 90, 70], [22, 22, 95, 75], [19, 21, 85, 66]])
  colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
  blank = np.full((120, 120, 3), 255, np.uint8)
  together = drawing.draw_boxes(blank, boxes, colours, ['cat', 'dog', 'emu'])
  for box, colour, name in zip(boxes, colours, ('cat', 'dog', 'emu'), strict=True):
    alone = drawing.draw_boxes(blank, box[None], colour[None], [name])
    lines = drawing.draw_boxes(blank, box[None], colour[None], [''])
    tag = (alone == colour).all(-1).sum() - (lines == colour).all(-1).sum()
    own = drawing.draw_boxes(blank, boxes, colours, ['', '', ''])
    assert (together == colour).all(-1).sum() - (own == colour).all(-1).sum() > .7 * tag


@pytest.mark.parametrize('box', [(0, 0, 40, 30), (90, 0, 120, 30), (0, 100, 40, 120),
                                 (100, 100, 120, 120), (-9, -9, 130, 130), (60, 5, 61, 6)])
def test_tags_stay_in_the_picture_and_apart(box):
  taken = []
  for _ in range(4):
    left, top, right, bottom = drawing._free_place(box, 50, (120, 120), taken)
    assert min(left, top) >= 0 and max(right, bottom) <= 120 and right - left == 50
    free = not any(drawing._overlap((left, top, right, bottom), other) for other in taken)
    assert free or len(taken) >= 2                     # two tags have room about any box
    taken.append((left, top, right, bottom))
