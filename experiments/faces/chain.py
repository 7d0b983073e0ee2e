"""The whole chain: a face found in a photograph, its landmarks, turned upright, and whose it is."""

from collections.abc import Callable, Mapping

import numpy as np

from experiments import study
from visionlab.measures.average_precision import box_iou
from visionlab.measures.landmarks import landmark_scores
from visionlab.runs.aligned import moved
from visionlab.runs.face_crops import LOOKS, Found, landmarks_of
from visionlab.runs.run import Run

FOUND = .5                      # the overlap from which on a box is that of the face


def shares(found: list[Found], boxes: np.ndarray) -> dict[str, str]:
  """Of photographs with one face each (n 4), in how many it is found, and what else is."""
  right = [bool(len(one.boxes)) and box_iou(one.boxes[:1], box[None]).item() >= FOUND
           for one, box in zip(found, boxes, strict=True)]
  counts = np.array([len(one.boxes) for one in found])
  return {'found, %': study.spread([np.mean(right)], 1),
          'none, %': study.spread([(counts == 0).mean()], 1),
          'several, %': study.spread([(counts > 1).mean()], 1)}


def stages(source: Mapping, find: Callable, landmarks: Run, verify: Run, judge: Callable
           ) -> tuple[list[dict], dict[str, str]]:
  """A row for each of the chain's parts that is taken from the truth, or left out; and `shares`.

  Args:
    source: arrays of `crowds` with one face in each photograph.
    find: see `visionlab.runs.face_crops.face_finder`.
    judge: embeddings (n d) and whose they are -> scores of pairs.
  """
  images, objects, who = source['image'], source['objects'], source['person'][:, 0]
  boxes, points = objects['boxes'][:, 0], objects['keypoints'][:, 0]
  true = [Found(image, box[None], np.ones(1)) for image, box in zip(images, boxes, strict=True)]
  found = find(list(images))
  size = verify.facts.image.shape[1]
  rows = [row('the whole photograph', judge(verify.predict(verify.fit(list(images)))['embedding'],
                                            who))]
  ways = {'true box, true landmarks': (true, 1, True), 'true box, one look': (true, 1, False),
          f'true box, {LOOKS} looks': (true, LOOKS, False),
          'found box, one look': (found, 1, False),
          f'found box, {LOOKS} looks': (found, LOOKS, False)}
  for name, (faces, looks, given) in ways.items():
    pixels, place, frames = landmarks_of(landmarks, faces, looks)
    # The true ones, moved into what was looked at.
    own = np.stack([np.concatenate([(one[:, :2] - corner) * pixels.shape[1] / side, one[:, 2:]], -1)
                    for one, (corner, side) in zip(points, frames, strict=True)])
    shown = moved(pixels, own if given else place, size)
    error = 0. if given else landmark_scores(place, own)['nme']
    rows.append(row(name, judge(verify.predict(shown)['embedding'], who),
                    study.spread([error], 1)))
  return rows, shares(found, boxes)


def row(name: str, scores: Mapping, error: str = '') -> dict[str, str]:
  return {'faces': name, 'landmarks, %': error, 'pairs, %': study.spread([scores['accuracy']], 1),
          'AUC': study.spread([scores['auc']], 3, 1)}
