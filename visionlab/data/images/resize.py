"""Scaling a part of an image, antialiased.

Where cykooz_resizer (pip install cykooz.resizer) is installed it does so, in a fifth of the time;
else Pillow does. It is the same filter, so the results are within one level of each other.
"""

import numpy as np
from PIL import Image

try:
  import cykooz_resizer as fast
except ImportError:
  fast = None

Box = tuple[float, float, float, float]


Picture = Image.Image | np.ndarray


def size_of(image: Picture) -> tuple[int, int]:
  """Width and height of an image, or of its pixels (h w c)."""
  return image.shape[1::-1] if isinstance(image, np.ndarray) else image.size


def resize(image: Picture, box: Box, size: tuple[int, int]) -> np.ndarray:
  """The pixels (h w c) uint8 of the part of an image in `box`, scaled to `size`.

  The filter is a triangle as wide as two pixels of the result, or of the image where those are
  larger (Pillow's BILINEAR); it also sees what lies outside the box.

  Args:
    image: of mode 'RGB' or 'L', or its pixels (h w c) uint8.
    box: (x1, y1, x2, y2) within it, in pixels.
    size: (width, height) of the result.

  >>> resize(Image.new('L', (8, 6), 9), (1., .5, 7., 5.), (3, 2))[..., 0].tolist()
  [[9, 9, 9], [9, 9, 9]]
  """
  if fast and (size != size_of(image) or tuple(box) != (0, 0, *size)):
    pixels = _fast(image, box, size)
  else:
    pixels = np.asarray(_as_image(image).resize(size, Image.Resampling.BILINEAR, box=box))
  return pixels.reshape(size[1], size[0], -1)


def square(pixels: np.ndarray, corner: tuple[float, float], side: float, size: int) -> np.ndarray:
  """A square part of an image (h w c) uint8 of 1 or 3 channels, scaled: (size size c).

  Args:
    corner: its x and y, in pixels; it may be outside, where the image's border goes on.
    side: in pixels.

  >>> square(np.arange(4, dtype=np.uint8).reshape(2, 2, 1), (1., 0.), 2., 2)[..., 0].tolist()
  [[1, 1], [3, 3]]
  """
  h, w = pixels.shape[:2]
  left, top = corner
  beyond = int(np.ceil(max(0, -left, -top, left + side - w, top + side - h)))
  wide = np.pad(pixels, [(beyond, beyond)] * 2 + [(0, 0)], 'edge')
  box = tuple(float(v) + beyond for v in (left, top, left + side, top + side))
  return resize(wide, box, (size, size))


def _as_image(image: Picture) -> Image.Image:
  if not isinstance(image, np.ndarray):
    return image
  return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def _fast(image: Picture, box: Box, size: tuple[int, int]) -> np.ndarray:
  channels = image.shape[2] if isinstance(image, np.ndarray) else len(image.getbands())
  kind = {3: fast.PixelType.U8x3, 1: fast.PixelType.U8}[channels]
  (left, top), (width, height) = box[:2], size_of(image)
  seen = fast.CropBox(left, top, min(box[2], width) - left, min(box[3], height) - top)
  how = fast.ResizeOptions(fast.ResizeAlg.convolution(fast.FilterType.bilinear), crop_box=seen)
  result = fast.ImageData(*size, kind)
  if isinstance(image, np.ndarray):
    image = np.ascontiguousarray(image)     # by rows; tobytes would go number by number
  fast.Resizer().resize(fast.ImageData(width, height, kind, image.tobytes()), result, how)
  return np.frombuffer(result.get_buffer(), np.uint8)
