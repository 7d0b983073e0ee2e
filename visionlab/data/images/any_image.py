"""Images as people have them: arrays of any kind, PIL images, files. What is taken is said here."""

import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.file_warnings import reading
from visionlab.data.images.decode import open_image

CHANNELS = (1, 2, 3, 4)        # grey, grey and alpha, colour, colour and alpha


def one_by_one(given: Any, own: Sequence[int]) -> np.ndarray | list:
  """What was given as images, one at a time: uint8 (n h w c), or a list of what `read` takes.

  Args:
    given: one image of any kind, several in a list, or an array (h w), (h w c), (n h w) or
      (n h w c), of numbers as `eight_bits` takes them.
    own: (h w c) of the network's images. Grey ones of that size may be three or four in an array
      (n h w), which otherwise could be one whose channels come first.

  Raises:
    ConfigError: nothing, no images, or an array that could be read in two ways.

  >>> one_by_one(np.zeros((5, 8, 6), np.uint8), (8, 8, 1)).shape
  (5, 8, 6, 1)
  """
  if isinstance(given, str | os.PathLike | bytes | Image.Image):
    return [given]
  if hasattr(given, '__array__'):
    array = as_array(given)
    if array.dtype.kind not in 'OUST':           # else it is a list of images or of files
      return eight_bits(_in_a_row(array, tuple(own)))
    given = array.tolist()
  if isinstance(given, Mapping | io.IOBase) or not isinstance(given, Iterable):
    raise ConfigError(f'expected images, got {_kind(given)}')
  images = list(given)
  if not images:
    raise ConfigError('no images')
  return images


def read(image: Any, use: Callable[[Image.Image], Any], where: str, channels: int = 3) -> Any:
  """use(the image as PIL has it); of more than four channels, which PIL does not know, the array.

  Args:
    image: an array (h w) or (h w c) of numbers as `eight_bits` takes them, a PIL image, the name
      of a file, or a file's bytes.
    where: what errors begin with; the name of a file is added.
    channels: that the network takes.

  Raises:
    ConfigError: it is no image, or cannot be read.
  """
  try:
    if isinstance(image, str | os.PathLike):
      where = f'{where}, {os.fspath(image)}'
      with reading(os.fspath(image)), _opened(Path(image).expanduser()) as file:
        return use(_sound(file))
    if isinstance(image, bytes):
      with open_image(image) as file:
        return use(_sound(file))
    if channels > max(CHANNELS) and not isinstance(image, Image.Image):
      return use(_many(image, channels))
    return use(_sound(image if isinstance(image, Image.Image) else _pil(image)))
  except ConfigError as error:
    raise ConfigError(f'{where}: {error}') from error
  except Exception as error:  # what decoders raise for damaged files knows no bounds
    raise ConfigError(f'{where}: cannot be read as an image: {error}') from error


def eight_bits(array: np.ndarray) -> np.ndarray:
  """Numbers of any type as uint8.

  Booleans are black and white, floats lie in 0..1 and uint16 in 0..65535; other integers are in
  0..255 as they are.

  Raises:
    ConfigError: numbers outside that range, or uint16 that seem to have 8 bits.

  >>> eight_bits(np.array([0., .5, 1.])).tolist()
  [0, 128, 255]
  """
  dtype = array.dtype
  if dtype == np.uint8 or not array.size:
    return array.astype(np.uint8)
  if dtype == np.bool_:
    return array * np.uint8(255)
  floating = np.issubdtype(dtype, np.floating)
  if not (floating or np.issubdtype(dtype, np.integer)):
    raise ConfigError(f'expected numbers, got {dtype}')
  low, high = array.min(), array.max()
  if floating:
    if not (low >= 0 and high <= 1):
      raise ConfigError(f'floats must lie in 0..1, and these go from {low:.4g} to {high:.4g}; '
                        'divide them by their largest possible value')
    return np.round(array.astype(np.float32) * 255).astype(np.uint8)
  if dtype == np.uint16:
    if 0 < high < 256:
      raise ConfigError(f'uint16 must use 0..65535, and the largest here is {high}; if 8 bits are '
                        'meant, give image.astype(np.uint8)')
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
  if low < 0 or high > 255:
    raise ConfigError(f'{dtype} must lie in 0..255, and these go from {low} to {high}; 16 bits are '
                      'taken as uint16')
  return array.astype(np.uint8)


def as_array(given: Any) -> np.ndarray:
  """NumPy's of what NumPy can make an array of."""
  try:
    return np.asarray(given)
  except Exception as error:  # of another library's making, on another device, of unequal rows
    raise ConfigError(f'{_kind(given)} is no image, nor an array of numbers: {error}') from error


def _in_a_row(array: np.ndarray, own: tuple[int, ...]) -> np.ndarray:
  """One image or several, as (n h w c)."""
  shape = array.shape
  if len(shape) == 3:
    grey = shape[1:] == own[:2] and own[2] == 1
    if shape[2] in (*CHANNELS, own[2]) and not grey:
      array = array[None]
    elif shape[0] in (3, 4) and not grey:
      raise ConfigError(f'an array {shape} may be one image whose channels come first, or '
                        f'{shape[0]} grey ones; give images.transpose(1, 2, 0), or '
                        'images[..., None]')
    else:
      array = array[..., None]
  elif len(shape) == 2:
    array = array[None, ..., None]
  elif len(shape) != 4:
    raise ConfigError(f'expected an array (h w c) or (n h w c) of images, got {shape}')
  _check_shape(array.shape[1:], 'images.transpose(0, 2, 3, 1)', shape, own[2])
  if not len(array):
    raise ConfigError('no images')
  return array


def _check_shape(shape: tuple[int, ...], remedy: str, given: tuple[int, ...], channels: int = 3):
  """Raises ConfigError unless it is (h w c), of at least a pixel; `channels` are the network's."""
  if shape[2] not in (*CHANNELS, channels):
    first = shape[0] in CHANNELS
    raise ConfigError(f'channels come last, and the shape is {given}; give {remedy}' if first else
                      f'an image has 1 to 4 channels, and the shape is {given}')
  if 0 in shape:
    raise ConfigError(f'an image of no pixels: the shape is {given}')


def _pil(image: Any) -> Image.Image:
  if image is None or isinstance(image, Mapping | io.IOBase):
    raise ConfigError(f'expected an image, got {_kind(image)}')
  array = as_array(image)
  given = array.shape
  if len(given) == 3 and given[0] == 1 and given[2] not in CHANNELS:
    array = array[0]                              # grey, and whichever way it is read the same
  if array.ndim not in (2, 3):
    raise ConfigError(f'expected an array (h w) or (h w c), got {_kind(image)} {given}')
  array = array.reshape(*array.shape[:2], -1) if array.size else array
  if array.ndim == 3:
    _check_shape(array.shape, 'image.transpose(1, 2, 0)', given)
  array = eight_bits(array)
  return Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)


def _many(image: Any, channels: int) -> np.ndarray:
  """An array of that many channels, as uint8."""
  array = as_array(image)
  if array.ndim != 3 or array.shape[2] != channels or not array.size:
    raise ConfigError(f'expected an array (h w {channels}), got {_kind(image)} {array.shape}')
  return eight_bits(array)


def _sound(image: Image.Image) -> Image.Image:
  """The image, with pixels in it, and its floating point numbers as 8 bits."""
  if 0 in image.size:
    raise ConfigError(f'an image of no pixels: its size is {image.size}')
  return Image.fromarray(eight_bits(np.asarray(image))) if image.mode == 'F' else image


def _opened(path: Path) -> Image.Image:
  if path.is_dir():
    raise ConfigError('is a folder; give the files in it')
  if not path.exists():
    raise ConfigError('no such file')
  return open_image(path)


def _kind(given: Any) -> str:
  return 'None' if given is None else type(given).__name__
