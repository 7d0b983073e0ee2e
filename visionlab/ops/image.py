"""Pixels as networks want them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice, check_kind


def to_float(image: jax.Array) -> jax.Array:
  """An image in [0, 1] as float32; uint8 is divided by 255, correctly rounded.

  XLA turns x / 255 into x * (1 / 255), which is one bit off for half of all values. With the
  reciprocal in two parts, the larger short enough for an exact product, all 256 are right.
  """
  if image.dtype != jnp.uint8:
    return image.astype(jnp.float32)
  high = np.float32(round(2 ** 23 / 255) / 2 ** 23)
  return image * high + image * np.float32(1 / 255 - float(high))


def standardise(image: jax.Array, mean: tuple[float, ...], std: tuple[float, ...],
                channel_order: str = 'RGB') -> jax.Array:
  """(image - mean) / std by channel, of an RGB or grey image (... c) as `to_float` gives it.

  Empty mean and std leave it as it is. With channel_order='BGR' the result's first channel is blue,
  and mean and std are in that order too.
  """
  image = to_float(image)
  if channel_order == 'BGR':
    image = image[..., ::-1]
  if mean:
    image = image - jnp.array(mean, jnp.float32)
  return image / jnp.array(std, jnp.float32) if std else image


@dataclasses.dataclass(frozen=True)
class Standardise:
  """`standardise` with its options, checked: what a task does to images before its network.

  With a mean and a std of three channels, which weights for colour bring with them, a grey image
  becomes the colour image that looks the same.
  """
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  channel_order: str = 'RGB'

  def __post_init__(self):
    check_choice(self.channel_order, ('RGB', 'BGR'), 'config.task.channel_order')
    for name in ('mean', 'std'):
      check_kind(getattr(self, name), tuple[float, ...], f'config.task.{name}')
    if min(self.std, default=1) <= 0:
      raise ConfigError(f'config.task.std: must be above 0, not {self.std}')

  def __call__(self, image: jax.Array) -> jax.Array:
    colours = image.shape[-1] == 1 and len(self.mean) == len(self.std) == 3
    for name in ('mean', 'std'):
      n = len(getattr(self, name))
      if n not in (0, 1, image.shape[-1]) and not colours:
        raise ConfigError(f'config.task.{name}: {n} numbers, but the images have '
                          f'{image.shape[-1]} channels')
    return standardise(image, self.mean, self.std, self.channel_order)
