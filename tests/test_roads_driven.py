"""Closed loop: the bicycle's arcs, courses without seams, and policies of which all is known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.data.roads import simulator
from visionlab.data.roads.course import BEFORE, CORNER_STEPS, Window, course, near, slid
from visionlab.data.roads.road import STEP, seen_from
from visionlab.data.roads.roads import roads
from visionlab.measures.driving import closed_loop_scores

COMMANDS = 250


@pytest.fixture(scope='module')
def arrays():
  return jax.tree.map(jnp.asarray, roads('test', examples=1, keep=False).arrays)


@pytest.fixture(scope='module')
def driven(arrays):
  """(gain, indices, routed) -> what pure pursuit does with its commands times `gain`; one program
  for all gains."""
  @partial(jax.jit, static_argnames='routed')
  def drive(gain, indices, routed):
    def policy(seen):
      return gain * seen['steering'], dict(last=seen['last'], fresh=seen['fresh'])
    return simulator.simulate(policy, arrays, indices, size=(4, 4), chart_size=4,
                              commands=COMMANDS, routed=routed)
  return lambda gain, indices, routed=True: jax.device_get(
      drive(jnp.float32(gain), jnp.asarray(indices), routed))


@pytest.mark.parametrize('command', [.05, -.1])
def test_a_command_drives_an_arc_of_its_curvature(command):
  pose = jnp.array([3., -2., 1.])
  wheel = jnp.arctan(simulator.WHEELBASE * command)
  middle = pose[:2] + jnp.array([-jnp.sin(1.), jnp.cos(1.)]) / command
  for _ in range(20):
    pose, wheel = simulator.bicycle(pose, wheel, jnp.float32(command))
    assert float(jnp.hypot(*(pose[:2] - middle))) == pytest.approx(1 / abs(command), rel=1e-5)
  assert float(pose[2]) == pytest.approx(1 + 20 * simulator.SPEED * simulator.SECONDS * command,
                                         abs=1e-5)


def test_wheels_turn_no_faster_and_no_further_than_they_can():
  wheels, wheel = [], jnp.float32(0.)
  for _ in range(8):
    _, wheel = simulator.bicycle(jnp.zeros(3), wheel, jnp.float32(9.))
    wheels.append(float(wheel))
  per_step = simulator.TURNING * simulator.SECONDS
  np.testing.assert_allclose(wheels[:3], per_step * np.arange(1, 4), rtol=1e-5)
  assert wheels[-1] == pytest.approx(simulator.LOCK)


def test_windows_of_a_course_are_parts_of_one_road(arrays):
  """Wherever a window begins, its points lie where an earlier one has them; its forks, too."""
  whole = jax.jit(partial(course, arrays, steps=200))(jnp.int32(3))
  short = jax.jit(partial(course, arrays, steps=60))(jnp.int32(3))
  np.testing.assert_array_equal(short.curvature, whole.curvature[:len(short.curvature)])
  assert short.at.tolist() == whole.at[:len(short.at)].tolist()
  see, slide = jax.jit(near), jax.jit(slid)
  window = Window(jnp.int32(0), jnp.zeros(3))
  places, forks = {}, set()
  for car in range(BEFORE, 150):
    road, heading, route, at = see(whole, window)
    first = int(window.first)
    if int(at) < road.lines.shape[1] - 1:
      forks.add(first + int(at))
      assert bool(road.there[route]) and int(road.there.sum()) > 1
      parted = np.hypot(*np.moveaxis(np.asarray(road.lines[0] - road.lines[2]), -1, 0)) > 1e-3
      assert parted.argmax() == int(at) + 1
    for i, point in enumerate(np.asarray(road.lines[route])):
      np.testing.assert_allclose(point, places.setdefault(first + i, point), atol=2e-3)
    window = slide(window, road, heading, at, route, jnp.float32(car - first))
  assert len(forks) >= 2 and forks == set(whole.at[:len(forks)].tolist())
  steps = np.diff([places[i] for i in sorted(places)], axis=0)
  np.testing.assert_allclose(np.hypot(*steps.T), STEP, atol=2e-3)


def test_pure_pursuit_drives_without_help_and_one_that_does_not_steer_does_not(driven):
  found = driven(1., range(6))
  assert not found['intervention'].any() and not found['off'].any()
  assert found['offset'].max() < 1.5 and found['at_fork'].mean() > .1
  assert found['kept']['fresh'].sum() == 6 and found['kept']['fresh'][0].all()
  straight = driven(0., range(6))
  lost = straight['intervention']
  assert lost.sum(0).min() >= 1
  # It was put back in the middle, and told so.
  np.testing.assert_array_equal(straight['kept']['fresh'][1:], lost[:-1])
  back = straight['offset'][1:][lost[:-1]]
  assert (back < .5).all() and (straight['offset'][lost] > 2.6).all()


def test_what_a_car_does_hangs_on_no_other(driven):
  many, few = driven(1., range(6)), driven(1., [4, 2, 0, 1, 3, 5])
  np.testing.assert_allclose(many['offset'][:, 4], few['offset'][:, 0], atol=1e-4)
  assert not np.allclose(many['offset'][:, 4], many['offset'][:, 5])


def test_any_branch_may_be_taken_but_where_there_is_a_route(arrays):
  """A car that is on a fork's other branch, its length behind the fork."""
  see, put = jax.jit(near), jax.jit(simulator.put)
  drawn = jax.jit(partial(course, arrays, steps=200))
  for i in range(20):
    whole = drawn(jnp.int32(i))
    first = whole.at[0]
    window = Window(first - 5, jnp.zeros(3))
    road, heading, route, at = see(whole, window)
    other = next(b for b in (0, 1, 2) if road.there[b] and b != route)
    pose, wheel = put(road, heading, jnp.int32(other), at + CORNER_STEPS + 3.)
    apart = np.hypot(*np.moveaxis(np.asarray(road.lines[route] - pose[:2]), -1, 0)).min()
    if apart > 5:
      break
  car = simulator.Car(window, pose, wheel, jnp.zeros(3), jnp.float32(0), jnp.bool_(False))
  step = jax.jit(lambda car, routed: simulator.advanced(arrays, routed, whole, car, jnp.float32(0),
                                                        jax.random.key(0)))
  free, found = step(car, False)
  assert not found['intervention'] and found['offset'] < 1
  back, found = step(car, True)
  assert found['intervention'] and found['at_fork'] and back.fresh
  assert float(np.hypot(*(back.pose - pose)[:2])) > 3
  assert float(jnp.abs(seen_from(road.lines[route], back.pose)).sum(-1).min()) < STEP
  # Where it may stay, the course goes on behind the branch that it took.
  for _ in range(CORNER_STEPS):
    free, found = step(free, False)
  assert int(free.window.first) > int(first)


def test_scores_by_hand():
  lost = np.zeros((100, 2), bool)
  lost[[10, 50], 0] = True
  curvature = np.zeros((100, 2))
  curvature[20:, 1] = .01
  curvature[11:, 0] = 5.                          # a car that was put back is not counted
  found = closed_loop_scores(lost, lost, np.full((100, 2), .5), curvature, speed=10., seconds=.1)
  assert found['interventions'] == 2 and found['metres'] == 100
  assert found['autonomy'] == pytest.approx(100 * (1 - 12 / 20))
  assert found['off'] == .01 and found['offset'] == .5
  assert found['jerk'] == pytest.approx(np.sqrt((100 * .01 / .1) ** 2 / 198))
