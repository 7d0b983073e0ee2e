"""COCO's average precision of boxes, masks and keypoints (Lin et al. 2014), on the host.

Everything is compared in pixels of the original image, because COCO's ranges of area are. The
matching is that of the package faster_coco_eval, imported where it is needed.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.ops.host_masks import encode

Objects = Mapping[str, Sequence[np.ndarray]]

KINDS = dict(box='bbox', mask='segm', keypoint='keypoints')
# Of nose, eyes, ears, shoulders, elbows, wrists, hips, knees and ankles.
COCO_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89,
                        89]) / 1000
SIGMA = .05                      # of keypoints for which nobody has measured it


class Frame(NamedTuple):
  """Of one image: the size (h, w) of the original, and the canvas's rectangle (4,) in its pixels;
  original = canvas * scale (2,), x before y."""
  size: tuple[int, int]
  canvas: np.ndarray
  scale: np.ndarray


def coco_scores(truth: Objects, said: Objects, classes: Sequence[str], canvas: tuple[int, int], *,
                extent: np.ndarray | None = None, original: np.ndarray | None = None,
                sigmas: Sequence[float] = ()) -> dict[str, float | np.ndarray | str]:
  """COCO's scores of what `said` and `truth` both have: boxes, `masks`, `keypoints`.

  Each entry of `truth` and `said` is an array with the images on axis 0, or a list with one array
  for each image. Coordinates are in pixels of the canvas.

  Args:
    truth: `boxes` (b n 4), `classes` (b n) of 0..k-1, `valid` (b n); if there are any `crowd` (b n)
      regions in which detections count neither way, `area` (b n) in pixels of the original, by
      default that of the box (in the scores of masks: of the mask), `keypoints` (b n j 3) as x, y,
      visibility, and `masks`: bitmaps of the canvas (b n h w) or crops (b n s s) with the `frames`
      (b n 4) that they depict, bool, uint8 up to 255, or in [0, 1].
    said: `boxes` (b d 4), `scores` (b d), `classes` (b d), `valid` (b d), `keypoints` (b d j 3),
      and `masks` (b d s s) of the inside of the boxes, or of `frames`.
    classes: the names of the k classes.
    canvas: (h, w) of the images that boxes refer to.
    extent: (b 2), height and width of the picture on its canvas; by default the whole canvas.
    original: (b 2), height and width of the picture's file; by default the canvas is the original,
      and `extent` is not needed.
    sigmas: (j,) how far, in units of the root of an object's area, annotators scatter about each
      keypoint. By default COCO's for 17 keypoints, else .05 (COCO's are .067 on average).

  Returns:
    For each x of box, mask, keypoint: `x_ap`, the mean over classes and IoU (for keypoints: OKS)
    thresholds .5, .55, ... .95; `x_ap50` and `x_ap75`, at one threshold; `x_ap_small`, `_medium`
    and `_large`, of objects with areas up to 32^2, to 96^2, and larger (keypoints: not of small
    ones); `x_ar100`, the recall of at most 100 detections an image and class (`keypoint_ar20`); and
    (k,) arrays `class_x_ap`, `class_x_ap50`, nan for classes of which there are no objects. A score
    of which there is nothing to measure is absent. `class_objects` (k,) counts them, crowds apart.
    `note` says so if there are no objects at all.

  Raises:
    ConfigError: faster_coco_eval is not installed, sigmas are not as many as keypoints, or there
      is a class beyond the names.
  """
  frames = _image_frames(len(truth['boxes']), canvas, extent, original)
  sides = [(objects, _flat(objects, frames, len(classes))) for objects in (truth, said)]
  known = sides[0][1]
  counts = np.bincount(known['classes'][~known['crowd']], minlength=len(classes))
  scores = dict(class_objects=counts)
  if not counts.any():
    return scores | dict(note='there are no objects: nothing to measure')
  for kind in KINDS:
    if kind == 'box' or all(f'{kind}s' in objects for objects in (truth, said)):
      rows = [_annotations(kind, objects, flat, frames) for objects, flat in sides]
      scales = _sigmas(truth, sigmas) if kind == 'keypoint' else None
      scores |= _summary(kind, _evaluate(kind, frames, len(classes), *rows, scales))
  return scores


def _image_frames(b: int, canvas: tuple[int, int], extent: np.ndarray | None,
                 original: np.ndarray | None) -> list[Frame]:
  """The `Frame` of each of b images; the arguments are those of `coco_scores`."""
  if original is None:
    return [_frame(canvas, canvas, np.ones(2))] * b
  extent = [canvas] * b if extent is None else extent
  return [_frame(canvas, size, np.divide(size, part, dtype=np.float64)[::-1])
          for size, part in zip(original, extent, strict=True)]


def _frame(canvas, size, scale):
  h, w = (int(side) for side in size)
  return Frame((h, w), np.concatenate([np.zeros(2), np.array(canvas[::-1]) * scale]), scale)


def _flat(objects, frames, k):
  """The valid objects of all images in one row: each array (m ...), and `image` (m,)."""
  valid = [np.asarray(v, bool) for v in objects['valid']]
  flat = {key: np.concatenate([np.asarray(x)[v] for x, v in zip(objects[key], valid, strict=True)])
          for key in ('boxes', 'classes', 'scores', 'crowd', 'area', 'keypoints') if key in objects}
  flat['image'] = np.repeat(np.arange(len(valid)), [v.sum() for v in valid])
  wrong = np.flatnonzero((flat['classes'] < 0) | (flat['classes'] >= k))
  if len(wrong):
    raise ConfigError(f'image {flat["image"][wrong[0]]} has an object of class '
                      f'{flat["classes"][wrong[0]]}; expected 0..{k - 1}, for {k} names')
  scale = np.array([frame.scale for frame in frames])[flat['image']]
  flat['boxes'] = flat['boxes'].astype(np.float64) * np.tile(scale, 2)
  if 'keypoints' in flat:
    flat['keypoints'] = flat['keypoints'].astype(np.float64)
    flat['keypoints'][..., :2] *= scale[:, None]
  flat.setdefault('crowd', np.zeros(len(scale), bool))
  return flat


def _sigmas(truth, sigmas):
  j = np.asarray(truth['keypoints'][0]).shape[-2]
  if len(sigmas) not in (0, j):
    raise ConfigError(f'sigmas: expected {j}, one for each keypoint; got {len(sigmas)}')
  if len(sigmas):
    return np.asarray(sigmas, np.float64)
  return COCO_SIGMAS if j == len(COCO_SIGMAS) else np.full(j, SIGMA)


def _annotations(kind, objects, flat, frames):
  """COCO's annotations, or if there are scores its results, as dicts."""
  corner, sides = flat['boxes'][:, :2], flat['boxes'][:, 2:] - flat['boxes'][:, :2]
  area = np.maximum(sides, 0).prod(1)
  rows = dict(id=1 + np.arange(len(area)), image_id=1 + flat['image'],
              category_id=1 + flat['classes'], bbox=np.concatenate([corner, sides], axis=1))
  if kind == 'mask':
    texts, area = _encoded(objects, frames)
  if kind == 'keypoint':
    points = flat['keypoints']
    rows['keypoints'] = points.reshape(len(points), points.shape[1] * 3)
  if 'scores' in flat:
    if kind == 'keypoint':
      area = np.ptp(points[..., :2], axis=1).prod(1)      # as COCO's own reading of results does
    rows |= dict(score=flat['scores'].astype(np.float64), area=area)
  else:
    if kind == 'keypoint':
      rows['num_keypoints'] = (points[..., 2] > 0).sum(1)
    rows |= dict(iscrowd=flat['crowd'].astype(int), area=flat.get('area', area))
  rows = {key: value.tolist() for key, value in rows.items()}
  if kind == 'mask':
    rows['segmentation'] = texts
  return [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]


def _encoded(objects, frames):
  """Masks of the valid objects as run lengths in their originals, and their areas (m,)."""
  texts, areas = [], []
  parts = objects.get('frames', objects['boxes'] if 'scores' in objects else None)
  for i, frame in enumerate(frames):
    valid = np.asarray(objects['valid'][i], bool)
    part = np.tile(frame.canvas, (valid.sum(), 1)) if parts is None else (
      np.asarray(parts[i])[valid] * np.tile(frame.scale, 2))
    counts, area = encode(np.asarray(objects['masks'][i])[valid], part, frame.size)
    texts += [dict(size=list(frame.size), counts=one) for one in counts]
    areas.append(area)
  return texts, np.concatenate(areas)


def _evaluate(kind, frames, k, annotations, results, sigmas):
  try:
    from faster_coco_eval import COCO, COCOeval_faster  # noqa: PLC0415 - of use here only
  except ImportError as e:
    raise ConfigError('COCO evaluation needs faster_coco_eval: pip install faster-coco-eval') from e
  images = [dict(id=i + 1, height=frame.size[0], width=frame.size[1])
            for i, frame in enumerate(frames)]
  sides = []
  for rows in (annotations, results):
    side = COCO()
    side.dataset = dict(images=images, annotations=rows,
                        categories=[dict(id=i + 1, name=str(i)) for i in range(k)])
    side.createIndex()
    sides.append(side)
  evaluation = COCOeval_faster(*sides, KINDS[kind], kpt_oks_sigmas=sigmas)
  evaluation.params.catIds = list(range(1, k + 1))
  evaluation.evaluate()
  evaluation.accumulate()
  return evaluation


def _summary(kind, evaluation):
  params = evaluation.params
  precision, recall = (np.where(x < 0, np.nan, x) for x in (     # COCO writes -1 for no objects
      evaluation.eval['precision'][..., -1].mean(1), evaluation.eval['recall'][..., -1]))
  every, thresholds = slice(None), params.iouThrs.round(2).tolist()
  at50, at75 = thresholds.index(.5), thresholds.index(.75)
  areas = {name: i for i, name in enumerate(params.areaRngLbl)}
  scores = {f'{kind}_ap': precision[..., 0], f'{kind}_ap50': precision[at50, :, 0],
            f'{kind}_ap75': precision[at75, :, 0],
            **{f'{kind}_ap_{name}': precision[every, :, i] for name, i in areas.items() if i},
            f'{kind}_ar{params.maxDets[-1]}': recall[..., 0]}
  scores = {name: float(np.nanmean(x)) for name, x in scores.items() if not np.isnan(x).all()}
  return {**scores, f'class_{kind}_ap': precision[..., 0].mean(0),
          f'class_{kind}_ap50': precision[at50, :, 0]}
