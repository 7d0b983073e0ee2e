"""Street View House Numbers, the cropped digits."""

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.images.stretch import stretched
from visionlab.data.source import Arrays, Info, check_root, check_split
from visionlab.data.sources.mnist import DIGITS

SPLITS = ('train', 'test', 'extra')


def svhn(split: str, *, root: str = '', size: int = 32, channels: int = 3) -> Arrays:
  """SVHN, format 2 (Netzer et al. 2011, "Reading digits in natural images with unsupervised feature
  learning"), 32x32x3: 73,257 for 'train', 26,032 for 'test', 531,131 easier ones for 'extra'.

  Args:
    split: 'train', 'test' or 'extra'.
    root: the folder with train_32x32.mat and its like.
    size, channels: what the images are scaled to (bilinearly) and turned into, so that they can
      stand beside another data set.

  Returns:
    `image` (n size size channels) uint8 and `label` (n,) int32, which is the digit (in the files a
    zero is called 10).

  Raises:
    ConfigError: an unknown split, or a file that is missing, damaged, or something else.
  """
  check_split(split, SPLITS, 'svhn')
  file = check_root(root, 'svhn', 'train_32x32.mat and its like') / f'{split}_32x32.mat'
  if not file.is_file():
    there = ', '.join(sorted(p.name for p in file.parent.iterdir())[:8]) or 'nothing'
    raise ConfigError(f'svhn: {file.parent} lacks {file.name}; it holds {there}')
  from scipy.io import loadmat  # noqa: PLC0415 - slow to import
  try:
    content = loadmat(file)
  except Exception as error:  # whatever a damaged file makes of the parser
    raise ConfigError(f'svhn: {file} cannot be read (is it truncated?): {error}') from error
  image, label = content.get('X'), content.get('y')
  if (image is None or label is None or image.ndim != 4 or image.shape[:3] != (32, 32, 3)
      or image.dtype != np.uint8 or label.size != image.shape[3]):
    found = {k: (v.dtype.name, v.shape) for k, v in content.items() if hasattr(v, 'dtype')}
    raise ConfigError(f'svhn: {file} should hold X (32 32 3 n) uint8 and y (n 1), not {found}')
  label = label.ravel().astype(np.int32)
  if label.min() < 1 or label.max() > 10:
    raise ConfigError(f'svhn: {file}: labels go from {label.min()} to {label.max()}, not 1 to 10')
  image = stretched(np.ascontiguousarray(image.transpose(3, 0, 1, 2)), size, channels)
  return Arrays({'image': image, 'label': label % 10}, Info(DIGITS))
