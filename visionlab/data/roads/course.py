"""Roads that go on: curvature that varies, and forks on the way, of which a route names branches.

What is near is a `Road`: a window of the course, which slides on with the car. The course goes on
behind whichever branch was taken, so that a car without a route may take any.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from visionlab.data.drawn import key_of
from visionlab.data.roads.render import Look
from visionlab.data.roads.road import CORNER, FORKS, POINTS, STEP, TURNS, Road, followed, on_ground
from visionlab.data.scenes import assets

KNOTS = 20                       # steps between the curvatures that are drawn
BENDING = .02                    # their standard deviation, 1/m
FIRST, APART, VARIED = 30, 60, 12          # steps to the first fork, between forks, and more
BEFORE = 4                       # steps of a window that are behind the car
CORNER_STEPS = round(CORNER / STEP)
AFTER = 6                        # steps behind a fork's curve, from which on it is out of sight


class Course(NamedTuple):
  """Attributes, of n steps of 1.5 m and k forks:
    curvature: (n,) of the road, without the turns at forks.
    at: (k,) int32, the step at which each fork begins.
    turn: (k,) curvature that is added on the left branch, and taken away on the right one.
    there: (k, 3) bool, which of a fork's branches there are.
    route: (k,) int32, the branch that the route takes.
    look: how it looks.
  """
  curvature: jax.Array
  at: jax.Array
  turn: jax.Array
  there: jax.Array
  route: jax.Array
  look: Look


class Window(NamedTuple):
  """What is near of a course. Attributes:
    first: int32, the step at which it begins.
    origin: (3,) the pose of that place on the ground.
  """
  first: jax.Array
  origin: jax.Array


def course(arrays: Mapping[str, jax.Array], index: jax.Array, steps: int) -> Course:
  """The course of a traced index: a pure function of it and the arrays of `roads`.

  Args:
    steps: how long it is, of 1.5 m; a longer one begins as a shorter one does.
  """
  key = course_key(arrays, index)
  steps += POINTS                                       # the last windows look beyond
  forks = steps // APART + 1
  knots = BENDING * jax.random.normal(jax.random.fold_in(key, 0), (steps // KNOTS + 2,))
  u = jax.random.uniform(jax.random.fold_in(key, 1), (forks, 4))
  there = jnp.array(FORKS, bool)[(u[:, 0] * len(FORKS)).astype(jnp.int32)]
  order = jnp.cumsum(there, 1)
  route = (order > jnp.floor(u[:, 1:2] * order[:, -1:])).argmax(1)
  at = FIRST + APART * jnp.arange(forks) + (VARIED * u[:, 2]).astype(jnp.int32)
  look = Look.drawn(jax.random.uniform(jax.random.fold_in(key, 2), (11,)))
  return Course(jnp.interp(jnp.arange(steps) / KNOTS, jnp.arange(len(knots)), knots), at,
                .085 + .03 * u[:, 3], there, route.astype(jnp.int32), look)


def course_key(arrays: Mapping[str, jax.Array], index: jax.Array) -> jax.Array:
  """The key of all that is drawn of a course and on it; of it fold in 0 to 2 make the course."""
  return jax.random.fold_in(key_of(arrays, index, len(assets.SPLITS)), 2)    # no example's


def near(whole: Course, window: Window) -> tuple[Road, jax.Array, jax.Array, jax.Array]:
  """The road in a window, on the ground; the directions (3, n) of its lines; the branch (int32)
  that the route takes; and how many steps after the window's beginning it forks.

  There is one fork in a window: that which began no longer ago than the window did.
  """
  fork = (whole.at < window.first).sum()
  at = whole.at[fork] - window.first
  bend = jax.lax.dynamic_slice(whole.curvature, (window.first,), (POINTS - 1,))
  step = jnp.arange(POINTS - 1)
  corner = (step >= at) & (step < at + CORNER_STEPS)
  turns = whole.turn[fork] * jnp.array(TURNS)
  points, heading = jax.vmap(lambda by: followed(bend + jnp.where(corner, by, 0)))(turns)
  # Beyond the window there is no fork yet, and the branches are one.
  there = jnp.where(at < POINTS - 1, whole.there[fork], jnp.array([False, True, False]))
  route = jnp.where(at < POINTS - 1, whole.route[fork], 1)
  return (Road(on_ground(points, window.origin), there), heading + window.origin[2], route, at)


def slid(window: Window, road: Road, heading: jax.Array, at: jax.Array, branch: jax.Array,
         where: jax.Array) -> Window:
  """The window that begins `BEFORE` steps behind a car that is at the point `where`, a float, of a
  branch; and not behind a fork as long as that is in sight, which has one beginning.

  Args:
    road, heading, at: as `near` gives them.
  """
  reached = where.astype(jnp.int32)
  on = jnp.maximum(reached - BEFORE, 0)
  on = jnp.where(reached < at + CORNER_STEPS + AFTER, jnp.minimum(on, jnp.maximum(at, 0)), on)
  origin = jnp.stack([*road.lines[branch, on], heading[branch, on]])
  return Window(window.first + on, origin)
