"""A trunk that several tasks share, and a head for each."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from visionlab.models.dann import Predictor, check_stand
from visionlab.models.layers import Dense, he_fan_in, pooled
from visionlab.models.network import Network
from visionlab.options.kinds import Count, Share


class MultiHead(Network):
  """A backbone's representation of an image, and what each head makes of it.

  Zhang et al. 2014, "Facial landmark detection by deep multi-task learning" (ECCV): one
  representation, on which linear heads of classification and regression stand.

  Attributes, beside `Network`'s:
    outputs: name of each head -> its width.
    shared: widths of hidden layers below all heads.
    hidden: widths of hidden layers in each head.
    backbone, pool, dropout: as in `visionlab.models.dann.DANN`.
    axis_name: the mapped axis, under pmap, over which a task sums its losses.

  Raises:
    ConfigError: a backbone without `features`, another pooling, or an unknown activation.
  """

  outputs: Mapping[str, int]
  backbone: Any
  pool: str = 'flatten'
  shared: tuple[Count, ...] = (128,)
  hidden: tuple[Count, ...] = ()
  dropout: Share = 0.
  axis_name: str | None = None

  def __post_init__(self):
    check_stand(self, 'multitask')
    super().__post_init__()

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) -> {head: (b width) float32}."""
    *_, x = self.backbone.features(x, train=train).values()
    x, style = pooled(x, self.pool), self.style()
    for i, width in enumerate(self.shared):
      x = Dense(width, dtype=self.dtype, kernel_init=he_fan_in, name=f'shared{i}')(x)
      x = nn.Dropout(self.dropout, deterministic=not train)(style.act(x))
    return {name: Predictor(width, self.hidden, self.dropout, style, name=name)(x, train=train)
            for name, width in self.outputs.items()}
