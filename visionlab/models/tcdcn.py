"""TCDCN: the network that finds landmarks beside other tasks."""

from collections.abc import Callable

import flax.linen as nn
import jax

from visionlab.models.layers import Conv, Dense, Head, check_size, lecun_normal, point
from visionlab.models.network import Network
from visionlab.ops.pool import max_pool
from visionlab.options.kinds import Count


class TCDCN(Network, kw_only=True):
  """Four convolutions without padding, of 5, 3, 3 and 2 pixels, the first three each followed by
  2 x 2 max-pooling; a layer of 100; linear heads.

  Zhang et al. 2014, "Facial landmark detection by deep multi-task learning" (ECCV): for
  40 x 40 grey images. As the backbone of the model 'multitask', with shared=(100,) and
  act='abs_tanh', it is the paper's; by itself it is a classifier.

  Attributes, beside `Network`'s:
    classes: number of classes k.
    widths: output channels of each convolution.
    hidden: width of the layer below the classifier.

  Raises:
    ConfigError: an unknown activation, or images smaller than 32 pixels.
  """

  classes: int
  widths: tuple[Count, Count, Count, Count] = (16, 48, 64, 64)
  hidden: Count = 100
  act: Callable | str = 'abs_tanh'

  @property
  def strides(self) -> dict[str, int]:
    """Of the maps of `features`, in pixels."""
    return dict(pool0=2, pool1=4, pool2=8, conv3=8)

  def setup(self):
    self.dense = Dense(self.hidden, dtype=self.dtype)
    self.head = Head(self.classes)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Images (b h w c) -> maps (b .. .. width); `train` changes nothing."""
    check_size('tcdcn', x, 32)
    act, maps = self.style().act, {}
    for i, (width, size) in enumerate(zip(self.widths, (5, 3, 3, 2), strict=True)):
      # tanh wants inputs about 1.
      x = act(Conv(width, (size, size), padding='VALID', kernel_init=lecun_normal, dtype=self.dtype,
                   name=f'conv{i}')(x))
      name = f'pool{i}' if i < 3 else f'conv{i}'
      x = maps[name] = point(name, max_pool(x, 2) if i < 3 else x)
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b k)."""
    *_, x = self.features(x, train=train).values()
    return self.head(self.style().act(self.dense(x.reshape(x.shape[0], -1))))
