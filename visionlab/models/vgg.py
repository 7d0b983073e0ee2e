"""VGG networks (https://arxiv.org/abs/1409.1556)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.models.layers import (
  BatchNorm,
  Conv,
  Dense,
  Head,
  activation,
  check_size,
  fully_connected,
  he_fan_in,
)
from visionlab.ops.pool import max_pool

WIDTHS = (64, 128, 256, 512, 512)
STAGES = {  # depth: convolutions of each stage; the paper's table 1, columns A, B, D and E
  11: (1, 1, 2, 2, 2),
  13: (2, 2, 2, 2, 2),
  16: (2, 2, 3, 3, 3),
  19: (2, 2, 4, 4, 4),
}


class VGG(nn.Module):
  """Five stages of 3x3 convolutions, each ended by max-pooling; three fully connected layers.

  With 1000 classes depths 11, 13, 16 and 19 have 132,863,336, 133,047,848, 138,357,544 and
  143,667,240 parameters; with `norm` 132,868,840, 133,053,736, 138,365,992 and 143,678,248.

  Kernels start as He et al. proposed. The paper drew all weights with a standard deviation of
  .01, from which its deeper networks did not learn: they began with the layers of a trained
  shallower one.

  Attributes:
    classes: number of classes k.
    depth: 11, 13, 16 or 19.
    norm: BatchNorm after each convolution, which the paper predates.
    hidden: width of fc6 and fc7.
    dropout: share of the outputs of fc6 and fc7 set to zero in training (rng stream 'dropout').
    act: the activation, a function or a name in `jax.nn`.
    epsilon: added to BatchNorm's variances.
    frozen_norm: BatchNorm uses and keeps its saved statistics in training too.
    dtype: dtype of the computation; parameters and logits are float32.
    axis_name: the mapped axis over which BatchNorm's statistics are shared, under pmap.

  Raises:
    ConfigError: for another depth, an unknown activation, or images smaller than 32 x 32.
  """

  classes: int
  depth: int = 16
  norm: bool = False
  hidden: int = 4096
  dropout: float = .5
  act: Callable | str = 'relu'
  epsilon: float = 1e-5
  frozen_norm: bool = False
  dtype: Any = jnp.float32
  axis_name: str | None = None

  strides = {f'{kind}{i}': 2 ** (i - (kind == 'conv'))
             for i in range(1, 6) for kind in ('conv', 'pool')}

  def __post_init__(self):
    check_choice(self.depth, STAGES, 'model.depth of vgg')
    activation(self.act)
    super().__post_init__()

  def setup(self):
    dense = partial(Dense, self.hidden, dtype=self.dtype, kernel_init=he_fan_in)
    self.fc6, self.fc7, self.head = dense(), dense(), Head(self.classes)
    self.drop = nn.Dropout(self.dropout)

  @nn.compact
  def features(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> the last map of each stage before and after pooling."""
    check_size('vgg', x, 32)
    act, maps = activation(self.act), {}
    norm = partial(BatchNorm, use_running_average=not train or self.frozen_norm,
                   epsilon=self.epsilon, dtype=self.dtype, axis_name=self.axis_name)
    for i, (layers, width) in enumerate(zip(STAGES[self.depth], WIDTHS, strict=True), 1):
      for j in range(1, layers + 1):
        x = Conv(width, (3, 3), padding=1, dtype=self.dtype, kernel_init=he_fan_in,
                 name=f'conv{i}_{j}')(x)
        x = act(norm(name=f'norm{i}_{j}')(x) if self.norm else x)
      maps[f'conv{i}'] = x
      x = maps[f'pool{i}'] = max_pool(x, 2)
    return maps

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) -> logits (b k); fc6 sees a 7 x 7 mean of the last map."""
    return fully_connected(self, self.features(x, train=train)['pool5'], 7, train)
