"""Networks that make images of features, by up-convolutions."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.models.layers import Conv, Dense, he_fan_in
from visionlab.options.kinds import Count


class UpConvolutional(nn.Module):
  """The inverting networks of Dosovitskiy and Brox 2016 (https://arxiv.org/abs/1506.02753, section
  3.2): fully connected layers on vectors, 3 x 3 convolutions on maps; then up-convolutions, each of
  which doubles the side: unpooling, in which a value becomes the corner of a 2 x 2 block of zeros,
  and a 5 x 5 convolution. Between layers leaky ReLUs of slope .2; none at the end.

  Attributes:
    channels: of the images.
    hidden: units of the fully connected layers; the paper's are three of 4096.
    start: channels of the small map that these end in.
    convs: 3 x 3 convolutions on a map before its first up-convolution.
    widths: channels of the up-convolutions but the last one, of the largest number of them, the
      first first; where fewer are needed the last ones are taken. On vectors there is one more than
      these.
    slope: of the leaky ReLUs where they are negative.
  """
  channels: int
  hidden: tuple[Count, ...] = (4096, 4096, 4096)
  start: Count = 256
  convs: Count = 2
  widths: tuple[Count, ...] = (256, 128, 64, 32)
  slope: float = .2
  dtype: Any = jnp.float32

  def __post_init__(self):
    if not self.widths:
      raise ConfigError('up.widths: at least one width')
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Features (b n) or (b h' w' n) -> images (b h w channels) f32 of `size` (h, w)."""
    act = lambda x: nn.leaky_relu(x, self.slope)
    x = x.astype(self.dtype)
    if x.ndim == 2:
      ups = len(self.widths) + 1
      h, w = (-(-n // 2 ** ups) for n in size)
      for i, width in enumerate((*self.hidden, h * w * self.start)):
        x = act(Dense(width, dtype=self.dtype, kernel_init=he_fan_in, name=f'dense{i}')(x))
      x = x.reshape(x.shape[0], h, w, self.start)
    else:
      ups = doublings(x.shape[1:3], size)
      for i in range(self.convs):
        x = act(self._conv(self._last(max(ups, 1))[0], 3, f'conv{i}')(x))
    for i, width in enumerate(self._last(ups - 1)):
      x = act(self._up(width, f'up{i}')(x))
    x = (self._up(self.channels, 'image') if ups else self._conv(self.channels, 5, 'image'))(x)
    top, left = ((there - n) // 2 for there, n in zip(x.shape[1:3], size, strict=True))
    return x[:, top:top + size[0], left:left + size[1]].astype(jnp.float32)

  def _last(self, n):
    """The last n widths, the first one again where there are fewer."""
    return (self.widths[:1] * (n - len(self.widths)) + self.widths)[-n:] if n > 0 else ()

  def _conv(self, width, side, name):
    return Conv(width, (side, side), dtype=self.dtype, kernel_init=he_fan_in, name=name)

  def _up(self, width, name):
    # A quarter of the taps meet values that are no zeros.
    init = lambda *args: 2 * he_fan_in(*args)
    return Conv(width, (5, 5), input_dilation=2, padding=((2, 3), (2, 3)), dtype=self.dtype,
                kernel_init=init, name=name)


def doublings(there: tuple[int, int], wanted: tuple[int, int]) -> int:
  """How often a map's sides must double to reach an image's.

  >>> doublings((7, 7), (28, 28)), doublings((7, 9), (30, 30)), doublings((8, 8), (8, 8))
  (2, 3, 0)
  """
  n = 0
  while any(have * 2 ** n < want for have, want in zip(there, wanted, strict=True)):
    n += 1
  return n
