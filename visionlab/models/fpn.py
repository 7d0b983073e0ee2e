"""Feature pyramid networks (https://arxiv.org/abs/1612.03144), and a convolution with its norm."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import BatchNorm, Conv, activation, lecun_normal, max_pool
from visionlab.ops.upsample import nearest


@dataclasses.dataclass(frozen=True)
class Style:
  """What the layers of a detector have in common.

  Attributes:
    act: the activation, a function or a name in `jax.nn`.
    norm: BatchNorm after each convolution, in place of its biases.
    epsilon: added to BatchNorm's variances.
    frozen_norm: BatchNorm uses and keeps its saved statistics in training too.
    dtype: of the computation.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.
  """

  act: Callable | str = 'relu'
  norm: bool = False
  epsilon: float = 1e-5
  frozen_norm: bool = False
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def conv(self, x: jax.Array, features: int, size: int, name: str, norm: str, train: bool, *,
           kernel_init: Callable) -> jax.Array:
    """A size x size convolution of (b h w c), and its norm: layers of the module that calls."""
    x = Conv(features, (size, size), padding=size // 2, use_bias=not self.norm, dtype=self.dtype,
             kernel_init=kernel_init, name=name)(x)
    if not self.norm:
      return x
    return BatchNorm(use_running_average=not train or self.frozen_norm, epsilon=self.epsilon,
                     dtype=self.dtype, axis_name=self.axis_name, name=norm)(x)

  def convs(self, x: jax.Array, widths: Sequence[int], train: bool, *,
            kernel_init: Callable) -> jax.Array:
    """3 x 3 convolutions conv1, conv2, ... of these widths, each with its norm and activation."""
    for i, width in enumerate(widths, 1):
      x = self.conv(x, width, 3, f'conv{i}', f'norm{i}', train, kernel_init=kernel_init)
      x = activation(self.act)(x)
    return x


class FPN(nn.Module):
  """Maps of one width: each a projection of the backbone's, plus the coarser one enlarged.

  The finer map of two must be exactly twice the coarser (section 3). No activation follows any
  convolution.

  Attributes:
    features: channels of every map.
    extra: levels on top, each every other pixel of the one below (the paper's P6, section 4.1).
    style: of the layers.
  """

  features: int
  extra: int = 0
  style: Style = Style()

  @nn.compact
  def __call__(self, maps: Sequence[jax.Array], *, train: bool = False) -> list[jax.Array]:
    """(b h w c) of each level, finest first -> (b h w features) of each, the extra ones last."""
    def conv(x, size, name):
      return self.style.conv(x, self.features, size, name, f'{name}_norm', train,
                             kernel_init=lecun_normal)

    above, pyramid = None, []
    for i, x in reversed(list(enumerate(maps))):
      x = conv(x, 1, f'lateral{i}')
      above = x if above is None else x + nearest(above, 2)
      pyramid.insert(0, conv(above, 3, f'output{i}'))
    for _ in range(self.extra):
      pyramid.append(max_pool(pyramid[-1], 1, 2))
    return pyramid
