"""The middle of an image."""

from collections.abc import Sequence

from visionlab.config import ConfigError


def centre_crop(x, size: Sequence[int]):
  """The middle `size` = (h, w) pixels of (b h' w' ...); of an odd surplus, less goes at the top.

  Raises:
    ConfigError: x is smaller than that.

  >>> import numpy as np
  >>> centre_crop(np.arange(5).reshape(1, 1, 5), (1, 2)).tolist()
  [[[1, 2]]]
  """
  (h, w), (height, width) = size, x.shape[1:3]
  if h > height or w > width:
    raise ConfigError(f'centre_crop: {h}x{w} pixels asked of {height}x{width}')
  top, left = (height - h) // 2, (width - w) // 2
  return x[:, top:top + h, left:left + w]
