"""Handwritten digits blended with photographs, all from scikit-learn: no download."""

import itertools

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.blend import blend
from visionlab.data.images.photographs import cut_out
from visionlab.data.source import Arrays, check_seed
from visionlab.data.sources.digits import digits

# Columns of the photographs, 640 wide, six pixels apart so that no resampling filter reaches over.
# They alternate: one edge is sky and blur, on which digits are easier to read than elsewhere.
MOST_ZOOM = 16.
BANDS = dict(train=((0, 154), (278, 394), (518, 640)), test=((160, 272), (400, 512)))


def digits_m(split: str, *, root: str = '', size: int = 28, seed: int = 0, zoom: float = 1.,
             test_fraction: float = .2, copies: int = 1, test_copies: int = 1) -> Arrays:
  """What MNIST-M is to MNIST, for scikit-learn's digits (see `visionlab.data.blend`).

  The digits are those of `digits` with the same size, in the same order, so the two are two domains
  of one task. Training and test share neither digits nor parts of the photographs. These are also
  turned, mirrored and have their colours exchanged (`views`).

  Args:
    split: 'train' or 'test'.
    root: unused.
    size: of the images, in pixels.
    seed: of the crops.
    zoom: what the photographs, 640 pixels wide, are scaled by before they are cropped.
    test_fraction: as for `digits`.
    copies, test_copies: of each training or test digit, each on a crop of its own; the first of all
      digits come first.

  Returns:
    `image` (n size size 3) uint8, `label` (n,) int32.

  Raises:
    ConfigError: an unknown split, a zoom at which a crop does not fit, or scikit-learn is not
      installed.
  """
  del root
  plain = digits(split, test_fraction=test_fraction, size=size)
  check_seed(seed, 'digits_m')
  if not 0 < zoom <= MOST_ZOOM:
    raise ConfigError(f'digits_m: zoom must be above 0 and at most {MOST_ZOOM}, not {zoom}')
  for key, value in dict(copies=copies, test_copies=test_copies).items():
    if value < 1:
      raise ConfigError(f'digits_m: {key} must be at least 1, not {value}')
  count = copies if split == 'train' else test_copies
  photos = [view for photo in cut_out(BANDS[split], zoom) for view in views(photo)]
  images = np.tile(plain.arrays['image'], (count, 1, 1, 1))
  return Arrays({'image': blend(images, photos, seed),
                 'label': np.tile(plain.arrays['label'], count)}, plain.info)


def views(photo: np.ndarray) -> list[np.ndarray]:
  """A photograph (h w 3) turned by quarters, mirrored, and with its colours exchanged, in all 48
  ways: two photographs alone are few."""
  turned = [np.rot90(photo, k) for k in range(4)]
  turned += [x[:, ::-1] for x in turned]
  return [x[..., list(order)] for x in turned for order in itertools.permutations(range(3))]
