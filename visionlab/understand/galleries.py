"""Pictures and films of images that networks made."""

from collections.abc import Iterable, Sequence

import numpy as np

from visionlab.figures.charts import image_grid
from visionlab.figures.drawing import as_picture


def gallery(images: np.ndarray | Sequence[np.ndarray], captions: Sequence[str],
            title: str = '', columns: int = 8) -> np.ndarray:
  """Images (n h w c), uint8 or in [0, 1], each under its caption: a picture (h w 3) uint8."""
  pictures = np.stack([as_picture(image) for image in images])
  return image_grid(pictures, captions, None, title, columns)


def strip(images: Iterable[np.ndarray], gap: int = 4) -> np.ndarray:
  """Images (h w c) of one height side by side, at their own size: a picture (h w 3) uint8."""
  parts = []
  for image in images:
    picture = as_picture(image)
    parts += [picture, np.full((len(picture), gap, 3), 255, np.uint8)]
  return np.concatenate(parts[:-1], 1)
