"""Images of any kind, brought to what a network takes."""

import numpy as np
from PIL import Image, ImageOps

from visionlab.data.images.any_image import as_array, one_by_one, read
from visionlab.data.images.bands import bands_of
from visionlab.data.images.decode import Canvas, to_mode


def fitted(images, canvas: Canvas, floats: bool = False) -> np.ndarray:
  """Images as `visionlab.runs.run.Run.predict` takes them -> (n h w c) uint8 on that canvas.

  floats: whether arrays of floats of that size stay what they are.
  """
  shape = canvas.shape
  if floats:
    own = as_array(images) if hasattr(images, '__array__') else _stacked(images, shape)
    if own.shape[1:] == shape and len(own) and np.issubdtype(own.dtype, np.floating):
      return own.astype(np.float32)
  images = one_by_one(images, shape)
  if isinstance(images, np.ndarray) and images.shape[1:] == shape:
    return images
  return np.stack([read(image, canvas, f'image {i}', shape[2]) for i, image in enumerate(images)])


def upright(images, canvas: Canvas) -> list[np.ndarray]:
  """Images as `visionlab.runs.run.Run.predict` takes them -> (h w c) uint8 each, of their own sizes
  and with the canvas's channels."""
  channels = canvas.shape[-1]

  def turned(image: Image.Image) -> np.ndarray:
    if channels not in (1, 3):
      return bands_of(image, channels)
    image = to_mode(ImageOps.exif_transpose(image), {1: 'L', 3: 'RGB'}[channels])
    return np.asarray(image).reshape(image.height, image.width, channels)
  return [read(image, turned, f'image {i}', channels)
          for i, image in enumerate(one_by_one(images, canvas.shape))]


def _stacked(images, shape: tuple[int, ...]) -> np.ndarray:
  """A list of arrays of that shape as one array; of anything else an array of none."""
  arrays = images if isinstance(images, list | tuple) else ()
  if not arrays or not all(isinstance(x, np.ndarray) and x.shape == shape for x in arrays):
    return np.zeros((0, *shape))
  return np.stack(arrays)
