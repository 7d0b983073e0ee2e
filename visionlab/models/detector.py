"""Region-based detectors: Faster R-CNN, Mask R-CNN, keypoints; on one map or a pyramid of them."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from visionlab.config import ConfigError, check_choice
from visionlab.models.fpn import FPN
from visionlab.models.network import NormNetwork, check_backbone
from visionlab.models.rcnn import BoxHead, KeypointHead, MaskHead, RPNHead
from visionlab.ops.anchors import pyramid_anchors
from visionlab.ops.crop import filled_up
from visionlab.ops.roi_align import pyramid_level, roi_align_levels
from visionlab.ops.roi_pool import roi_pool, spatial_pyramid_pool
from visionlab.options.kinds import Amount, Count, Natural, Share

POOLINGS = ('align', 'pool', 'spp')


class Detector(NormNetwork):
  """A backbone's maps, the proposals made on them, and heads for what is pooled from boxes.

  Faster R-CNN (https://arxiv.org/abs/1506.01497), by default with a feature pyramid
  (https://arxiv.org/abs/1612.03144); with `masks` and `keypoints` Mask R-CNN
  (https://arxiv.org/abs/1703.06870). The paper's own VGG-16 is levels=('conv5',), pyramid=0,
  rpn_width=512, anchor_sizes=((128, 256, 512),), pooling='pool', hidden=(4096, 4096), dropout=.5.
  The same with proposals=False is Fast R-CNN (https://arxiv.org/abs/1504.08083), and with
  pooling='spp', pool_size=6 as well SPP-net (https://arxiv.org/abs/1406.4729).

  These are the networks alone: choosing and matching boxes are pure functions (`visionlab.ops`),
  and a task calls them in turn, `model.apply(variables, x, method='maps')` and so on.

  With a ResNet-50 and COCO's 90 classes it has 41,804,306 parameters; with masks 44,450,156; with
  17 keypoints and one class 59,186,278. torchvision counts 41,755,286, 44,401,393 and 59,137,258:
  not the 53,120 scales and biases of its frozen BatchNorms, but the background's row of four
  deltas, 4,100, and its mask, 257.

  Attributes, beside `NormNetwork`'s:
    classes: k, without the background, which has no number anywhere but is the first logit.
    backbone: a network with `features` and `strides`; its own last layers are not used.
    levels: its maps that are used, finest first; with a pyramid, each half as large as the last.
    pyramid: channels of the feature pyramid; 0: none, and there must be one level.
    extra: levels added on top of the pyramid, for proposals only, by leaving out every other pixel.
    proposals: whether there is a region proposal network. Fast R-CNN and SPP-net have none: the
      boxes come from elsewhere, and the options of anchors and of the network are not used.
    anchor_sizes: in pixels, for each level, those added included.
    anchor_ratios: heights / widths, on all levels.
    rpn_width: channels of the proposals' 3 x 3 convolution; 0: those of the map.
    pooling: 'align' for RoIAlign, 'pool' for RoIPool, 'spp' for a spatial pyramid, on one level.
    aligned: of RoIAlign (see `visionlab.ops.roi_align`); torchvision's weights want False.
    pool_size: cells that a box is pooled to, each way; of a spatial pyramid those of the finest
      grid, which `grids` follow.
    grids: cells, each way, of the coarser grids of a spatial pyramid.
    samples: of RoIAlign, per cell and axis.
    canonical_side: a box of so many pixels squared is pooled from the level of stride 16
      (FPN, equation 1).
    hidden: widths of the box head's fully connected layers fc6, fc7, ...
    box_convs: channels of 3 x 3 convolutions before them.
    ranks: of these layers, where `visionlab.models.low_rank` has cut them down; () otherwise.
    dropout: share of each layer's outputs set to zero in training (rng stream 'dropout').
    masks: whether there is a mask head.
    mask_size: as pool_size, for masks, which come out twice as large.
    mask_convs, mask_hidden: channels of its convolutions, and of the transposed one.
    keypoints: j, the joints of an object; 0: there is no keypoint head.
    keypoint_size: as pool_size, for heat maps, which come out four times as large.
    keypoint_convs: channels of its convolutions.
    norm: BatchNorm after the convolutions of the pyramid and the heads, for training from scratch;
      the backbone's has options of its own.

  Raises:
    ConfigError: a backbone without `features`, levels it does not have or that do not halve, more
      or fewer anchor sizes than levels, or an unknown pooling or activation.

  >>> from visionlab.models.cnn import CNN
  >>> model = Detector(3, CNN(1, widths=(4, 8)), levels=('pool1',), pyramid=0, hidden=(8,),
  ...                  anchor_sizes=((8, 16),))
  >>> model.map_strides
  (4,)
  >>> outputs, _ = jax.eval_shape(model.init_with_output, jax.random.key(0),
  ...                             jnp.ones((1, 30, 21, 3)))
  >>> outputs['logits'].shape, outputs['deltas'].shape
  ((1, 1, 4), (1, 1, 3, 4))
  """

  classes: int
  backbone: Any
  levels: tuple[str, ...] = ('stage1', 'stage2', 'stage3', 'stage4')
  pyramid: Natural = 256
  extra: Natural = 1
  proposals: bool = True
  anchor_sizes: tuple = ((32,), (64,), (128,), (256,), (512,))
  anchor_ratios: tuple = (.5, 1., 2.)
  rpn_width: Natural = 0
  pooling: str = 'align'
  aligned: bool = False
  pool_size: Count = 7
  grids: tuple[Count, ...] = (3, 2, 1)
  samples: Count = 2
  canonical_side: Amount = 224.
  hidden: tuple[Count, ...] = (1024, 1024)
  box_convs: tuple[Count, ...] = ()
  ranks: tuple[Count, ...] = ()
  dropout: Share = 0.
  masks: bool = False
  mask_size: Count = 14
  mask_convs: tuple[Count, ...] = (256,) * 4
  mask_hidden: Count = 256
  keypoints: Natural = 0
  keypoint_size: Count = 14
  keypoint_convs: tuple[Count, ...] = (512,) * 8
  norm: bool = False

  def __post_init__(self):
    check_choice(self.pooling, POOLINGS, 'model.pooling of detector')
    _check_levels(self)
    _check_pyramid_pooling(self)
    if self.proposals:
      _check_anchors(self)
    super().__post_init__()

  def setup(self):
    style = self.style(self.norm)
    if self.pyramid:
      self.fpn = FPN(self.pyramid, self.extra, style)
    # Parameters are named for what they do; the methods of these names are what is called.
    if self.proposals:
      anchors = len(self.anchor_sizes[0]) * len(self.anchor_ratios)
      self.rpn_layers = RPNHead(anchors, self.rpn_width, style, name='rpn')
    self.box_layers = BoxHead(self.classes, self.box_convs, self.hidden, self.ranks, self.dropout,
                              style, name='box')
    if self.masks:
      self.mask_layers = MaskHead(self.classes, self.mask_convs, self.mask_hidden, style,
                                  name='mask')
    if self.keypoints:
      self.keypoint_layers = KeypointHead(self.keypoints, self.keypoint_convs, style,
                                          name='keypoint')

  @property
  def map_strides(self) -> tuple[int, ...]:
    """Pixels per cell of each of `maps`."""
    strides = [self.backbone.strides[level] for level in self.levels]
    extra = self.extra if self.pyramid else 0
    return (*strides, *(strides[-1] * 2 ** i for i in range(1, 1 + extra)))

  def maps(self, x: jax.Array, *, train: bool = False) -> list[jax.Array]:
    """Normalised images (b h w 3) -> the map (b h/stride w/stride c) of each level, finest first.

    Images are filled up with zeros at the bottom and the right to a multiple of the coarsest
    level's stride, those added left out.
    """
    x = filled_up(x, self.map_strides[len(self.levels) - 1])
    features = self.backbone.features(x, train=train)
    maps = [features[level] for level in self.levels]
    return self.fpn(maps, train=train) if self.pyramid else maps

  def anchors(self, maps: list[jax.Array]) -> list[jax.Array]:
    """The anchors (h*w*a 4) of each level, in pixels; see `visionlab.ops.anchors`.

    On an added level torchvision divides the image by the map's size and rounds down, where this
    doubles the stride: they are the same if the image is a multiple of that, such as 64.
    """
    return pyramid_anchors([m.shape[1:3] for m in maps], self.map_strides, self.anchor_sizes,
                           self.anchor_ratios)

  def rpn(self, maps: list[jax.Array], *,
          train: bool = False) -> tuple[list[jax.Array], list[jax.Array]]:
    """For each level, objectness (b h*w*a) as logits and deltas (b h*w*a 4) from the anchors."""
    outputs = [self.rpn_layers(m, train=train) for m in maps]
    return [objectness for objectness, _ in outputs], [deltas for _, deltas in outputs]

  def pool(self, maps: list[jax.Array], boxes: jax.Array, size: int) -> jax.Array:
    """What `maps` hold of boxes (b m 4), each from the level of its size: (b m size size c), or
    of a spatial pyramid (b m cells c)."""
    maps = maps[:len(self.levels)]
    strides = self.map_strides[:len(maps)]
    if self.pooling == 'spp':
      return jax.vmap(partial(spatial_pyramid_pool, sizes=(size, *self.grids), stride=strides[0]))(
        maps[0], boxes)
    align = partial(roi_align_levels, strides=strides, samples=self.samples, aligned=self.aligned)
    pool = align if self.pooling == 'align' else partial(_roi_pool_levels, strides=strides)
    return jax.vmap(lambda maps, boxes: pool(maps, boxes, self._levels(boxes), size=size))(
      maps, boxes)

  def _levels(self, boxes):
    if len(self.levels) == 1:
      return jnp.zeros(len(boxes), jnp.int32)
    lowest = int(math.log2(self.map_strides[0]))
    return pyramid_level(boxes, lowest=lowest, highest=lowest + len(self.levels) - 1,
                         canonical_side=self.canonical_side, canonical_level=4)

  def box_head(self, pooled: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
    """(b m s s c) -> logits (b m 1+k), background first, and deltas (b m k 4) for each class."""
    return self.box_layers(pooled, train=train)

  def mask_head(self, pooled: jax.Array, *, train: bool = False) -> jax.Array:
    """(b m s s c) -> logits (b m 2s 2s k)."""
    return self.mask_layers(pooled, train=train)

  def keypoint_head(self, pooled: jax.Array, *, train: bool = False) -> jax.Array:
    """(b m s s c) -> logits (b m 4s 4s j)."""
    return self.keypoint_layers(pooled, train=train)

  def __call__(self, x: jax.Array, *, train: bool = False) -> dict[str, Any]:
    """Everything of normalised images (b h w 3), the heads for one box, the whole image.

    Returns:
      `logits`, `deltas`, and as far as there are such heads `objectness` and `anchor_deltas` of
      each level, `masks` and `keypoints`.
    """
    maps, outputs = self.maps(x, train=train), {}
    if self.proposals:
      outputs['objectness'], outputs['anchor_deltas'] = self.rpn(maps, train=train)
    h, w = x.shape[1:3]
    box = jnp.tile(jnp.array([0., 0, w, h]), (x.shape[0], 1, 1))
    logits, deltas = self.box_head(self.pool(maps, box, self.pool_size), train=train)
    outputs |= dict(logits=logits, deltas=deltas)
    if self.masks:
      outputs['masks'] = self.mask_head(self.pool(maps, box, self.mask_size), train=train)
    if self.keypoints:
      pooled = self.pool(maps, box, self.keypoint_size)
      outputs['keypoints'] = self.keypoint_head(pooled, train=train)
    return outputs


def _roi_pool_levels(features, boxes, levels, *, size, strides):
  """RoIPool of each box on its own level, (n size size c)."""
  pooled = 0.
  for i, (level, stride) in enumerate(zip(features, strides, strict=True)):
    here = (levels == i)[:, None]
    # RoIPool looks for as long as its largest box takes, so those of other levels become empty.
    cells = roi_pool(level, jnp.where(here, boxes, 0.), size=size, stride=stride)
    pooled = jnp.where(here[..., None, None], cells, pooled)
  return pooled


def _check_levels(model):
  check_backbone(model.backbone, 'detector', 'dict(name="resnet", depth=50)')
  for level in model.levels:
    check_choice(level, tuple(model.backbone.strides), 'model.levels of detector')
  if not model.levels or not model.pyramid and len(model.levels) > 1:
    raise ConfigError(f'model.levels of detector: expected one level without a pyramid, at least '
                      f'one with it; got {model.levels}, pyramid={model.pyramid}')
  strides = [model.backbone.strides[level] for level in model.levels]
  if any(b != 2 * a for a, b in zip(strides, strides[1:], strict=False)):
    raise ConfigError('model.levels of detector: each must have twice the stride of the last; '
                      f'{model.levels} have {strides}')


def _check_pyramid_pooling(model):
  if model.pooling == 'spp' and (model.pyramid or model.box_convs or model.masks or model.keypoints
                                 or not model.hidden):
    raise ConfigError('model.pooling of detector: "spp" pools from one level to fully connected '
                      'layers; it wants pyramid=0, some hidden, and no box_convs, masks, keypoints')


def _check_anchors(model):
  levels, sizes = len(model.map_strides), model.anchor_sizes
  if len(sizes) != levels:
    added = f' ({levels - len(model.levels)} added on top)' if levels > len(model.levels) else ''
    raise ConfigError(f'model.anchor_sizes of detector: expected a tuple of sizes for each of '
                      f'{levels} levels{added}, got {len(sizes)}: {sizes}')
  if any(not isinstance(s, tuple) or len(s) != len(sizes[0]) or not s for s in sizes):
    raise ConfigError('model.anchor_sizes of detector: expected as many sizes on every level, '
                      f'such as ((32,), (64,)), got {sizes}')
