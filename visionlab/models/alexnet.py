"""AlexNet in its two published forms."""

import flax.linen as nn
import jax

from visionlab.config import check_choice
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

WIDTHS = {  # towers: output channels of conv1 to conv5
  1: (64, 192, 384, 256, 256),
  2: (96, 256, 384, 384, 256),
}


class AlexNet(Network):
  """Five convolutions and three fully connected layers, for 224 x 224 images.

  With one tower it is the network of Krizhevsky 2014 (https://arxiv.org/abs/1404.5997, section 5)
  in torchvision's form, 61,100,840 parameters with 1000 classes. With two it is that of Krizhevsky,
  Sutskever and Hinton 2012 ("ImageNet classification with deep convolutional neural networks"):
  convolutions 2, 4 and 5 see only the half of the channels that was on their GPU, and responses
  are normalised across channels; 60,965,224 parameters.

  Kernels start as He et al. proposed, and biases at zero: the standard deviation of .01 and the
  biases of 1 of 2012 suit inputs in units of 0 to 255, not standardised ones.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    towers: 1 or 2, as above.
    hidden, dropout: of fc6 and fc7; see `fully_connected`.

  Raises:
    ConfigError: other towers, an unknown activation, or images smaller than 63 x 63.
  """

  classes: int
  towers: Count = 1
  hidden: Count = 4096
  dropout: Share = .5

  strides = dict(conv1=4, pool1=8, conv2=8, pool2=16, conv3=16, conv4=16, conv5=16, pool5=32)

  def __post_init__(self):
    check_choice(self.towers, WIDTHS, 'model.towers of alexnet')
    super().__post_init__()

  def setup(self):
    self.fc6, self.fc7, self.drop, self.head = fully_connected_layers(self)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> maps by name; `train` changes nothing."""
    check_size('alexnet', x, 63)
    act = self.style().act

    def conv(i, x, size, groups=1, **geometry):
      layer = Conv(WIDTHS[self.towers][i - 1], (size, size), feature_group_count=groups,
                   dtype=self.dtype, kernel_init=he_fan_in, name=f'conv{i}', **geometry)
      return point(f'conv{i}', act(layer(x)))

    def norm(x):  # the paper's alpha is 1e-4 for each of 5 channels
      return x if self.towers == 1 else local_response(x, 5, alpha=5e-4, beta=.75, k=2.)

    maps = {}
    maps['conv1'] = conv(1, x, 11, strides=4, padding=2)
    maps['pool1'] = point('pool1', max_pool(norm(maps['conv1']), 3, 2))
    maps['conv2'] = conv(2, maps['pool1'], 5, self.towers, padding=2)
    maps['pool2'] = point('pool2', max_pool(norm(maps['conv2']), 3, 2))
    maps['conv3'] = conv(3, maps['pool2'], 3, padding=1)
    maps['conv4'] = conv(4, maps['conv3'], 3, self.towers, padding=1)
    maps['conv5'] = conv(5, maps['conv4'], 3, self.towers, padding=1)
    maps['pool5'] = point('pool5', max_pool(maps['conv5'], 3, 2))
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k); fc6 sees a 6 x 6 mean of the last map."""
    return fully_connected(self, self.features(x, train=train)['pool5'], 6, train)
