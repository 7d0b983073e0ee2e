"""Histograms of oriented gradients, and a multi-layer perceptron on top of them."""

import math

import jax
import jax.numpy as jnp

from visionlab.models.mlp import MLP
from visionlab.ops.hog import hog
from visionlab.options.kinds import Count


class HogMLP(MLP):
  """An `MLP` that sees HOG (Dalal and Triggs 2005, `visionlab.ops.hog`) in place of pixels.

  What light does to an image, HOG hardly sees, so that there is little to learn: for few examples,
  and for images unlike those learnt from. With the default sizes, 40 x 40 x 1 images and 10 classes
  it has 94,730 parameters.

  Attributes, beside `MLP`'s:
    bins, cell, block: of HOG: directions in half a turn, pixels of a cell's side, cells of a
      block's.

  Raises:
    ConfigError: an unknown activation, or images smaller than a block.
  """

  hidden: tuple[Count, ...] = (128,)
  bins: Count = 9
  cell: Count = 8
  block: Count = 3

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b k); `train` changes nothing."""
    blocks = hog(x.astype(jnp.float32), bins=self.bins, cell=self.cell, block=self.block)
    # A block has length 1, whatever the number of its cells: here its numbers are about 1.
    return super().__call__(math.sqrt(self.block ** 2 * self.bins) * blocks, train=train)
