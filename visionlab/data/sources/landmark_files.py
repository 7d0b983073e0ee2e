"""Photographs of faces with a file of landmarks beside each, as iBUG's 300-W has them."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from PIL import ImageOps

from visionlab.config import ConfigError
from visionlab.data.images.decode import open_image, to_mode
from visionlab.data.images.files import image_names, in_threads
from visionlab.data.images.resize import square
from visionlab.data.source import Arrays, Info, check_root, check_split
from visionlab.data.text.text_files import read_text
from visionlab.ops.landmarks import FIVE, PLACES, five_of, margin_of

AS_DRAWN = -1.                   # a margin
_POINTS = re.compile(r'n_points\s*:\s*(\d+)\s*\{([^{}]*)\}', re.S)


def landmark_files(split: str, *, root: str = '', size: int = 40, margin: float = AS_DRAWN,
                   channels: int = 3, points: int = 0) -> Arrays:
  """Faces cut out of the photographs in folders called as the split, wherever in `root` they are;
  where there is none all of `root` is 'train', if it holds no folder for tests. Each has its
  landmarks in a .pts file of the same name. So of 300-W's parts by iBUG 'afw+trainset' is what is
  learnt from, 'testset' the common and 'ibug' the challenging set.

  What is cut out is a square about the landmarks, `margin` of its side wider at each side; beyond
  the photograph its border goes on.

  Args:
    split: the name of folders, or 'train'.
    root: the folder.
    size: height and width in pixels of what is cut out.
    margin: on each side, in sides of the square that just holds all landmarks; -1: so that a face
      fills the image as it does in `faces`, by the number of landmarks.
    channels: 3, or 1 for grey.
    points: 5, which are taken of 68 as `faces` has them, or of 98, 51, 49 or 29; 0 for all that the
      files have.

  Returns:
    `image` (n size size c) uint8 and `landmarks` (n k 3): x, y in pixels, and 2, for they are
    known.

  Raises:
    ConfigError: an image without its file, a file that is none, or files with different numbers.
  """
  top = check_root(root, 'landmark_files', 'images and a .pts file for each')
  names = _of_split(top, split)
  check_cut('landmark_files', size, margin, channels, points)
  read = [top / name for name in names]
  files = [beside if (beside := path.with_suffix('.pts')).is_file() or
           not (upper := path.with_suffix('.PTS')).is_file() else upper for path in read]
  found = in_threads(read_points, files)
  for file, own in zip(files, found, strict=True):
    if len(own) != len(found[0]):
      raise ConfigError(f'{file}: has {len(own)} landmarks, and those of {names[0]} are '
                        f'{len(found[0])}')
  place = np.stack(found)
  known = np.full((*place.shape[:2], 1), 2.)
  return faces_about(read, np.concatenate([place, known], -1), list(map(str, files)), size, margin,
                     channels, points)


def _of_split(top: Path, split: str) -> list[str]:
  """The photographs of a split, relative to `top`."""
  names = image_names(top)
  if not names:
    raise ConfigError(f'landmark_files: {top} holds no images')
  of = {name: PurePath(name).parts[:-1] for name in names}
  folders = sorted({folder for own in of.values() for folder in own})
  whole = () if any(folder.lower().startswith('test') for folder in folders) else ('train',)
  if split in whole and split not in folders:
    return names
  check_split(split, (*whole, *folders), f'landmark_files {top}')
  return [name for name, own in of.items() if split in own]


def check_cut(where: str, size: int, margin: float, channels: int, points: int):
  """Raises ConfigError for options of `faces_about` that are out of their range."""
  fits = margin == AS_DRAWN or 0 <= margin <= 4
  if size < 8 or channels not in (1, 3) or not fits or points not in (0, 5):
    raise ConfigError(f'{where}: size must be at least 8, channels 1 or 3, margin between 0 and 4 '
                      'or -1, and points 0 or 5, not '
                      f'{size}, {channels}, {margin} and {points}')


def faces_about(paths: Sequence[Path], landmarks: np.ndarray, places: Sequence[str], size: int,
                margin: float, channels: int, points: int, **labels: np.ndarray) -> Arrays:
  """Faces cut out of photographs about their landmarks.

  Args:
    paths: the photograph of each of n faces.
    landmarks: (n k 3), x and y in its pixels, and 2 where seen, 1 where hidden, 0 where not known.
    places: what errors begin with: where the landmarks of each are written.
    size, margin, channels, points: see `landmark_files`.
    labels: entries more, (n,) int.

  Raises:
    ConfigError: a photograph that cannot be read, or landmarks of which none is known, or that
      lie outside; points=5 of others than 68.
  """
  margin = margin_of(landmarks.shape[1]) if margin == AS_DRAWN else margin

  def cut(i):
    return _face(paths[i], landmarks[i], places[i], size, margin, channels)
  images, landmarks = map(np.stack, zip(*in_threads(cut, range(len(paths))), strict=True))
  count = landmarks.shape[1]
  if points:
    if count not in (5, *PLACES):
      raise ConfigError(f'{places[0]}: points=5 are taken of {", ".join(map(str, PLACES))} '
                        f'landmarks, and these are {count}')
    landmarks = landmarks if count == 5 else known_five(landmarks)
  joints = FIVE if points else tuple(f'point {i}' for i in range(count))
  return Arrays(dict(image=images, landmarks=landmarks.astype(np.float32), **labels),
                Info(joints=joints))


def known_five(landmarks: np.ndarray) -> np.ndarray:
  """The `FIVE` (n 5 3) of landmarks (n k 3), known where all are that each is the mean of."""
  known = (landmarks[..., 2:] > 0).astype(np.float32)
  found = np.asarray(five_of(landmarks)) * (np.asarray(five_of(known)) == 1)
  found[..., 2] = np.floor(found[..., 2])
  return found


def read_points(path: Path) -> np.ndarray:
  """The landmarks (k 2) of a .pts file, x and y in pixels, pixel i covering [i, i + 1).

  Its own numbers begin at 1, in the middle of the first pixel.

  Raises:
    ConfigError: no such file, or one that is none.
  """
  if not path.is_file():
    raise ConfigError(f'{path} does not exist; each image needs its landmarks beside it')
  match = _POINTS.search(read_text(path))
  if not match:
    raise ConfigError(f'{path}: expected "n_points: 68" and as many lines of x and y in braces')
  try:
    numbers = np.array([[float(word) for word in line.split()]
                        for line in match[2].splitlines() if line.strip()])
  except ValueError as e:
    raise ConfigError(f'{path}: {e}; expected x and y in each line') from e
  if numbers.shape != (int(match[1]), 2) or not np.isfinite(numbers).all():
    raise ConfigError(f'{path}: n_points is {match[1]}, and there are numbers {numbers.shape}')
  return numbers - .5


def _face(path: Path, landmarks: np.ndarray, place: str, size: int, margin: float, channels: int
          ) -> tuple[np.ndarray, np.ndarray]:
  """The square about a face, and its landmarks there (k 3)."""
  known = landmarks[:, 2] > 0
  if not known.any():
    raise ConfigError(f'{place}: none of the landmarks is known')
  low, high = (f(landmarks[known, :2], 0) for f in (np.min, np.max))
  side = max((high - low).max() * (1 + 2 * margin), 1.)
  corner = (low + high) / 2 - side / 2
  if not path.is_file():
    raise ConfigError(f'{place}: there is no photograph {path}')
  try:
    with open_image(path) as image:
      pixels = np.asarray(to_mode(ImageOps.exif_transpose(image), 'RGB' if channels == 3 else 'L'))
  except Exception as e:        # of whatever kind Pillow's decoders raise
    raise ConfigError(f'{path} cannot be read as an image: {e}') from e
  h, w = pixels.shape[:2]
  if (high < 0).any() or (low > [w, h]).any():
    raise ConfigError(f'{place}: its landmarks lie outside the image, which is {w} x {h}')
  off = np.maximum(-landmarks[:, :2], landmarks[:, :2] - [w, h]).max(-1)
  if (off[known] > max(w, h)).any():      # those of a face that is cut off are not so far away
    x, y = landmarks[np.where(known, off, 0).argmax(), :2]
    raise ConfigError(f'{place}: a landmark lies at ({x:g}, {y:g}), far outside the image, which '
                      f'is {w} x {h}')
  cut = square(pixels.reshape(h, w, channels), tuple(corner), side, size)
  moved = np.concatenate([(landmarks[:, :2] - corner) * size / side, landmarks[:, 2:]], -1)
  return cut, np.where(known[:, None], moved, 0)
