"""The losses of region-based detectors, and what their networks are to learn.

Each takes one image or box; `jax.vmap` adds a batch. Losses leave as `Ratio(sum, count)`, so that
over images, devices and microbatches they are normalised by what was sampled in all of them.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.metrics import Ratio
from visionlab.ops import boxes as box_ops
from visionlab.ops.heatmaps import keypoint_targets
from visionlab.ops.masks import mask_targets
from visionlab.ops.matching import POSITIVE, match
from visionlab.ops.sampling import sample

Own = Callable[[jax.Array, jax.Array], jax.Array]
"""Of outputs and targets, a loss for each (n,); see `visionlab.tasks.own_loss`."""

BETA = 1 / 9                     # in pixels' logarithms and shares: where the loss turns linear


class Sample(NamedTuple):
  """Boxes drawn from one image, the positive ones first.

  Attributes:
    index: (s) int32 into the candidates.
    drawn: (s) bool, False in slots left over.
    positive: (s) bool.
    object: (s) int32, the object that each is to find; of no meaning where it is not positive.
  """
  index: jax.Array
  drawn: jax.Array
  positive: jax.Array
  object: jax.Array


def draw(key: jax.Array, boxes: jax.Array, valid: jax.Array, objects: Mapping[str, jax.Array], *,
         low: float, high: float, size: int, positive_share: float,
         low_quality: bool = False) -> Sample:
  """Matches boxes (n 4) with an image's objects, and draws some of those that are clear.

  objects: `boxes` (m 4) and `valid` (m). valid: (n) bool; other boxes are never drawn. The rest is
  as in `visionlab.ops.matching.match` and `visionlab.ops.sampling.sample`.
  """
  quality = box_ops.iou_matrix(objects['boxes'], boxes)
  matched, label = match(quality, objects['valid'], low=low, high=high, low_quality=low_quality)
  label = jnp.where(valid, label, POSITIVE + 1)
  index, weight = sample(key, label, size=size, positive_share=positive_share)
  drawn = weight > 0
  return Sample(index, drawn, drawn & (label[index] == POSITIVE), matched[index])


def objectness_loss(logits: jax.Array, some: Sample) -> Ratio:
  """Whether there is an object, over the anchors drawn (Ren et al. 2015, equation 1).

  logits: (n) of all anchors.
  """
  return Ratio.of(_binary(logits[some.index], some.positive), some.drawn)


def box_loss(deltas: jax.Array, boxes: jax.Array, targets: jax.Array, some: Sample,
             weights: box_ops.Weights = (1., 1., 1., 1.), own: Own | None = None) -> Ratio:
  """How far the positive boxes are from their objects, over all that were drawn, as published.

  Args:
    deltas: (s 4), regressed from
    boxes: (s 4), towards
    targets: (s 4).
    own: of the boxes that were found and the true ones, in place of smooth L1 of what is regressed.
  """
  if own:
    # In slots that are not positive, one box twice, of which any loss and its gradient are finite.
    found, true = (jnp.where(some.positive[:, None], x, jnp.array([0., 0., 1., 1.]))
                   for x in (box_ops.decode(deltas, boxes, weights), targets))
    losses = jnp.where(some.positive, own(found, true), 0)
    return Ratio(losses.sum(), some.drawn.sum(dtype=jnp.float32))
  wanted = lax.stop_gradient(box_ops.encode(targets, boxes, weights))
  # Masked before the loss: what a slot left over holds may be anything.
  error = jnp.where(some.positive[:, None], deltas - wanted, 0)
  return Ratio(smooth_l1(error, BETA).sum(), some.drawn.sum(dtype=jnp.float32))


def class_loss(logits: jax.Array, classes: jax.Array, some: Sample,
               own: Own | None = None) -> Ratio:
  """Cross-entropy over the boxes drawn, of which those not positive are background.

  Args:
    logits: (s 1+k), background first.
    classes: (s) of each box's object, 0..k-1.
    own: of logits and labels, 0 the background, in place of the cross-entropy.
  """
  label = jnp.where(some.positive, 1 + classes, 0)
  logits = jnp.where(some.drawn[:, None], logits, 0)
  if own:
    return Ratio.of(own(logits, label), some.drawn)
  log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], axis=1)[:, 0]
  return Ratio.of(-log_p, some.drawn)


def mask_loss(logits: jax.Array, boxes: jax.Array, masks: Mapping[str, jax.Array], some: Sample,
              aligned: bool) -> Ratio:
  """Binary cross-entropy over the pixels of positive boxes (He et al. 2017, section 3).

  Args:
    logits: (s size size), of each box's class only.
    boxes: (s 4).
    masks: of each box's object, `masks` (s h w), with `frames` (s 4) if they are crops.
    aligned: of `visionlab.ops.masks.mask_targets`, for masks that are no crops.
  """
  size = logits.shape[1]
  frames = masks.get('frames')
  bitmaps = masks['masks'].astype(jnp.float32)
  if jnp.issubdtype(masks['masks'].dtype, jnp.unsignedinteger):
    bitmaps = bitmaps / 255
  targets = lax.stop_gradient(mask_targets(bitmaps, boxes, size=size, frames=frames,
                                           aligned=aligned or frames is not None))
  positive = jnp.broadcast_to(some.positive[:, None, None], logits.shape)
  return Ratio.of(_binary(jnp.where(positive, logits, 0), targets), positive)


def keypoint_loss(logits: jax.Array, boxes: jax.Array, keypoints: jax.Array,
                  some: Sample) -> Ratio:
  """Cross-entropy over the cells of positive boxes, one for each joint that is labelled and in its
  box (He et al. 2017, section 5).

  Args:
    logits: (s size size j).
    boxes: (s 4).
    keypoints: (s j 3) of each box's object.
  """
  s, size, _, j = logits.shape
  cell, weight = keypoint_targets(keypoints, boxes, size=size)
  weight = weight * some.positive[:, None]
  logits = jnp.where(weight[..., None] > 0, jnp.moveaxis(logits.reshape(s, -1, j), 2, 1), 0)
  log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), cell[..., None], axis=2)[..., 0]
  return Ratio.of(-log_p, weight)


def of_class(values: jax.Array, classes: jax.Array, axis: int) -> jax.Array:
  """Of values (b s ...) with the k classes on `axis`, what is said of classes (b s): (b s ...)."""
  shape = [1] * values.ndim
  shape[axis] = -1
  own = (classes.reshape(*classes.shape, *[1] * (values.ndim - 2))
         == jnp.arange(values.shape[axis]).reshape(shape))
  # Selected and added, not gathered: a gather's gradient is a scatter, slow on a CPU.
  return jnp.where(own, values, 0).sum(axis)


def smooth_l1(error: jax.Array, beta: float) -> jax.Array:
  """error^2 / (2 beta) below beta, |error| - beta / 2 above (Girshick 2015, equation 3).

  >>> smooth_l1(jnp.array([-2., .5]), 1.).tolist()
  [1.5, 0.125]
  """
  size = abs(error)
  return jnp.where(size < beta, .5 / beta * size ** 2, size - .5 * beta)


def _binary(logits, target):
  """Cross-entropy of logits with probabilities."""
  return jnp.maximum(logits, 0) - logits * target + jnp.log1p(jnp.exp(-abs(logits)))
