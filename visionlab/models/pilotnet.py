"""PilotNet: from a camera's view, and perhaps a map, to how to steer."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import Conv, Dense, Head, check_size, point
from visionlab.models.network import Network
from visionlab.options.kinds import Count

LAYERS = ((5, 2), (5, 2), (5, 2), (3, 1), (3, 1))         # size and stride of each convolution
CHART = ((24, 5), (36, 5), (48, 3))                       # width and size, with strides of 2


class PilotNet(Network):
  """Five convolutions, the last two without a stride, and three hidden layers (Bojarski et al.
  2016, https://arxiv.org/abs/1604.07316, figure 4).

  With the default sizes, 66 x 200 x 3 images and one output it has 252,219 parameters. A map has
  three convolutions of its own, of 24, 36 and 48 channels, and joins before the hidden layers
  (in the manner of Amini et al. 2019, https://arxiv.org/abs/1811.10119).

  Attributes, beside `Network`'s:
    classes: number of outputs k.
    widths: output channels of the convolutions.
    hidden: widths of the hidden layers.
    same: whether the convolutions keep the border, as small images need.

  Raises:
    ConfigError: images of which the convolutions leave nothing.
  """

  classes: int
  widths: tuple[Count, ...] = (24, 36, 48, 64, 64)
  hidden: tuple[Count, ...] = (100, 50, 10)
  same: bool = False

  @nn.compact
  def __call__(self, x: jax.Array | tuple[jax.Array, jax.Array], *, train: bool = False
               ) -> jax.Array:
    """Images (b h w c), or these and maps (b m m d), -> (b k)."""
    image, chart = x if isinstance(x, tuple) else (x, None)
    if not self.same:
      check_size('pilotnet', image, 61)                   # what five such layers need
    act, padding = self.style().act, 'SAME' if self.same else 'VALID'
    x = image
    for i, (width, (size, stride)) in enumerate(zip(self.widths, LAYERS, strict=True), 1):
      x = Conv(width, (size, size), (stride, stride), padding, dtype=self.dtype, name=f'conv{i}')(x)
      x = point(f'conv{i}', act(x))
    x = x.reshape(x.shape[0], -1)
    if chart is not None:
      for i, (width, size) in enumerate(CHART, 1):
        chart = act(Conv(width, (size, size), (2, 2), 'SAME', dtype=self.dtype,
                         name=f'chart{i}')(chart))
      x = jnp.concatenate([x, chart.reshape(chart.shape[0], -1)], -1)
    for i, width in enumerate(self.hidden, 1):
      x = act(Dense(width, dtype=self.dtype, name=f'dense{i}')(x))
    return Head(self.classes)(x)
