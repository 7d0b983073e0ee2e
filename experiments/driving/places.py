"""How well it is known where the car is, before a turn and behind it."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.data.roads import localise, simulator
from visionlab.data.roads.course import BEFORE, Course, course, near
from visionlab.data.roads.road import STEP
from visionlab.drive import MIXTURE, world_of
from visionlab.runs.run import Run

EVERY = 5                        # commands between two views that are looked at: 4 m
VIEWS = 12
BEGIN = 26.                      # metres before a fork
CALM = -24.                      # metres before a fork, here behind it, where a stretch without one
                                 # begins
METRES = simulator.SPEED * simulator.SECONDS


class Known(NamedTuple):
  """What is known of places after 0, 1, ... views, each (stretches, VIEWS + 1).

  Attributes:
    entropy: of the pose, in nats.
    ahead, aside: errors of its mean, in metres, along the road and across.
    spread: the root mean square distance of places from that mean, in metres, by the probabilities.
  """
  entropy: np.ndarray
  ahead: np.ndarray
  aside: np.ndarray
  spread: np.ndarray


def drives(run: Run, roads: int, commands: int):
  """What a run says along so many roads, which pure pursuit drives: what `simulate` gives, and the
  courses."""
  world, indices = world_of(run), np.arange(roads)

  def policy(variables, seen):
    said = run.task.predict(variables, seen)
    return seen['steering'], {name: said[name] for name in MIXTURE}

  @jax.jit
  def drive(variables, arrays, indices):
    courses = jax.vmap(lambda i: course(arrays, i, simulator.steps_of(commands)))(indices)
    return courses, simulator.simulate(
        partial(policy, variables), arrays, indices, size=world.size, chart_size=world.chart_size,
        commands=commands, routed=True)
  courses, found = drive(run.variables, world.arrays, indices)
  spread = (*[float(world.arrays['position_error'])] * 2, float(world.arrays['heading_error']))
  return courses, found, spread


def stretches(courses: Course, commands: int, begin: float) -> list[tuple[int, int]]:
  """The road, and the command from which on VIEWS views are looked at: `begin` metres before each
  fork, as far as the drive goes."""
  found = []
  for road, forks in enumerate(np.asarray(courses.at)):
    for fork in forks:
      first = round(((fork - BEFORE) * STEP - begin) / METRES)
      if first >= 0 and first + EVERY * VIEWS <= commands:
        found.append((road, first))
  return found


def known(run: Run, roads: int, commands: int, seed: int = 0) -> tuple[Known, Known, list[float]]:
  """What is known along turns at forks, and along roads that do not fork; and metres from the fork
  at each view, of the former."""
  courses, found, spread = drives(run, roads, commands)
  grid = localise.grid(spread)

  @jax.jit
  def views(whole, window, pose, error, mixture):
    def one(window, pose, mixture):
      return localise.likelihood(near(whole, window)[0], pose, error, grid.offsets,
                                 *(mixture[name] for name in MIXTURE))
    return jax.vmap(one)(window, pose, mixture)

  def along(begin: float) -> Known:
    rng, rows = np.random.default_rng(seed), []
    for road, first in stretches(courses, commands, begin):
      error = np.clip(rng.normal(0, 1, 3), -2.5, 2.5) * spread
      at = first + EVERY * np.arange(VIEWS)
      window, pose, mixture = jax.tree.map(lambda x, at=at, road=road: x[at, road],
                                           (found['window'], found['pose'], found['kept']))
      whole = jax.tree.map(lambda x, road=road: x[road], courses)
      likelihoods = np.asarray(views(whole, window, pose, jnp.float32(error), mixture))
      log_p = localise.followed_up(likelihoods, grid.prior)
      mean = np.exp(log_p) @ grid.offsets
      apart = ((grid.offsets - mean[:, None])[..., :2] ** 2).sum(-1)
      rows.append((localise.entropy(log_p), *np.abs(mean - error).T[:2],
                   np.sqrt((np.exp(log_p) * apart).sum(-1))))
    return Known(*(np.stack(values) for values in zip(*rows, strict=True)))
  metres = [BEGIN - EVERY * METRES * i for i in range(VIEWS + 1)]
  return along(BEGIN), along(CALM), metres
