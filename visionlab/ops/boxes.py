"""Boxes (x1, y1, x2, y2): area, overlap, clipping, and the coding that detectors regress.

Coordinates are continuous pixels: a box's width is x2 - x1. Everything is computed in float32,
whatever comes in, and broadcasts over leading axes: n boxes against m are `a[:, None]` and `b`.
Values and gradients are finite for every finite box, empty and inverted ones included.
"""

import math

import jax
import jax.numpy as jnp

LEAST_AREA = 1e-9             # square pixels; divisors are no less
LEAST_SIDE = 1e-3             # pixels; sides that divide, or whose logarithm is taken, are no less
LIMIT = math.log(1000 / 16)   # a box grows at most 62.5-fold in one regression

Weights = tuple[float, float, float, float]


def sides(boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Width and height (...) of boxes (... 4), negative where a box is inverted."""
  boxes = jnp.asarray(boxes, jnp.float32)
  return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def area(boxes: jax.Array) -> jax.Array:
  """Area (...) of boxes (... 4) in square pixels; an inverted box has none.

  >>> area(jnp.array([[0., 0, 2, 3], [2, 2, 1, 1]])).tolist()
  [6.0, 0.0]
  """
  w, h = sides(boxes)
  return jnp.maximum(w, 0) * jnp.maximum(h, 0)


def iou(a: jax.Array, b: jax.Array) -> jax.Array:
  """Intersection over union (...) in [0, 1] of boxes a and b, (... 4) each, which broadcast.

  It is 0 where both are empty.

  >>> iou(jnp.array([0., 0, 2, 2]), jnp.array([[1., 0, 3, 2], [2, 2, 3, 3]])).round(4).tolist()
  [0.33329999446868896, 0.0]
  """
  a, b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
  low = jnp.maximum(a[..., :2], b[..., :2])
  high = jnp.minimum(a[..., 2:], b[..., 2:])
  intersection = area(jnp.concatenate([low, high], axis=-1))
  return intersection / jnp.maximum(area(a) + area(b) - intersection, LEAST_AREA)


def iou_matrix(a: jax.Array, b: jax.Array) -> jax.Array:
  """Intersection over union (n m) of each of n boxes (n 4) with each of m (m 4)."""
  return iou(a[:, None], b)


def clip(boxes: jax.Array, size) -> jax.Array:
  """Boxes (... 4) with their corners moved into an image of size (h, w), numbers or an array (2).

  >>> clip(jnp.array([-1., 2, 9, 9]), (4, 6)).tolist()
  [0.0, 2.0, 6.0, 4.0]
  """
  h, w = size
  return jnp.clip(jnp.asarray(boxes, jnp.float32), 0, jnp.stack(jnp.broadcast_arrays(w, h, w, h)))


def at_least(boxes: jax.Array, side: float) -> jax.Array:
  """Which (...) of the boxes (... 4) have a width and height of `side` pixels or more."""
  w, h = sides(boxes)
  return (w >= side) & (h >= side)


def scale(boxes: jax.Array, factor) -> jax.Array:
  """Boxes (... 4) grown about their centres by a number, or by factors (... 2) for x and y.

  >>> scale(jnp.array([0., 0, 4, 2]), jnp.array([2., 1])).tolist()
  [-2.0, 0.0, 6.0, 2.0]
  """
  boxes = jnp.asarray(boxes, jnp.float32)
  low, high = boxes[..., :2], boxes[..., 2:]
  centre, half = (low + high) / 2, (high - low) / 2 * factor
  return jnp.concatenate([centre - half, centre + half], axis=-1)


def encode(boxes: jax.Array, anchors: jax.Array, weights: Weights = (1., 1., 1., 1.)) -> jax.Array:
  """What must be regressed from anchors (... 4) to reach boxes (... 4): (... 4) as x, y, w, h.

  The shift of the centre in units of the anchor's sides, and the logarithms of the ratios of the
  sides (Girshick et al. 2014, appendix C), times `weights`. Sides count as no less than LEAST_SIDE.
  Mirroring both boxes changes the sign of x and nothing else.

  >>> encode(jnp.array([1., 0, 3, 4]), jnp.array([0., 0, 2, 4]), (10, 10, 5, 5)).tolist()
  [5.0, 0.0, 0.0, 0.0]
  """
  (x, y, w, h), (ax, ay, aw, ah) = _centred(boxes), _centred(anchors)
  # The sides are limited before the logarithm: a `where` after it would still give NaN gradients.
  w, h, aw, ah = (jnp.maximum(side, LEAST_SIDE) for side in (w, h, aw, ah))
  deltas = jnp.stack(
    [(x - ax) / aw, (y - ay) / ah, jnp.log(w / aw), jnp.log(h / ah)], axis=-1)
  return deltas * jnp.asarray(weights, jnp.float32)


def decode(deltas: jax.Array, anchors: jax.Array,
           weights: Weights = (1., 1., 1., 1.)) -> jax.Array:
  """The boxes (... 4) that deltas (... 4) make of anchors (... 4); undoes `encode`.

  The logarithms are cut at LIMIT, so an untrained regressor cannot overflow. Where the deltas
  are per class, (n k 4), the anchors are anchors[:, None].

  >>> decode(jnp.array([5., 0, 0, 0]), jnp.array([0., 0, 2, 4]), (10, 10, 5, 5)).tolist()
  [1.0, 0.0, 3.0, 4.0]
  """
  x, y, w, h = _centred(anchors)
  deltas = jnp.asarray(deltas, jnp.float32) / jnp.asarray(weights, jnp.float32)
  dx, dy, dw, dh = jnp.moveaxis(deltas, -1, 0)
  x, y = x + dx * w, y + dy * h
  w, h = w * jnp.exp(jnp.minimum(dw, LIMIT)), h * jnp.exp(jnp.minimum(dh, LIMIT))
  return jnp.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1)


def _centred(boxes):
  boxes = jnp.asarray(boxes, jnp.float32)
  w, h = sides(boxes)
  return boxes[..., 0] + w / 2, boxes[..., 1] + h / 2, w, h
