"""A multi-layer perceptron."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import Dense, Head


class MLP(nn.Module):
  """Flattened pixels, hidden ReLU layers, a linear classifier.

  With the default sizes, 28 x 28 x 1 images and 10 classes it has 407,050 parameters.

  Attributes:
    classes: number of classes k.
    hidden: widths of the hidden layers.
    dtype: dtype of the computation; parameters and logits are float32.
  """

  classes: int
  hidden: tuple[int, ...] = (512,)
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b k); `train` changes nothing."""
    x = x.reshape(len(x), -1)
    for i, width in enumerate(self.hidden):
      x = nn.relu(Dense(width, dtype=self.dtype, name=f'dense{i}')(x))
    return Head(self.classes)(x)
