"""Roads as lines on the ground: curved, sometimes forked; and what it takes to follow them.

Positions are in metres; of a pose (x, y, heading) x points ahead and y to the left, angles are
counted from x to y. Curvature is in 1/m, to the left where it is positive.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

BRANCHES = ('left', 'straight', 'right')
TURNS = (1., 0., -1.)            # to the left, as often as a fork's turn
FORKS = ((1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1))      # which branches there are
STEP = 1.5                       # between two points of a line
POINTS = 40                      # of a line: from 5.25 m behind the car to 53 m ahead
BEHIND = 5.25
CORNER = 12.                     # how long the curve of a turn is
LOOK = 10.                       # ahead, to the point that is steered for


class Road(NamedTuple):
  """Attributes:
    lines: (3, n, 2), the middle of the road along each of `BRANCHES`, one and the same up to where
      they part.
    there: (3,) bool, which of them there are; `straight` alone where nothing forks.
  """
  lines: jax.Array
  there: jax.Array


def centre_line(curvature, change, fork, turn) -> tuple[jax.Array, jax.Array]:
  """The middle (n, 2) of a road, and the pose (3,) at which it has come to 0 m.

  It begins at (0, 0) in the direction of x, `BEHIND` metres before that, or before the fork where
  that is farther behind: all branches begin as one.

  Args:
    curvature: at 0 m; change: of it for each metre.
    fork: after so many metres `turn` is added to the curvature, for `CORNER` metres.
  """
  along = jnp.arange(POINTS) * STEP + jnp.minimum(-BEHIND, fork - STEP / 2)
  between = along[:-1] + STEP / 2
  corner = (between > fork) & (between < fork + CORNER)
  points, heading = followed(curvature + change * between + jnp.where(corner, turn, 0))
  here = jnp.stack([jnp.interp(0., along, x) for x in (points[:, 0], points[:, 1], heading)])
  return points, here


def followed(curvature: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Where steps of `STEP` metres with a curvature (n,) lead from (0, 0) in the direction of x:
  points (n + 1, 2) and directions (n + 1,) there."""
  heading = from_zero(curvature * STEP)
  middle = (heading[1:] + heading[:-1]) / 2
  return from_zero(STEP * jnp.stack([jnp.cos(middle), jnp.sin(middle)], -1)), heading


def from_zero(steps: jax.Array) -> jax.Array:
  """Where steps (n, ...) lead, one after the other, from 0 on: (n + 1, ...)."""
  return jnp.concatenate([jnp.zeros_like(steps[:1]), jnp.cumsum(steps, 0)])


def seen_from(points: jax.Array, pose: jax.Array) -> jax.Array:
  """Points (..., 2) in the frame of a car at the pose (3,)."""
  x, y = jnp.moveaxis(points - pose[:2], -1, 0)
  c, s = jnp.cos(pose[2]), jnp.sin(pose[2])
  return jnp.stack([c * x + s * y, c * y - s * x], -1)


def on_ground(points: jax.Array, pose: jax.Array) -> jax.Array:
  """Points (..., 2) in the frame of a car at the pose (3,), on the ground: what `seen_from` undoes.
  """
  x, y = jnp.moveaxis(points, -1, 0)
  c, s = jnp.cos(pose[2]), jnp.sin(pose[2])
  return jnp.stack([c * x - s * y, s * x + c * y], -1) + pose[:2]


def distance(points: jax.Array, line: jax.Array) -> tuple[jax.Array, jax.Array]:
  """How far points (..., 2) are from a line (n, 2), and at which of its points, as a float, it is
  nearest; both (...)."""
  x, y = points[..., 0], points[..., 1]

  # A loop, with the best so far: all distances at once would be forty times the image.
  def nearer(best, segment):
    number, (x0, y0), (dx, dy) = segment
    share = jnp.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    squared = (x - x0 - share * dx) ** 2 + (y - y0 - share * dy) ** 2
    closer = squared < best[0]
    return (jnp.where(closer, squared, best[0]), jnp.where(closer, number + share, best[1])), None
  segments = jnp.arange(len(line) - 1, dtype=jnp.float32), line[:-1], jnp.diff(line, axis=0)
  start = jnp.full(x.shape, jnp.inf), jnp.zeros(x.shape)
  # Three at a time take half as long: as much is read and written for one.
  (squared, where), _ = lax.scan(nearer, start, segments, unroll=3)
  return jnp.sqrt(squared), where


def pursuit(line: jax.Array) -> jax.Array:
  """The curvature of the arc from the car, at (0, 0) heading along x, to the point of a line (n, 2)
  that is `LOOK` metres further on than the nearest one: pure pursuit, 2 y / (x^2 + y^2)
  (Coulter 1992)."""
  _, here = distance(jnp.zeros(2), line)
  goal = here + LOOK / STEP
  x, y = (jnp.interp(goal, jnp.arange(len(line), dtype=jnp.float32), line[:, i]) for i in (0, 1))
  return 2 * y / (x ** 2 + y ** 2)
