"""Feature pyramid networks (https://arxiv.org/abs/1612.03144)."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from visionlab.models.layers import lecun_normal
from visionlab.models.network import Style
from visionlab.ops.pool import max_pool
from visionlab.ops.upsample import nearest


class FPN(nn.Module):
  """Maps of one width: each a projection of the backbone's, plus the coarser one enlarged.

  The finer map of two must be exactly twice the coarser (section 3). No activation follows any
  convolution.

  Attributes:
    features: channels of every map.
    extra: levels on top, each every other pixel of the one below (the paper's P6, section 4.1).
    style: of the layers.
  """

  features: int
  extra: int = 0
  style: Style = Style()

  @nn.compact
  def __call__(self, maps: Sequence[jax.Array], *, train: bool = False) -> list[jax.Array]:
    """(b h w c) of each level, finest first -> (b h w features) of each, the extra ones last."""
    def conv(x, size, name):
      return self.style.conv(x, self.features, size, name, f'{name}_norm', train,
                             kernel_init=lecun_normal)

    above, pyramid = None, []
    for i, x in reversed(list(enumerate(maps))):
      x = conv(x, 1, f'lateral{i}')
      above = x if above is None else x + nearest(above, 2)
      pyramid.insert(0, conv(above, 3, f'output{i}'))
    for _ in range(self.extra):
      pyramid.append(max_pool(pyramid[-1], 1, 2))
    return pyramid
