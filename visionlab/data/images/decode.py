"""Image files to arrays of one size: any mode, any orientation."""

import importlib
import io
import math
from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from visionlab.config import ConfigError, nearest
from visionlab.data.images import jpeg
from visionlab.data.images.resize import Box, resize, size_of

SUFFIXES = (
    '.jpg', '.jpeg', '.png', '.gif', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm', '.pbm',
    '.jp2', '.jpe', '.jfif', '.jif', '.mpo', '.apng', '.avif', '.avifs', '.heic', '.heif', '.hif',
    '.dib', '.pnm', '.pfm', '.j2k', '.j2c', '.jpc', '.jpf', '.jpx', '.tga', '.icb', '.vda', '.vst',
    '.pcx', '.dcx', '.pcd', '.sgi', '.rgb', '.rgba', '.bw', '.ras', '.msp', '.pxr', '.qoi',
    '.psd', '.dds', '.ftc', '.ftu', '.blp', '.xbm', '.xpm', '.ico', '.icns', '.cur', '.fit',
    '.fits', '.fli', '.flc')
"""Of files that Pillow reads as images, in lower case; HEIC only with pillow-heif."""
Cut = Callable[[int, int], Box]
RESIZES = ('crop', 'stretch', 'pad')
DIM = 4095                # of 65535: below that, a 16-bit image shows nearly nothing
_ORIENTATION = 0x0112
_HEIC = (b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1')


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
    self.height, self.width = two_sides(size, 'size must be')
    if resize not in RESIZES:
      raise ConfigError(f'resize must be one of {", ".join(RESIZES)}, not {resize!r}'
                        f'{nearest(resize, RESIZES)}')
    if not 0 < crop_fraction <= 1:
      raise ConfigError(f'crop_fraction must lie in (0, 1], not {crop_fraction}')
    if channels not in (1, 3):
      raise ConfigError(f'channels must be 1 or 3, not {channels}')
    self.resize, self.crop_fraction, self.channels = resize, crop_fraction, channels

  @property
  def shape(self) -> tuple[int, int, int]:
    return self.height, self.width, self.channels

  def __call__(self, image: Image.Image, cut: Cut | None = None) -> np.ndarray:
    """The upright image on the canvas: (h w c) uint8. May raise whatever Pillow raises.

    Args:
      cut: (height, width) -> the box (x1, y1, x2, y2) of the upright image that shall fill the
        canvas, in place of what `resize` says.
    """
    return self._fit(image, b'', cut)

  def read(self, file: bytes, cut: Cut | None = None) -> np.ndarray:
    """As for an image, given a file's bytes: of a JPEG no more is decoded than it takes."""
    with open_image(file) as image:
      return self._fit(image, file, cut)

  def _fit(self, image: Image.Image, file: bytes, cut: Cut | None) -> np.ndarray:
    if image.format == 'TIFF':
      image.load()  # Pillow turns these by itself, and drops the tag
    orientation = orientation_of(image)
    # The small result is turned, not the large image: until then height and width are swapped.
    swapped = orientation >= 5
    canvas = (self.height, self.width) if swapped else (self.width, self.height)
    if cut:
      size, box = canvas, _stored(cut(*image.size[::1 if swapped else -1]), image.size, orientation)
    else:
      size, box = self.plan(image.size, canvas)
    part, box = _region(image, box, size, 'RGB' if self.channels == 3 else 'L', file)
    pixels = turned(resize(part, box, size), orientation)
    if pixels.shape == self.shape:
      return pixels
    height, width = pixels.shape[:2]
    top, left = (self.height - height) // 2, (self.width - width) // 2
    result = np.zeros(self.shape, np.uint8)
    result[top:top + height, left:left + width] = pixels
    return result

  def plan(self, size: tuple[float, float], canvas: tuple[int, int]):
    """The size that a box of an image is scaled to, and that box; widths come first."""
    whole = (0, 0, *size)
    if self.resize == 'stretch':
      return canvas, whole
    ratios = [seen / full for seen, full in zip(canvas, size, strict=True)]
    scale = min(ratios) if self.resize == 'pad' else max(ratios) / self.crop_fraction
    if self.resize == 'pad':
      return tuple(max(1, round(full * scale)) for full in size), whole
    seen = [min(part / scale, full) for part, full in zip(canvas, size, strict=True)]
    left, top = ((full - part) / 2 for part, full in zip(seen, size, strict=True))
    return canvas, (left, top, left + seen[0], top + seen[1])


def two_sides(size: int | Sequence[int], said: str) -> tuple[int, int]:
  """Height and width, of two numbers or of one for both.

  Raises:
    ConfigError: they are not positive and whole; `said` begins the message.
  """
  pair = (size, size) if isinstance(size, Integral) else size
  if not (isinstance(pair, Sequence) and len(pair) == 2
          and all(isinstance(s, Integral) and not isinstance(s, bool) and s > 0 for s in pair)):
    raise ConfigError(f'{said} a positive integer or two (height, width), not {size!r}')
  return int(pair[0]), int(pair[1])


def open_image(file: Path | bytes) -> Image.Image:
  """Opens an image file, or the bytes of one, without decoding its pixels.

  Raises:
    ValueError: it has more pixels than `PIL.Image.MAX_IMAGE_PIXELS` (a decompression bomb), holds
      floating point numbers, whose range is not known, or is HEIC and pillow-heif not installed.
    OSError and others, from Pillow: it is no image, or a damaged one.
  """
  try:
    image = _opened(file)
  except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
    raise ValueError(f'{error} Scale it down') from error
  if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
    image.close()
    raise ValueError(f'{image.width}x{image.height} pixels exceed PIL.Image.MAX_IMAGE_PIXELS, '
                     f'{Image.MAX_IMAGE_PIXELS}; scale it down')
  if image.mode == 'F':
    image.close()
    raise ValueError('floating point images have no known range; save it with 8 or 16 bits')
  return image


def _opened(file: Path | bytes) -> Image.Image:
  source = io.BytesIO(file) if isinstance(file, bytes) else file
  try:
    return Image.open(source)
  except UnidentifiedImageError:
    head = file[:16] if isinstance(file, bytes) else _head(file)
    if head[4:8] != b'ftyp' or head[8:12] not in _HEIC:
      raise UnidentifiedImageError(_what_else(head)) from None
  try:
    importlib.import_module('pillow_heif').register_heif_opener()
  except ImportError:
    raise ValueError('it is HEIC; pip install pillow-heif to read such files, or convert them to '
                     'JPEG') from None
  return Image.open(source)


def _head(path: Path) -> bytes:
  with open(path, 'rb') as file:
    return file.read(16)


def _what_else(head: bytes) -> str:
  """What a file that is no image is, by its first bytes."""
  if not head:
    return 'the file is empty'
  if head.startswith(b'version https://'):
    return 'it is a pointer of Git LFS; "git lfs pull" fetches the image'
  if head.lower().startswith((b'<!doctype html', b'<html')):
    return 'it is a web page; download the image again'
  return 'cannot identify the image: it is damaged, or of a kind that Pillow does not read'


def to_mode(image: Image.Image, mode: str) -> Image.Image:
  """`image` in mode 'RGB' or 'L': transparency on white, 16 bits scaled to 8 rather than clipped.

  Raises:
    ValueError: floating point images, whose range is not known, or values beyond 16 bits.
  """
  if image.mode == mode and 'transparency' not in image.info:
    return image
  if image.mode == 'F':
    raise ValueError('floating point images have no known range')
  if image.mode.startswith('I'):
    deep = np.asarray(image).astype(np.int64)
    if deep.min() < 0 or deep.max() > 65535:
      raise ValueError(f'its values lie in {deep.min()} to {deep.max()}; expected 0 to 65535, or 8 '
                       'bits')
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8)).convert(mode)
  if image.mode == 'LAB':
    image = image.convert('RGB')                     # Pillow knows no other way from there
  if image.has_transparency_data:
    image = image.convert('RGBA')
    image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
  return image.convert(mode)


def brightest_of_dim(image: Image.Image) -> int:
  """The largest value of a 16-bit image that uses little of its range, as cameras with 12 bits and
  label images do; 0 of others. It is nearly black once scaled to 8 bits."""
  if not image.mode.startswith('I'):
    return 0
  brightest = int(np.asarray(image).max())
  return brightest if brightest <= DIM else 0


def _region(image: Image.Image, box: Box, size: tuple[int, int], mode: str, file: bytes):
  """What it takes of an opened image to scale `box` to `size`, and the box in that.

  Of JPEG, what is below is not decoded if `file`, what the image was opened from, is given; and
  where the result is at most 1/2, 1/4 or 1/8 as large, it is decoded at that size.
  """
  ratios = [(box[i + 2] - box[i]) / size[i] for i in (0, 1)]
  k = max(k for k in (1, 2, 4, 8) if k <= max(min(ratios), 1))
  reach = [max(1, ratio / k) + 1 for ratio in ratios]         # of the filter, over the box's edge
  pixels = None
  if file and image.format in jpeg.FORMATS:
    rows = math.ceil(box[3] + (reach[1] + 2) * k)
    short = jpeg.shorten(file, rows)
    size = image.width, image.height if short is file else rows
    pixels = jpeg.decoded(short, size, (image.mode, mode), k, short=short is not file)
    if pixels is None:
      image = Image.open(io.BytesIO(short))
  if pixels is None:
    k = k if image.draft(mode, tuple(max(1, side // k) for side in image.size)) else 1
    pixels = to_mode(image, mode)
  width, height = size_of(pixels)
  x1, y1, x2, y2 = (v / k for v in box)
  left, top = (max(0, math.floor(v - r)) for v, r in zip((x1, y1), reach, strict=True))
  right, bottom = (min(most, math.ceil(v + r))
                   for v, r, most in zip((x2, y2), reach, (width, height), strict=True))
  part = (pixels[top:bottom, left:right] if isinstance(pixels, np.ndarray) else
          pixels.crop((left, top, right, bottom)))
  return part, (x1 - left, y1 - top, x2 - left, y2 - top)


def _stored(box: Box, size: tuple[int, int], orientation: int) -> Box:
  """Where a box of the upright image lies in the image of `size` (width, height) as stored."""
  if orientation >= 5:
    box = (box[1], box[0], box[3], box[2])
  x1, y1, x2, y2 = box
  if orientation in (2, 3, 7, 8):
    x1, x2 = size[0] - x2, size[0] - x1
  if orientation in (3, 4, 6, 7):
    y1, y2 = size[1] - y2, size[1] - y1
  return x1, y1, x2, y2


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
  """Pixels (h w c) as stored -> upright ones."""
  if orientation >= 5:
    pixels = pixels.transpose(1, 0, 2)
  if orientation in (2, 3, 6, 7):
    pixels = pixels[:, ::-1]
  return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def orientation_of(image: Image.Image) -> int:
  """The EXIF orientation, 1 to 8: 1 is upright, from 5 on height and width are swapped."""
  try:
    tag = image.getexif().get(_ORIENTATION)
  except Exception:  # damaged EXIF data raises almost anything, and the pixels may be sound
    return 1
  return tag if tag in range(1, 9) else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
  """Width and height once the EXIF orientation is applied."""
  return image.size[::-1] if orientation_of(image) >= 5 else image.size
