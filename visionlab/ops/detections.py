"""From what a box head says of its proposals to detections."""

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.ops import boxes as box_ops
from visionlab.ops.nms import nms


def detections(logits: jax.Array, deltas: jax.Array, proposals: jax.Array, valid: jax.Array,
               extent: jax.Array, *, weights: box_ops.Weights = (10., 10., 5., 5.),
               scores: str = 'softmax', score_threshold: float = .05, iou_threshold: float = .5,
               most: int = 100, min_size: float = .01,
               candidates: int = 2000) -> dict[str, jax.Array]:
  """The most probable boxes, none of which overlaps a better one of its class too much.

  Every class of every proposal is a box of its own with the class's probability for a score
  (Girshick 2015, section 2.3), as in torchvision, one image at a time; no gradients.

  Args:
    logits: (m 1+k), background first.
    deltas: (m k 4), for each class.
    proposals: (m 4), in pixels.
    valid: (m) bool; others give nothing.
    extent: (2) height and width of the picture, within which boxes stay.
    weights: of the box coding.
    scores: 'softmax' over the logits; or 'sigmoid' of each class's own, which keeps the order of
      what one-against-all classifiers say, such as R-CNN's SVMs.
    score_threshold: a score must be higher.
    iou_threshold: of suppression, in each class by itself.
    most: number of detections.
    min_size: a detection's least width and height in pixels.
    candidates: how many of the m*k boxes, the highest scores first, suppression gets to see. It
      takes longer the more there are of them above the threshold, and loses a detection only if
      fewer than `most` survive of so many. A trained network has a few hundred.

  Returns:
    boxes (most 4), scores (most), best first, classes (most) int32 in 0..k-1, valid (most) bool,
    and source (most) int32, the proposal that each came from. Slots left over hold zeros. What is
    made of a NaN is never valid.

  >>> found = detections(
  ...   jnp.array([[0., 9, 0], [0, 8, 0], [9, 0, 0]]), jnp.zeros((3, 2, 4)),
  ...   jnp.array([[0., 0, 4, 4], [0, 0, 4, 5], [6, 6, 9, 9]]), jnp.ones(3, bool), (8, 8), most=2)
  >>> found['boxes'][found['valid']].tolist(), found['classes'].tolist()
  ([[0.0, 0.0, 4.0, 4.0]], [0, 0])
  """
  logits, deltas, proposals = (lax.stop_gradient(jnp.asarray(x, jnp.float32))
                               for x in (logits, deltas, proposals))
  k = deltas.shape[1]
  squash = jax.nn.softmax if scores == 'softmax' else jax.nn.sigmoid
  scores = squash(logits)[:, 1:]
  scores = jnp.where(valid[:, None] & (scores > score_threshold), scores, -1.).ravel()
  scores, place = lax.top_k(scores, min(candidates, len(scores)))
  source, classes = (i.astype(jnp.int32) for i in jnp.divmod(place, k))
  boxes = box_ops.decode(deltas[source, classes], proposals[source], weights)
  boxes = box_ops.clip(boxes, extent)
  good = (scores >= 0) & box_ops.at_least(boxes, min_size)
  index, keep = nms(boxes, scores, good, iou_threshold=iou_threshold, k=most, classes=classes)
  found = dict(boxes=boxes, scores=scores, classes=classes, source=source)
  kept = {name: jnp.where(keep.reshape(-1, *(1,) * (x.ndim - 1)), x[index], 0)
          for name, x in found.items()}
  return kept | dict(valid=keep)
