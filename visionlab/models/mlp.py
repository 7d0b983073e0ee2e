"""A multi-layer perceptron."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import Dense, Head, activation


class MLP(nn.Module):
  """Flattened pixels, hidden layers, a linear classifier.

  With the default sizes, 28 x 28 x 1 images and 10 classes it has 407,050 parameters.

  Attributes:
    classes: number of classes k.
    hidden: widths of the hidden layers.
    act: their activation, a function or a name in `jax.nn`.
    dtype: dtype of the computation; parameters and logits are float32.

  Raises:
    ConfigError: for an unknown activation.
  """

  classes: int
  hidden: tuple[int, ...] = (512,)
  act: Callable | str = 'relu'
  dtype: Any = jnp.float32

  def __post_init__(self):
    activation(self.act)
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b k); `train` changes nothing."""
    act = activation(self.act)
    x = x.reshape(x.shape[0], -1)
    for i, width in enumerate(self.hidden):
      x = act(Dense(width, dtype=self.dtype, name=f'dense{i}')(x))
    return Head(self.classes)(x)
