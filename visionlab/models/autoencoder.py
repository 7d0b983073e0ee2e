"""Networks from an image to a few numbers and back."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice
from visionlab.models.layers import Conv, Dense, he_fan_in, lecun_normal, point
from visionlab.models.network import Network, Style
from visionlab.models.upsample import ConvTranspose, he_transposed
from visionlab.ops.upsample import nearest
from visionlab.options.kinds import Count, Natural

ENLARGEMENTS = ('resize', 'transposed')


class AutoEncoder(Network):
  """An encoder of strided convolutions, and a decoder that undoes them one by one.

  Each convolution halves the map, and each of the decoder's layers doubles it. Without widths both
  are linear layers, but for `hidden`.

  Attributes, beside `Network`'s:
    shape: (h, w, c) of the images; the task gives it.
    codes: numbers d that an image is told by.
    moments: what the encoder says of each: 1, its value, or 2, its mean and log variance; the task
      gives it.
    widths: channels of the encoder's convolutions; the decoder has the same in reverse.
    hidden: width of a layer between map and codes, in both; 0: none.
    enlarge: how the decoder doubles a map: 'resize', nearest neighbours and a 3 x 3 convolution,
      which leaves no checkerboards (Odena et al. 2016, https://distill.pub/2016/deconv-checkerboard);
      or 'transposed', a 4 x 4 transposed convolution, in which each pixel is made of as many taps.

  Raises:
    ConfigError: images that do not halve so often, or an unknown option.
  """

  shape: tuple[int, int, int]
  codes: Count = 16
  moments: Count = 1
  widths: tuple[Count, ...] = (32, 64)
  hidden: Natural = 0
  enlarge: str = 'resize'

  def __post_init__(self):
    check_choice(self.enlarge, ENLARGEMENTS, 'model.enlarge of autoencoder')
    times = 2 ** len(self.widths)
    if any(n % times for n in self.shape[:2]):
      raise ConfigError(f'model.widths of autoencoder: {len(self.widths)} convolutions halve an '
                        f'image as often, and {self.shape[0]} x {self.shape[1]} pixels are no '
                        f'multiple of {times}')
    super().__post_init__()

  def setup(self):
    style = self.style()
    self.encoder = Encoder(self.codes * self.moments, self.widths, self.hidden, style)
    self.decoder = Decoder(self.shape, self.widths[::-1], self.hidden, self.enlarge, style)

  @property
  def strides(self) -> dict[str, int]:
    """Of the maps of `features`, in pixels."""
    return {f'conv{i}': 2 ** i for i in range(1, 1 + len(self.widths))}

  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Images (b h w c) -> the encoder's maps (b h/stride w/stride width)."""
    return self.encoder.features(x)

  def encode(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> codes (b d), or their moments (b 2d), means first."""
    return self.encoder(x)

  def decode(self, codes: jax.Array, *, train: bool = False) -> jax.Array:
    """Codes (b d) -> images (b h w c), unbounded: means, or logits, as who trains it takes them."""
    return self.decoder(codes)

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> what the decoder makes of their codes, or of their codes' means."""
    return self.decode(self.encode(x)[:, :self.codes])


class Encoder(nn.Module):
  """Convolutions of stride 2 and a linear layer; attributes as in `AutoEncoder`."""

  outputs: int
  widths: tuple[int, ...]
  hidden: int
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(b h w c) -> (b outputs)."""
    *_, x = [x, *self.features(x).values()]
    x = x.reshape(x.shape[0], -1)
    if self.hidden:
      x = self.style.act(Dense(self.hidden, dtype=self.style.dtype, kernel_init=he_fan_in,
                               name='hidden')(x))
    return Dense(self.outputs, name='codes')(x.astype(jnp.float32))

  @nn.nowrap
  def features(self, x):
    """The maps by name."""
    maps = {}
    for i, width in enumerate(self.widths, 1):
      layer = Conv(width, (4, 4), strides=2, padding=1, dtype=self.style.dtype,
                   kernel_init=he_fan_in, name=f'conv{i}')
      x = maps[f'conv{i}'] = point(f'conv{i}', self.style.act(layer(x)))
    return maps


class Decoder(nn.Module):
  """A linear layer and enlargements by 2; attributes as in `AutoEncoder`, widths of its maps from
  the smallest on."""

  shape: tuple[int, int, int]
  widths: tuple[int, ...]
  hidden: int
  enlarge: str
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(b d) -> (b h w c), float32."""
    act, (h, w, c) = self.style.act, self.shape
    if self.hidden:
      x = act(Dense(self.hidden, dtype=self.style.dtype, kernel_init=he_fan_in, name='hidden')(x))
    if not self.widths:
      return Dense(h * w * c, name='pixels')(x).reshape(-1, h, w, c)
    times = 2 ** len(self.widths)
    first = (h // times, w // times, self.widths[0])
    x = Dense(math.prod(first), dtype=self.style.dtype, kernel_init=he_fan_in, name='map')(x)
    x = act(x).reshape(-1, *first)
    for i, width in enumerate((*self.widths[1:], self.widths[-1]), 1):
      x = point(f'up{i}', act(self._doubled(x, width, f'up{i}')))
    return Conv(c, (3, 3), kernel_init=lecun_normal, name='pixels')(x.astype(jnp.float32))

  def _doubled(self, x, width, name):
    """(b h w c) -> (b 2h 2w width)."""
    if self.enlarge == 'transposed':
      return ConvTranspose(width, 2, kernel_size=4, use_bias=True, dtype=self.style.dtype,
                           kernel_init=he_transposed(2), name=name)(x)
    return Conv(width, (3, 3), dtype=self.style.dtype, kernel_init=he_fan_in,
                name=name)(nearest(x, 2))
