"""Whole sets of small images at another size, so that one can stand beside another."""

import numpy as np
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas


def stretched(images: np.ndarray, size: int, channels: int) -> np.ndarray:
  """Images scaled to size x size, whatever their shape, bilinearly and antialiased.

  Args:
    images: uint8 (n h w 1) or (n h w 3).
    size: 0: as they are.
    channels: 1 or 3. Grey becomes three equal channels; colour becomes grey by Pillow's weights
      (ITU-R 601).

  Returns:
    uint8 (n size size channels); the images themselves where there is nothing to do.

  Raises:
    ConfigError: a size or a number of channels that cannot be.

  >>> stretched(np.full((5, 28, 28, 1), 7, np.uint8), 32, 3).shape
  (5, 32, 32, 3)
  """
  if channels not in (1, 3):
    raise ConfigError(f'channels must be 1 or 3, not {channels}')
  if size < 0:
    raise ConfigError(f'size must be at least 1, or 0 for what it is, not {size}')
  shape = (size, size) if size else images.shape[1:3]
  if images.shape[1:3] == shape and channels >= images.shape[3]:
    return images if images.shape[3] == channels else np.repeat(images, channels, 3)
  canvas = Canvas(shape, 'stretch', channels=channels)
  flat = images[..., 0] if images.shape[3] == 1 else images
  result = np.empty((len(images), *shape, channels), np.uint8)
  for i, image in enumerate(flat):
    result[i] = canvas(Image.fromarray(image))
  return result
