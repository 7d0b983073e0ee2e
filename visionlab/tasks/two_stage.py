"""The two stages of a region-based detector: from images to proposals, and from those to losses or
detections.

Functions of a bound model, traced, over a batch; the rules by which boxes are chosen are data
classes that a config fills in. A model is `visionlab.models.detector.Detector`, or any other that
has `maps`, `pool`, `pool_size`, `box_head`, `masks` and `keypoints`, and `rpn` and `anchors` unless
somebody else says which regions to look at.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from visionlab.config import check_choice
from visionlab.metrics import Ratio
from visionlab.ops.detections import detections
from visionlab.ops.heatmaps import decode_keypoints
from visionlab.ops.proposals import propose, with_objects
from visionlab.tasks import detection_losses as losses

Objects = Mapping[str, jax.Array]
Regions = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Proposing:
  """How proposals are learnt and made (Ren et al. 2015, section 3).

  Attributes:
    low, high: an anchor is negative below `low`, positive from `high` on, by its IoU with objects.
    sample: anchors that an image's loss is taken over.
    positive_share: of them at most.
    pre_nms, post_nms: candidates of each level, and proposals of an image.
    train_pre_nms, train_post_nms: the same in training.
    iou_threshold: of suppression.
    min_size: of a proposal, in pixels.
  """
  low: float = .3
  high: float = .7
  sample: int = 256
  positive_share: float = .5
  pre_nms: int = 1000
  post_nms: int = 1000
  train_pre_nms: int = 2000
  train_post_nms: int = 2000
  iou_threshold: float = .7
  min_size: float = 1e-3


@dataclasses.dataclass(frozen=True)
class Detecting:
  """How a proposal's class and box are learnt, and what becomes a detection (Girshick 2015).

  Attributes:
    low, high: a proposal is background below `low`, an object from `high` on, by its IoU.
    sample: proposals that an image's losses are taken over.
    positive_share: of them at most; masks and keypoints are learnt on so many.
    add_objects: whether the objects' own boxes are learnt from, too.
    weights: of a box's x, y, w, h in its regression.
    scores: 'softmax' or 'sigmoid', see `visionlab.ops.detections`.
    score_threshold: a detection's score is above this.
    iou_threshold: of suppression, for each class.
    most: detections of an image.
  """
  low: float = .5
  high: float = .5
  sample: int = 512
  positive_share: float = .25
  add_objects: bool = True
  weights: tuple[float, float, float, float] = (10., 10., 5., 5.)
  scores: str = 'softmax'
  score_threshold: float = .05
  iou_threshold: float = .5
  most: int = 100

  def __post_init__(self):
    check_choice(self.scores, ('softmax', 'sigmoid'), 'config.task.box.scores')


def proposed(model: Any, maps: list[jax.Array], extent: jax.Array, rules: Proposing, *,
             train: bool) -> tuple[dict[str, jax.Array], tuple[jax.Array, ...]]:
  """The proposals on a batch's maps, and what they were chosen from.

  Args:
    extent: (b 2), height and width of each picture.

  Returns:
    `boxes` (b p 4), `scores` (b p), best first, and `valid` (b p); and objectness (b n), deltas
    (b n 4), anchors (n 4) of all levels in a row.
  """
  objectness, deltas = model.rpn(maps, train=train)
  anchors = model.anchors(maps)
  pre, post = ((rules.train_pre_nms, rules.train_post_nms) if train else
               (rules.pre_nms, rules.post_nms))
  choose = partial(propose, pre_nms=pre, post_nms=post, iou_threshold=rules.iou_threshold,
                   min_size=rules.min_size)
  boxes, scores, valid = jax.vmap(choose, (0, 0, None, 0))(objectness, deltas, anchors, extent)
  return (dict(boxes=boxes, scores=scores, valid=valid),
          (jnp.concatenate(objectness, 1), jnp.concatenate(deltas, 1), jnp.concatenate(anchors)))


def all_losses(model: Any, x: jax.Array, objects: Objects, extent: jax.Array, valid: jax.Array,
               keys: jax.Array, rpn: Proposing, box: Detecting, regions: Regions | None = None, *,
               train: bool, own: Mapping[str, losses.Own] | None = None) -> dict[str, Ratio]:
  """`objectness`, `rpn_box`, `class`, `box`, and `mask` and `keypoint` where the model has them.

  Args:
    x: (b h w c), normalised.
    objects: padded to n, see `visionlab.tasks.detect.Detect`; only those `valid` are to be found.
    extent: (b 2), height and width of each picture.
    valid: (b,) bool; of other images nothing is drawn, so that they count nowhere.
    keys: (b,) typed PRNG keys, of what is drawn of each image.
    regions: proposals that come from elsewhere, `boxes` (b p 4) and `valid` (b p); without them the
      model makes its own, and `objectness` and `rpn_box` are the losses of that.
    own: losses in place of `class` and `box`.
  """
  anchor_keys, box_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
  maps, terms = model.maps(x, train=train), {}
  if regions is None:
    regions, outputs = proposed(model, maps, extent, rpn, train=train)
    terms = rpn_losses(*outputs, objects, valid, anchor_keys, rpn)
  boxes, there = regions['boxes'], regions['valid']
  if box.add_objects:
    boxes, there = jax.vmap(with_objects)(boxes, there, objects['boxes'], objects['valid'])
  draw = partial(losses.draw, low=box.low, high=box.high, size=box.sample,
                 positive_share=box.positive_share)
  some = jax.vmap(draw)(box_keys, boxes, there & valid[:, None], objects)
  boxes = take(boxes, some.index)
  terms |= _box_losses(model, maps, boxes, objects, some, box, train, own or {})
  # Masks and joints are those of the positive boxes alone, which come first.
  most = int(box.sample * box.positive_share)
  boxes, some = jax.tree.map(lambda a: a[:, :most], (boxes, some))
  terms |= _part_losses(model, maps, boxes, objects, some, train)
  return jax.tree.map(lambda term: term.sum(0), terms)


def rpn_losses(objectness: jax.Array, deltas: jax.Array, anchors: jax.Array, objects: Objects,
               valid: jax.Array, keys: jax.Array, rules: Proposing) -> dict[str, Ratio]:
  """`objectness` and `rpn_box` of each image, (b,) each, of what `proposed` returns second; the
  rest as for `all_losses`."""
  def one(objectness, deltas, objects, valid, key):
    some = losses.draw(key, anchors, jnp.broadcast_to(valid, len(anchors)), objects,
                       low=rules.low, high=rules.high, size=rules.sample,
                       positive_share=rules.positive_share, low_quality=True)
    targets = objects['boxes'][some.object]
    return dict(objectness=losses.objectness_loss(objectness, some),
                rpn_box=losses.box_loss(deltas[some.index], anchors[some.index], targets, some))
  return jax.vmap(one)(objectness, deltas, objects, valid, keys)


def _box_losses(model, maps, boxes, objects, some, rules, train, own):
  targets, classes = (take(objects[name], some.object) for name in ('boxes', 'classes'))
  pooled = model.pool(maps, boxes, model.pool_size)
  logits, deltas = model.box_head(pooled, train=train)
  deltas = losses.of_class(deltas, classes, axis=2)
  return {'class': jax.vmap(partial(losses.class_loss, own=own.get('class')))(
              logits, classes, some),
          'box': jax.vmap(partial(losses.box_loss, weights=rules.weights, own=own.get('box')))(
              deltas, boxes, targets, some)}


def _part_losses(model, maps, boxes, objects, some, train):
  terms = {}
  if model.masks:
    logits = model.mask_head(model.pool(maps, boxes, model.mask_size), train=train)
    classes = take(objects['classes'], some.object)
    masks = {name: take(objects[name], some.object) for name in ('masks', 'frames')
             if name in objects}
    terms['mask'] = jax.vmap(partial(losses.mask_loss, aligned=model.aligned))(
        losses.of_class(logits, classes, axis=4), boxes, masks, some)
  if model.keypoints:
    logits = model.keypoint_head(model.pool(maps, boxes, model.keypoint_size), train=train)
    keypoints = take(objects['keypoints'], some.object)
    terms['keypoint'] = jax.vmap(losses.keypoint_loss)(logits, boxes, keypoints, some)
  return terms


def detected(model: Any, x: jax.Array, extent: jax.Array, rpn: Proposing, box: Detecting,
             regions: Regions | None = None, *, train: bool = False) -> dict[str, Any]:
  """What `visionlab.tasks.detect.Detect.predict` gives, of normalised images x (b h w c).

  regions: as for `all_losses`.
  """
  maps = model.maps(x, train=train)
  if regions is None:
    regions, _ = proposed(model, maps, extent, rpn, train=train)
  pooled = model.pool(maps, regions['boxes'], model.pool_size)
  logits, deltas = model.box_head(pooled, train=train)
  found = chosen(logits, deltas, regions, extent, box)
  boxes = found['boxes']
  if model.masks:
    logits = model.mask_head(model.pool(maps, boxes, model.mask_size), train=train)
    found['masks'] = jax.nn.sigmoid(losses.of_class(logits, found['classes'], axis=4))
  if model.keypoints:
    logits = model.keypoint_head(model.pool(maps, boxes, model.keypoint_size), train=train)
    points, heat = jax.vmap(decode_keypoints)(logits, boxes)
    found['keypoints'] = jnp.concatenate([points, heat[..., None]], axis=-1)
  return found | dict(proposals=regions)


def chosen(logits: jax.Array, deltas: jax.Array, regions: Regions, extent: jax.Array,
           rules: Detecting) -> dict[str, jax.Array]:
  """The detections `boxes`, `scores`, `classes`, `valid` (b d ...) of a batch's regions."""
  choose = partial(detections, weights=rules.weights, scores=rules.scores, most=rules.most,
                   iou_threshold=rules.iou_threshold, score_threshold=rules.score_threshold)
  found = jax.vmap(choose)(logits, deltas, regions['boxes'], regions['valid'], extent)
  found.pop('source')
  return found


def take(values, index):
  """Rows of each image: values (b n ...), index (b s) -> (b s ...)."""
  return jax.vmap(lambda v, i: v[i])(values, index)
