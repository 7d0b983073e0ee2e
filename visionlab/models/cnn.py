"""A small convolutional network."""

import flax.linen as nn
import jax

from visionlab.models.layers import Conv, Dense, Head, check_size, point
from visionlab.models.network import Network
from visionlab.ops.pool import max_pool
from visionlab.options.kinds import Count, Share


class CNN(Network):
  """3x3 convolutions, each followed by 2x2 max-pooling and ReLU; a hidden layer; a classifier.

  In the manner of LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document
  recognition"). With the default sizes, 28 x 28 x 1 images and 10 classes it has 3,241,354
  parameters.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    widths: output channels of each convolution.
    hidden: width of the hidden layer.
    dropout: share of the hidden layer's units set to zero in training (rng stream 'dropout').

  Raises:
    ConfigError: an unknown activation, or images smaller than 2 ** len(widths) pixels.
  """

  classes: int
  widths: tuple[Count, ...] = (32, 64)
  hidden: Count = 1024
  dropout: Share = 0.

  @property
  def strides(self) -> dict[str, int]:
    """Of the maps of `features`, in pixels."""
    return {f'pool{i}': 2 ** (i + 1) for i in range(len(self.widths))}

  def setup(self):
    self.dense = Dense(self.hidden, dtype=self.dtype)
    self.drop = nn.Dropout(self.dropout)
    self.head = Head(self.classes)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Images (b h w c) -> maps (b h/stride w/stride width); `train` changes nothing."""
    check_size('cnn', x, 2 ** len(self.widths))
    act, maps = self.style().act, {}
    for i, width in enumerate(self.widths):
      x = Conv(width, (3, 3), dtype=self.dtype, name=f'conv{i}')(x)
      x = act(max_pool(x, 2))                 # the maximum first: a quarter of the ReLUs
      x = maps[f'pool{i}'] = point(f'pool{i}', x)
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b k)."""
    *_, x = [x, *self.features(x, train=train).values()]
    x = self.style().act(self.dense(x.reshape(x.shape[0], -1)))
    return self.head(self.drop(x, deterministic=not train))
