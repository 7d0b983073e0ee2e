"""Histograms of oriented gradients, and a multi-layer perceptron on top of them."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.kinds import Count
from visionlab.models.layers import Dense, Head
from visionlab.models.network import Network
from visionlab.ops.hog import hog


class HogMLP(Network):
  """HOG (Dalal and Triggs 2005, `visionlab.ops.hog`), hidden layers, a linear classifier.

  What light does to an image, HOG hardly sees, so that there is little to learn: for few examples,
  and for images unlike those learnt from. With the default sizes, 40 x 40 x 1 images and 10 classes
  it has 94,730 parameters.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    hidden: widths of the hidden layers; () for none.
    bins, cell, block: of HOG: directions in half a turn, pixels of a cell's side, cells of a
      block's.

  Raises:
    ConfigError: an unknown activation, or images smaller than a block.
  """

  classes: int
  hidden: tuple[Count, ...] = (128,)
  bins: Count = 9
  cell: Count = 8
  block: Count = 3

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b k); `train` changes nothing."""
    act = self.style().act
    blocks = hog(x.astype(jnp.float32), bins=self.bins, cell=self.cell, block=self.block)
    # A block has length 1, whatever the number of its cells: here its numbers are about 1.
    x = math.sqrt(self.block ** 2 * self.bins) * blocks.reshape(len(blocks), -1)
    for i, width in enumerate(self.hidden):
      x = act(Dense(width, dtype=self.dtype, name=f'dense{i}')(x))
    return Head(self.classes)(x)
