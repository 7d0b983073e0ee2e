"""Residual networks for small images and for ImageNet (https://arxiv.org/abs/1512.03385)."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice
from visionlab.models.layers import Head, global_mean, point
from visionlab.models.network import NormNetwork, Style
from visionlab.ops.pool import max_pool
from visionlab.options.kinds import Count

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
    width, stride: as in `Block`; the stride is the first's.
  """

  block: Callable
  blocks: int
  width: int
  stride: int

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(b h w c) -> (b h/stride w/stride c')."""
    for i in range(self.blocks):
      x = self.block(self.width, self.stride if i == 0 else 1, name=f'block{i}')(x, train)
    return x


class Block(nn.Module):
  """act(shortcut(x) + convolutions(x)).

  Attributes:
    width: channels of the 3x3 convolutions; a bottleneck puts out four times as many.
    stride: of the block.
    style: of the layers.
    bottleneck: 1x1, 3x3, 1x1 convolutions instead of two 3x3.
    groups, base_width: of bottlenecks, as in `ResNet`.
    shortcut, stride_in: as in `CifarResNet` and `ResNet`; with 'none' no block has a shortcut.
  """

  width: int
  stride: int
  style: Style
  bottleneck: bool = False
  groups: Count = 1
  base_width: Count = 64
  shortcut: str = 'B'
  stride_in: str = '3x3'

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(b h w c) -> (b h/stride w/stride c')."""
    conv, act = partial(self.style.conv, train=train), self.style.act
    # With a shortcut, a block starts as the identity (https://arxiv.org/abs/1706.02677, 5.1).
    start = nn.initializers.ones if self.shortcut == 'none' else nn.initializers.zeros
    if self.bottleneck:
      first, second = (self.stride, 1) if self.stride_in == '1x1' else (1, self.stride)
      inner = self.width * self.base_width // 64 * self.groups
      y = act(conv(x, inner, 1, 'conv1', 'norm1', strides=first))
      y = act(conv(y, inner, 3, 'conv2', 'norm2', strides=second,
                   feature_group_count=self.groups))
      y = conv(y, self.width * 4, 1, 'conv3', 'norm3', scale_init=start)
    else:
      y = act(conv(x, self.width, 3, 'conv1', 'norm1', strides=self.stride))
      y = conv(y, self.width, 3, 'conv2', 'norm2', scale_init=start)
    if self.shortcut == 'none':
      return act(y)
    if x.shape != y.shape and self.shortcut == 'A':
      x = pad_shortcut(x, self.stride, y.shape[-1])
    elif x.shape != y.shape:
      x = conv(x, y.shape[-1], 1, 'shortcut', 'shortcut_norm', strides=self.stride)
    return act(x + y)


class CifarResNet(NormNetwork):
  """The paper's networks for CIFAR-10 (section 4.2): 6 n + 2 layers, 16, 32 and 64 channels.

  With 10 classes and shortcut 'A', as in the paper, depths 20, 32, 44, 56 and 110 have 269,722,
  464,154, 658,586, 853,018 and 1,727,962 parameters; without shortcuts, as many.

  Attributes, beside `NormNetwork`'s:
    classes: number of classes k.
    depth: 20, 32, 44, 56 or 110.
    shortcut: where shapes change, 'A' subsamples and pads channels with zeros, 'B' is a strided
      1x1 convolution; 'none' makes the paper's plain networks, without any shortcut.

  Raises:
    ConfigError: another depth or shortcut, or an unknown activation.
  """

  classes: int
  depth: Count = 20
  shortcut: str = 'A'

  strides = dict(stem=1, stage1=1, stage2=2, stage3=4)

  def __post_init__(self):
    check_choice(self.depth, CIFAR_DEPTHS, 'model.depth of cifar_resnet')
    check_choice(self.shortcut, SHORTCUTS, 'model.shortcut of cifar_resnet')
    super().__post_init__()

  def setup(self):
    self.head = Head(self.classes)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> the maps of the first layer and of each stage."""
    style = self.style(norm=True)
    stem = point('stem', style.act(style.conv(x, 16, 3, 'stem', 'stem_norm', train)))
    block = partial(Block, style=style, shortcut=self.shortcut)
    return dict(stem=stem, **_stages(block, 16, ((self.depth - 2) // 6,) * 3, stem, train))

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k)."""
    return self.head(global_mean(self.features(x, train=train)['stage3']))


class ResNet(NormNetwork):
  """The paper's networks for ImageNet (table 1), with option B shortcuts; and wider ones.

  With 1000 classes depths 18, 34, 50, 101 and 152 have 11,689,512, 21,797,672, 25,557,032,
  44,549,160 and 60,192,808 parameters. ResNeXt-50 32x4d (https://arxiv.org/abs/1611.05431) is
  depth 50 with groups=32, base_width=4: 25,028,904. Wide ResNet-50-2
  (https://arxiv.org/abs/1605.07146) is depth 50 with base_width=128: 68,883,240.

  Attributes, beside `NormNetwork`'s:
    classes: number of classes k; with 0 there is no head, and images become the mean of its map.
    depth: 18, 34, 50, 101 or 152.
    head_on: the map whose mean the head is given. Earlier ones are less of ImageNet's classes.
    stride_in: the convolution of a bottleneck that strides: '3x3' as in torchvision ("v1.5"),
      or the first '1x1' as in the paper and Keras.
    groups: into which the 3x3 convolutions of bottlenecks fall.
    base_width: channels of each group in the first stage.

  Raises:
    ConfigError: another depth, stride_in or head_on, groups or widths for blocks that are no
      bottlenecks, or an unknown activation.
  """

  classes: int
  depth: Count = 50
  stride_in: str = '3x3'
  groups: Count = 1
  base_width: Count = 64
  head_on: str = 'stage4'

  strides = dict(stem=2, stage1=4, stage2=8, stage3=16, stage4=32)

  def __post_init__(self):
    check_choice(self.depth, STAGES, 'model.depth of resnet')
    check_choice(self.stride_in, STRIDES_IN, 'model.stride_in of resnet')
    check_choice(self.head_on, tuple(self.strides), 'model.head_on of resnet')
    if min(self.groups, self.base_width) < 1:
      raise ConfigError('model of resnet: groups and base_width must be at least 1, not '
                        f'{self.groups} and {self.base_width}')
    if (self.groups, self.base_width) != (1, 64) and not STAGES[self.depth][1]:
      raise ConfigError(f'model of resnet: groups and base_width are for bottlenecks (depth 50 and '
                        f'more), not for depth {self.depth}')
    super().__post_init__()

  def setup(self):
    self.head = Head(self.classes)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> the maps of the first layer and of each stage."""
    style, (counts, bottleneck) = self.style(norm=True), STAGES[self.depth]
    stem = point('stem', style.act(style.conv(x, 64, 7, 'stem', 'stem_norm', train, strides=2)))
    block = partial(Block, style=style, bottleneck=bottleneck, stride_in=self.stride_in,
                    groups=self.groups, base_width=self.base_width)
    x = max_pool(stem, 3, 2, padding=1)
    return dict(stem=stem, **_stages(block, 64, counts, x, train))

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k), or without classes a map's means (b c)."""
    means = global_mean(self.features(x, train=train)[self.head_on])
    return self.head(means) if self.classes else means


def _stages(block, width, counts, x, train):
  """The maps of stages of so many blocks, each half as large as the last and twice as wide."""
  maps = {}
  for i, blocks in enumerate(counts):
    name = f'stage{i + 1}'
    x = maps[name] = Stage(block, blocks, width * 2 ** i, 2 if i else 1, name=name)(x, train)
  return maps


def pad_shortcut(x: jax.Array, stride: int, channels: int) -> jax.Array:
  """Option A: every stride-th pixel, zero channels added on both sides.

  >>> pad_shortcut(jnp.ones((1, 4, 4, 2)), 2, 4)[0, 0, 0].tolist()
  [0.0, 1.0, 1.0, 0.0]
  """
  x = x[:, ::stride, ::stride]
  missing = channels - x.shape[-1]
  return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)))
