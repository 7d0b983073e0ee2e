"""Pictures of detections: what they are to show can be found in them."""

import numpy as np
import pytest

from visionlab.figures import detection as detection_figures
from visionlab.figures.charts import CRIMSON
from visionlab.figures.drawing import captioned
from visionlab.measures.average_precision import judge, precision_recall

CLASSES = ('cat', 'dog')
IMAGES = np.full((3, 60, 80, 3), 90, np.uint8)


def is_picture(x):
  return x.dtype == np.uint8 and x.ndim == 3 and x.shape[2] == 3 and x.std() > 0


def count(picture, colour):
  return (np.abs(picture.astype(int) - colour).max(-1) < 12).sum()


def case(b=3):
  """Two objects an image, and the same two detected; the first of each pair is on the left."""
  boxes = np.tile(np.array([[5., 10, 25, 50], [40, 10, 70, 50]]), (b, 1, 1))
  truth = dict(boxes=boxes, classes=np.tile([0, 1], (b, 1)), valid=np.ones((b, 2), bool))
  said = dict(boxes=boxes.copy(), classes=truth['classes'].copy(), scores=np.full((b, 2), .9),
              valid=np.ones((b, 2), bool))
  return truth, said


def first(tree, n=1):
  return {k: v[:n] for k, v in tree.items()}


def test_what_is_drawn_of_an_image():
  said = dict(valid=np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool),
              scores=np.array([[.9, .4, .5, .99], [.1, .4, .3, .2], [.9] * 4]))
  np.testing.assert_array_equal(
    detection_figures.shown_detections(said),
    [[True, False, True, False], [False, True, True, True], [False] * 4])


def test_crimson_is_what_is_wrong():
  truth, said = (first(side) for side in case())
  right = detection_figures.detections(IMAGES[:1], truth, said, CLASSES)
  assert is_picture(right) and count(right, CRIMSON) == 0
  half = right.shape[1] // 2
  missed = detection_figures.detections(IMAGES[:1], truth, {**said, 'valid': [[True, False]]},
                                        CLASSES)
  assert count(missed[:, :half], CRIMSON) > 100 and count(missed[:, half:], CRIMSON) == 0
  false = detection_figures.detections(IMAGES[:1], {**truth, 'valid': np.array([[True, False]])},
                                       said, CLASSES)
  assert count(false[:, :half], CRIMSON) == 0 and count(false[:, half:], CRIMSON) > 100
  crowd = detection_figures.detections(IMAGES[:1], {**truth, 'crowd': np.array([[False, True]])},
                                       said, CLASSES)
  assert count(crowd, CRIMSON) == 0 and count(crowd, detection_figures.GREY) > 200


def test_a_detection_has_the_colour_of_its_object():
  truth, said = (first(side) for side in case())
  said['boxes'] = said['boxes'][:, ::-1]
  said['classes'] = said['classes'][:, ::-1]
  own = detection_figures._object_colours(2)
  picture = detection_figures.detections(IMAGES[:1], truth, said, CLASSES)
  half = picture.shape[1] // 2
  for side in (picture[:, :half], picture[:, half:]):
    where = [np.nonzero((side == colour).all(-1))[1].mean() for colour in own]
    assert where[0] < where[1]


def test_masks_and_keypoints_are_drawn_where_they_are():
  truth, said = (first(side) for side in case())
  plain = detection_figures.detections(IMAGES[:1], truth, said, CLASSES)
  bitmaps = np.zeros((1, 2, 60, 80), bool)
  bitmaps[0, 0, 20:40, 10:20] = True
  masked = detection_figures.detections(
    IMAGES[:1], {**truth, 'masks': bitmaps},
    {**said, 'masks': np.full((1, 2, 28, 28), 255, np.uint8)}, CLASSES)
  changed = (masked != plain).any(-1)
  zoom, half = detection_figures.LARGE // 80, masked.shape[1] // 2
  rows, columns = np.nonzero(changed[:, :half])
  # The bitmap, of whose corners half a pixel is rounded off.
  assert 0 <= 200 - len(rows) / zoom ** 2 <= .5
  assert (columns.min(), columns.max() + 1) == (10 * zoom, 20 * zoom)
  boxes = 20 * 40 + 30 * 40                            # whole masks fill their boxes, but for lines
  assert .6 * boxes < changed[:, half:].sum() / zoom ** 2 <= boxes
  points = np.array([[[[15., 30, 2]], [[55, 30, 2]]]])
  jointed = detection_figures.detections(
    IMAGES[:1], {**truth, 'keypoints': points},
    {**said, 'keypoints': points - [0, 0, 9]}, CLASSES)         # a logit below zero
  for side in (jointed[:, :half] != plain[:, :half], jointed[:, half:] != plain[:, half:]):
    assert side.any()


def test_only_the_picture_on_its_canvas_is_shown():
  truth, said = (first(side) for side in case())
  whole = detection_figures.detections(IMAGES[:1], truth, said, CLASSES)
  part = detection_figures.detections(IMAGES[:1], truth, said, CLASSES,
                                      extent=np.array([[30., 80]]))
  assert len(whole) - len(part) == 30 * (detection_figures.LARGE // 80)
  assert part.shape[1] == whole.shape[1]


def test_large_images_are_shrunk_with_all_that_is_on_them():
  truth, said = (first(side) for side in case())
  small = detection_figures.detections(IMAGES[:1], truth, said, CLASSES)
  factor = 20
  large = IMAGES[:1].repeat(factor, 1).repeat(factor, 2)
  scaled = [{**side, 'boxes': side['boxes'] * factor} for side in (truth, said)]
  picture = detection_figures.detections(large, *scaled, CLASSES)
  assert max(picture.shape) < 2 * max(small.shape)
  for colour in detection_figures._object_colours(2):
    assert count(picture, colour) > 200


@pytest.mark.parametrize('side', [60, 200, 300, 440, 1000])
def test_pictures_are_enlarged_or_shrunk_to_one_size(side):
  image, factor, zoom = detection_figures._display(np.zeros((side // 2, side, 3), np.uint8), None,
                                                   440)
  assert .8 * 440 <= zoom * image.shape[1] <= 440 and (zoom == 1 or factor == 1)
  assert image.shape[1] == round(factor * side)


def test_headings_say_which_is_the_truth():
  truth, said = (first(side) for side in case())
  heads = [captioned(np.zeros((1, 400, 3), np.uint8), text, above=True)[:20]
           for text in ('truth', 'prediction')]
  picture = detection_figures.detections(IMAGES[:1], truth, said, CLASSES)
  title = len(captioned(picture[:0], '', above=True))
  strips = picture[title:title + 20, :400], picture[title:title + 20, 402:802]
  for strip, head in zip(strips, heads, strict=True):
    np.testing.assert_array_equal(strip, head)


def test_proposals_and_anchors():
  truth, _ = case()
  boxes = np.concatenate([truth['boxes'][:, :1] + 1, truth['boxes'][:, 1:] + 25,
                          truth['boxes'][:, 1:]], 1)
  valid = np.tile([True, True, False], (3, 1))
  picture = detection_figures.proposals(IMAGES, boxes, valid, truth)
  assert is_picture(picture)
  green, grey = (count(picture, c) for c in (detection_figures.GREEN, detection_figures.GREY))
  assert green > 200 and grey > 200
  fewer = detection_figures.proposals(IMAGES, boxes, valid, truth, most=1)
  assert count(fewer, detection_figures.GREEN) == green
  assert count(fewer, detection_figures.GREY) < grey / 2
  anchors = np.array([[8., 12, 28, 48], [45, 15, 75, 45], [0, 0, 9, 9]])
  positive = np.tile([True, True, False], (3, 1))
  index = np.tile([0, 1, 0], (3, 1))
  picture = detection_figures.positive_anchors(IMAGES, anchors, positive, index, truth)
  for colour in detection_figures._object_colours(2):
    assert count(picture, colour) > 100
  nothing = {**truth, 'valid': np.zeros((3, 2), bool)}
  assert is_picture(detection_figures.proposals(IMAGES, boxes, valid, nothing))
  assert is_picture(detection_figures.positive_anchors(IMAGES, anchors, positive & False,
                                                       index, nothing))


def test_the_worst_come_first():
  truth, said = case(4)
  said['classes'][2] = 1 - said['classes'][2]          # two missed, two false
  said['valid'][1, 0] = False                          # one missed
  assert detection_figures.worst_images(judge(truth, said), 9).tolist() == [2, 1]
  assert detection_figures.worst_images(judge(truth, said), 1).tolist() == [2]


def test_curves_are_drawn_for_classes_that_there_are():
  truth, said = case()
  curves = precision_recall(truth, said, (*CLASSES, 'cow'))
  picture = detection_figures.precision_recall_curves(curves, (*CLASSES, 'cow'), 'Title')
  assert is_picture(picture)
  empty = precision_recall({**truth, 'valid': np.zeros((3, 2), bool)}, said, CLASSES)
  assert is_picture(detection_figures.precision_recall_curves(empty, CLASSES, 'Title'))


def test_images_of_any_size_with_what_was_detected():
  found = dict(boxes=np.array([[5., 10, 25, 50]]), scores=np.array([.9]), classes=np.array([1]),
               masks=np.ones((1, 60, 80), bool), keypoints=np.array([[[9., 20, -3.]]]))
  nothing = {k: v[:0] for k, v in found.items()}
  picture = detection_figures.detected([IMAGES[0], IMAGES[0, :30, :70]], [found, nothing], CLASSES,
                                       ['a dog', 'nothing'], 'Found')
  assert is_picture(picture)
  assert is_picture(detection_figures.detected([], [], CLASSES, [], 'Found'))


@pytest.mark.parametrize('more', ['extent', 'proposals', 'nothing'])
def test_all_pictures_of_a_split(more):
  truth, said = case()
  batch = dict(image=IMAGES, objects=truth, valid=np.ones(3, bool))
  said['classes'][2] = 1 - said['classes'][2]
  if more == 'extent':
    batch['extent'] = np.tile(np.float32([40, 70]), (3, 1))
  if more == 'proposals':
    said['proposals'] = dict(boxes=truth['boxes'], valid=truth['valid'])
  if more == 'nothing':
    said['valid'][:] = truth['valid'][:] = False
  drawn = detection_figures.pictures(batch, said, dict(class_box_ap=np.array([.5, np.nan])),
                                     CLASSES)
  expected = {'samples', 'precision_recall', 'class_ap', 'worst', 'proposals'}
  assert set(drawn) == expected - ({'worst'} if more == 'nothing' else set()) - (
    set() if more == 'proposals' else {'proposals'})
  assert all(map(is_picture, drawn.values()))
