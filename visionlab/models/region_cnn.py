"""R-CNN: a network that is shown one region at a time (https://arxiv.org/abs/1311.2524)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.models.network import Network, check_backbone
from visionlab.models.rcnn import BoxHead, per_box
from visionlab.ops.crop import crop_and_resize
from visionlab.options.kinds import Count, Natural, Share


class RegionCNN(Network):
  """Every region is cut out of the image, warped to one size, and goes through the whole network.

  Nothing is shared between regions that overlap, which is what SPP-net and Fast R-CNN put right.
  The methods are those of `visionlab.models.detector.Detector`, so the same functions train and
  evaluate it: the "map" is the image, and pooling is warping.

  Attributes, beside `Network`'s:
    classes: k, without the background.
    backbone: a network with `features` and `strides`; its own last layers are not used.
    level: its map that the head sees; '': the coarsest.
    side: of the warped regions, in pixels; the paper's is 227.
    context: how many of these pixels, on each side, show what is around the region (16).
    hidden: widths of fc6, fc7, ...; with none, predictors see the map's mean.
    dropout: share of each one's outputs set to zero in training (rng stream 'dropout').

  Raises:
    ConfigError: a backbone without `features`, a level that it does not have, or an unknown
      activation.

  >>> from visionlab.models.cnn import CNN
  >>> model = RegionCNN(3, CNN(1, widths=(4, 8)), side=16, context=1, hidden=(8,))
  >>> outputs, _ = model.init_with_output(jax.random.key(0), jnp.ones((1, 30, 21, 3)))
  >>> outputs['logits'].shape, outputs['deltas'].shape
  ((1, 1, 4), (1, 1, 3, 4))
  """

  classes: int
  backbone: Any
  level: str = ''
  side: Count = 227
  context: Natural = 16
  hidden: tuple[Count, ...] = (4096, 4096)
  dropout: Share = .5

  masks, keypoints = False, 0

  def __post_init__(self):
    check_backbone(self.backbone, 'region_cnn', 'dict(name="alexnet")')
    if self.level:
      check_choice(self.level, tuple(self.backbone.strides), 'model.level of region_cnn')
    super().__post_init__()

  def setup(self):
    self.box_layers = BoxHead(self.classes, hidden=self.hidden, dropout=self.dropout,
                              style=self.style(), name='box')

  @property
  def pool_size(self) -> int:
    """Side of what `pool` gives."""
    return self.side

  def maps(self, x: jax.Array, *, train: bool = False) -> list[jax.Array]:
    """Normalised images (b h w 3) -> [themselves]."""
    return [x]

  def pool(self, maps: list[jax.Array], boxes: jax.Array, size: int) -> jax.Array:
    """Regions (b m 4) of the images, warped: (b m size size 3)."""
    return jax.vmap(partial(crop_and_resize, size=size, context=self.context))(maps[0], boxes)

  def box_head(self, pooled: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
    """(b m s s 3) -> logits (b m 1+k), background first, and deltas (b m k 4) for each class."""
    level = self.level or list(self.backbone.strides)[-1]
    features = per_box(lambda x: self.backbone.features(x, train=train)[level], pooled)
    return self.box_layers(features, train=train)

  def __call__(self, x: jax.Array, *, train: bool = False) -> dict[str, jax.Array]:
    """`logits` and `deltas` of normalised images (b h w 3), as one region each."""
    h, w = x.shape[1:3]
    whole = jnp.tile(jnp.array([0., 0, w, h]), (x.shape[0], 1, 1))
    logits, deltas = self.box_head(self.pool([x], whole, self.side), train=train)
    return dict(logits=logits, deltas=deltas)
