"""SegNet: an encoder, and a decoder that undoes its pooling (https://arxiv.org/abs/1511.00561)."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice
from visionlab.models.layers import BatchNorm, Conv, Head, activation, he_fan_in, max_pool
from visionlab.models.upsample import ConvTranspose
from visionlab.ops.crop import filled_up
from visionlab.ops.unpool import max_pool_switches, max_unpool
from visionlab.ops.upsample import bed_of_nails, bilinear, nearest

UNPOOLS = ('switches', 'nails', 'nearest', 'bilinear', 'transposed')


class Encoder(nn.Module):
  """Stages of convolutions, each ended by 2 x 2 max-pooling: VGG's plan at any width and depth.

  SegNet's first half, and a backbone for `fcn` where VGG itself is too large:
  dict(name='visionlab.models.segnet:Encoder', widths=(16, 32, 64)). With the default sizes its
  parameters are those of VGG-16 with BatchNorm, whose weights fit.

  Attributes:
    widths: channels of each stage.
    convs: convolutions of each stage.
    kernel: side of the convolutions, which keep the size.
    norm: BatchNorm after each convolution.
    act: the activation, a function or a name in `jax.nn`.
    epsilon: added to BatchNorm's variances.
    frozen_norm: BatchNorm uses and keeps its saved statistics in training too.
    dtype: dtype of the computation; parameters are float32.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.

  Raises:
    ConfigError: unequal numbers of widths and convs, or an unknown activation.
  """

  widths: tuple[int, ...] = (64, 128, 256, 512, 512)
  convs: tuple[int, ...] = (2, 2, 3, 3, 3)
  kernel: int = 3
  norm: bool = True
  act: Callable | str = 'relu'
  epsilon: float = 1e-5
  frozen_norm: bool = False
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    _check_stages(self.widths, self.convs)
    activation(self.act)
    super().__post_init__()

  @property
  def strides(self) -> dict[str, int]:
    """Of the maps of `features`, in pixels."""
    return {f'{kind}{i}': 2 ** (i - (kind == 'conv'))
            for i in range(1, len(self.widths) + 1) for kind in ('conv', 'pool')}

  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> the last map of each stage before and after pooling."""
    return self.encode(x, train=train)[0]

  @nn.compact
  def encode(self, x: jax.Array, *, train: bool = False, remember: bool = False):
    """`features`, and with `remember` for each stage the switches of its pooling."""
    maps, switches = {}, []
    for i, (width, convs) in enumerate(zip(self.widths, self.convs, strict=True), 1):
      for j in range(1, convs + 1):
        x = _convolved(self, x, width, train, f'conv{i}_{j}', f'norm{i}_{j}')
      maps[f'conv{i}'] = x
      x, places = max_pool_switches(x, 2) if remember else (max_pool(x, 2), None)
      maps[f'pool{i}'] = x
      switches.append(places)
    return maps, switches


class SegNet(nn.Module):
  """The encoder, and its mirror image: each stage enlarges by 2, then convolves.

  With the default sizes, VGG-16's, and 11 classes it has 29,472,779 parameters. A maximum is put
  back where its pooling found it ('switches'), which costs 2 bits a value instead of the maps that
  U-Net keeps. DeconvNet (https://arxiv.org/abs/1505.04366) unpools so too, and has fully connected
  layers in the middle. SegNet-Basic is widths=(64,) * 4, convs=(1,) * 4, kernel=7, except that its
  decoder has no ReLUs.

  Any image size: it is filled up with zeros at the bottom and the right to a multiple of
  2 ** len(widths), and the logits are cropped.

  Attributes:
    classes: number of classes k.
    widths, convs: channels and convolutions of each stage of the encoder; a stage of the decoder
      has as many, the last of which has the channels of the stage that follows.
    unpool: how maps are enlarged: 'switches'; 'nails', each value at the upper left of its block,
      zeros elsewhere; 'nearest', each value in its whole block; 'bilinear' interpolation;
      'transposed', a learnt 4 x 4 transposed convolution that starts as bilinear interpolation.
    kernel, norm, act, epsilon, frozen_norm, dtype, axis_name: see `Encoder`; logits are float32.

  Raises:
    ConfigError: unequal numbers of widths and convs, an unknown way to enlarge or activation.
  """

  classes: int
  widths: tuple[int, ...] = (64, 128, 256, 512, 512)
  convs: tuple[int, ...] = (2, 2, 3, 3, 3)
  unpool: str = 'switches'
  kernel: int = 3
  norm: bool = True
  act: Callable | str = 'relu'
  epsilon: float = 1e-5
  frozen_norm: bool = False
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    _check_stages(self.widths, self.convs)
    check_choice(self.unpool, UNPOOLS, 'model.unpool of segnet')
    activation(self.act)
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b h w k)."""
    height, width = x.shape[1:3]
    stages = len(self.widths)
    x = filled_up(x, 2 ** stages)
    # Named as a backbone is, so that a classifier's weights find their places.
    encoder = Encoder(self.widths, self.convs, self.kernel, self.norm, self.act, self.epsilon,
                      self.frozen_norm, self.dtype, self.axis_name, name='backbone')
    maps, switches = encoder.encode(x, train=train, remember=self.unpool == 'switches')
    x = maps[f'pool{stages}']
    for i in reversed(range(stages)):
      x = self._enlarged(x, switches[i], f'unpool{i + 1}')
      widths = (self.widths[i],) * (self.convs[i] - 1) + (self.widths[max(i - 1, 0)],)
      for j, features in zip(range(self.convs[i], 0, -1), widths, strict=True):
        x = _convolved(self, x, features, train, f'decode{i + 1}_{j}', f'decode_norm{i + 1}_{j}')
    return Head(self.classes, kernel_init=he_fan_in)(x)[:, :height, :width]

  def _enlarged(self, x, switches, name):
    """(b h w c) -> (b 2h 2w c)."""
    size = (2 * x.shape[1], 2 * x.shape[2])
    match self.unpool:
      case 'switches':
        return max_unpool(x, switches, 2, size)
      case 'nails':
        return bed_of_nails(x, 2)
      case 'nearest':
        return nearest(x, 2)
      case 'bilinear':
        return bilinear(x, size)
      case 'transposed':
        return ConvTranspose(x.shape[-1], 2, dtype=self.dtype, name=name)(x)


def _convolved(model, x, features, train, conv, norm):
  """act(norm(conv(x))), with the options of `model`."""
  x = Conv(features, (model.kernel, model.kernel), use_bias=not model.norm, dtype=model.dtype,
           name=conv)(x)
  if model.norm:
    x = BatchNorm(use_running_average=not train or model.frozen_norm, epsilon=model.epsilon,
                  dtype=model.dtype, axis_name=model.axis_name, name=norm)(x)
  return activation(model.act)(x)


def _check_stages(widths, convs):
  if not widths or len(widths) != len(convs) or min(*widths, *convs) < 1:
    raise ConfigError('model.widths, model.convs: expected a positive number for each stage in '
                      f'both, got {widths} and {convs}')
