"""The heads of region-based detectors: proposals, boxes, masks and keypoints.

Faster R-CNN (https://arxiv.org/abs/1506.01497) and Mask R-CNN (https://arxiv.org/abs/1703.06870).
Predictors start with standard deviations of .01, and .001 for boxes (Girshick 2015, section 3.1).
Everything they say is float32.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.layers import (
  Conv,
  Dense,
  global_mean,
  he_fan_in,
  he_fan_out,
  noise,
  small_normal,
)
from visionlab.models.network import Style
from visionlab.models.upsample import ConvTranspose, he_transposed
from visionlab.ops.upsample import bilinear


def smaller_normal(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
  """Standard deviation .001."""
  return noise(key, shape, dtype) * .001


def per_box(apply: Callable, pooled: jax.Array) -> jax.Array:
  """`apply`, which takes images (b ...), to what was pooled from boxes (b m ...)."""
  b, m = pooled.shape[:2]
  y = apply(pooled.reshape(b * m, *pooled.shape[2:]))
  return y.reshape(b, m, *y.shape[1:])


class RPNHead(nn.Module):
  """The region proposal network's: a 3 x 3 convolution, then two of 1 x 1 that predict.

  Attributes:
    anchors: a, at each place.
    width: channels of the 3 x 3 convolution; 0: those of the map.
    style: of the layers.
  """

  anchors: int
  width: int = 0
  style: Style = Style()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
    """(b h w c) -> objectness (b h*w*a), as logits, and deltas (b h*w*a 4)."""
    x = self.style.convs(x, (self.width or x.shape[-1],), train, kernel_init=small_normal)
    # In the dtype of the map: a float32 copy of the finest would be the largest array of all.
    objectness, deltas = (
      Conv(self.anchors * n, (1, 1), dtype=self.style.dtype, kernel_init=small_normal,
           name=name)(x).astype(jnp.float32).reshape(x.shape[0], -1, n)
      for name, n in (('objectness', 1), ('deltas', 4)))
    return objectness[..., 0], deltas


class BoxHead(nn.Module):
  """What is in a box, and where its object's is: convolutions, fully connected layers, predictors.

  Attributes:
    classes: k, without the background.
    convs: channels of 3 x 3 convolutions that come first.
    hidden: widths of the fully connected layers fc6, fc7, ...; with none, predictors see the mean.
    ranks: of the matrix of each of these, where it is the product of two (Girshick 2015, section
      3.1; see `visionlab.models.low_rank`); () where none is.
    dropout: share of each one's outputs set to zero in training (rng stream 'dropout').
    style: of the layers.
  """

  classes: int
  convs: tuple[int, ...] = ()
  hidden: tuple[int, ...] = (1024, 1024)
  ranks: tuple[int, ...] = ()
  dropout: float = 0.
  style: Style = Style()

  @nn.compact
  def __call__(self, pooled: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
    """(b m s s c) -> logits (b m 1+k), background first, and deltas (b m k 4)."""
    x = per_box(lambda x: self._hidden(x, train), pooled)
    self.sow('intermediates', 'region_features', x)
    predictor = Dense(1 + self.classes, dtype=jnp.float32, kernel_init=small_normal, name='logits')
    logits = predictor(x)
    deltas = Dense(4 * self.classes, dtype=jnp.float32, kernel_init=smaller_normal,
                   name='deltas')(x)
    return logits, deltas.reshape(*x.shape[:-1], self.classes, 4)

  def _hidden(self, x, train):
    x = self.style.convs(x, self.convs, train, kernel_init=he_fan_out)
    x = x.reshape(x.shape[0], -1) if self.hidden else global_mean(x)
    for i, width in enumerate(self.hidden):
      if self.ranks:
        x = Dense(self.ranks[i], use_bias=False, dtype=self.style.dtype, name=f'fc{6 + i}_low')(x)
      x = Dense(width, dtype=self.style.dtype, kernel_init=he_fan_in, name=f'fc{6 + i}')(x)
      x = self.style.act(x)
      x = nn.Dropout(self.dropout, deterministic=not train)(x)
    return x


class MaskHead(nn.Module):
  """Which of the pixels of a box are its object's, for every class it may be (section 3).

  Attributes:
    classes: k.
    convs: channels of the 3 x 3 convolutions.
    hidden: channels of the transposed convolution that enlarges by 2.
    style: of the layers.
  """

  classes: int
  convs: tuple[int, ...] = (256,) * 4
  hidden: int = 256
  style: Style = Style()

  @nn.compact
  def __call__(self, pooled: jax.Array, *, train: bool = False) -> jax.Array:
    """(b m s s c) -> logits (b m 2s 2s k)."""
    def masks(x):
      x = self.style.convs(x, self.convs, train, kernel_init=he_fan_out)
      x = ConvTranspose(self.hidden, 2, kernel_size=2, use_bias=True, dtype=self.style.dtype,
                        kernel_init=he_transposed(2), name='up')(x)
      x = self.style.act(x)
      return Conv(self.classes, (1, 1), dtype=self.style.dtype, kernel_init=small_normal,
                  name='logits')(x).astype(jnp.float32)
    return per_box(masks, pooled)


class KeypointHead(nn.Module):
  """Where in a box each joint is: a heat map for a softmax over its cells (section 5).

  Attributes:
    joints: j.
    convs: channels of the 3 x 3 convolutions.
    style: of the layers.
  """

  joints: int
  convs: tuple[int, ...] = (512,) * 8
  style: Style = Style()

  @nn.compact
  def __call__(self, pooled: jax.Array, *, train: bool = False) -> jax.Array:
    """(b m s s c) -> logits (b m 4s 4s j)."""
    def heatmaps(x):
      x = self.style.convs(x, self.convs, train, kernel_init=he_fan_out)
      x = ConvTranspose(self.joints, 2, kernel_size=4, use_bias=True, dtype=self.style.dtype,
                        kernel_init=small_normal, name='logits')(x).astype(jnp.float32)
      return bilinear(x, (2 * x.shape[1], 2 * x.shape[2]))
    return per_box(heatmaps, pooled)
