"""Pixels as networks want them."""

import jax
import jax.numpy as jnp
import numpy as np


def to_float(image: jax.Array) -> jax.Array:
  """An image in [0, 1] as float32; uint8 is divided by 255, correctly rounded.

  XLA turns x / 255 into x * (1 / 255), which is one bit off for half of all values. With the
  reciprocal in two parts, the larger short enough for an exact product, all 256 are right.
  """
  if image.dtype != jnp.uint8:
    return image.astype(jnp.float32)
  high = np.float32(round(2 ** 23 / 255) / 2 ** 23)
  return image * high + image * np.float32(1 / 255 - float(high))


def standardise(image: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]) -> jax.Array:
  """(image - mean) / std by channel, of an image (... c) as `to_float` gives it. Empty: as is."""
  image = to_float(image)
  if mean:
    image = image - jnp.array(mean, jnp.float32)
  return image / jnp.array(std, jnp.float32) if std else image
