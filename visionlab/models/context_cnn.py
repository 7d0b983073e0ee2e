"""A CNN that reads a stack of similarity matrices in context."""

import flax.linen as nn
import jax

from visionlab.models.layers import Conv, point
from visionlab.models.network import Network
from visionlab.options.kinds import Count, Share


class ContextCNN(Network):
  """Convolutions over shots and sentences: whether two belong together hangs on whether their
  neighbours do (Zhu et al. 2015, https://arxiv.org/abs/1506.06724, section 4.3: three layers with
  ReLU, and dropout, since few pairs are known).

  With the default sizes, 7 measures and one output it has 10,401 parameters.

  Attributes, beside `Network`'s:
    classes: number of outputs k.
    widths: output channels of all layers but the last.
    size: of each layer's filters, shots by sentences.
    dropout: share of the outputs of all layers but the last that are zero in training (rng stream
      'dropout').
  """

  classes: int = 1
  widths: tuple[Count, ...] = (16, 16)
  size: tuple[Count, Count] = (3, 9)
  dropout: Share = .5

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Similarities (b shots sentences c) -> (b shots sentences k) float32."""
    act = self.style().act
    for i, width in enumerate(self.widths, 1):
      x = point(f'conv{i}', act(Conv(width, self.size, dtype=self.dtype, name=f'conv{i}')(x)))
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return Conv(self.classes, self.size, dtype=self.dtype, kernel_init=nn.initializers.zeros,
                name='head')(x).astype('float32')
