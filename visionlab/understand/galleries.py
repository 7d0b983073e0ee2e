"""Pictures and films of images that networks made."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

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


def write_film(path: str | Path, frames: Iterable[np.ndarray], seconds: float = .08) -> None:
  """An animated GIF of frames (h w c), uint8 or in [0, 1], that goes on for ever.

  seconds: that each frame is shown.
  """
  first, *others = [Image.fromarray(as_picture(frame)) for frame in frames]
  path = Path(path)
  partial = path.with_name(path.name + '.tmp')
  first.save(partial, 'GIF', save_all=True, append_images=others, duration=round(1000 * seconds),
             loop=0)
  partial.replace(path)
