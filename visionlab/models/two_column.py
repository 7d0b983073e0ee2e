"""Two networks of one form, one for each domain, with heads in common."""

from typing import Any

import jax

from visionlab.models.dann import Predictor, check_stand
from visionlab.models.layers import pooled
from visionlab.models.network import Network
from visionlab.options.kinds import Count, Share


class TwoColumn(Network):
  """A column of layers for the source, one for the target, and what both lead to.

  After Chen et al. 2015, "Deep domain adaptation for describing people based on fine-grained
  clothing attributes" (CVPR). `__call__` is the target's column.

  Attributes, beside `Network`'s:
    classes: number of attributes, or classes, k.
    backbone: a network with `features`, the form of both columns; the last map goes on to the
      heads, its own last layers are not used.
    hidden: widths of the hidden layers that the domains share.
    pool, dropout, axis_name: as in `visionlab.models.dann.DANN`.

  Raises:
    ConfigError: a backbone without `features`, another pooling, or an unknown activation.
  """

  classes: int
  backbone: Any
  pool: str = 'flatten'
  hidden: tuple[Count, ...] = (100,)
  dropout: Share = 0.
  axis_name: str | None = None

  def __post_init__(self):
    check_stand(self, 'two_column')
    super().__post_init__()

  def setup(self):
    self.source = self.backbone.clone(name='source')
    self.target = self.backbone.clone(name='target')
    self.shared = Predictor(self.classes, self.hidden, self.dropout, self.style())

  def maps(self, x: jax.Array, domain: str, *, train: bool = False) -> dict[str, jax.Array]:
    """Normalised images (b h w c) of 'source' or 'target' -> its column's maps, by name."""
    return getattr(self, domain).features(x, train=train)

  def logits(self, last: jax.Array, *, train: bool = False) -> jax.Array:
    """A column's last map (b h w c) -> (b k), by the layers in common."""
    return self.shared(pooled(last, self.pool), train=train)

  def both(self, source: jax.Array, target: jax.Array, *, train: bool = False):
    """Normalised images of the domains -> of each the column's maps and its logits."""
    maps = [self.maps(x, domain, train=train)
            for domain, x in (('source', source), ('target', target))]
    return maps, [self.logits([*own.values()][-1], train=train) for own in maps]

  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Normalised images (b h w c) of the target -> logits (b k)."""
    *_, last = self.maps(x, 'target', train=train).values()
    return self.logits(last, train=train)
