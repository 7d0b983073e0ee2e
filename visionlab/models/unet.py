"""U-Net (https://arxiv.org/abs/1505.04597)."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice
from visionlab.models.fcn import fitted
from visionlab.models.layers import Conv, Head, he_fan_in
from visionlab.models.network import NormNetwork, Style, check_backbone
from visionlab.models.upsample import ConvTranspose, he_transposed
from visionlab.ops.crop import filled_up
from visionlab.ops.pool import max_pool
from visionlab.ops.upsample import bilinear
from visionlab.options.kinds import Count, Share


class UNet(NormNetwork):
  """A contracting and an expanding path, joined at each of their levels.

  With padding 'valid', 1 input channel and 2 classes it is the paper's network of 23 convolutional
  layers: 31,030,658 parameters, 572 x 572 pixels in and 388 x 388 out. With 3 channels and 21
  classes it has 31,033,045, and 31,038,933 with BatchNorm, whose convolutions have no bias.

  Attributes, beside `NormNetwork`'s:
    classes: number of classes k.
    width: channels of the first level; each level has twice those of the one above.
    depth: how many times the image is halved.
    padding: 'valid', as in the paper: logits are `margin(depth)` pixels smaller on each side, and
      sizes must halve evenly at every level; or 'same': logits of the image's size, whatever it is
      (up to a multiple of 2 ** depth it is filled with zeros at the bottom and the right).
    up: 'transposed', the paper's 2 x 2 up-convolution; 'bilinear', interpolation after a 1 x 1
      convolution (the two commute, and before there is a quarter of the pixels).
    norm: BatchNorm after each 3 x 3 convolution; the paper has none.
    dropout: at the end of the contracting path (section 3.1; rng stream 'dropout').
    backbone: a network with `features`, perhaps a pretrained one, in place of the contracting path:
      of each stride 1, 2, ... 2 ** depth its last map. Where it has none, as most have none of
      stride 1, nothing is joined; where sizes differ, as AlexNet's do, middles are joined. For
      padding 'same' alone.

  Raises:
    ConfigError: an unknown option, with padding 'valid' a size that does not halve evenly, or a
      backbone without `features` or without a map of stride 2 ** depth.

  >>> from visionlab.models.cnn import CNN
  >>> model = UNet(3, width=2, depth=2, backbone=CNN(1, widths=(4, 8, 8)))
  >>> model.init_with_output(jax.random.key(0), jnp.ones((1, 30, 21, 3)))[0].shape
  (1, 30, 21, 3)
  """

  classes: int
  width: Count = 64
  depth: Count = 4
  padding: str = 'same'
  up: str = 'transposed'
  norm: bool = False
  dropout: Share = 0.
  backbone: Any = None

  def __post_init__(self):
    check_choice(self.padding, ('same', 'valid'), 'model.padding')
    check_choice(self.up, ('transposed', 'bilinear'), 'model.up')
    if self.depth < 1:
      raise ConfigError(f'model.depth: unet halves the image at least once, not {self.depth} times')
    if self.backbone is not None:
      check_backbone(self.backbone, 'unet', 'dict(name="resnet", depth=50)')
      if self.padding == 'valid':
        raise ConfigError('model.padding of unet: "same" with a backbone, whose maps are not cut')
      if 2 ** self.depth not in self.backbone.strides.values():
        raise ConfigError(f'model.depth of unet: {self.depth} asks for a map of stride '
                          f'{2 ** self.depth}; the backbone has those of strides '
                          f'{", ".join(map(str, sorted({*self.backbone.strides.values()})))}')
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b h' w' k); h' = h and w' = w with padding 'same'."""
    _, height, width, _ = x.shape
    x = self._fitted(x)
    size = x.shape[1:3]
    block = partial(Block, padding=self.padding, style=self.style(self.norm))
    levels = [self.width * 2 ** i for i in range(self.depth + 1)]
    *skipped, x = (_contracted(x, levels, block, train) if self.backbone is None else
                   self._maps(x, train))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    for i in reversed(range(self.depth)):
      x = self._enlarged(x, levels[i], name=f'enlarge{i}')
      if skipped[i] is not None:
        x = jnp.concatenate([fitted(skipped[i], x.shape[1:3]), x], -1)
      x = block(levels[i], name=f'up{i}')(x, train=train)
    logits = Head(self.classes, kernel_init=he_fan_in)(x)     # as the paper's other layers
    # A backbone's maps may be smaller than the image divided by their stride.
    logits = fitted(logits, size) if self.padding == 'same' else logits
    return logits[:, :height, :width]

  def _maps(self, x, train):
    """The backbone's, of strides 1, 2, ... 2 ** depth; None where it has none."""
    maps = self.backbone.features(x, train=train)
    last = {stride: name for name, stride in self.backbone.strides.items()}
    return [maps[last[2 ** i]] if 2 ** i in last else None for i in range(self.depth + 1)]

  def _enlarged(self, x, features, name):
    """(b h w c) -> (b 2h 2w features)."""
    if self.up == 'transposed':
      return ConvTranspose(features, factor=2, kernel_size=2, use_bias=True, dtype=self.dtype,
                           kernel_init=he_transposed(2), name=name)(x)
    x = Conv(features, (1, 1), dtype=self.dtype, kernel_init=he_fan_in, name=name)(x)
    return bilinear(x, (2 * x.shape[1], 2 * x.shape[2]))

  def _fitted(self, x):
    """The image filled up, or found to be of a size that fits."""
    sides = x.shape[1:3]
    if self.padding == 'same':
      return filled_up(x, 2 ** self.depth)
    for n in sides:
      if not fits(n, self.depth):
        least = max(n, 2 * margin(self.depth)) - 2 ** self.depth
        near = [m for m in range(least, least + 2 ** (self.depth + 2)) if fits(m, self.depth)]
        raise ConfigError(f'unet: with padding "valid" and depth {self.depth} an image of '
                          f'{sides[0]}x{sides[1]} does not halve evenly; sides such as '
                          f'{", ".join(map(str, near[:2]))} do')
    return x


def _contracted(x, levels, block, train):
  """The paper's contracting path: a map for each level, each but the last halved for the next."""
  maps = []
  for i, features in enumerate(levels):
    maps.append(block(features, name=f'down{i}')(max_pool(x, 2, 2) if i else x, train=train))
    x = maps[-1]
  return maps


class Block(nn.Module):
  """Two 3 x 3 convolutions; attributes as in UNet, and the style of the layers."""

  features: int
  padding: str
  style: Style

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """(b h w c) -> (b h w features), or 4 pixels less each way with padding 'valid'."""
    return self.style.convs(x, (self.features,) * 2, train, padding=self.padding.upper(),
                            kernel_init=he_fan_in)


def margin(depth: int) -> int:
  """Pixels that padding 'valid' takes off each side of the image.

  >>> margin(4), 572 - 2 * margin(4)
  (92, 388)
  """
  return 6 * 2 ** depth - 4


def fits(side: int, depth: int) -> bool:
  """Whether a side of the image halves evenly at every level of a 'valid' network.

  >>> [n for n in range(570, 610) if fits(n, 4)]
  [572, 588, 604]
  """
  at = side
  for _ in range(depth):
    at -= 4
    if at % 2:
      return False
    at //= 2
  return side > 2 * margin(depth)
