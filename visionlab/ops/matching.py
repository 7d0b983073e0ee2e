"""Which object each anchor or proposal is to find."""

import jax
import jax.numpy as jnp

POSITIVE, NEGATIVE, BETWEEN = 1, 0, -1


def match(quality: jax.Array, valid: jax.Array, *, low: float, high: float,
          low_quality: bool = False) -> tuple[jax.Array, jax.Array]:
  """Matches each of n anchors with the object it overlaps most (Ren et al. 2015, section 3.1.2).

  Args:
    quality: (m n) overlap of m objects with n anchors, such as `iou_matrix(objects, anchors)`.
    valid: (m) bool; other objects are padding and match nothing. There need be none.
    low: an anchor whose best overlap is less is negative.
    high: one whose best overlap is this or more is positive; between the two it is ignored.
    low_quality: make positive as well, for each object, the anchors that overlap it most of all,
      every one of those that tie, if they overlap it at all. Such an anchor is still matched with
      the object that *it* overlaps most, as in torchvision.

  Returns:
    index (n) int32 of the best object, 0 where there is none, and label (n) int32: POSITIVE,
    NEGATIVE or BETWEEN.

  >>> quality = jnp.array([[.15, .45, .2, .6], [.3, .65, .05, .1], [.05, .4, .25, .4]])
  >>> index, label = match(quality, jnp.ones(3, bool), low=.3, high=.7, low_quality=True)
  >>> index.tolist(), label.tolist()
  ([1, 1, 2, 0], [-1, 1, 0, 1])
  """
  m, n = quality.shape
  if not m:
    return jnp.zeros(n, jnp.int32), jnp.full(n, NEGATIVE, jnp.int32)
  quality = jnp.where(valid[:, None], quality, -1.)
  index, best = quality.argmax(0).astype(jnp.int32), quality.max(0)
  label = jnp.where(best >= high, POSITIVE, jnp.where(best >= low, BETWEEN, NEGATIVE))
  if low_quality:
    most = quality.max(1, keepdims=True)
    label = jnp.where(((quality == most) & (most > 0)).any(0), POSITIVE, label)
  return index, jnp.where(valid.any(), label, NEGATIVE).astype(jnp.int32)
