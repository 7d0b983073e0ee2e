"""DeepFace: convolutions, and then layers whose kernels each place has for itself."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import ConfigError
from visionlab.models.layers import Conv, Dense, noise, point
from visionlab.models.network import Network
from visionlab.ops.pool import max_pool
from visionlab.options.kinds import Amount, Count, Share


class DeepFace(Network):
  """Two convolutions with max-pooling between them, three locally connected layers, a hidden layer
  and a classifier, all without padding.

  Taigman et al. 2014, "DeepFace: Closing the gap to human-level performance in face verification"
  (CVPR), section 3.1: C1, M2, C3, L4, L5, L6, F7, F8, for aligned faces of 152 x 152 pixels. Its
  kernels begin normal with a deviation of .01, its biases at .5.

  Attributes, beside `Network`'s:
    classes: number of classes k; with the task 'verify' the width of the embedding.
    widths, kernels: channels and sizes of C1, C3, L4, L5 and L6; L5 has a stride of 2.
    hidden: width of F7.
    dropout: share of F7's units set to zero in training (rng stream 'dropout').
    deviation, bias: what kernels and biases begin with.

  Raises:
    ConfigError: images too small for the kernels.
  """

  classes: int
  widths: tuple[Count, Count, Count, Count, Count] = (32, 16, 16, 16, 16)
  kernels: tuple[Count, Count, Count, Count, Count] = (11, 9, 9, 7, 5)
  hidden: Count = 4096
  dropout: Share = .5
  deviation: Amount = .01
  bias: float = .5

  @property
  def strides(self) -> dict[str, int]:
    """Of the maps of `features`, in pixels."""
    return dict(M2=2, C3=2, L4=2, L5=4, L6=4)

  def setup(self):
    self.F7 = Dense(self.hidden, dtype=self.dtype, **self._first())
    self.drop = nn.Dropout(self.dropout)
    self.head = Dense(self.classes, dtype=jnp.float32, **self._first())

  def _first(self):
    return dict(kernel_init=lambda key, shape, dtype: self.deviation * noise(key, shape, dtype),
                bias_init=nn.initializers.constant(self.bias))

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Images (b h w c) -> maps (b .. .. width); `train` changes nothing."""
    act, maps, side = self.style().act, {}, min(x.shape[1:3])
    for i, (name, width, size) in enumerate(zip(('C1', 'C3', 'L4', 'L5', 'L6'), self.widths,
                                                self.kernels, strict=True)):
      if min(x.shape[1:3]) < size:
        raise ConfigError(f'model: deepface with kernels of {self.kernels} pixels has none left '
                          f'for {name} of images of {side} pixels; smaller kernels are wanted')
      layer = Conv if i < 2 else nn.ConvLocal
      x = act(layer(width, (size, size), strides=2 if name == 'L5' else 1, padding='VALID',
                    dtype=self.dtype, name=name, **self._first())(x))
      if name == 'C1':
        x = max_pool(x, 3, 2, ceil=True)
      name = 'M2' if name == 'C1' else name
      x = maps[name] = point(name, x)
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Images (b h w c) -> logits (b k)."""
    *_, x = self.features(x, train=train).values()
    x = self.style().act(self.F7(x.reshape(x.shape[0], -1)))
    return self.head(self.drop(x, deterministic=not train))
