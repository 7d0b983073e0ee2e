"""Pictures of one image, over which a network's answers are averaged when it is tested."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.ops.upsample import bilinear


class View(NamedTuple):
  """One way of showing an image to a network.

  Attributes:
    see: images (b h w c) -> the pictures that the network is shown, of the same dtype.
    back: (answers (b h' w' k) for each pixel of these, (h, w) of the image) -> answers for the
      image's pixels; None where a picture shows a part of the image only.
  """
  see: Callable[[jax.Array], jax.Array]
  back: Callable[[jax.Array, tuple[int, int]], jax.Array] | None


def ten_crops() -> list[View]:
  """Four corners and the centre, each 7/8 of the side, and their mirror images (Krizhevsky
  et al. 2012); scaled back to h x w, which not every network could do without."""
  def crop(corner, flip):
    def see(image):
      h, w = image.shape[1:3]
      height, width = round(h * 7 / 8), round(w * 7 / 8)
      top, left = (round(part * (n - m)) for part, n, m in
                   zip(corner, (h, w), (height, width), strict=True))
      x = _resized(image[:, top:top + height, left:left + width], (h, w))
      return x[:, :, ::-1] if flip else x
    return View(see, None)
  corners = [(0, 0), (0, 1), (1, 0), (1, 1), (.5, .5)]
  return [crop(corner, flip) for flip in (False, True) for corner in corners]


def rescaled(scales: Sequence[float] = (1.,), mirror: bool = False) -> list[View]:
  """The whole image at each of the scales, and with `mirror` its mirror images.

  Raises:
    ConfigError: a scale that is not above 0, or none.

  >>> import numpy as np
  >>> plain, flipped = rescaled(mirror=True)
  >>> flipped.see(np.array([[[[1], [2]]]])).ravel().tolist()
  [2, 1]
  """
  if not scales or not all(0 < scale < math.inf for scale in scales):
    raise ConfigError(f'--scales: must all be above 0, not {", ".join(map(str, scales))}')
  flips = (False, True) if mirror else (False,)
  return [_rescaled(scale, flip) for scale in scales for flip in flips]


def _rescaled(scale, flip):
  def see(image):
    h, w = image.shape[1:3]
    x = image if scale == 1 else _resized(image, (max(1, round(h * scale)),
                                                  max(1, round(w * scale))))
    return x[:, :, ::-1] if flip else x

  def back(maps, size):
    x = maps[:, :, ::-1] if flip else maps
    return x if scale == 1 else bilinear(x, size)
  return View(see, back)


def _resized(images, size):
  shape = (len(images), *size, images.shape[-1])
  x = jax.image.resize(images.astype(jnp.float32), shape, 'bilinear')
  # Rounded again for uint8, whose range says how pixels are to be read.
  return jnp.round(x).astype(images.dtype) if images.dtype == jnp.uint8 else x


(WHOLE,) = rescaled()
