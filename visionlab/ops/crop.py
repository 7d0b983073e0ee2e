"""Images cut to their middle, and filled up to a size that can be halved."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

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


def filled_up(x: jax.Array, multiple: int) -> jax.Array:
  """(b h w c) with zeros added at the bottom and the right, up to multiples of `multiple`.

  >>> filled_up(jnp.ones((1, 5, 8, 3)), 4).shape
  (1, 8, 8, 3)
  """
  h, w = x.shape[1:3]
  return jnp.pad(x, [(0, 0), (0, -h % multiple), (0, -w % multiple), (0, 0)])
