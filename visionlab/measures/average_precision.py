"""Precision and recall of detections as Pascal VOC counts them, and what proposals cover.

All on the host. Arrays have the images on axis 0. Boxes may be in pixels of any scale.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

Objects = Mapping[str, np.ndarray]


class Curve(NamedTuple):
  """Precision and recall of one class as ever more detections count, the best first: (m,) each.

  `positives` is how many objects there are.
  """
  recall: np.ndarray
  precision: np.ndarray
  scores: np.ndarray
  positives: int


class Verdict(NamedTuple):
  """What becomes of each detection (b d), and of each object (b n), all bool.

  A detection that is neither right nor false counts nowhere, and so does an object that is neither
  found nor missed. `index` (b d) is the object of its class that a detection overlaps most.
  """
  right: np.ndarray
  false: np.ndarray
  found: np.ndarray
  missed: np.ndarray
  index: np.ndarray


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Intersection over union (... n m) of boxes (... n 4) and (... m 4); 0 where both are empty."""
  a, b = np.asarray(a, np.float64)[..., :, None, :], np.asarray(b, np.float64)[..., None, :, :]
  low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
  both = np.maximum(high - low, 0).prod(-1)
  areas = [np.maximum(x[..., 2:] - x[..., :2], 0).prod(-1) for x in (a, b)]
  return both / np.maximum(areas[0] + areas[1] - both, 1e-9)


def judge(truth: Objects, said: Objects, iou: float = .5) -> Verdict:
  """Which detections are right (Everingham et al. 2010, section 4.2).

  A detection is right if the object of its class that it overlaps most is overlapped by `iou` or
  more, unless a better-scored one had that object before. Where that object is marked `crowd`
  (VOC: difficult), the detection counts nowhere.

  Args:
    truth: `boxes` (b n 4), `classes` (b n), `valid` (b n), and if there is any `crowd` (b n) bool.
    said: `boxes` (b d 4), `scores` (b d), `classes` (b d), `valid` (b d).
  """
  there, counted = np.asarray(truth['valid'], bool), np.asarray(said['valid'], bool)
  crowd = there & np.asarray(truth.get('crowd', np.zeros(there.shape)), bool)
  index, best = np.zeros(counted.shape, int), np.full(counted.shape, -1.)
  if there.shape[1]:
    for i in range(len(there)):      # not at once: a hundred boxes each take much memory
      same = (said['classes'][i][:, None] == truth['classes'][i]) & there[i]
      overlap = np.where(same, box_iou(said['boxes'][i], truth['boxes'][i]), -1)
      index[i], best[i] = overlap.argmax(1), overlap.max(1)
  hit = counted & (best >= iou)
  free = hit & np.take_along_axis(crowd, index, 1) if there.shape[1] else hit
  hit &= ~free
  # Of the detections of one object the best-scored is right: the first of its number, in order.
  rows, columns = np.nonzero(hit)
  order = np.argsort(-said['scores'][rows, columns], kind='stable')
  rows, columns = rows[order], columns[order]
  _, first = np.unique(rows * there.shape[1] + index[rows, columns], return_index=True)
  right, found = np.zeros_like(hit), np.zeros_like(there)
  right[rows[first], columns[first]] = True
  found[rows[first], index[rows[first], columns[first]]] = True
  return Verdict(right, counted & ~right & ~free, found, there & ~crowd & ~found, index)


def precision_recall(truth: Objects, said: Objects, classes: Sequence[str],
                     iou: float = .5) -> list[Curve]:
  """The `Curve` of each of the k classes; truth, said and iou are as `judge` takes them."""
  verdict = judge(truth, said, iou)
  counted, positive = verdict.right | verdict.false, verdict.found | verdict.missed
  ours, theirs = said['classes'][counted], truth['classes'][positive]
  scores, right = said['scores'][counted], verdict.right[counted]
  order = np.argsort(-scores, kind='stable')
  ours, scores, right = ours[order], scores[order], right[order]
  return [_curve(right[ours == i], scores[ours == i], int((theirs == i).sum()))
          for i in range(len(classes))]


def _curve(right, scores, positives):
  true = np.cumsum(right)
  return Curve(true / max(positives, 1), true / np.arange(1, len(true) + 1), scores, positives)


def envelope(precision: np.ndarray) -> np.ndarray:
  """At each place, the best precision (m,) there or at any higher recall."""
  return np.maximum.accumulate(precision[::-1])[::-1]


def area_under(curve: Curve) -> float:
  """The area under the envelope: VOC's AP since 2010.

  >>> area_under(Curve(np.array([.5, .5, 1]), np.array([1, .5, 2 / 3]), np.zeros(3), 2))
  0.8333333333333333
  """
  return float((np.diff(curve.recall, prepend=0) * envelope(curve.precision)).sum())


def eleven_points(curve: Curve) -> float:
  """The mean of the envelope at recall 0, .1, ..., 1: VOC's AP until 2009.

  >>> eleven_points(Curve(np.array([.5]), np.array([1.]), np.zeros(1), 2))  # 6 of 11 are reached
  0.5454545454545454
  """
  # A hair less than the recall asked for: 3 / 10 is not 3 * .1.
  place = np.searchsorted(curve.recall, np.arange(11) / 10 - 1e-9)
  return float(np.append(envelope(curve.precision), 0)[place].mean())


def voc_scores(truth: Objects, said: Objects,
               classes: Sequence[str]) -> dict[str, float | np.ndarray]:
  """Pascal VOC's scores of boxes at an IoU of .5; truth and said are as `judge` takes them.

  Returns:
    `voc_ap`, the mean of `area_under` over the classes that have objects, `voc_ap_11_points`, that
    of `eleven_points`, and `class_voc_ap` (k,), nan for classes without objects. Without any
    objects at all the first two are absent.
  """
  curves = precision_recall(truth, said, classes)
  by_class = np.array([area_under(c) if c.positives else np.nan for c in curves])
  points = [eleven_points(c) for c in curves if c.positives]
  scores = dict(class_voc_ap=by_class)
  if points:
    scores |= dict(voc_ap=float(np.nanmean(by_class)), voc_ap_11_points=float(np.mean(points)))
  return scores


def proposal_recall(truth: Objects, proposals: np.ndarray, valid: np.ndarray, *,
                    counts: Sequence[int] = (10, 100, 300, 1000)) -> dict[str, float]:
  """The share of the objects that some of an image's first proposals cover.

  An object is covered if its best proposal overlaps it by the threshold or more (Hosang et al.
  2016); classes and scores play no part. Crowds do not count.

  Args:
    truth: as `judge` takes it; `classes` are not needed.
    proposals: (b p 4), the best first.
    valid: (b p).
    counts: at most how many of an image's proposals to look at. Those that would change nothing,
      because a smaller one is p or more, are left out.

  Returns:
    `recall50_at_100`, `recall70_at_100` and so on for each count, and `recall_at_100`, the mean
    over the thresholds .5, .55, ... .95. Empty if there are no objects.
  """
  there = np.asarray(truth['valid'], bool)
  there = there & ~np.asarray(truth.get('crowd', np.zeros(there.shape)), bool)
  if not there.any():
    return {}
  p = proposals.shape[1]
  counts = [n for n, before in zip(counts, (0, *counts)) if before < p]
  best = np.concatenate([_best(truth['boxes'][i][there[i]], proposals[i], valid[i], counts)
                         for i in range(len(there))])
  spread = np.arange(50, 100, 5) / 100
  scores = {}
  for n, one in zip(counts, best.T, strict=True):
    scores |= {f'recall{100 * t:.0f}_at_{n}': float((one >= t).mean()) for t in (.5, .7)}
    scores[f'recall_at_{n}'] = float((one[:, None] >= spread).mean())
  return scores


def _best(boxes, proposals, valid, counts):
  """The most that any of the first proposals overlaps each box: (n counts)."""
  overlap = np.where(valid, box_iou(boxes, proposals), 0)
  return np.stack([overlap[:, :n].max(1, initial=0) for n in counts], axis=1)
