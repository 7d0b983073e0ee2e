"""A trunk that several tasks share, and a head for each."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from visionlab.models.dann import Predictor, check_stand
from visionlab.models.layers import Dense, activation, he_fan_in, pooled


class MultiHead(nn.Module):
  """A backbone's representation of an image, and what each head makes of it.

  Zhang et al. 2014, "Facial landmark detection by deep multi-task learning" (ECCV): one
  representation, on which linear heads of classification and regression stand.

  Attributes:
    outputs: name of each head -> its width.
    backbone: a network with `features`; its last map is used, its own last layers are not.
    pool: 'mean' over the map, or 'flatten' it.
    shared: widths of hidden layers below all heads.
    hidden: widths of hidden layers in each head.
    dropout: share of each hidden layer's units set to zero in training (rng stream 'dropout').
    act: the hidden layers' activation, a function or a name in `jax.nn`.
    dtype: of the computation; parameters and outputs are float32.

  Raises:
    ConfigError: a backbone without `features`, another pooling, or an unknown activation.
  """

  outputs: Mapping[str, int]
  backbone: Any
  pool: str = 'flatten'
  shared: tuple[int, ...] = (128,)
  hidden: tuple[int, ...] = ()
  dropout: float = 0.
  act: Callable | str = 'relu'
  dtype: Any = jnp.float32
  axis_name: str | None = None

  def __post_init__(self):
    check_stand(self, 'multitask')
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> {head: (b width) float32}."""
    *_, x = self.backbone.features(x, train=train).values()
    x = pooled(x, self.pool)
    for i, width in enumerate(self.shared):
      x = Dense(width, dtype=self.dtype, kernel_init=he_fan_in, name=f'shared{i}')(x)
      x = nn.Dropout(self.dropout, deterministic=not train)(activation(self.act)(x))
    return {name: Predictor(width, self.hidden, self.dropout, self.act, self.dtype,
                            name=name)(x, train=train) for name, width in self.outputs.items()}
