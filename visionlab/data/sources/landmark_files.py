"""Photographs of faces with a file of landmarks beside each, as iBUG's 300-W has them."""

import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from visionlab.config import ConfigError
from visionlab.data.files import image_names, in_threads
from visionlab.data.images import open_image, to_mode
from visionlab.data.resize import resize
from visionlab.data.source import Arrays, Info, check_root, check_split
from visionlab.data.text import read_text
from visionlab.ops.landmarks import FIVE, five_of

_POINTS = re.compile(r'n_points\s*:\s*(\d+)\s*\{([^{}]*)\}', re.S)


def landmark_files(split: str, *, root: str = '', size: int = 40, margin: float = .25,
                   channels: int = 3, points: int = 0) -> Arrays:
  """Faces cut out of `root/<split>/**/*.jpg`, or of `root/**` where there is no such folder, which
  is all 'train'; each image has its landmarks in a .pts file of the same name.

  What is cut out is a square about the landmarks, `margin` of its side wider at each side; beyond
  the photograph its border goes on.

  Args:
    split: the name of a folder, or 'train'.
    root: the folder.
    size: height and width in pixels of what is cut out.
    margin: on each side, in sides of the square that just holds all landmarks.
    channels: 3, or 1 for grey.
    points: 5, which are taken of 68 as `faces` has them; 0 for all that the files have.

  Returns:
    `image` (n size size c) uint8 and `landmarks` (n k 3): x, y in pixels, and 2, for they are
    known.

  Raises:
    ConfigError: an image without its file, a file that is none, or files with different numbers.
  """
  top = check_root(root, 'landmark_files', 'images and a .pts file for each')
  folders = sorted(path.name for path in top.iterdir() if path.is_dir())
  if split in folders:
    top = top / split
  else:
    check_split(split, ('train', *folders), f'landmark_files {top}')
  if size < 8 or channels not in (1, 3) or not 0 <= margin <= 4 or points not in (0, 5):
    raise ConfigError('landmark_files: size must be at least 8, channels 1 or 3, margin between 0 '
                      f'and 4 and points 0 or 5, not {size}, {channels}, {margin} and {points}')
  names = image_names(top)
  if not names:
    raise ConfigError(f'landmark_files: {top} holds no images')
  read = [top / name for name in names]
  found = in_threads(lambda path: _face(path, size, margin, channels), read)
  count = len(found[0][1])
  for path, (_, own) in zip(read, found, strict=True):
    if len(own) != count:
      raise ConfigError(f'{path.with_suffix(".pts")}: has {len(own)} landmarks, and those of '
                        f'{names[0]} are {count}')
  landmarks = np.stack([own for _, own in found])
  if points:
    if count != 68:
      raise ConfigError('landmark_files: points=5 are taken of 68 landmarks, and these are '
                        f'{count}')
    landmarks = np.asarray(five_of(landmarks))
  known = np.full((*landmarks.shape[:2], 1), 2)
  joints = FIVE if points else tuple(f'point {i}' for i in range(count))
  return Arrays(dict(image=np.stack([image for image, _ in found]),
                     landmarks=np.concatenate([landmarks, known], -1).astype(np.float32)),
                Info(joints=joints))


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


def _face(path: Path, size: int, margin: float, channels: int) -> tuple[np.ndarray, np.ndarray]:
  """The square about a face, and its landmarks there (k 2)."""
  points = read_points(path.with_suffix('.pts'))
  low, high = points.min(0), points.max(0)
  side = max((high - low).max() * (1 + 2 * margin), 1.)
  left, top = (low + high) / 2 - side / 2
  try:
    with open_image(path) as image:
      pixels = np.asarray(to_mode(ImageOps.exif_transpose(image), 'RGB' if channels == 3 else 'L'))
  except Exception as e:        # of whatever kind Pillow's decoders raise
    raise ConfigError(f'landmark_files: {path} cannot be read as an image: {e}') from e
  h, w = pixels.shape[:2]
  if high.min() < 0 or low[0] > w or low[1] > h:
    raise ConfigError(f'{path.with_suffix(".pts")}: its landmarks lie outside the image, which is '
                      f'{w} x {h}')
  beyond = int(np.ceil(max(0, -left, -top, left + side - w, top + side - h)))
  wide = np.pad(pixels, [(beyond, beyond)] * 2 + [(0, 0)] * (pixels.ndim - 2), 'edge')
  box = tuple(float(v) + beyond for v in (left, top, left + side, top + side))
  cut = resize(Image.fromarray(wide), box, (size, size))
  return cut.reshape(size, size, channels), (points - [left, top]) * size / side
