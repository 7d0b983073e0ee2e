"""The lines of YOLO's label files: a class, and a box, a polygon, or a box with keypoints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.sources.annotation_files import Faults
from visionlab.data.text.text_files import read_text

FAR = 1e6         # shares of an image; a number beyond that is none


class Line(NamedTuple):
  """A line of an image's file: its number, the class as written, and what follows."""
  image: int
  number: int
  kind: float
  values: np.ndarray

  def points(self, keypoints: Sequence[int]) -> np.ndarray:
    """(k 2) in shares of the image: the corners of a box, or a polygon if there are more."""
    if len(self.values) != 4 and not keypoints:
      return self.values.reshape(-1, 2)
    centre, half = self.values[:2], self.values[2:4] / 2
    return np.stack([centre - half, centre + half])

  def keypoints(self, shape: Sequence[int]) -> np.ndarray:
    """(k 3), x and y in shares of the image and whether it is visible (2), hidden (1), or not there
    (0); where two numbers are written, (0, 0) is not there."""
    joints = np.zeros((shape[0], 3))
    if len(self.values) > 4:
      written = self.values[4:].reshape(shape)
      joints[:, :shape[1]] = written
      if shape[1] == 2:
        joints[:, 2] = 2 * (written > 0).any(-1)
    return joints * (joints[:, 2:] > 0)


def read_lines(path: Path, image: int, names: Mapping[int, str],
               faults: Faults) -> list[Line] | None:
  """The lines of an image's file that have numbers and a class; None where it is no text."""
  try:
    texts = read_text(path).split('\n')
  except ConfigError as error:
    faults.add('images whose text cannot be read', str(error))
    return None
  lines = []
  for number, text in enumerate(texts, 1):
    words = text.split()
    if not words:
      continue
    try:
      kind, *values = map(float, words)
    except ValueError:
      kind, values = 0, []
    values = np.array(values)
    few = len(values) != 4 and len(values) < 6
    if few or not (abs(values) < FAR).all():
      faults.add('objects that are no box or polygon',
                 f'{path}: line {number} is "{text[:60]}"; expected "class cx cy w h" or "class x1 '
                 'y1 x2 y2 x3 y3 ..."')
    elif kind not in names:
      faults.add('objects of no class', f'{path}: line {number}: class is {words[0]}; expected '
                 f'{min(names)} to {max(names)} for {len(names)} classes')
    else:
      lines.append(Line(image, number, kind, values))
  return lines


def fit(line: Line, keypoints: Sequence[int], where: str, faults: Faults) -> bool:
  """Whether there are as many numbers as it takes, and flags; if not, that is a fault."""
  count, whole = len(line.values), 4 + int(np.prod(keypoints)) if keypoints else 0
  if count == whole > 4 and keypoints[1] == 3:
    flags = line.values[6::3]
    if not ((flags >= 0) & (flags <= 2)).all():
      faults.add('objects with damaged points', f'{where}: line {line.number} has keypoints with '
                 f'the flags {flags.tolist()!s:.60}; expected 0, 1 or 2')
      return False
  if count == 4 or (count == whole if keypoints else count % 2 == 0):
    return True
  expected = (f'{whole + 1}: a class, a box, and {keypoints[0]} keypoints of {keypoints[1]}'
              if keypoints else 'a class and a box of 4, or a polygon of pairs; for keypoints, the '
              'option kpt_shape says how many there are')
  faults.add('objects that are no box or polygon',
             f'{where}: line {line.number} has {count + 1} numbers; expected {expected}')
  return False


def keypoint_shape(lines: Sequence[Line], where: str, masks: bool) -> tuple[int, ...]:
  """The keypoints that lines look to have, (number, 3), or ().

  Every line then has as many numbers, of which every third is 0, 1 or 2. Pairs could be polygons,
  and are taken for those where `masks` are wanted.

  Raises:
    ConfigError: they look like boxes with keypoints of two numbers.
  """
  long = [line.values for line in lines if len(line.values) > 5]
  lengths = {len(values) for values in long}
  if len(lengths) != 1:
    return ()
  values = np.stack(long)
  for each in (3, 2):
    count, rest = divmod(values.shape[1] - 4, each)
    if rest or not _are_keypoints(values, each):
      continue
    if each == 3 or masks:
      return (count, 3) if each == 3 else ()
    raise ConfigError(f'{where}: lines of {values.shape[1] + 1} numbers may be polygons, or boxes '
                      f'with {count} keypoints; the option kpt_shape says which: kpt_shape=() or '
                      f'kpt_shape=({count}, 2)')
  return ()


def _are_keypoints(values: np.ndarray, each: int) -> bool:
  """Whether all lines (m n) look like a box in the image and keypoints of `each` in that box."""
  centre, size = values[:, None, :2], values[:, None, 2:4]
  points = values[:, 4:].reshape(len(values), -1, each)
  if each == 3:
    there = points[..., 2] > 0
    flags = np.isin(points[..., 2], (0, 1, 2)).all()
    slack = .5                               # what is annotated apart does not fit to the pixel
  else:
    there = (points != 0).any(-1)
    flags, slack = len(points[0]) > 2, .01   # quadrilaterals are common
  inside = (abs(points[..., :2] - centre) <= size * (.5 + slack)).all(-1) | ~there
  framed = (size > 0).all() and (abs(centre - .5) + size / 2 <= .51).all()
  return bool(flags and framed and inside.all()) and (each == 3 or _fill(points, size))


def _fill(points: np.ndarray, size: np.ndarray) -> bool:
  """Whether points (m k 2) span half their box's `size` (m 1 2), or all lie on one line: small
  polygons, read as boxes with keypoints, have boxes that are far too large."""
  span = points.max(1) - points.min(1)
  return bool(((span >= size[:, 0] / 2).all(-1) | (span == 0).any(-1)).all())
