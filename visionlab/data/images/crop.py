"""Random crops cut out by the loader, while it decodes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas, Cut, two_sides

TRIES = 10


@dataclass(frozen=True)
class RandomCrop:
  """A random part of an image, scaled to `size`: `config.pipeline.crop`.

  As torchvision's RandomResizedCrop (Szegedy et al. 2015): area uniform in `scale`, the logarithm
  of the aspect ratio uniform in `ratio`, any place; of ten tries the first that fits into the
  image, else the largest central part with a ratio allowed.

  Args:
    size: height and width in pixels of the result, or one number for both.
    scale: the smallest and the largest share of the image's area, in (0, 1].
    ratio: the smallest and the largest width / height.

  Raises:
    ConfigError: an option is none of those.
  """
  size: int | tuple
  scale: tuple = (.08, 1.)
  ratio: tuple = (3 / 4, 4 / 3)

  def __post_init__(self):
    where = 'config.pipeline.crop'
    two_sides(self.size, f'{where}.size: expected')
    for name, most in (('scale', 1.), ('ratio', math.inf)):
      bounds = getattr(self, name)
      numbers = isinstance(bounds, Sequence) and all(isinstance(v, Real) for v in bounds)
      if not numbers or len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= most:
        raise ConfigError(f'{where}.{name}: expected two rising numbers '
                          f'{"in (0, 1]" if most == 1 else "above 0"}, not {bounds!r}')

  def draws(self, seed: int, step: int, batch: int) -> np.ndarray:
    """The random numbers (batch, TRIES, 4), in [0, 1), of each row of batch `step`.

    A function of its arguments alone: Philox (Salmon et al. 2011) with the seed and the step for
    its key, whose raw output numpy promises never to change.
    """
    key = np.array([seed % 2**64, step], np.uint64)
    raw = np.random.Philox(key=key).random_raw(batch * TRIES * 4)
    return (raw >> np.uint64(11)).reshape(batch, TRIES, 4) * 2.**-53

  def cuts(self, draws: np.ndarray, channels: int) -> tuple[Canvas, list[Cut]]:
    """The canvas of the crops, and for each row of `draws` what `Canvas` takes as its `cut`."""
    return Canvas(self.size, channels=channels), [partial(self.box, row) for row in draws]

  def box(self, draws: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """One row's box (x1, y1, x2, y2) in an image, in whole pixels, given its (TRIES, 4) draws.

    >>> crop = RandomCrop(224)
    >>> crop.box(crop.draws(seed=0, step=0, batch=1)[0], height=375, width=500)
    (42, 133, 163, 273)
    """
    low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
    for u in draws.tolist():
      area = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * u[0])
      ratio = math.exp(low + (high - low) * u[1])
      w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
      if 0 < w <= width and 0 < h <= height:
        x, y = int(u[2] * (width - w + 1)), int(u[3] * (height - h + 1))
        return x, y, x + w, y + h
    ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
    w, h = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
    x, y = (width - w) // 2, (height - h) // 2
    return x, y, x + w, y + h
