"""A multi-layer perceptron."""

import flax.linen as nn
import jax

from visionlab.models.layers import Dense, Head
from visionlab.models.network import Network
from visionlab.options.kinds import Count


class MLP(Network):
  """Flattened pixels, hidden layers, a linear classifier.

  With the default sizes, 28 x 28 x 1 images and 10 classes it has 407,050 parameters.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    hidden: widths of the hidden layers.

  Raises:
    ConfigError: an unknown activation.
  """

  classes: int
  hidden: tuple[Count, ...] = (512,)

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b k); `train` changes nothing."""
    act = self.style().act
    x = x.reshape(x.shape[0], -1)
    for i, width in enumerate(self.hidden):
      x = act(Dense(width, dtype=self.dtype, name=f'dense{i}')(x))
    return Head(self.classes)(x)
