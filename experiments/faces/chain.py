"""The whole chain: a face found in a photograph, its landmarks, turned upright, and whose it is."""

from collections.abc import Callable, Mapping

import numpy as np

from experiments import study
from visionlab.aligned import moved
from visionlab.data.resize import square
from visionlab.face_crops import Found, frame_of
from visionlab.measures.average_precision import box_iou
from visionlab.measures.landmarks import landmark_scores
from visionlab.run import Run

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
    find: see `visionlab.face_crops.face_finder`.
    judge: embeddings (n d) and whose they are -> scores of pairs.
  """
  images, objects, who = source['image'], source['objects'], source['person'][:, 0]
  boxes, points = objects['boxes'][:, 0], objects['keypoints'][:, 0]
  size = verify.facts.image.shape[1]
  side = landmarks.facts.image.shape[1]
  found = find(list(images))
  frames = [frame_of(box) for box in boxes]
  exact = landmarks.fit([square(image, *frame, side) for image, frame in
                         zip(images, frames, strict=True)])
  true = np.stack([np.concatenate([(own[:, :2] - corner) * side / long, own[:, 2:]], -1)
                   for own, (corner, long) in zip(points, frames, strict=True)])
  told = landmarks.predict(exact)['landmarks']
  crops = landmarks.fit([one.crop for one in found])
  chained = landmarks.predict(crops)['landmarks']
  # Back into the photograph: found landmarks are judged where the true ones lie.
  there = [frame_of(one.boxes[0]) if len(one.boxes) else ((0., 0.), float(len(image)))
           for one, image in zip(found, images, strict=True)]
  back = np.stack([own * long / side + corner for own, (corner, long) in
                   zip(chained, there, strict=True)])
  ways = {'the whole photograph': (verify.fit(list(images)), None),
          'true box, true landmarks': (moved(exact, true, size), 0.),
          'true box, found landmarks': (moved(exact, told, size),
                                        landmark_scores(told, true)['nme']),
          'found box, found landmarks': (moved(crops, chained, size),
                                         landmark_scores(back, points)['nme'])}
  rows = []
  for name, (shown, error) in ways.items():
    scores = judge(verify.predict(shown)['embedding'], who)
    rows.append({'faces': name,
                 'landmarks, %': '' if error is None else study.spread([error], 1),
                 'pairs, %': study.spread([scores['accuracy']], 1),
                 'AUC': study.spread([scores['auc']], 3, 1)})
  return rows, shares(found, boxes)
