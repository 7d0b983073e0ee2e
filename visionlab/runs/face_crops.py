"""Faces in photographs: found by a run that detects, and cut out as `faces` has them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.file_warnings import warn_once
from visionlab.data.images.decode import Canvas
from visionlab.data.images.fitted import upright
from visionlab.data.images.resize import square
from visionlab.runs.load import load
from visionlab.runs.run import Run

SURE = .5                       # the score from which on something is a face
CONTEXT = 1.25                  # the side of what is cut out, in the longer sides of boxes
BELOW = .05                     # by so many sides its middle is below that of the box
ABOVE = .034                    # and above that of eyes and mouth, once these are found
LOOKS = 3                       # at a face, each about the landmarks that the one before found
CLASS = 'face'
EYES_APART = .12                # of the side: closer ones are those of a head in profile

Frame = tuple[tuple[float, float], float]       # of a square: its corner x, y and its side


class Found(NamedTuple):
  """The faces of one image, surest first.

  Attributes:
    image: (h w 3) uint8.
    boxes: (n 4), x1, y1, x2, y2 in pixels.
    scores: (n,) in [0, 1].
  """
  image: np.ndarray
  boxes: np.ndarray
  scores: np.ndarray

  @property
  def frame(self) -> Frame:
    """Of the surest face, in which it lies as those of the source `faces` do, where it looks
    straight ahead; of the whole image where there is none."""
    if not len(self.boxes):
      h, w = self.image.shape[:2]
      side = float(max(h, w))
      return ((w - side) / 2, (h - side) / 2), side
    low, high = self.boxes[0, :2], self.boxes[0, 2:]
    side = max(CONTEXT * float((high - low).max()), 1.)
    return _about((low + high) / 2 + [0, BELOW * side], side)


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
    sure = [(classes == kind) & (scores >= SURE)
            for classes, scores in zip(said['classes'], said['scores'], strict=True)]
    return [Found(pixels, said['boxes'][i][sure[i]], said['scores'][i][sure[i]])
            for i, pixels in enumerate(upright(images, canvas))]
  return find


def cut_out(found: Sequence[Found], size: int) -> list[np.ndarray]:
  """The surest face of each image, (size size 3)."""
  return [square(one.image, *one.frame, size) for one in found]


def landmarks_of(run: Run, found: Sequence[Found], looks: int = LOOKS
                 ) -> tuple[np.ndarray, np.ndarray, list[Frame]]:
  """What a run sees of the surest faces, (n size size c), their five landmarks there, (n 5 2), and
  where that was cut out.

  A box is that of a head, and of one that is turned eyes, nose and mouth lie at its side; so what
  is looked at next is about those that were found.

  Raises:
    ConfigError: the run finds no landmarks.
  """
  size = run.facts.image.shape[1]

  def look(frames):
    pixels = run.fit([square(one.image, *frame, size)
                      for one, frame in zip(found, frames, strict=True)])
    return pixels, landmarks_in(run, pixels), frames
  pixels, place, frames = look([one.frame for one in found])
  for _ in range(looks - 1):
    pixels, place, frames = look([_recentred(frame, own * frame[1] / size)
                                  for frame, own in zip(frames, place, strict=True)])
  return pixels, place, frames


def landmarks_in(run: Run, pixels: np.ndarray) -> np.ndarray:
  """(n k 2), in pixels of what the run sees.

  Raises:
    ConfigError: the run finds none.
  """
  said = run.predict(pixels)
  if 'landmarks' not in said:
    raise ConfigError(f'landmarks: {run.workdir} finds no landmarks, but {", ".join(said)}; a run '
                      'of configs/faces_landmarks.py does')
  return said['landmarks']


def _recentred(frame: Frame, five: np.ndarray) -> Frame:
  """About the middle of eyes and mouth; five: (5 2), in pixels from the frame's corner."""
  corner, side = frame
  middle = corner + (five[:2].mean(0) + five[3:].mean(0)) / 2
  return _about(middle - [0, ABOVE * side], side)


def _about(middle: np.ndarray, side: float) -> Frame:
  x, y = (middle - side / 2).tolist()
  return (x, y), side


def warn_of_none(found: Sequence[Found]):
  """Says of how many images, if of any, the whole is looked at since no face is found."""
  faceless = sum(not len(one.boxes) for one in found)
  if faceless:
    warn_once(f'aligned: in {faceless} of {len(found)} images no face is found: all of the image '
              'is taken for one')


def in_profile(landmarks: np.ndarray, side: int) -> np.ndarray:
  """Which faces (n,) are turned so far that one eye is hidden, as far as five landmarks (n 5 2)
  tell: in images of that side the eyes lie next to each other."""
  apart = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=-1)
  return apart < EYES_APART * side
