"""Images of neither one nor three channels: colour with infrared or depth, radar, many spectra."""

import numpy as np
from PIL import Image, ImageOps

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas


def bands_of(image: Image.Image | np.ndarray, channels: int) -> np.ndarray:
  """The upright image as (h w channels) uint8, its channels as they are: alpha is one of them.

  Raises:
    ConfigError: it has another number of channels.
  """
  if isinstance(image, Image.Image):
    image = ImageOps.exif_transpose(image)
    image = image.convert('RGBA') if image.mode == 'P' and channels == 4 else image
    image = np.asarray(image)
  image = image if image.ndim == 3 else image[..., None]
  if image.shape[2] != channels:
    raise ConfigError(f'this network takes images of {channels} channels, and this one has '
                      f'{image.shape[2]}; give an array (h w {channels})'
                      + (' or an RGBA file' if channels == 4 else ''))
  return image


class BandCanvas:
  """A `Canvas` for any number of channels, each of which is scaled as a grey image is.

  Args, shape: as `Canvas` has them.
  """

  def __init__(self, size: int | tuple[int, int], channels: int, **options):
    self.grey, self.channels = Canvas(size, channels=1, **options), channels

  @property
  def shape(self) -> tuple[int, int, int]:
    return self.grey.height, self.grey.width, self.channels

  def __call__(self, image: Image.Image | np.ndarray) -> np.ndarray:
    """The upright image on the canvas: (h w c) uint8."""
    bands = np.moveaxis(bands_of(image, self.channels), 2, 0)
    return np.concatenate([self.grey(Image.fromarray(band)) for band in bands], 2)
