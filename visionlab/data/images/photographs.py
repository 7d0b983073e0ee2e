"""The two photographs that scikit-learn ships: backgrounds of the embedded worlds."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from visionlab.config import ConfigError


def cut_out(bands: Sequence[tuple[int, int]], zoom: float) -> list[np.ndarray]:
  """Of each band, (left, right) columns, what both photographs show there, scaled by `zoom`:
  uint8 (h w 3) each.

  Raises ConfigError if scikit-learn is not installed.
  """
  whole = [Image.open(_folder() / name).convert('RGB') for name in ('china.jpg', 'flower.jpg')]
  return [np.asarray(photo.crop((left, 0, right, photo.height)).resize(
      (round((right - left) * zoom), round(photo.height * zoom)), Image.Resampling.LANCZOS))
          for left, right in bands for photo in whole]


def _folder() -> Path:
  spec = find_spec('sklearn')
  path = spec and Path(spec.submodule_search_locations[0]) / 'datasets/images'
  if not path or not path.is_dir():
    raise ConfigError('the photographs are those that come with scikit-learn, which is not '
                      'installed: pip install scikit-learn')
  return path
