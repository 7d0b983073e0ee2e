"""VOC's average precision and the recall of proposals against slow references and known values."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from visionlab.measures.average_precision import (
  Curve,
  area_under,
  box_iou,
  eleven_points,
  judge,
  precision_recall,
  proposal_recall,
  voc_scores,
)

NAMES = ('cat', 'dog', 'cow')


def overlap(a, b):
  """Intersection over union of two boxes, by the book."""
  w = min(a[2], b[2]) - max(a[0], b[0])
  h = min(a[3], b[3]) - max(a[1], b[1])
  both = max(w, 0) * max(h, 0)
  return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def random_case(seed, b=6, n=5, d=12, k=3):
  """Objects, and detections that are mostly near them; padding holds plausible boxes too."""
  rng = np.random.default_rng(seed)
  low = rng.uniform(0, 40, (b, n, 2))
  truth = dict(boxes=np.concatenate([low, low + rng.uniform(5, 25, (b, n, 2))], -1),
               classes=rng.integers(0, k, (b, n)), valid=rng.random((b, n)) < .7,
               crowd=rng.random((b, n)) < .2)
  chosen = rng.integers(0, n, (b, d))
  boxes = np.take_along_axis(truth['boxes'], chosen[..., None], 1)
  classes = np.take_along_axis(truth['classes'], chosen, 1)
  said = dict(boxes=boxes + rng.normal(0, 2, boxes.shape), scores=rng.random((b, d)),
              classes=np.where(rng.random((b, d)) < .2, rng.integers(0, k, (b, d)), classes),
              valid=rng.random((b, d)) < .8)
  return truth, said


def slow_curve(truth, said, k, iou):
  """Recall and precision of class k: one detection after the other, over all images."""
  rows = [(said['scores'][i, j], i, j) for i, j in np.argwhere(said['valid'])
          if said['classes'][i, j] == k]
  objects = [(i, j) for i, j in np.argwhere(truth['valid']) if truth['classes'][i, j] == k]
  positives = sum(not truth['crowd'][at] for at in objects)
  taken, true, false, curve = set(), 0, 0, []
  for _, i, j in sorted(rows, reverse=True):
    best, at = max(((overlap(said['boxes'][i, j], truth['boxes'][o]), o)
                    for o in objects if o[0] == i), default=(0, None))
    if best >= iou and truth['crowd'][at]:
      continue
    if best >= iou and at not in taken:
      taken.add(at)
      true += 1
    else:
      false += 1
    curve.append((true / max(positives, 1), true / (true + false)))
  return np.array(curve).reshape(-1, 2), positives


def slow_area(curve):
  """The area under the highest precision at that recall or beyond, summed over steps of recall."""
  return sum((r - before) * max(p for q, p in curve if q >= r)
             for (r, _), before in zip(curve, [0, *curve[:-1, 0]], strict=True))


def slow_points(curve):
  return np.mean([max((p for r, p in curve if r >= t - 1e-9), default=0)
                  for t in np.linspace(0, 1, 11)])


def test_iou_of_boxes():
  rng = np.random.default_rng(0)
  low = rng.uniform(0, 9, (9, 2))
  boxes = np.concatenate([low, low + rng.uniform(1, 9, (9, 2))], 1)
  expected = [[overlap(a, b) for b in boxes[4:]] for a in boxes[:4]]
  np.testing.assert_allclose(box_iou(boxes[:4], boxes[4:]), expected, rtol=1e-12)
  assert box_iou(np.zeros((1, 4)), np.zeros((1, 4))) == 0
  assert box_iou(boxes[:, [2, 3, 0, 1]], boxes).max() == 0          # inverted boxes have no area


@pytest.mark.parametrize('seed', range(20))
@pytest.mark.parametrize('iou', [.3, .5, .75])
def test_curves_are_those_of_going_through_the_detections_one_by_one(seed, iou):
  truth, said = random_case(seed)
  for k, curve in enumerate(precision_recall(truth, said, NAMES, iou)):
    expected, positives = slow_curve(truth, said, k, iou)
    np.testing.assert_allclose(np.stack([curve.recall, curve.precision], 1), expected)
    assert curve.positives == positives
    if len(expected):
      assert area_under(curve) == pytest.approx(slow_area(expected), abs=1e-12)
      assert eleven_points(curve) == pytest.approx(slow_points(expected), abs=1e-12)


def test_one_object_in_each_image_is_binary_retrieval():
  """Then a detection is right or not, and scikit-learn knows the curve."""
  rng = np.random.default_rng(3)
  b = 60
  right, scores = rng.random(b) < .6, rng.permutation(b) / b
  box = np.array([0., 0, 10, 10])
  truth = dict(boxes=np.tile(box, (b, 1, 1)), classes=np.zeros((b, 1), int),
               valid=np.ones((b, 1), bool))
  said = dict(boxes=np.where(right[:, None], box, box + 20)[:, None], scores=scores[:, None],
              classes=np.zeros((b, 1), int), valid=np.ones((b, 1), bool))
  curve = precision_recall(truth, said, ('thing',))[0]
  precision, recall, _ = precision_recall_curve(right, scores)
  share = right.mean()                        # of all objects, of which some are never found
  order = slice(-2, None, -1)
  np.testing.assert_allclose(curve.recall, recall[order] * share)
  np.testing.assert_allclose(curve.precision, precision[order])
  steps = (np.diff(curve.recall, prepend=0) * curve.precision).sum()
  assert steps == pytest.approx(average_precision_score(right, scores) * share)
  assert area_under(curve) >= steps


def test_known_areas():
  # Right at ranks 1, 3 and 6 of ten; there are five objects.
  right = np.isin(np.arange(1, 11), (1, 3, 6))
  true = np.cumsum(right)
  curve = Curve(true / 5, true / np.arange(1, 11), np.arange(10.)[::-1], 5)
  assert area_under(curve) == pytest.approx((1 + 2 / 3 + 1 / 2) / 5)
  # Recall .2 is reached with precision 1 (points 0, .1, .2), .4 with 2/3, .6 with 1/2.
  assert eleven_points(curve) == pytest.approx((3 * 1 + 2 * 2 / 3 + 2 * 1 / 2) / 11)
  nothing = Curve(np.zeros(0), np.zeros(0), np.zeros(0), 5)
  assert area_under(nothing) == eleven_points(nothing) == 0


def test_perfect_empty_and_absent():
  truth, _ = random_case(0)
  truth['crowd'][:] = False
  perfect = dict(boxes=truth['boxes'], classes=truth['classes'], valid=truth['valid'],
                 scores=np.ones(truth['valid'].shape))
  scores = voc_scores(truth, perfect, NAMES)
  assert scores['voc_ap'] == scores['voc_ap_11_points'] == 1
  silent = {**perfect, 'valid': np.zeros_like(truth['valid'])}
  assert voc_scores(truth, silent, NAMES)['voc_ap'] == 0
  fewer = voc_scores(truth, perfect, (*NAMES, 'unicorn'))
  assert fewer['voc_ap'] == 1 and np.isnan(fewer['class_voc_ap']).tolist() == [False] * 3 + [True]
  nothing = voc_scores({**truth, 'valid': np.zeros_like(truth['valid'])}, perfect, NAMES)
  assert 'voc_ap' not in nothing and np.isnan(nothing['class_voc_ap']).all()
  no_room = {k: v[:, :0] for k, v in truth.items()}
  assert 'voc_ap' not in voc_scores(no_room, perfect, NAMES)
  assert judge(no_room, perfect).false.sum() == truth['valid'].sum()


def test_what_becomes_of_each():
  truth = dict(boxes=np.array([[[0., 0, 4, 4], [10, 0, 14, 4], [20, 0, 24, 4], [30, 0, 34, 4]]]),
               classes=np.zeros((1, 4), int), valid=np.array([[True, True, True, False]]),
               crowd=np.array([[False, False, True, False]]))
  said = dict(boxes=truth['boxes'][:, [0, 0, 2, 3]], scores=np.array([[.5, .9, .8, .7]]),
              classes=np.zeros((1, 4), int), valid=np.ones((1, 4), bool))
  verdict = judge(truth, said)
  assert verdict.right[0].tolist() == [False, True, False, False]      # the second has the score
  assert verdict.false[0].tolist() == [True, False, False, True]       # the third is in a crowd
  assert verdict.found[0].tolist() == [True, False, False, False]
  assert verdict.missed[0].tolist() == [False, True, False, False]


def test_proposal_recall():
  truth = dict(boxes=np.array([[[0., 0, 10, 10], [20, 0, 30, 10]], [[0, 0, 10, 10]] * 2]),
               valid=np.array([[True, True], [True, False]]))
  near, wide = [20., 0, 30, 8], [0., 0, 10, 16.1]              # IoU .8 and .62
  boxes = np.array([[[50., 50, 60, 60], near, wide], [[0, 0, 10, 10], near, near]])
  valid = np.array([[True, True, True], [False, True, True]])
  scores = proposal_recall(truth, boxes, valid, counts=(1, 2, 100, 300))
  assert set(scores) == {f'{name}_at_{n}' for name in ('recall', 'recall50', 'recall70')
                         for n in (1, 2, 100)}                  # 300 could not differ from 100
  assert [scores[f'recall50_at_{n}'] for n in (1, 2, 100)] == pytest.approx([0, 1 / 3, 2 / 3])
  assert [scores[f'recall70_at_{n}'] for n in (1, 2, 100)] == pytest.approx([0, 1 / 3, 1 / 3])
  assert scores['recall_at_100'] == pytest.approx((.7 + .3) / 3)   # .5-.8 and .5-.6, of ten
  truth['crowd'] = np.array([[False, True], [False, False]])
  assert proposal_recall(truth, boxes, valid)['recall50_at_10'] == 1 / 2
  assert proposal_recall({**truth, 'valid': np.zeros((2, 2), bool)}, boxes, valid) == {}
