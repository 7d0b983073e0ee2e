"""VGG networks (https://arxiv.org/abs/1409.1556)."""

import flax.linen as nn
import jax

from visionlab.config import check_choice
from visionlab.models.layers import (
  check_size,
  fully_connected,
  fully_connected_layers,
  he_fan_in,
  point,
)
from visionlab.models.network import NormNetwork
from visionlab.ops.pool import max_pool
from visionlab.options.kinds import Count, Share

WIDTHS = (64, 128, 256, 512, 512)
STAGES = {  # depth: convolutions of each stage; the paper's table 1, columns A, B, D and E
  11: (1, 1, 2, 2, 2),
  13: (2, 2, 2, 2, 2),
  16: (2, 2, 3, 3, 3),
  19: (2, 2, 4, 4, 4),
}


class VGG(NormNetwork):
  """Five stages of 3x3 convolutions, each ended by max-pooling; three fully connected layers.

  With 1000 classes depths 11, 13, 16 and 19 have 132,863,336, 133,047,848, 138,357,544 and
  143,667,240 parameters; with `norm` 132,868,840, 133,053,736, 138,365,992 and 143,678,248.

  Kernels start as He et al. proposed. The paper drew all weights with a standard deviation of
  .01, from which its deeper networks did not learn: they began with the layers of a trained
  shallower one.

  Attributes, beside `NormNetwork`'s:
    classes: number of classes k.
    depth: 11, 13, 16 or 19.
    norm: BatchNorm after each convolution, which the paper predates.
    hidden, dropout: of fc6 and fc7; see `fully_connected`.

  Raises:
    ConfigError: another depth, an unknown activation, or images smaller than 32 x 32.
  """

  classes: int
  depth: Count = 16
  norm: bool = False
  hidden: Count = 4096
  dropout: Share = .5

  strides = {f'{kind}{i}': 2 ** (i - (kind == 'conv'))
             for i in range(1, 6) for kind in ('conv', 'pool')}

  def __post_init__(self):
    check_choice(self.depth, STAGES, 'model.depth of vgg')
    super().__post_init__()

  def setup(self):
    self.fc6, self.fc7, self.drop, self.head = fully_connected_layers(self)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> the last map of each stage before and after pooling."""
    check_size('vgg', x, 32)
    style, maps = self.style(self.norm), {}
    for i, (layers, width) in enumerate(zip(STAGES[self.depth], WIDTHS, strict=True), 1):
      for j in range(1, layers + 1):
        # As in torchvision, convolutions have biases even where BatchNorm follows.
        x = point(f'conv{i}_{j}', style.act(
            style.conv(x, width, 3, f'conv{i}_{j}', f'norm{i}_{j}', train, use_bias=True,
                       kernel_init=he_fan_in)))
      x = maps[f'conv{i}'] = point(f'conv{i}', x)
      x = maps[f'pool{i}'] = point(f'pool{i}', max_pool(x, 2))
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k); fc6 sees a 7 x 7 mean of the last map."""
    return fully_connected(self, self.features(x, train=train)['pool5'], 7, train)
