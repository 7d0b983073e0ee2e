"""Residual networks for small images and for ImageNet (https://arxiv.org/abs/1512.03385)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.models.layers import BatchNorm, Conv, Head, activation, global_mean
from visionlab.ops.pool import max_pool

CIFAR_DEPTHS = (20, 32, 44, 56, 110)
SHORTCUTS = ('A', 'B', 'none')
STRIDES_IN = ('1x1', '3x3')
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
    block: makes a Block of a width and a stride.
    blocks: how many.
    width: channels of the 3x3 convolutions; a bottleneck puts out four times as many.
    stride: of the first block.
  """

  block: Callable
  blocks: int
  width: int
  stride: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(b h w c) -> (b h/stride w/stride c')."""
    for i in range(self.blocks):
      x = self.block(self.width, self.stride if i == 0 else 1, name=f'block{i}')(x)
    return x


class Block(nn.Module):
  """act(shortcut(x) + convolutions(x)).

  Attributes:
    width: channels of the 3x3 convolutions; a bottleneck puts out four times as many.
    stride: of the block.
    conv, norm, act: what makes the layers, and the activation.
    bottleneck: 1x1, 3x3, 1x1 convolutions instead of two 3x3.
    shortcut: where shapes change, 'A' subsamples and pads channels with zeros, 'B' is a 1x1
      convolution; with 'none' there is no shortcut in any block.
    stride_in: the convolution of a bottleneck that strides, '1x1' or '3x3'.
  """

  width: int
  stride: int
  conv: Callable
  norm: Callable
  act: Callable
  bottleneck: bool = False
  shortcut: str = 'B'
  stride_in: str = '3x3'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(b h w c) -> (b h/stride w/stride c')."""
    three = partial(self.conv, self.width, (3, 3), padding=1)
    out = self.width * 4 if self.bottleneck else self.width
    if self.bottleneck:
      first, second = (self.stride, 1) if self.stride_in == '1x1' else (1, self.stride)
      y = self.conv(self.width, (1, 1), strides=first, name='conv1')(x)
      y = self.act(self.norm(name='norm1')(y))
      y = self.act(self.norm(name='norm2')(three(strides=second, name='conv2')(y)))
      y = self.conv(out, (1, 1), name='conv3')(y)
    else:
      y = self.act(self.norm(name='norm1')(three(strides=self.stride, name='conv1')(x)))
      y = three(name='conv2')(y)
    last = 'norm3' if self.bottleneck else 'norm2'
    if self.shortcut == 'none':
      return self.act(self.norm(name=last)(y))
    # Each block starts as the identity (https://arxiv.org/abs/1706.02677, section 5.1).
    y = self.norm(scale_init=nn.initializers.zeros, name=last)(y)
    if x.shape != y.shape and self.shortcut == 'A':
      x = pad_shortcut(x, self.stride, out)
    elif x.shape != y.shape:
      x = self.conv(out, (1, 1), strides=self.stride, name='shortcut')(x)
      x = self.norm(name='shortcut_norm')(x)
    return self.act(x + y)


class CifarResNet(nn.Module):
  """The paper's networks for CIFAR-10 (section 4.2): 6 n + 2 layers, 16, 32 and 64 channels.

  With 10 classes and shortcut 'A', as in the paper, depths 20, 32, 44, 56 and 110 have 269,722,
  464,154, 658,586, 853,018 and 1,727,962 parameters; without shortcuts, as many.

  Attributes:
    classes: number of classes k.
    depth: 20, 32, 44, 56 or 110.
    shortcut: where shapes change, 'A' subsamples and pads channels with zeros, 'B' is a strided
      1x1 convolution; 'none' makes the paper's plain networks, without any shortcut.
    act: the activation, a function or a name in `jax.nn`.
    epsilon: added to BatchNorm's variances.
    frozen_norm: BatchNorm uses and keeps its saved statistics in training too.
    dtype: dtype of the computation; parameters and logits are float32.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.

  Raises:
    ConfigError: for another depth or shortcut, or an unknown activation.
  """

  classes: int
  depth: int = 20
  shortcut: str = 'A'
  act: Callable | str = 'relu'
  epsilon: float = 1e-5
  frozen_norm: bool = False
  dtype: Any = jnp.float32
  axis_name: str | None = None

  strides = dict(stem=1, stage1=1, stage2=2, stage3=4)

  def __post_init__(self):
    check_choice(self.depth, CIFAR_DEPTHS, 'model.depth of cifar_resnet')
    check_choice(self.shortcut, SHORTCUTS, 'model.shortcut of cifar_resnet')
    activation(self.act)
    super().__post_init__()

  def setup(self):
    self.head = Head(self.classes)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> the maps of the first layer and of each stage."""
    layers = _layers(self, train)
    x = layers['conv'](16, (3, 3), padding=1, name='stem')(x)
    x = layers['act'](layers['norm'](name='stem_norm')(x))
    maps = {'stem': x}
    block = partial(Block, shortcut=self.shortcut, **layers)
    for i, width in enumerate((16, 32, 64)):
      name = f'stage{i + 1}'
      x = maps[name] = Stage(block, (self.depth - 2) // 6, width, 2 if i else 1, name=name)(x)
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k)."""
    return self.head(global_mean(self.features(x, train=train)['stage3']))


class ResNet(nn.Module):
  """The paper's networks for ImageNet (table 1), with option B shortcuts.

  With 1000 classes depths 18, 34, 50, 101 and 152 have 11,689,512, 21,797,672, 25,557,032,
  44,549,160 and 60,192,808 parameters.

  Attributes:
    classes: number of classes k.
    depth: 18, 34, 50, 101 or 152.
    stride_in: the convolution of a bottleneck that strides: '3x3' as in torchvision ("v1.5"),
      or the first '1x1' as in the paper and Keras.
    act: the activation, a function or a name in `jax.nn`.
    epsilon: added to BatchNorm's variances.
    frozen_norm: BatchNorm uses and keeps its saved statistics in training too.
    dtype: dtype of the computation; parameters and logits are float32.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.

  Raises:
    ConfigError: for another depth or stride_in, or an unknown activation.
  """

  classes: int
  depth: int = 50
  stride_in: str = '3x3'
  act: Callable | str = 'relu'
  epsilon: float = 1e-5
  frozen_norm: bool = False
  dtype: Any = jnp.float32
  axis_name: str | None = None

  strides = dict(stem=2, stage1=4, stage2=8, stage3=16, stage4=32)

  def __post_init__(self):
    check_choice(self.depth, STAGES, 'model.depth of resnet')
    check_choice(self.stride_in, STRIDES_IN, 'model.stride_in of resnet')
    activation(self.act)
    super().__post_init__()

  def setup(self):
    self.head = Head(self.classes)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> the maps of the first layer and of each stage."""
    layers = _layers(self, train)
    x = layers['conv'](64, (7, 7), strides=2, padding=3, name='stem')(x)
    x = layers['act'](layers['norm'](name='stem_norm')(x))
    maps = {'stem': x}
    x = max_pool(x, 3, 2, padding=1)
    stages, bottleneck = STAGES[self.depth]
    block = partial(Block, bottleneck=bottleneck, stride_in=self.stride_in, **layers)
    for i, blocks in enumerate(stages):
      name = f'stage{i + 1}'
      x = maps[name] = Stage(block, blocks, 64 * 2 ** i, 2 if i else 1, name=name)(x)
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k)."""
    return self.head(global_mean(self.features(x, train=train)['stage4']))


def pad_shortcut(x: jax.Array, stride: int, channels: int) -> jax.Array:
  """Option A: every stride-th pixel, zero channels added on both sides.

  >>> pad_shortcut(jnp.ones((1, 4, 4, 2)), 2, 4)[0, 0, 0].tolist()
  [0.0, 1.0, 1.0, 0.0]
  """
  x = x[:, ::stride, ::stride]
  missing = channels - x.shape[-1]
  return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)))


def _layers(model, train):
  """What makes a network's convolutions and norms, and its activation."""
  norm = partial(BatchNorm, use_running_average=not train or model.frozen_norm,
                 epsilon=model.epsilon, dtype=model.dtype, axis_name=model.axis_name)
  return dict(conv=partial(Conv, use_bias=False, dtype=model.dtype), norm=norm,
              act=activation(model.act))
