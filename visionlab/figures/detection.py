"""Pictures of detections, (h w 3) uint8 arrays drawn on the host.

`truth`, `said` and boxes are as the task has them: arrays with the images on axis 0, in pixels of
the canvas, of which `extent` (b 2), if given, is the part (height, width) that is shown.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from visionlab.figures.charts import CRIMSON, bars, new_axes, palette, rendered
from visionlab.figures.drawing import annotated, as_picture, below, beside, captioned, draw_boxes
from visionlab.measures.average_precision import (
  Curve,
  Objects,
  Verdict,
  area_under,
  box_iou,
  judge,
  precision_recall,
)

SIDE = 280                      # pixels of a picture's longer side
LARGE = 440                     # likewise, where names are to be read
SURE, FEW = .5, 3
GREEN, GREY, WHITE = (60, 220, 90), (150, 150, 150), (255, 255, 255)
TITLE = 'Objects, and what was detected; wrong ones in crimson'


def pictures(batch: Mapping, said: Mapping, results: Mapping, classes: Sequence[str],
             limbs: Sequence = ()) -> dict[str, np.ndarray]:
  """All that is drawn of an evaluated split.

  Args:
    batch: `image` (b h w c), `objects`, and `extent` if there is any.
    said: for the same images; `proposals`, a dict of `boxes` (b p 4) and `valid` (b p), if wanted.
    results: `class_box_ap` (k,).
    limbs: see `visionlab.figures.drawing.draw_keypoints`.
  """
  truth, b = batch['objects'], len(batch['image'])
  verdict = judge(truth, {**said, 'valid': shown_detections(said)})
  # Spread out, because neighbours are often frames of one film.
  samples = np.unique(np.linspace(0, b - 1, 6).round().astype(int))
  worst = worst_images(verdict, 6)

  def some(tree, index):
    return {k: some(v, index) if isinstance(v, Mapping) else v[index] for k, v in tree.items()}

  def rows(index, title):
    return detections(batch['image'][index], some(truth, index), some(said, index), classes,
                      extent=batch['extent'][index] if 'extent' in batch else None, limbs=limbs,
                      title=title)
  drawn = dict(samples=rows(samples, TITLE))
  if len(worst):
    drawn['worst'] = rows(worst, 'The most missed and false')
  if 'proposals' in said:
    few = some(dict(batch, proposals=said['proposals']), samples[:4])
    drawn['proposals'] = proposals(few['image'], few['proposals']['boxes'],
                                   few['proposals']['valid'], few['objects'],
                                   extent=few.get('extent'))
  drawn['precision_recall'] = precision_recall_curves(
      precision_recall(truth, said, classes), classes, f'IoU .5, the first {b} images')
  if 'class_box_ap' in results and len(classes) > 1:
    drawn['class_ap'] = bars(results['class_box_ap'], classes, 'AP of boxes by class')
  return drawn


def shown_detections(said: Objects) -> np.ndarray:
  """Which (b d) to draw: an image's with a score of SURE, or else its FEW best."""
  valid, scores = np.asarray(said['valid'], bool), np.asarray(said['scores'])
  rank = np.argsort(np.argsort(-np.where(valid, scores, -np.inf), axis=1, kind='stable'), axis=1)
  sure = valid & (scores >= SURE)
  return np.where(sure.any(1, keepdims=True), sure, valid & (rank < FEW))


def worst_images(verdict: Verdict, most: int) -> np.ndarray:
  """The images with the most mistakes, missed and false together: indices, the worst first."""
  mistakes = verdict.missed.sum(1) + verdict.false.sum(1)
  order = np.argsort(-mistakes, kind='stable')[:most]
  return order[mistakes[order] > 0]


def detections(images: np.ndarray, truth: Objects, said: Objects, classes: Sequence[str], *,
               extent: np.ndarray | None = None, limbs: Sequence = (),
               title: str = TITLE) -> np.ndarray:
  """Each image with its objects, the truth, beside what is detected, the prediction, above how many
  were found.

  A detection has the colour of the object that it found. Objects that were missed and false
  detections are crimson, and what counts as neither is grey.

  Args:
    images: (b h w c), uint8 or in [0, 1].
    truth, said: as `visionlab.measures.coco.coco_scores` takes them; masks and keypoints are
      drawn if they are there.
    limbs: see `visionlab.figures.drawing.draw_keypoints`.
  """
  said = {**said, 'valid': shown_detections(said)}
  if 'masks' in said:
    said.setdefault('frames', said['boxes'])
  verdict = judge(truth, said)
  panels = []
  for i, image in enumerate(images):
    pair = [captioned(_drawn(image, _row(side, i), classes, colours, _row(extent, i), limbs),
                      heading, above=True)
            for heading, side, colours in zip(('truth', 'prediction'), (truth, said),
                                              _colours(verdict, i), strict=True)]
    counts = {name: getattr(verdict, name)[i].sum() for name in ('found', 'missed', 'false')}
    text = ', '.join(f'{n} {name}' for name, n in counts.items() if n) or 'no objects'
    panels.append(captioned(beside(pair, gap=2), text))
  return _sheet(panels, title, columns=2)


def detected(images: Sequence[np.ndarray], found: Sequence[Objects], classes: Sequence[str],
             captions: Sequence[str], title: str, limbs: Sequence = ()) -> np.ndarray:
  """Images of any size with what was detected in each.

  Args:
    found: for each image `boxes` (d 4), `scores` (d,), `classes` (d,), `keypoints` (d j 3), in its
      pixels, and `masks` (d h w), bitmaps of it.
  """
  panels = []
  for image, said, caption in zip(images, found, captions, strict=True):
    valid = np.ones((1, len(said['boxes'])), bool)
    said = {**said, 'valid': shown_detections(dict(valid=valid, scores=said['scores'][None]))[0]}
    panels.append(captioned(_drawn(image, said, classes, _object_colours(len(said['boxes'])), None,
                                   limbs), caption))
  return _sheet(panels, title, columns=3)


def proposals(images: np.ndarray, boxes: np.ndarray, valid: np.ndarray, truth: Objects, *,
              extent: np.ndarray | None = None, most: int = 50) -> np.ndarray:
  """Each image with its objects in white and, of its first proposals (b p 4), those that overlap
  one of them by half in green, the others in grey."""
  panels = []
  for i, image in enumerate(images):
    first, objects = boxes[i][valid[i]][:most], truth['boxes'][i][truth['valid'][i]]
    overlap = box_iou(first, objects) >= .5
    near = overlap.any(1)
    picture = _outlined(image, _row(extent, i), (first[~near], GREY, 1), (first[near], GREEN, 2),
                        (objects, WHITE, 2))
    panels.append(captioned(picture, f'{overlap.any(0).sum()} of {len(objects)} covered'))
  return _sheet(panels, f'The best {most} proposals; green: IoU of at least .5', columns=4)


def positive_anchors(images: np.ndarray, anchors: np.ndarray, positive: np.ndarray,
                     index: np.ndarray, truth: Objects, *,
                     extent: np.ndarray | None = None) -> np.ndarray:
  """Each image with its objects in white, and its positive anchors in a colour for each object.

  Args:
    anchors: (a 4).
    positive: (b a) bool.
    index: (b a) the object that an anchor is matched with, as `visionlab.ops.matching.match` says.
  """
  panels = []
  for i, image in enumerate(images):
    chosen = np.flatnonzero(positive[i])
    objects = truth['boxes'][i][truth['valid'][i]]
    colours = _object_colours(truth['boxes'].shape[1])[index[i][chosen]]
    picture = _outlined(image, _row(extent, i), (np.asarray(anchors)[chosen], colours, 1),
                        (objects, WHITE, 2))
    panels.append(captioned(picture, f'anchors: {len(chosen)}, objects: {len(objects)}'))
  return _sheet(panels, 'Positive anchors', columns=4)


def precision_recall_curves(curves: Sequence[Curve], classes: Sequence[str],
                            title: str) -> np.ndarray:
  """Precision against recall, a line for each class that has objects; of more than twenty, for
  those with the lowest AP."""
  figure, axes = new_axes(1, 1, (6, 4.5))
  axis, colours = axes[0, 0], palette(classes) / 255
  ap = {i: area_under(curve) for i, curve in enumerate(curves) if curve.positives}
  for i in sorted(sorted(ap, key=ap.get)[:20], key=ap.get, reverse=True):
    axis.plot([0, *curves[i].recall], [1, *curves[i].precision], color=colours[i], linewidth=1.2,
              label=f'{classes[i]} {ap[i]:.1%}')
  axis.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel='recall', ylabel='precision', title=title)
  axis.grid(alpha=.3)
  if ap:
    figure.legend(loc='outside right upper', fontsize=8, title='AP', frameon=False)
  return rendered(figure)


def _row(tree, i):
  if isinstance(tree, Mapping):
    return {k: v[i] for k, v in tree.items() if not isinstance(v, Mapping)}
  return None if tree is None else tree[i]


def _object_colours(n):
  strong = np.delete(palette(range(20)), (3, 7, 13), axis=0)     # reds and grey say something else
  return strong[np.arange(n) % len(strong)]


def _colours(verdict, i):
  """Of objects (n 3) and of detections (d 3) in image i."""
  own = _object_colours(verdict.found.shape[1])
  objects = np.where(verdict.missed[i, :, None], CRIMSON, own)
  objects[~(verdict.missed | verdict.found)[i]] = GREY
  said = np.full((verdict.right.shape[1], 3), GREY)
  said[verdict.right[i]] = own[verdict.index[i][verdict.right[i]]]
  said[verdict.false[i]] = CRIMSON
  return objects.astype(np.uint8), said.astype(np.uint8)


def _drawn(image, objects, classes, colours, part, limbs):
  """One image with its objects."""
  h, w = image.shape[:2]
  image, factor, zoom = _display(image, part, LARGE)
  objects = {k: v for k, v in objects.items()
             if k in ('boxes', 'classes', 'valid', 'scores', 'masks', 'frames', 'keypoints')}
  if 'masks' in objects:
    canvas = np.broadcast_to([0, 0, w, h], (len(objects['masks']), 4))
    objects['frames'] = objects.get('frames', canvas) * factor
  if 'keypoints' in objects:
    points = objects['keypoints'] * [factor, factor, 1]
    if 'scores' in objects:           # what is detected has scores where objects have visibilities
      points[..., 2] = 2
    objects['keypoints'] = points
  objects['boxes'] = objects['boxes'] * factor
  return annotated(image, objects, classes if len(classes) > 1 else ('',), zoom=zoom, limbs=limbs,
                   colours=colours)


def _outlined(image, part, *layers):
  """One image with the boxes (m 4) of each layer (boxes, colour or colours, width)."""
  image, factor, zoom = _display(image, part)
  picture = as_picture(image, zoom)
  for boxes, colour, width in layers:
    colours = np.broadcast_to(np.array(colour, np.uint8), (len(boxes), 3))
    picture = draw_boxes(picture, boxes * factor, colours, [''] * len(boxes), zoom=zoom,
                         width=width)
  return picture


def _display(image, part, side=SIDE):
  """The picture on its canvas, smoothly scaled by a factor to `side` pixels; the factor; or by what
  whole number to enlarge it, where it is so small that its pixels are to be seen."""
  if part is not None:
    h, w = np.ceil(part).astype(int)
    image = image[:h, :w]
  image = as_picture(image)
  longer = max(image.shape[:2])
  if side >= 2 * longer:
    return image, 1., side // longer
  factor = side / longer
  way = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
  h, w = (max(1, round(pixels * factor)) for pixels in image.shape[:2])
  return np.asarray(Image.fromarray(image).resize((w, h), way)), factor, 1


def _sheet(panels, title, columns):
  if not panels:
    return captioned(np.full((1, SIDE, 3), 255, np.uint8), title, above=True)
  rows = [beside(panels[i:i + columns], gap=14) for i in range(0, len(panels), columns)]
  return captioned(below(rows, gap=8), title, above=True)
