"""The 1,797 handwritten digits that scikit-learn ships: 8x8 pixels, no download."""

import csv
import gzip
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas
from visionlab.data.source import Arrays, Info, check_split


def digits(split: str, *, root: str = '', test_fraction: float = .2, size: int = 8,
           channels: int = 1) -> Arrays:
  """Optical recognition of handwritten digits (Alpaydin & Kaynak 1998, UCI), 8x8x1.

  This is the test part of the UCI set, as in `sklearn.datasets.load_digits`. It comes without a
  split of its own; ours is stratified and fixed: of each class, a seeded `test_fraction`.

  Args:
    split: 'train' or 'test'.
    root: unused; the file comes with scikit-learn.
    test_fraction: the part of each class that is in 'test', in (0, 1).
    size, channels: what the images are enlarged to (bilinearly) and repeated in, so that they can
      stand in for another data set.

  Returns:
    `image` (n size size channels) uint8, ink is bright, 17 grey levels spread over 0..255; `label`
    (n,) int32.

  Raises:
    ConfigError: an unknown split, a bad fraction, or scikit-learn is not installed.
  """
  del root
  check_split(split, ('train', 'test'), 'digits')
  if not 0 < test_fraction < 1:
    raise ConfigError(f'digits: test_fraction must lie between 0 and 1, not {test_fraction}')
  table = _read()
  image, label = table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1]
  image = np.round(image * (255 / 16)).astype(np.uint8)
  if (size, channels) != (8, 1):
    canvas = Canvas(size, 'stretch', channels=channels)
    image = np.stack([canvas(Image.fromarray(x[..., 0])) for x in image])
  generator = np.random.Generator(np.random.PCG64(0))
  test = np.zeros(len(label), bool)
  for digit in range(10):
    members = generator.permutation(np.flatnonzero(label == digit))
    test[members[:round(test_fraction * len(members))]] = True
  chosen = test if split == 'test' else ~test
  return Arrays({'image': image[chosen], 'label': label[chosen].astype(np.int32)},
                Info(tuple('0123456789')))


def _read() -> np.ndarray:
  # Importing scikit-learn takes over a second; its file is read without it.
  spec = find_spec('sklearn')
  path = spec and Path(spec.submodule_search_locations[0]) / 'datasets/data/digits.csv.gz'
  if not path or not path.is_file():
    raise ConfigError('digits come with scikit-learn, which is not installed: '
                      'pip install scikit-learn')
  text = gzip.decompress(path.read_bytes()).decode()
  return np.array([[int(float(v)) for v in row] for row in csv.reader(io.StringIO(text))],
                  np.int32)
