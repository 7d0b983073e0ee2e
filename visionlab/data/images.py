"""Image files to arrays of one size: any mode, any orientation, nothing but Pillow."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from visionlab.config import ConfigError, nearest

SUFFIXES = ('.jpg', '.jpeg', '.png', '.gif', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm',
            '.pbm', '.jp2')
RESIZES = ('crop', 'stretch', 'pad')
_ORIENTATION = 0x0112
_UPRIGHT = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_90}


class Canvas:
  """How images of any size become arrays (h w c) of one size; call it with an image.

  Args:
    size: height and width in pixels, or one number for both.
    resize: 'crop' scales the image to cover the canvas and cuts off what sticks out; 'pad' scales
      it to fit and fills up with black; 'stretch' gives up the aspect ratio.
    crop_fraction: with 'crop', the part of the covered region that is kept, in (0, 1]; ImageNet
      models are customarily evaluated at .875.
    channels: 3 (colour) or 1 (grey).

  Raises:
    ConfigError: an option is none of those.
  """

  def __init__(self, size: int | tuple[int, int], resize: str = 'crop',
               crop_fraction: float = 1., channels: int = 3):
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(s, int) and s > 0 for s in pair):
      raise ConfigError(f'size must be a positive integer or two (height, width), not {size!r}')
    if resize not in RESIZES:
      raise ConfigError(f'resize must be one of {", ".join(RESIZES)}, not {resize!r}'
                        f'{nearest(resize, RESIZES)}')
    if not 0 < crop_fraction <= 1:
      raise ConfigError(f'crop_fraction must lie in (0, 1], not {crop_fraction}')
    if channels not in (1, 3):
      raise ConfigError(f'channels must be 1 or 3, not {channels}')
    self.height, self.width = pair
    self.resize, self.crop_fraction, self.channels = resize, crop_fraction, channels

  @property
  def shape(self) -> tuple[int, int, int]:
    return self.height, self.width, self.channels

  def __call__(self, image: Image.Image) -> np.ndarray:
    """The upright image on the canvas: (h w c) uint8. May raise whatever Pillow raises."""
    if image.format == 'TIFF':
      image.load()  # Pillow turns these by itself, and drops the tag
    orientation = _orientation(image)
    # The small result is turned, not the large image: until then height and width are swapped.
    canvas = (self.width, self.height) if orientation < 5 else (self.height, self.width)
    # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size; the true extent is then fractional.
    drafted = image.draft(None, self._plan(image.size, canvas)[0])
    scaled, box = self._plan(drafted[1][2:] if drafted else image.size, canvas)
    image = to_mode(image, 'RGB' if self.channels == 3 else 'L')
    image = image.resize(canvas if self.resize == 'crop' else scaled,
                         Image.Resampling.BILINEAR, box=box)
    image = image.transpose(_UPRIGHT[orientation]) if orientation > 1 else image
    pixels = np.asarray(image).reshape(image.height, image.width, self.channels)
    if self.resize != 'pad':
      return pixels
    result = np.zeros(self.shape, np.uint8)
    top, left = (self.height - image.height) // 2, (self.width - image.width) // 2
    result[top:top + image.height, left:left + image.width] = pixels
    return result

  def _plan(self, size: tuple[float, float], canvas: tuple[int, int]):
    """The size a whole image is scaled to, and the box of it that is seen; widths come first."""
    whole = (0, 0, *size)
    if self.resize == 'stretch':
      return canvas, whole
    ratios = [seen / full for seen, full in zip(canvas, size, strict=True)]
    scale = min(ratios) if self.resize == 'pad' else max(ratios) / self.crop_fraction
    scaled = tuple(max(1, round(full * scale)) for full in size)
    if self.resize == 'pad':
      return scaled, whole
    seen = [min(part / scale, full) for part, full in zip(canvas, size, strict=True)]
    left, top = ((full - part) / 2 for part, full in zip(seen, size, strict=True))
    return scaled, (left, top, left + seen[0], top + seen[1])


def open_image(file: Path | bytes) -> Image.Image:
  """Opens an image file, or the bytes of one, without decoding its pixels.

  Raises:
    ValueError: it has more pixels than `PIL.Image.MAX_IMAGE_PIXELS` (a decompression bomb).
    OSError and others, from Pillow: it is no image, or a damaged one.
  """
  image = Image.open(io.BytesIO(file) if isinstance(file, bytes) else file)
  if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
    image.close()
    raise ValueError(f'{image.width}x{image.height} pixels exceed PIL.Image.MAX_IMAGE_PIXELS')
  return image


def to_mode(image: Image.Image, mode: str) -> Image.Image:
  """`image` in mode 'RGB' or 'L': transparency on white, 16 bits scaled to 8 rather than clipped.

  Raises:
    ValueError: floating point images, whose range is not known.
  """
  if image.mode == mode and 'transparency' not in image.info:
    return image
  if image.mode == 'F':
    raise ValueError('floating point images have no known range')
  if image.mode.startswith('I'):
    deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert(mode)
  if image.has_transparency_data:
    image = image.convert('RGBA')
    image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
  return image.convert(mode)


def _orientation(image: Image.Image) -> int:
  """The EXIF orientation, 1 to 8: 1 is upright, from 5 on height and width are swapped."""
  try:
    tag = image.getexif().get(_ORIENTATION)
  except Exception:  # damaged EXIF data raises almost anything, and the pixels may be sound
    return 1
  return tag if tag in _UPRIGHT else 1
