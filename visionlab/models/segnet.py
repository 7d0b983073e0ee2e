"""SegNet: an encoder, and a decoder that undoes its pooling (https://arxiv.org/abs/1511.00561)."""

import flax.linen as nn
import jax

from visionlab.config import ConfigError, check_choice
from visionlab.models.layers import Head, he_fan_in, point
from visionlab.models.network import NormNetwork
from visionlab.models.upsample import ConvTranspose
from visionlab.ops.crop import filled_up
from visionlab.ops.pool import max_pool
from visionlab.ops.unpool import max_pool_switches, max_unpool
from visionlab.ops.upsample import bed_of_nails, bilinear, nearest
from visionlab.options.kinds import Count

UNPOOLS = ('switches', 'nails', 'nearest', 'bilinear', 'transposed')


class Encoder(NormNetwork):
  """Stages of convolutions, each ended by 2 x 2 max-pooling: VGG's plan at any width and depth.

  SegNet's first half, and a backbone for `fcn` where VGG itself is too large:
  dict(name='visionlab.models.segnet:Encoder', widths=(16, 32, 64)). With the default sizes its
  parameters are those of VGG-16 with BatchNorm, whose weights fit.

  Attributes, beside `NormNetwork`'s:
    widths: channels of each stage.
    convs: convolutions of each stage.
    kernel: side of the convolutions, which keep the size.
    norm: BatchNorm after each convolution.

  Raises:
    ConfigError: unequal numbers of widths and convs, or an unknown activation.
  """

  widths: tuple[Count, ...] = (64, 128, 256, 512, 512)
  convs: tuple[Count, ...] = (2, 2, 3, 3, 3)
  kernel: Count = 3
  norm: bool = True

  def __post_init__(self):
    _check_stages(self.widths, self.convs)
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
    style, maps, switches = self.style(self.norm), {}, []
    for i, (width, convs) in enumerate(zip(self.widths, self.convs, strict=True), 1):
      for j in range(1, convs + 1):
        x = style.act(style.conv(x, width, self.kernel, f'conv{i}_{j}', f'norm{i}_{j}', train,
                                 padding='SAME'))
      x = maps[f'conv{i}'] = point(f'conv{i}', x)
      x, places = max_pool_switches(x, 2) if remember else (max_pool(x, 2), None)
      x = maps[f'pool{i}'] = point(f'pool{i}', x)
      switches.append(places)
    return maps, switches


class SegNet(NormNetwork):
  """The encoder, and its mirror image: each stage enlarges by 2, then convolves.

  With the default sizes, VGG-16's, and 11 classes it has 29,472,779 parameters. A maximum is put
  back where its pooling found it ('switches'), which costs 2 bits a value instead of the maps that
  U-Net keeps. DeconvNet (https://arxiv.org/abs/1505.04366) unpools so too, and has fully connected
  layers in the middle. SegNet-Basic is widths=(64,) * 4, convs=(1,) * 4, kernel=7, except that its
  decoder has no ReLUs.

  Any image size: it is filled up with zeros at the bottom and the right to a multiple of
  2 ** len(widths), and the logits are cropped.

  Attributes, beside `NormNetwork`'s:
    classes: number of classes k.
    widths, convs: channels and convolutions of each stage of the encoder; a stage of the decoder
      has as many, the last of which has the channels of the stage that follows.
    unpool: how maps are enlarged: 'switches'; 'nails', each value at the upper left of its block,
      zeros elsewhere; 'nearest', each value in its whole block; 'bilinear' interpolation;
      'transposed', a learnt 4 x 4 transposed convolution that starts as bilinear interpolation.
    kernel, norm: as in `Encoder`.

  Raises:
    ConfigError: unequal numbers of widths and convs, an unknown way to enlarge or activation.
  """

  classes: int
  widths: tuple[Count, ...] = (64, 128, 256, 512, 512)
  convs: tuple[Count, ...] = (2, 2, 3, 3, 3)
  unpool: str = 'switches'
  kernel: Count = 3
  norm: bool = True

  def __post_init__(self):
    _check_stages(self.widths, self.convs)
    check_choice(self.unpool, UNPOOLS, 'model.unpool of segnet')
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b h w k)."""
    height, width = x.shape[1:3]
    style, stages = self.style(self.norm), len(self.widths)
    x = filled_up(x, 2 ** stages)
    # Named as a backbone is, so that a classifier's weights find their places.
    encoder = Encoder(self.widths, self.convs, self.kernel, self.norm, act=self.act,
                      dtype=self.dtype, epsilon=self.epsilon, frozen_norm=self.frozen_norm,
                      axis_name=self.axis_name, name='backbone')
    maps, switches = encoder.encode(x, train=train, remember=self.unpool == 'switches')
    x = maps[f'pool{stages}']
    for i in reversed(range(stages)):
      x = self._enlarged(x, switches[i], f'unpool{i + 1}')
      widths = (self.widths[i],) * (self.convs[i] - 1) + (self.widths[max(i - 1, 0)],)
      for j, features in zip(range(self.convs[i], 0, -1), widths, strict=True):
        x = style.act(style.conv(x, features, self.kernel, f'decode{i + 1}_{j}',
                                 f'decode_norm{i + 1}_{j}', train, padding='SAME'))
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


def _check_stages(widths, convs):
  if not widths or len(widths) != len(convs) or min(*widths, *convs) < 1:
    raise ConfigError('model.widths, model.convs: expected a positive number for each stage in '
                      f'both, got {widths} and {convs}')
