"""A small convolutional network."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import Conv, Dense, Head, max_pool


class CNN(nn.Module):
  """3x3 convolutions with ReLU, each followed by 2x2 max-pooling; a hidden layer; a classifier.

  In the manner of LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document
  recognition"). With the default sizes, 28 x 28 x 1 images and 10 classes it has 3,241,354
  parameters.

  Attributes:
    classes: number of classes k.
    features: output channels of each convolution.
    hidden: width of the hidden layer.
    dropout: share of the hidden layer's units set to zero in training (rng stream 'dropout').
    dtype: dtype of the computation; parameters and logits are float32.
  """

  classes: int
  features: tuple[int, ...] = (32, 64)
  hidden: int = 1024
  dropout: float = 0.
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c), h and w at least 2 ** len(features) -> logits (b k)."""
    for i, features in enumerate(self.features):
      x = Conv(features, (3, 3), dtype=self.dtype, name=f'conv{i}')(x)
      x = nn.relu(max_pool(x, 2, 2))  # the maximum first: a quarter of the ReLUs
    x = x.reshape(len(x), -1)
    x = nn.relu(Dense(self.hidden, dtype=self.dtype, name='dense')(x))
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return Head(self.classes)(x)
