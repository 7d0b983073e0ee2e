"""How far pixels are from polygons and lines: what faces are painted with."""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def padded(points: jax.Array, n: int) -> jax.Array:
  """Points (m 2) with the last repeated up to n, which changes neither polygon nor line."""
  return jnp.concatenate([points, jnp.broadcast_to(points[-1:], (n - len(points), 2))])


def polygon(points: jax.Array, size: int) -> jax.Array:
  """Pixels (size size) from the outline of a polygon (n 2), negative inside it (even-odd rule).

  >>> square = jnp.array([[1., 1.], [5., 1.], [5., 5.], [1., 5.]])
  >>> polygon(square, 6)[2].tolist()
  [0.5, -0.5, -1.5, -1.5, -0.5, 0.5]
  """
  x, y = _axes(size)

  def add(state, edge):
    square, inside = state
    a, b = edge
    between = (a[1] <= y) != (b[1] <= y)
    left = (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])
    return (jnp.minimum(square, _squared(a, b, x, y)),
            inside ^ (between & ((left > 0) == (b[1] > a[1])))), None
  nothing = jnp.full((size, size), jnp.inf), jnp.zeros((size, size), bool)
  # A loop over edges: written out they take XLA a minute to compile.
  (square, inside), _ = lax.scan(add, nothing, (points, jnp.roll(points, -1, 0)))
  return jnp.sqrt(square) * jnp.where(inside, -1, 1)


def line(points: jax.Array, size: int) -> jax.Array:
  """Pixels (size size) from a line through points (n 2).

  >>> line(jnp.array([[0., 2.5], [6., 2.5]]), 6)[:, 0].tolist()
  [2.0, 1.0, 0.0, 1.0, 2.0, 3.0]
  """
  x, y = _axes(size)
  return jnp.sqrt(reduce(jnp.minimum, (_squared(a, b, x, y)
                                       for a, b in zip(points[:-1], points[1:], strict=True))))


def circle(centre: jax.Array, radius, size: int) -> jax.Array:
  """Pixels (size size) from a circle, negative inside it."""
  x, y = _axes(size)
  return jnp.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2) - radius


def cover(distance: jax.Array) -> jax.Array:
  """The share of each pixel that lies inside an outline, to some hundredths."""
  return jnp.clip(.5 - distance, 0, 1)


def _axes(size):
  along = np.arange(size, dtype=np.float32) + .5
  return along, along[:, None]


def _squared(a, b, x, y):
  """Squared distances of pixels from the segment between a and b (2,)."""
  (px, py), (dx, dy) = a, b - a
  x, y = x - px, y - py
  scale = 1 / jnp.maximum(dx * dx + dy * dy, 1e-6)
  t = jnp.clip(x * (dx * scale) + y * (dy * scale), 0, 1)
  return (x - t * dx) ** 2 + (y - t * dy) ** 2
