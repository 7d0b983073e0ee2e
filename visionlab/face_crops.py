"""Faces in photographs: found by a run that detects, and cut out as `faces` has them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.file_warnings import warn_once
from visionlab.data.fitted import upright
from visionlab.data.images import Canvas
from visionlab.data.resize import square
from visionlab.run import load

SURE = .5                       # the score from which on something is a face
CONTEXT = 1.25                  # the side of what is cut out, in the longer sides of boxes
BELOW = .05                     # by so many sides its middle is below that of the box
CLASS = 'face'
EYES_APART = .12                # of the side: closer ones are those of a head in profile


class Found(NamedTuple):
  """The faces of one image, surest first.

  Attributes:
    boxes: (n 4), x1, y1, x2, y2 in pixels.
    scores: (n,) in [0, 1].
    crop: (s s 3) uint8, a square about the first; the image (h w 3) itself where there is none.
  """
  boxes: np.ndarray
  scores: np.ndarray
  crop: np.ndarray


def face_finder(workdir: str) -> Callable[[Sequence], list[Found]]:
  """(images, as `Run.predict` takes them) -> `Found` of each, by the run that `workdir` holds.

  Raises:
    ConfigError: the run finds no objects, or several kinds of which none is a "face".
  """
  run = load(workdir)
  if run.config.task.name != 'detect':
    raise ConfigError(f'detector: {workdir} does not find faces: {run.kind}; a run of '
                      'configs/crowds_faster_rcnn.py does')
  names = [name.lower() for name in run.classes]
  if CLASS not in names and len(names) > 1:
    raise ConfigError(f'detector: {workdir} finds {", ".join(run.classes[:5])}, and no "{CLASS}"')
  kind = names.index(CLASS) if CLASS in names else 0
  canvas = Canvas((1, 1))       # of which only the three channels count

  def find(images):
    images = list(images)
    said = run.predict(images)
    found = []
    for i, pixels in enumerate(upright(images, canvas)):
      sure = (said['classes'][i] == kind) & (said['scores'][i] >= SURE)
      boxes, scores = said['boxes'][i][sure], said['scores'][i][sure]
      found.append(Found(boxes, scores, cut_out(pixels, boxes[0]) if len(boxes) else pixels))
    return found
  return find


def cut_out(image: np.ndarray, box: np.ndarray) -> np.ndarray:
  """A square (s s c) about a box, of the image's own scale, in which a face lies as those of the
  source `faces` do; image: (h w c) uint8."""
  corner, side = frame_of(box)
  return square(image, corner, side, int(np.ceil(side)))


def frame_of(box: np.ndarray) -> tuple[tuple[float, float], float]:
  """The corner x, y and the side of the square that is cut out about a box (4,)."""
  side = max(CONTEXT * float((box[2:] - box[:2]).max()), 1.)
  x, y = ((box[:2] + box[2:]) / 2).tolist()
  return (x - side / 2, y + (BELOW - .5) * side), side


def surest_crops(workdir: str) -> Callable[[Sequence], list[np.ndarray]]:
  """images -> the surest face of each, for a source: what has none stays whole, which is said."""
  find = face_finder(workdir)

  def crops(images):
    found = find(images)
    faceless = sum(not len(one.boxes) for one in found)
    if faceless:
      warn_once(f'aligned: in {faceless} of {len(found)} images {workdir} finds no face: they stay '
                'as they are')
    return [one.crop for one in found]
  return crops


def in_profile(landmarks: np.ndarray, side: int) -> np.ndarray:
  """Which faces (n,) are turned so far that one eye is hidden, as far as five landmarks (n 5 2)
  tell: in images of that side the eyes lie next to each other."""
  apart = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=-1)
  return apart < EYES_APART * side
