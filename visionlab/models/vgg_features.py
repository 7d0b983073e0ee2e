"""VGG's convolutions alone, for style, inversion and dreams (https://arxiv.org/abs/1409.1556)."""

import flax.linen as nn
import jax

from visionlab.config import ConfigError, check_choice, nearest
from visionlab.models.layers import Conv, check_size, he_fan_in, point
from visionlab.models.network import Network
from visionlab.models.vgg import STAGES, WIDTHS
from visionlab.ops.pool import max_pool


class VGGFeatures(Network):
  """The convolutions of a VGG up to one of them, without a classifier.

  Its first layer, `rgb_to_bgr`, mixes the channels of each pixel: published weights have there what
  images must go through. The maps are called 'conv1_1', 'pool1', ..., those of convolutions after
  the activation. To conv5_1 VGG-19 has 12,944,972 parameters with it.

  Attributes, beside `Network`'s:
    depth: 11, 13, 16 or 19.
    last: the last convolution.
    padding: what convolutions see beyond the border: 'zero', or 'reflect', the image mirrored,
      from which no rim grows.

  Raises:
    ConfigError: another depth or padding, no such convolution, or images smaller than 32 x 32.
  """

  depth: int = 19
  last: str = 'conv5_1'
  padding: str = 'reflect'

  def __post_init__(self):
    check_choice(self.depth, STAGES, 'depth of VGGFeatures')
    check_choice(self.padding, ('zero', 'reflect'), 'padding of VGGFeatures')
    if self.last not in convolutions(self.depth):
      raise ConfigError(f'last: VGG-{self.depth} has no convolution {self.last!r}'
                        f'{nearest(self.last, convolutions(self.depth))}')
    super().__post_init__()

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Images (b h w 3) -> all its maps."""
    check_size('vgg_features', x, 32)
    style, maps, widths = self.style(), {}, convolutions(self.depth)
    padding = 1 if self.padding == 'zero' else 'REFLECT'
    x = Conv(3, (1, 1), dtype=self.dtype, name='rgb_to_bgr')(x)
    for name in list(widths)[:list(widths).index(self.last) + 1]:
      stage = int(name[4])
      if name.endswith('_1') and stage > 1:
        x = maps[f'pool{stage - 1}'] = point(f'pool{stage - 1}', max_pool(x, 2))
      x = Conv(widths[name], (3, 3), padding=padding, dtype=self.dtype, kernel_init=he_fan_in,
               name=name)(x)
      x = maps[name] = point(name, style.act(x))
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Images (b h w 3) -> its last map, as `features`."""
    return dict(features=self.features(x, train=train)[self.last])


def convolutions(depth: int) -> dict[str, int]:
  """The widths of the convolutions of a VGG, by name."""
  return {f'conv{i}_{j}': width
          for i, (layers, width) in enumerate(zip(STAGES[depth], WIDTHS, strict=True), 1)
          for j in range(1, layers + 1)}
