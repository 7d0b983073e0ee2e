"""Closed loop: a car on drawn roads, that goes where it is steered and sees what is there.

A policy's errors on recorded views do not tell how it drives: each command changes what is seen
next. Many roads at once are driven in one compiled loop, the policy inside.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.data.roads.course import BEFORE, Course, Window, course, course_key, near, slid
from visionlab.data.roads.render import FAR, Look, as_bytes, camera, chart
from visionlab.data.roads.road import STEP, Road, distance, pursuit, seen_from

SPEED, SECONDS = 8., .1          # metres a second, and between two commands
WHEELBASE = 2.7                  # metres
LOCK, TURNING = .6, 1.2          # the greatest angle of the wheels, rad, and its rate, rad/s
CAR = 1.8                        # metres, its width
FORGETS = 2.                     # seconds after which the receiver's error is another one


class Car(NamedTuple):
  """Attributes:
    window: what of the course is near.
    pose: (3,) of the middle of the rear axle.
    wheel: its steering angle, rad.
    error: (3,) of the receiver, in metres and rad.
    last: the last command, 1/m.
    fresh: whether it has just been put (back) on the road.
  """
  window: Window
  pose: jax.Array
  wheel: jax.Array
  error: jax.Array
  last: jax.Array
  fresh: jax.Array


def bicycle(pose: jax.Array, wheel: jax.Array, command: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The pose (3,) and steering angle after `SECONDS`, by the kinematic bicycle model about the rear
  axle: heading' = speed tan(wheel) / wheelbase.

  Args:
    command: the curvature of an arc that is to be driven, 1/m; the wheels turn no faster than
      `TURNING`, and no further than `LOCK`.
  """
  aim = jnp.clip(jnp.arctan(WHEELBASE * command), -LOCK, LOCK)
  wheel = wheel + jnp.clip(aim - wheel, -TURNING * SECONDS, TURNING * SECONDS)
  turned = SPEED * SECONDS * jnp.tan(wheel) / WHEELBASE
  # The chord of an arc, exactly: as long as sin(x) / x says, halfway between both directions.
  chord = SPEED * SECONDS * jnp.sinc(turned / 2 / jnp.pi)
  middle = pose[2] + turned / 2
  return pose + jnp.stack([chord * jnp.cos(middle), chord * jnp.sin(middle), turned]), wheel


def simulate(policy: Callable[..., tuple], arrays: Mapping[str, jax.Array], indices: jax.Array, *,
             size: tuple[int, int], chart_size: int, commands: int, routed: bool,
             views: bool = False, memory: Any = None) -> dict[str, Any]:
  """Drives the courses of some indices (r,) for so many commands.

  Where the car's middle is off the road, or on a branch that it may not take, is an intervention:
  it is put back on the middle of the nearest road that it may. To be compiled.

  Args:
    policy: of `image` (r h w 3) and `map` (r m m 2), both uint8, as `roads` has them; `last` (r,),
      the last commands; `fresh` (r,), whether a car has just been put on the road; and `steering`
      (r,), what pure pursuit along the route would do: the commands (r,), 1/m, and what else is to
      be kept of them. With a `memory` it is given that, too, and returns what it is afterwards.
    arrays, size, chart_size: those of `Roads`.
    routed: whether a fork's branches that are not the route's are forbidden.
    views: whether images and maps are kept.
    memory: of the policy before its first command, arrays (r ...); None: it has none.

  Returns:
    With two leading axes (commands, r): `command`, `curvature` that was driven, 1/m; `offset` from
    the middle of the nearest road that may be taken, in metres; `off`, whether a wheel is off the
    road; `intervention`; `at_fork`; `pose` and `window`, where the car was when it was told;
    `kept`, what the policy gave beside its commands; and with `views` `image` and `map`.
  """
  courses = jax.vmap(lambda index: course(arrays, index, steps_of(commands)))(indices)
  cars = jax.vmap(partial(started, arrays))(courses, indices)

  def step(carry, number):
    cars, memory = carry
    keys = jax.vmap(lambda i: jax.random.fold_in(noise_key(arrays, i), 1 + number))(indices)
    seen = jax.vmap(partial(observed, size, chart_size, arrays))(courses, cars, keys)
    command, kept, *after = policy(seen) if memory is None else policy(seen, memory)
    # Where nothing is a number, nothing is off the road.
    command = jnp.where(jnp.isfinite(command), command, 0)
    here = dict(pose=cars.pose, window=cars.window)
    cars, found = jax.vmap(partial(advanced, arrays, routed))(courses, cars, command, keys)
    more = {name: seen[name] for name in ('image', 'map')} if views else {}
    after = after[0] if after else None
    return (cars, after), found | here | dict(command=command, kept=kept) | more
  return lax.scan(step, (cars, memory), jnp.arange(commands))[1]


def steps_of(commands: int) -> int:
  """How long a course has to be for a car that is given so many commands."""
  return int(commands * SPEED * SECONDS / STEP) + BEFORE


def noise_key(arrays: Mapping[str, jax.Array], index: jax.Array) -> jax.Array:
  """Of what is random on a course, which itself is drawn otherwise."""
  return jax.random.fold_in(course_key(arrays, index), 3)


def started(arrays: Mapping[str, jax.Array], whole: Course, index: jax.Array) -> Car:
  """A car in the middle of the road, a window's beginning behind it."""
  window = Window(jnp.int32(0), jnp.zeros(3))
  road, heading, route, _ = near(whole, window)
  error = _spread(arrays) * jax.random.normal(jax.random.fold_in(noise_key(arrays, index), 0), (3,))
  pose, wheel = put(road, heading, route, jnp.float32(BEFORE))
  return Car(window, pose, wheel, error, jnp.tan(wheel) / WHEELBASE, jnp.bool_(True))


def put(road: Road, heading: jax.Array, branch: jax.Array, where: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
  """The pose and steering angle of a car that is put on a branch at its point `where`."""
  points = jnp.arange(road.lines.shape[1], dtype=jnp.float32)
  line = jnp.concatenate([road.lines[branch], heading[branch, :, None]], -1)
  pose = jax.vmap(lambda values: jnp.interp(where, points, values), 1)(line)
  return pose, jnp.arctan(WHEELBASE * pursuit(seen_from(road.lines[branch], pose)))


def observed(size: tuple[int, int], chart_size: int, arrays: Mapping[str, jax.Array],
             whole: Course, car: Car, key: jax.Array) -> dict[str, jax.Array]:
  """What is told to a policy."""
  road, _, route, _ = near(whole, car.window)
  grain = jax.random.normal(key, (*size, 3))
  # Dashes are counted from the beginning of a window, which is another one now.
  look: Look = whole.look._replace(dashes=whole.look.dashes + car.window.first * STEP / 3)
  image = camera(size, road, car.pose, look, arrays['photo']) + arrays['noise'] * grain
  return dict(image=as_bytes(image), map=as_bytes(chart(chart_size, road, route,
                                                        car.pose + car.error)),
              steering=pursuit(seen_from(road.lines[route], car.pose)), last=car.last,
              fresh=car.fresh)


def advanced(arrays: Mapping[str, jax.Array], routed: bool, whole: Course, car: Car,
             command: jax.Array, key: jax.Array) -> tuple[Car, dict[str, jax.Array]]:
  """The car after a command, put back where it has to be."""
  road, heading, route, at = near(whole, car.window)
  pose, wheel = bicycle(car.pose, car.wheel, command)
  driven = jnp.tan(wheel) / WHEELBASE
  away, where = jax.vmap(distance, (None, 0))(pose[:2], road.lines)
  may = road.there & ((jnp.arange(len(away)) == route) | jnp.logical_not(routed))
  away = jnp.where(may, away, FAR)
  branch = away.argmin()
  half = whole.look.half
  lost = away[branch] > half
  found = dict(curvature=driven, offset=away[branch], off=away[branch] > half - CAR / 2,
               intervention=lost, at_fork=(where[branch] >= at) & (road.there.sum() > 1))
  back = put(road, heading, branch, where[branch])
  pose, wheel = (jnp.where(lost, a, b) for a, b in zip(back, (pose, wheel), strict=True))
  error = forgotten(car.error, jax.random.normal(jax.random.fold_in(key, 1), (3,)), arrays)
  window = slid(car.window, road, heading, at, branch, where[branch])
  return Car(window, pose, wheel, error, jnp.where(lost, jnp.tan(wheel) / WHEELBASE, command),
             lost), found


def forgotten(error: jax.Array, noise: jax.Array, arrays: Mapping[str, jax.Array]) -> jax.Array:
  """The receiver's error (3,) a command later, of normal numbers (3,)."""
  keeps = jnp.exp(-SECONDS / FORGETS)
  return keeps * error + jnp.sqrt(1 - keeps ** 2) * _spread(arrays) * noise


def _spread(arrays: Mapping[str, jax.Array]) -> jax.Array:
  """Standard deviations (3,) of the receiver's error."""
  return jnp.stack([arrays['position_error']] * 2 + [arrays['heading_error']])

