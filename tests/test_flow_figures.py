"""Colours of optical flow, by values of Baker et al.'s program and by hand."""

import numpy as np
import pytest

from visionlab.figures.flow import colour_wheel, coloured, compared, key


def test_the_wheel_has_the_colours_of_the_article():
  wheel = np.round(colour_wheel() * 255)
  assert wheel.shape == (55, 3)
  named = {0: (255, 0, 0), 1: (255, 17, 0), 15: (255, 255, 0), 21: (0, 255, 0),
           25: (0, 255, 255), 36: (0, 0, 255), 49: (255, 0, 255), 54: (255, 0, 43)}
  for place, colour in named.items():
    assert tuple(wheel[place]) == colour


@pytest.mark.parametrize('flow, colour', [
    ((0, 0), (255, 255, 255)),          # white stands still
    ((1, 0), (255, 0, 0)),              # to the right is red,
    ((1, -1e-9), (255, 0, 43)),         # the end of the wheel lying beside its beginning,
    ((.5, 0), (255, 127, 127)),         # half as far is half as strong,
    ((0, 1), (255, 229, 0)),            # down is yellow: between the 13th and the 14th hue,
    ((-1, 0), (0, 209, 255)),           # to the left is cyan: the 27th hue,
    ((0, -1), (88, 0, 255)),            # up is blue,
    ((2, 0), (191, 0, 0))])             # and what is too far is darker
def test_colours_by_hand(flow, colour):
  np.testing.assert_array_equal(coloured(np.array([[flow]], float), 1.)[0, 0], colour)


def test_what_is_not_known_is_black():
  flow = np.array([[[1., 0], [np.nan, 0], [1, 0]]])
  seen = coloured(flow, valid=np.array([[True, True, False]]))
  assert seen[0, 0].any() and not seen[0, 1:].any()
  assert (coloured(np.zeros((2, 2, 2))) == 255).all()


def test_pictures_have_room_for_all():
  frames = np.zeros((2, 40, 50, 3), np.uint8)
  fields = dict(true=np.ones((2, 40, 50, 2)), found=np.zeros((2, 40, 50, 2)))
  sheet = compared(frames, fields, [['', '1.4 px']] * 2)
  assert sheet.shape[1] == 3 * 200 + 160 + 3 * 6
  assert (key(21)[0, 0] == 255).all() and (key(21)[10, 10] == 255).all()
