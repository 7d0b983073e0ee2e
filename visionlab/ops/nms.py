"""Exact greedy non-maximum suppression with static shapes."""

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.ops.boxes import iou_matrix


def nms(boxes: jax.Array, scores: jax.Array, valid: jax.Array, *, iou_threshold: float, k: int,
        classes: jax.Array | None = None, tile: int = 256) -> tuple[jax.Array, jax.Array]:
  """The k best boxes none of which overlaps a better kept one by more than `iou_threshold`.

  Strictly more, and of equal scores the first box counts as the better, as in torchvision. Whether
  a box stays depends only on better ones, so `keep = valid & no kept better box overlaps`, iterated
  from `keep = valid`, comes to rest at the greedy answer: after few rounds, since chains of boxes
  that suppress one another in turn are short. Boxes are taken in tiles in the order of their
  scores, each first against those kept so far, until k are kept.

  Not differentiable: callers stop gradients.

  Args:
    boxes: (n 4).
    scores: (n); the order only.
    valid: (n) bool; others neither stay nor suppress. A NaN in a box or its score makes it invalid.
    iou_threshold: in [0, 1]; may be traced.
    k: how many are returned; may exceed n.
    classes: (n) integers; a box then suppresses those of its class only. They may as well be the
      levels of a pyramid.
    tile: how many boxes are decided at once; for speed only.

  Returns:
    index (k) int32 into the boxes, best first, and keep (k) bool: False in the slots past the last
    kept box.

  >>> index, keep = nms(jnp.array([[0., 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6]]),
  ...                   jnp.array([.9, .8, .7]), jnp.ones(3, bool), iou_threshold=.5, k=3)
  >>> index[keep].tolist()
  [0, 2]
  """
  n = len(boxes)
  if not n:
    return jnp.zeros(k, jnp.int32), jnp.zeros(k, bool)
  tile = min(tile, n)
  boxes, scores = jnp.asarray(boxes, jnp.float32), jnp.asarray(scores, jnp.float32)
  valid = valid & ~jnp.isnan(scores) & ~jnp.isnan(boxes).any(-1)
  scores = jnp.where(valid, jnp.maximum(scores, jnp.finfo(scores.dtype).min), -jnp.inf)
  order = jnp.pad(jnp.argsort(scores, descending=True).astype(jnp.int32), (0, -n % tile))
  total = valid.sum(dtype=jnp.int32)  # all in front, now
  boxes = boxes[order]
  classes = None if classes is None else classes[order]

  def suppressed_by(kept, these):
    """Which pairs overlap too much, (len(kept), len(these))."""
    too_close = iou_matrix(boxes[kept], boxes[these]) > iou_threshold
    return too_close if classes is None else too_close & (classes[kept][:, None] == classes[these])

  def unfinished(carry):
    start, count, _ = carry
    return (start < total) & (count < k)

  def decide_tile(carry):
    start, count, kept = carry
    these = start + jnp.arange(tile)
    earlier = suppressed_by(kept, these) & (jnp.arange(len(kept)) < count)[:, None]
    candidates = (these < total) & ~earlier.any(0)
    keep = _greedy(jnp.triu(suppressed_by(these, these), 1), candidates)
    kept_first = these[jnp.argsort(~keep)]
    kept = lax.dynamic_update_slice(kept, kept_first.astype(jnp.int32), (count,))
    return start + tile, count + keep.sum(dtype=jnp.int32), kept

  # A tile's surplus is written behind its kept boxes and overwritten by the next tile.
  zero = 0 * total  # which in a shard_map varies over the devices, as a carry must from the start
  room = jnp.zeros(k + tile, jnp.int32) + zero
  _, count, kept = lax.while_loop(unfinished, decide_tile, (zero, zero, room))
  return order[kept[:k]], jnp.arange(k) < count


def _greedy(suppresses, candidates):
  """Greedy suppression among boxes in order of score; suppresses (n n) is strictly triangular."""
  def step(carry):
    keep, _ = carry
    after = candidates & ~(suppresses & keep[:, None]).any(0)
    return after, (after != keep).any()
  keep, _ = lax.while_loop(lambda carry: carry[1], step, (candidates, candidates.any()))
  return keep
