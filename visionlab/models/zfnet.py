"""ZFNet, the network whose features Zeiler and Fergus looked at."""

import flax.linen as nn
import jax

from visionlab.models.layers import (
  Conv,
  check_size,
  fully_connected,
  fully_connected_layers,
  he_fan_in,
  point,
)
from visionlab.models.network import Network
from visionlab.ops.normalise import local_response
from visionlab.ops.pool import max_pool
from visionlab.options.kinds import Count, Share


class ZFNet(Network):
  """AlexNet with smaller filters and strides, and whole convolutions, for 224 x 224 images.

  Zeiler and Fergus 2013 (https://arxiv.org/abs/1311.2901, figure 3); 62,357,608 parameters with
  1000 classes. Padding and ceil-mode pooling are those that give the figure's 110, 55, 26, 13
  and 6 pixels. The paper gives no constants for its contrast normalisation; these are AlexNet's.
  Kernels start as He et al. proposed: the paper's standard deviation of .01 suits inputs in units
  of 0 to 255, not standardised ones.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    hidden, dropout: of fc6 and fc7; see `fully_connected`.

  Raises:
    ConfigError: an unknown activation, or images smaller than 23 x 23.
  """

  classes: int
  hidden: Count = 4096
  dropout: Share = .5

  strides = dict(conv1=2, pool1=4, conv2=8, pool2=16, conv3=16, conv4=16, conv5=16, pool5=32)

  def setup(self):
    self.fc6, self.fc7, self.drop, self.head = fully_connected_layers(self)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> maps by name; `train` changes nothing."""
    check_size('zfnet', x, 23)
    act = self.style().act

    def conv(name, x, width, size, **geometry):
      layer = Conv(width, (size, size), dtype=self.dtype, kernel_init=he_fan_in, name=name,
                   **geometry)
      return point(name, act(layer(x)))

    def pool_and_norm(x):  # in this order, the reverse of AlexNet's
      return local_response(max_pool(x, 3, 2, ceil=True), 5, alpha=5e-4, beta=.75, k=2.)

    maps = {}
    maps['conv1'] = conv('conv1', x, 96, 7, strides=2, padding=1)
    maps['pool1'] = point('pool1', pool_and_norm(maps['conv1']))
    maps['conv2'] = conv('conv2', maps['pool1'], 256, 5, strides=2, padding=0)
    maps['pool2'] = point('pool2', pool_and_norm(maps['conv2']))
    maps['conv3'] = conv('conv3', maps['pool2'], 384, 3, padding=1)
    maps['conv4'] = conv('conv4', maps['conv3'], 384, 3, padding=1)
    maps['conv5'] = conv('conv5', maps['conv4'], 256, 3, padding=1)
    maps['pool5'] = point('pool5', max_pool(maps['conv5'], 3, 2, ceil=True))
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k); fc6 sees a 6 x 6 mean of the last map."""
    return fully_connected(self, self.features(x, train=train)['pool5'], 6, train)
