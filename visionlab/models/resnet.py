"""Residual networks for small images and for ImageNet (https://arxiv.org/abs/1512.03385)."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.models.layers import BatchNorm, Conv, Head, global_mean, max_pool

CIFAR_DEPTHS = (20, 32, 44, 56, 110)
SHORTCUTS = ('A', 'B')
STAGES = {  # depth: (blocks of each stage, whether they are bottlenecks)
  18: ((2, 2, 2, 2), False),
  34: ((3, 4, 6, 3), False),
  50: ((3, 4, 6, 3), True),
  101: ((3, 4, 23, 3), True),
  152: ((3, 8, 36, 3), True),
}


class Stage(nn.Module):
  """Residual blocks of equal width, the first of which takes the stride.

  Attributes:
    blocks: how many.
    width: channels of the 3x3 convolutions; a bottleneck puts out four times as many.
    stride: of the first block.
    bottleneck: 1x1, 3x3, 1x1 convolutions instead of two 3x3.
    shortcut: where shapes change, 'A' subsamples and pads channels with zeros, 'B' is a 1x1
      convolution.
    dtype, axis_name: as in ResNet.
  """

  blocks: int
  width: int
  stride: int
  bottleneck: bool = False
  shortcut: str = 'B'
  dtype: Any = jnp.float32
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """(b h w c) -> (b h/stride w/stride c')."""
    for i in range(self.blocks):
      x = Block(self.width, self.stride if i == 0 else 1, self.bottleneck, self.shortcut,
                self.dtype, self.axis_name, name=f'block{i}')(x, train=train)
    return x


class Block(nn.Module):
  """relu(shortcut(x) + convolutions(x)); attributes as in Stage.

  A bottleneck strides in its 3x3 convolution, as in torchvision ("ResNet v1.5"), where the paper
  strides in the first 1x1.
  """

  width: int
  stride: int
  bottleneck: bool
  shortcut: str
  dtype: Any
  axis_name: str | None

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    conv, norm = _conv_and_norm(self.dtype, self.axis_name, train)
    three = partial(conv, self.width, (3, 3), padding=1)
    out = self.width * 4 if self.bottleneck else self.width
    if self.bottleneck:
      y = nn.relu(norm(name='norm1')(conv(self.width, (1, 1), name='conv1')(x)))
      y = nn.relu(norm(name='norm2')(three(strides=self.stride, name='conv2')(y)))
      y = conv(out, (1, 1), name='conv3')(y)
    else:
      y = nn.relu(norm(name='norm1')(three(strides=self.stride, name='conv1')(x)))
      y = three(name='conv2')(y)
    # Each block starts as the identity (https://arxiv.org/abs/1706.02677, section 5.1).
    last = 'norm3' if self.bottleneck else 'norm2'
    y = norm(scale_init=nn.initializers.zeros, name=last)(y)
    if x.shape != y.shape and self.shortcut == 'A':
      x = pad_shortcut(x, self.stride, out)
    elif x.shape != y.shape:
      x = conv(out, (1, 1), strides=self.stride, name='shortcut')(x)
      x = norm(name='shortcut_norm')(x)
    return nn.relu(x + y)


class CifarResNet(nn.Module):
  """The paper's networks for CIFAR-10 (section 4.2): 6 n + 2 layers, 16, 32 and 64 channels.

  With 10 classes and shortcut 'A', as in the paper, depths 20, 32, 44, 56 and 110 have 269,722,
  464,154, 658,586, 853,018 and 1,727,962 parameters.

  Attributes:
    classes: number of classes k.
    depth: 20, 32, 44, 56 or 110.
    shortcut: 'A' subsamples and pads channels with zeros, 'B' is a strided 1x1 convolution.
    dtype: dtype of the computation; parameters and logits are float32.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.

  Raises:
    ConfigError: for another depth or shortcut.
  """

  classes: int
  depth: int = 20
  shortcut: str = 'A'
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    _check('cifar_resnet', 'depth', self.depth, CIFAR_DEPTHS)
    _check('cifar_resnet', 'shortcut', self.shortcut, SHORTCUTS)
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k)."""
    conv, norm = _conv_and_norm(self.dtype, self.axis_name, train)
    x = nn.relu(norm(name='stem_norm')(conv(16, (3, 3), padding=1, name='stem')(x)))
    for i, width in enumerate((16, 32, 64)):
      x = Stage((self.depth - 2) // 6, width, 2 if i else 1, False, self.shortcut, self.dtype,
                self.axis_name, name=f'stage{i + 1}')(x, train=train)
    return Head(self.classes)(global_mean(x))


class ResNet(nn.Module):
  """The paper's networks for ImageNet (table 1), with option B shortcuts.

  With 1000 classes depths 18, 34, 50, 101 and 152 have 11,689,512, 21,797,672, 25,557,032,
  44,549,160 and 60,192,808 parameters.

  Attributes:
    classes: number of classes k.
    depth: 18, 34, 50, 101 or 152.
    dtype: dtype of the computation; parameters and logits are float32.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.

  Raises:
    ConfigError: for another depth.
  """

  classes: int
  depth: int = 50
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    _check('resnet', 'depth', self.depth, STAGES)
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k)."""
    conv, norm = _conv_and_norm(self.dtype, self.axis_name, train)
    x = nn.relu(norm(name='stem_norm')(conv(64, (7, 7), strides=2, padding=3, name='stem')(x)))
    x = max_pool(x, 3, 2, padding=1)
    stages, bottleneck = STAGES[self.depth]
    for i, blocks in enumerate(stages):
      x = Stage(blocks, 64 * 2 ** i, 2 if i else 1, bottleneck, 'B', self.dtype,
                self.axis_name, name=f'stage{i + 1}')(x, train=train)
    return Head(self.classes)(global_mean(x))


def pad_shortcut(x: jax.Array, stride: int, channels: int) -> jax.Array:
  """Option A: every stride-th pixel, zero channels added on both sides.

  >>> pad_shortcut(jnp.ones((1, 4, 4, 2)), 2, 4)[0, 0, 0].tolist()
  [0.0, 1.0, 1.0, 0.0]
  """
  x = x[:, ::stride, ::stride]
  missing = channels - x.shape[-1]
  return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)))


def _conv_and_norm(dtype, axis_name, train):
  conv = partial(Conv, use_bias=False, dtype=dtype)
  norm = partial(BatchNorm, use_running_average=not train, dtype=dtype, axis_name=axis_name)
  return conv, norm


def _check(model, field, value, known):
  if value not in known:
    choices = ', '.join(map(str, known))
    raise ConfigError(f'model.{field}: {model} has no {field} {value!r}; there are {choices}')
