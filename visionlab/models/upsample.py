"""Learnt upsampling layers."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.models.layers import noise
from visionlab.ops.upsample import bilinear_kernel, conv_transpose, kernel_size


def bilinear_init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Bilinear interpolation of each channel by itself, for (k k c c) kernels (`bilinear_kernel`).

  Raises:
    ConfigError: the shape is no bilinear kernel's.
  """
  k, _, i, o = shape
  factor = (k + 1) // 2
  if k != shape[1] or i != o:
    raise ConfigError(f'bilinear_init: a kernel of {k}x{shape[1]} from {i} to {o} channels; '
                      'expected a square one that keeps the channels')
  return jnp.asarray(bilinear_kernel(factor, i), dtype)


def he_transposed(factor: int) -> Callable:
  """Initialisation that keeps the variance through a transposed convolution and ReLU.

  Of the k^2 taps, k^2 / factor^2 meet in one pixel: standard deviation sqrt(2 factor^2 / (k^2 i))
  (https://arxiv.org/abs/1502.01852, equation 10).
  """
  def init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    return noise(key, shape, dtype) * (factor * math.sqrt(2 / math.prod(shape[:-1])))
  return init


class ConvTranspose(nn.Module):
  """Transposed convolution to exactly `factor` times the size, (b h w i) -> (b f*h f*w features).

  It starts as bilinear interpolation and may learn better (FCN, https://arxiv.org/abs/1411.4038,
  section 3.3). U-Net's up-convolution is `kernel_size=factor, kernel_init=he_transposed(factor)`.
  See `visionlab.ops.upsample.conv_transpose` for which taps go where.

  Attributes:
    features: output channels.
    factor: of enlargement.
    kernel_size: the side of the kernel; 0 for FCN's, 2 * factor - factor % 2.
    use_bias: add a bias.
    kernel_init: for (k k i features) kernels; `bilinear_init` needs i = features and FCN's size.
    frozen: stay at bilinear interpolation, with no parameters at all, so that no optimiser or
      weight decay can move it; FCN's last layer is.
    dtype: of the computation; None is the promotion of input and parameters.

  >>> layer = ConvTranspose(3, factor=2)
  >>> layer.init_with_output(jax.random.key(0), jnp.ones((1, 4, 4, 3)))[0].shape
  (1, 8, 8, 3)
  """
  features: int
  factor: int
  kernel_size: int = 0
  use_bias: bool = False
  kernel_init: Callable = bilinear_init
  frozen: bool = False
  dtype: Any = None

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    size = self.kernel_size or kernel_size(self.factor)
    channels = x.shape[-1]
    if self.frozen or self.kernel_init is bilinear_init:
      self._check_bilinear(size, channels)
    if self.frozen:
      x, kernel = nn.dtypes.promote_dtype(x, bilinear_kernel(self.factor), dtype=self.dtype)
      # Channels as examples: the gradient of a convolution in as many groups is slow on CPU.
      y = conv_transpose(jnp.moveaxis(x, -1, 1)[..., None], kernel, self.factor)
      return jnp.moveaxis(y[..., 0], 1, -1)
    kernel = self.param('kernel', self.kernel_init, (size, size, channels, self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,)) if self.use_bias else None
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
    y = conv_transpose(x, kernel, self.factor)
    return y if bias is None else y + bias

  def _check_bilinear(self, size: int, channels: int):
    if (size, channels) != (kernel_size(self.factor), self.features) or (
        self.frozen and self.use_bias):
      raise ConfigError(
          f'ConvTranspose {self.name or ""}: bilinear interpolation by {self.factor} has a kernel '
          f'of {kernel_size(self.factor)}, as many features as channels ({channels}) and, frozen, '
          f'no bias; got a kernel of {size}, {self.features} features, use_bias={self.use_bias}')
