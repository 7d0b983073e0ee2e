"""MNIST-M: MNIST's digits blended with photographs."""

from pathlib import Path

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.blend import blend
from visionlab.data.images.decode import open_image, to_mode
from visionlab.data.images.files import image_names
from visionlab.data.source import Arrays, check_root, check_seed, check_split
from visionlab.data.sources.arrays import arrays
from visionlab.data.sources.mnist import DIGITS, mnist

_EVERY = 5                      # of this many photographs one is for the test split


def mnist_m(split: str, *, root: str = '', photographs: str = '', seed: int = 0) -> Arrays:
  """MNIST-M (Ganin et al. 2016, JMLR 17, 59, section 5.2.4), 28x28x3.

  Without `photographs` it is read from the one file in `root` that is called `mnist_m*.npz`, with
  x_train, y_train, x_test and y_test. Else it is built from MNIST and a folder of photographs (the
  authors took BSDS500's), by `visionlab.data.blend`; every fifth photograph, by name, is for test.

  Args:
    split: 'train' or 'test'.
    root: the folder with that file, or with MNIST's.
    photographs: a folder of images of at least 28x28 pixels, searched with what is in it.
    seed: of the crops.

  Returns:
    `image` (n 28 28 3) uint8 and `label` (n,) int32.

  Raises:
    ConfigError: an unknown split, or files that are missing or damaged.
  """
  check_split(split, ('train', 'test'), 'mnist_m')
  if not photographs:
    return _read(split, check_root(root, 'mnist_m', 'mnist_m.npz, or, with photographs, MNIST'))
  check_seed(seed, 'mnist_m')
  plain = mnist(split, root=root)
  folder = check_root(photographs, 'mnist_m', 'photographs')
  image = blend(plain.arrays['image'], _photographs(folder, split), seed)
  return Arrays({'image': image, 'label': plain.arrays['label']}, plain.info)


def _read(split: str, folder: Path) -> Arrays:
  files = sorted(folder.glob('mnist_m*.npz'))
  if len(files) != 1:
    found = ', '.join(f.name for f in files) or 'none'
    raise ConfigError(f'mnist_m: expected one mnist_m*.npz in {folder}, found {found}; or give '
                      'photographs, a folder of images to blend MNIST with')
  source = arrays(split, path=str(files[0]), classes=DIGITS)
  if source.arrays['image'].shape[1:] != (28, 28, 3):
    raise ConfigError(f'mnist_m: {files[0]} holds images of {source.arrays["image"].shape[1:]}, '
                      'not (28, 28, 3)')
  return source


def _photographs(folder: Path, split: str) -> list[np.ndarray]:
  files = sorted(folder / name for name in image_names(folder))
  if len(files) < _EVERY:
    raise ConfigError(f'mnist_m: expected at least {_EVERY} photographs in {folder}, found '
                      f'{len(files)}')
  result = []
  for i, path in enumerate(files):
    if (i % _EVERY == _EVERY - 1) == (split == 'test'):
      try:
        with open_image(path) as image:
          result.append(np.asarray(to_mode(image, 'RGB')))
      except Exception as error:  # Pillow raises almost anything for a damaged file
        raise ConfigError(f'mnist_m: {path} cannot be read: {error}') from error
  return result
