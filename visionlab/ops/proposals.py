"""Proposals: the boxes that a region proposal network thinks hold an object."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.ops import boxes as box_ops
from visionlab.ops.nms import nms


def propose(objectness: Sequence[jax.Array], deltas: Sequence[jax.Array],
            anchors: Sequence[jax.Array], extent: jax.Array, *, pre_nms: int, post_nms: int,
            iou_threshold: float, min_size: float,
            score_threshold: float = 0.) -> tuple[jax.Array, jax.Array, jax.Array]:
  """The best boxes of all levels that are not near-duplicates (Ren et al. 2015, section 3.3).

  On each level the `pre_nms` anchors of highest objectness are decoded and clipped, then go through
  non-maximum suppression; of what all levels keep, the best are returned (Lin et al. 2017, section
  5.1.2). The same boxes as torchvision's, one image at a time; no gradients.

  Args:
    objectness: (n_l) logits of each level.
    deltas: (n_l 4) of each level.
    anchors: (n_l 4) of each level, in pixels.
    extent: (2) height and width of the picture, within which proposals stay.
    pre_nms: candidates of each level; may exceed n_l.
    post_nms: proposals in all.
    iou_threshold: of suppression.
    min_size: a proposal's least width and height in pixels.
    score_threshold: its least score.

  Returns:
    boxes (post_nms 4), scores (post_nms) in [0, 1], best first, and valid (post_nms) bool. Slots
    left over hold zeros. What is made of a NaN is never valid.

  >>> anchors = jnp.array([[0., 0, 4, 4], [0, 0, 4, 5], [6, 6, 9, 9]])
  >>> boxes, scores, valid = propose(
  ...   [jnp.array([2., 1, 0])], [jnp.zeros((3, 4))], [anchors], (8, 8), pre_nms=3, post_nms=3,
  ...   iou_threshold=.7, min_size=1.)
  >>> boxes[valid].tolist()
  [[0.0, 0.0, 4.0, 4.0], [6.0, 6.0, 8.0, 8.0]]
  """
  boxes, logits, levels = [], [], []
  for level, (o, d, a) in enumerate(zip(objectness, deltas, anchors, strict=True)):
    o, d, a = (lax.stop_gradient(jnp.asarray(x, jnp.float32)) for x in (o, d, a))
    o, best = lax.top_k(jnp.where(jnp.isnan(o), -jnp.inf, o), min(pre_nms, len(o)))
    boxes.append(box_ops.decode(d[best], a[best]))
    logits.append(o)
    levels.append(jnp.full(len(o), level))
  boxes, logits, levels = map(jnp.concatenate, (boxes, logits, levels))
  boxes = box_ops.clip(boxes, extent)
  scores = jax.nn.sigmoid(logits)
  valid = (box_ops.at_least(boxes, min_size) & (scores >= score_threshold) & (logits > -jnp.inf))
  # In the order of the logits, which are apart where their sigmoids are both 1.
  index, keep = nms(boxes, logits, valid, iou_threshold=iou_threshold, k=post_nms, classes=levels)
  return jnp.where(keep[:, None], boxes[index], 0.), jnp.where(keep, scores[index], 0.), keep


def with_objects(boxes: jax.Array, valid: jax.Array, objects: jax.Array,
                 objects_valid: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Proposals (p 4), (p), and after them the objects (n 4), (n): what a box head is trained on.

  Early in training no proposal may be near an object; so there is always something to learn from.
  """
  boxes = jnp.concatenate([boxes, jnp.asarray(objects, jnp.float32)])
  return lax.stop_gradient(boxes), jnp.concatenate([valid, objects_valid])
