"""MNIST and Fashion-MNIST from their original files."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.images.stretch import stretched
from visionlab.data.source import Arrays, Info, check_root, check_split
from visionlab.data.sources.arrays import arrays

DIGITS = tuple('0123456789')
FASHION = ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker',
           'Bag', 'Ankle boot')
PREFIXES = {'train': 'train', 'test': 't10k'}


def mnist(split: str, *, root: str = '', classes: tuple[str, ...] = DIGITS, size: int = 0,
          channels: int = 1) -> Arrays:
  """MNIST (LeCun et al. 1998), 28x28x1: 60,000 for 'train', 10,000 for 'test'.

  Reads the original idx files, gzipped or not, spelt `train-images-idx3-ubyte` or
  `train-images.idx3-ubyte`; or else Keras' `mnist.npz`. Sets in the same form (KMNIST, EMNIST)
  need their own `classes`.

  Args:
    split: 'train' or 'test'.
    root: the folder with the files.
    classes: the names of the classes.
    size, channels: what the images are scaled to (bilinearly; 0: not) and repeated in, so that they
      can stand beside another data set.

  Returns:
    `image` (n 28 28 1) uint8, or of that size and channels, and `label` (n,) int32.

  Raises:
    ConfigError: an unknown split, or a file that is missing, damaged, or something else.
  """
  check_split(split, tuple(PREFIXES), 'mnist')
  folder = check_root(root, 'mnist', 'train-images-idx3-ubyte.gz and its like, or mnist.npz')
  archive = folder / 'mnist.npz'
  if archive.is_file() and not _candidates(folder, split, 'images'):
    whole = arrays(split, path=str(archive), classes=classes)
    image = stretched(whole.arrays['image'], size, channels)
    return Arrays({**whole.arrays, 'image': image}, whole.info)
  image, label = _read_idx(folder, split, 'images', 3), _read_idx(folder, split, 'labels', 1)
  if len(image) != len(label):
    raise ConfigError(f'{folder}: {len(image)} images but {len(label)} labels in "{split}"')
  if label.size and label.max() >= len(classes):
    raise ConfigError(f'{folder}: labels go up to {label.max()}, but there are names for '
                      f'{len(classes)} classes only')
  return Arrays({'image': stretched(image[..., None], size, channels),
                 'label': label.astype(np.int32)}, Info(tuple(classes)))


def fashion_mnist(split: str, *, root: str = '') -> Arrays:
  """Fashion-MNIST (Xiao et al. 2017), from files of the same form and names as MNIST's."""
  return mnist(split, root=root, classes=FASHION)


def _candidates(folder: Path, split: str, kind: str) -> list[Path]:
  rank = {'images': 3, 'labels': 1}[kind]
  names = [f'{PREFIXES[split]}-{kind}{mark}idx{rank}-ubyte{end}'
           for mark in '-.' for end in ('', '.gz')]
  return [folder / name for name in names if (folder / name).is_file()]


def _read_idx(folder: Path, split: str, kind: str, rank: int) -> np.ndarray:
  """An idx file: two zero bytes, the type (8: uint8), the rank, the shape as >i4, the values."""
  paths = _candidates(folder, split, kind)
  if not paths:
    there = ', '.join(sorted(path.name for path in folder.iterdir())[:8]) or 'nothing'
    raise ConfigError(f'{folder} lacks {PREFIXES[split]}-{kind}-idx{rank}-ubyte(.gz); '
                      f'it holds {there}')
  path = paths[0]
  try:
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == '.gz' else content
  except (OSError, EOFError, zlib.error) as error:
    raise ConfigError(f'{path} cannot be read (is it truncated?): {error}') from error
  if content[:4] != bytes([0, 0, 8, rank]) or len(content) < 4 + 4 * rank:
    raise ConfigError(f'{path} is not an idx file of {rank}-dimensional bytes: it begins with '
                      f'{content[:4].hex(" ")}, expected 00 00 08 {rank:02x}')
  shape = np.frombuffer(content, '>i4', rank, 4).tolist()
  values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
  if len(values) != math.prod(shape):
    raise ConfigError(f'{path} is damaged: its header promises {math.prod(shape)} bytes '
                      f'{tuple(shape)}, and it holds {len(values)}')
  return values.reshape(shape)
