"""What networks have in common: the options of their layers, and how these reach their blocks."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.models.batch_norm import BatchNorm
from visionlab.models.layers import Conv, activation, point
from visionlab.options.kinds import Amount


@dataclasses.dataclass(frozen=True)
class Style:
  """The options of a `Network` or a `NormNetwork`, as the one argument that its blocks take.

  Attributes are theirs, `act` always a function, and
    norm: BatchNorm after each convolution, in place of its biases.
  """

  act: Callable = nn.relu
  dtype: Any = jnp.float32
  norm: bool = False
  epsilon: float = 1e-5
  frozen_norm: bool = False
  axis_name: str | None = None

  def conv(self, x: jax.Array, features: int, size: int, name: str, norm: str, train: bool, *,
           scale_init: Callable = nn.initializers.ones, **options) -> jax.Array:
    """A size x size convolution of (b h w c), and its norm: layers of the module that calls.

    Args:
      name, norm: what the convolution and the norm are called.
      scale_init: of the norm.
      options: of `Conv`, where it should not keep the size or start as it does by itself.
    """
    options = dict(padding=size // 2, use_bias=not self.norm) | options
    x = Conv(features, (size, size), dtype=self.dtype, name=name, **options)(x)
    return self.normed(x, norm, train, scale_init=scale_init)

  def normed(self, x: jax.Array, name: str, train: bool, **options) -> jax.Array:
    """x after BatchNorm, where there is any: a layer of the module that calls. options: of it."""
    if not self.norm:
      return x
    return BatchNorm(use_running_average=not train or self.frozen_norm, epsilon=self.epsilon,
                     dtype=self.dtype, axis_name=self.axis_name, name=name, **options)(x)

  def convs(self, x: jax.Array, widths: Sequence[int], train: bool, **options) -> jax.Array:
    """3 x 3 convolutions conv1, conv2, ... of these widths, each with its norm and activation."""
    for i, width in enumerate(widths, 1):
      x = self.act(self.conv(x, width, 3, f'conv{i}', f'norm{i}', train, **options))
      x = point(f'conv{i}', x)
    return x


class Network(nn.Module, kw_only=True):
  """The parent of networks without BatchNorm.

  Attributes, which are given by name:
    act: the activation, a function or a name in `jax.nn`.
    dtype: of the computation; parameters, and what a network says, are float32.

  Raises:
    ConfigError: an unknown activation.
  """

  act: Callable | str = 'relu'
  dtype: Any = jnp.float32

  def __post_init__(self):
    activation(self.act)
    super().__post_init__()

  def style(self) -> Style:
    """Of its blocks."""
    return Style(activation(self.act), self.dtype)


class NormNetwork(nn.Module, kw_only=True):
  """The parent of networks with BatchNorm.

  Attributes, which are given by name:
    act, dtype: as in `Network`.
    epsilon: added to BatchNorm's variances.
    frozen_norm: BatchNorm uses and keeps its saved statistics in training too.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.

  Raises:
    ConfigError: an unknown activation.
  """

  act: Callable | str = 'relu'
  dtype: Any = jnp.float32
  epsilon: Amount = 1e-5
  frozen_norm: bool = False
  axis_name: str | None = None

  def __post_init__(self):
    activation(self.act)
    super().__post_init__()

  def style(self, norm: bool) -> Style:
    """Of its blocks. norm: whether they have BatchNorm after their convolutions."""
    return Style(activation(self.act), self.dtype, norm, self.epsilon, self.frozen_norm,
                 self.axis_name)


def check_backbone(backbone: Any, model: str, example: str) -> None:
  """Raises `ConfigError` unless a backbone has `features`. model, example: for the reader."""
  if not hasattr(backbone, 'features'):
    raise ConfigError(f'model.backbone: {model} needs a network with features, such as '
                      f'{example}, not {backbone!r}')
