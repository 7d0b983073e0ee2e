"""Two networks that play against each other: a generator of images, and a critic of them."""

import math
from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.models.layers import Conv, Dense, he_fan_in, lecun_normal, point
from visionlab.models.network import NormNetwork, Style
from visionlab.ops.upsample import nearest
from visionlab.options.kinds import Amount, Count, Natural


class GAN(NormNetwork):
  """A generator and a critic, which are each other's mirror image.

  The generator doubles a small map until it is an image: nearest neighbours and a 3 x 3 convolution
  each time, which leaves no checkerboards. The critic halves the image by 4 x 4 convolutions. The
  names of their parameters begin with 'generator' and 'critic', which is what optim.turns and
  optim.groups tell them by.

  Attributes, beside `NormNetwork`'s:
    shape: (h, w, c) of the images; the task gives it.
    latent: numbers d that an image is made of.
    classes: k, where images of a class are asked for; 0: none. The task gives it.
    widths: channels of the critic's maps, from the largest on; the generator has the same in
      reverse.
    norm: BatchNorm after the generator's and the critic's inner convolutions, as in DCGAN (Radford
      et al. 2015, https://arxiv.org/abs/1511.06434).
    leak: slope of the critic's activation below 0, and of the generator's where it has no norm.

  Raises:
    ConfigError: images that do not halve so often.
  """

  shape: tuple[int, int, int]
  latent: Count = 16
  classes: Natural = 0
  widths: tuple[Count, ...] = (32, 64)
  norm: bool = False
  leak: Amount = .2

  def __post_init__(self):
    times = 2 ** len(self.widths)
    if not self.widths or any(n % times for n in self.shape[:2]):
      raise ConfigError(f'model.widths of gan: {len(self.widths)} maps, each half the last, and '
                        f'images of {self.shape[0]} x {self.shape[1]} pixels; expected a multiple '
                        f'of {times}')
    super().__post_init__()

  def setup(self):
    def leaky(x):
      return nn.leaky_relu(x, self.leak)
    style = self.style(self.norm)
    self.generator = Generator(self.shape, self.widths[::-1], self.classes,
                               style if self.norm else replace(style, act=leaky))
    self.critic = Critic(self.widths, self.classes, replace(style, act=leaky))

  @property
  def codes(self) -> int:
    """Numbers that an image is made of, as an autoencoder calls them."""
    return self.latent

  def generate(self, latent: jax.Array, label: jax.Array | None = None, *,
               train: bool = False) -> jax.Array:
    """Numbers (b d), and of which class (b,), -> images (b h w c) in [0, 1]."""
    return self.generator(latent, label, train)

  def judge(self, x: jax.Array, label: jax.Array | None = None, *,
            train: bool = False) -> jax.Array:
    """Images (b h w c) in [0, 1] -> (b,), the higher the more they seem real."""
    return self.critic(x, label, train)

  def __call__(self, latent: jax.Array, label: jax.Array | None = None, *,
               train: bool = False) -> jax.Array:
    """What the critic says of what the generator makes."""
    return self.judge(self.generate(latent, label, train=train), label, train=train)


class Generator(nn.Module):
  """Attributes as in `GAN`, widths from the smallest map on."""

  shape: tuple[int, int, int]
  widths: tuple[int, ...]
  classes: int
  style: Style

  @nn.compact
  def __call__(self, latent: jax.Array, label: jax.Array | None, train: bool) -> jax.Array:
    """(b d) -> (b h w c) in [0, 1]."""
    (h, w, c), times, act = self.shape, 2 ** len(self.widths), self.style.act
    if self.classes:
      latent = jnp.concatenate([latent, jax.nn.one_hot(label, self.classes)], -1)
    first = (h // times, w // times, self.widths[0])
    x = Dense(math.prod(first), dtype=self.style.dtype, kernel_init=he_fan_in, name='map')(latent)
    x = act(self.style.normed(x.reshape(-1, *first), 'map_norm', train))
    for i, width in enumerate((*self.widths[1:], self.widths[-1]), 1):
      x = self.style.conv(nearest(x, 2), width, 3, f'up{i}', f'norm{i}', train, use_bias=True,
                          kernel_init=he_fan_in)
      x = point(f'up{i}', act(x))
    x = Conv(c, (3, 3), kernel_init=lecun_normal, name='pixels')(x.astype(jnp.float32))
    return nn.sigmoid(x)


class Critic(nn.Module):
  """Attributes as in `GAN`."""

  widths: tuple[int, ...]
  classes: int
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, label: jax.Array | None, train: bool) -> jax.Array:
    """(b h w c) in [0, 1] -> (b,)."""
    x, act = 2 * x - 1, self.style.act
    x = act(Conv(self.widths[0], (3, 3), dtype=self.style.dtype, kernel_init=he_fan_in,
                 name='pixels')(x))
    for i, width in enumerate((*self.widths[1:], self.widths[-1]), 1):
      x = self.style.conv(x, width, 4, f'down{i}', f'norm{i}', train, strides=2, padding=1,
                          use_bias=True, kernel_init=he_fan_in)
      x = point(f'down{i}', act(x))
    x = x.reshape(x.shape[0], -1).astype(jnp.float32)
    said = Dense(1, kernel_init=lecun_normal, name='head')(x)[:, 0]
    if not self.classes:
      return said
    # The projection of Miyato and Koyama 2018 (https://arxiv.org/abs/1802.05637, equation 3).
    table = self.param('classes', nn.initializers.normal(x.shape[-1] ** -.5),
                       (self.classes, x.shape[-1]))
    return said + (jax.nn.one_hot(label, self.classes) @ table * x).sum(-1)
