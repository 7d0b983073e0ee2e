"""Drawn roads: what is seen, what the map shows and how to steer agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.roads import road
from visionlab.data.roads.render import MAP_BEHIND, MAP_METRES
from visionlab.data.roads.roads import Roads, drawn_place, roads
from visionlab.data.roads.simulator import WHEELBASE


@pytest.fixture(scope='module')
def source():
  return roads('test', examples=64, keep=False)


@pytest.fixture(scope='module')
def drawn(source):
  return source[np.arange(64)]


def test_roads_are_functions_of_their_index(source, drawn):
  again = source[np.array([9, 3])]
  for name, value in again.items():
    np.testing.assert_array_equal(value, drawn[name][[9, 3]])
  other = Roads(source.size, source.chart_size, source.arrays | dict(seed=np.uint32(1)), 64)
  assert not np.array_equal(other[np.arange(2)]['image'], drawn['image'][:2])
  assert roads('test', examples=8).arrays['steering'].tolist() == drawn['steering'][:8].tolist()


def test_one_of_the_branches_that_there_are_is_driven(drawn):
  there, branch = drawn['there'], drawn['branch']
  rows = np.arange(64)
  assert there[rows, branch].all()
  np.testing.assert_array_equal(drawn['steering'], drawn['admissible'][rows, branch])
  np.testing.assert_array_equal(drawn['fork'], there.sum(1) > 1)
  assert .3 < drawn['fork'].mean() < .7 and not drawn['admissible'][~there].any()
  left, right = there[:, 0] & (drawn['fork'] > 0), there[:, 2] & (drawn['fork'] > 0)
  both = left & right
  assert (drawn['admissible'][both, 0] > drawn['admissible'][both, 2]).all()


@pytest.mark.parametrize('curvature', [.02, -.05])
def test_a_road_of_one_curvature_is_a_circle_that_pursuit_follows(curvature):
  line = np.asarray(road.seen_from(*road.centre_line(curvature, 0., 99., 0.)))
  apart = np.abs(np.hypot(line[:, 0], line[:, 1] - 1 / curvature) - 1 / abs(curvature))
  assert apart.max() < .15
  # From its middle, the arc to any of its points is the circle itself.
  assert float(road.pursuit(jnp.asarray(line))) == pytest.approx(curvature, rel=.03)
  beside = road.seen_from(jnp.asarray(line), jnp.array([0., 1., 0.]))       # a metre to the left
  x, y = np.sin(curvature * road.LOOK), 1 - np.cos(curvature * road.LOOK) - curvature
  expected = 2 * y / (x ** 2 + y ** 2) * curvature
  assert float(road.pursuit(beside)) == pytest.approx(expected, abs=.002)


def test_distances_to_a_line_by_brute_force():
  line = np.asarray(road.seen_from(*road.centre_line(.02, .001, 8., .1)))
  points = np.random.default_rng(0).uniform((-5, -20), (40, 20), (200, 2)).astype(np.float32)
  shares = np.linspace(0, 1, 501)[:, None, None]
  dense = ((1 - shares) * line[:-1] + shares * line[1:]).reshape(-1, 2)
  expected = np.sqrt(((points[:, None] - dense[None]) ** 2).sum(-1)).min(1)
  found, where = jax.jit(road.distance)(points, line)
  np.testing.assert_allclose(found, expected, atol=.003)
  at = np.stack([np.interp(where, np.arange(len(line)), line[:, i]) for i in (0, 1)], -1)
  np.testing.assert_allclose(np.hypot(*(points - at).T), found, atol=1e-4)


def test_poses_turn_and_move_what_is_seen():
  points = jnp.array([[3., 4.], [1., 2.]])
  np.testing.assert_allclose(road.seen_from(points, jnp.array([1., 2., np.pi / 2])),
                             [[2., -2.], [0., 0.]], atol=1e-6)


def test_the_map_shows_where_the_road_is():
  still = roads('test', examples=32, position_error=0., heading_error=0., keep=False)
  maps = still[np.arange(32)]['map']
  assert (maps[..., 0] >= maps[..., 1]).all()               # the route is one of the roads
  # The car is on it, within half a metre or two: the row it stands in is white about the middle.
  row = int(32 - MAP_BEHIND / MAP_METRES)
  assert (maps[:, row - 1:row + 1, 15:17, 1] > 200).all()
  lost = roads('test', examples=32, position_error=20., keep=False)[np.arange(32)]['map']
  assert (lost[:, row, 16, 1] == 0).mean() > .5


def test_the_camera_sees_asphalt_before_the_car_and_sky_above():
  quiet = roads('test', examples=32, noise=0., keep=False)[np.arange(32)]['image'].astype(int)
  ahead = quiet[:, -1, 38:42]                               # between the wheels
  assert (np.ptp(ahead, -1) <= 1).mean() > .9               # grey
  assert quiet[:, :4].mean() > quiet[:, -4:].mean()


def test_commands_lead_back_from_beside_the_middle():
  """Of y metres and t rad off, the arc to a point 10 m ahead has -2 (y + 10 t) / 100 more."""
  few = np.arange(128)
  off, on = (roads('test', examples=128, forks=0., keep=False, **options)[few]['steering']
             for options in (dict(), dict(shift=0., turn=0.)))
  led = (off - on).std()
  assert led == pytest.approx(np.hypot(.02 * .5, .2 * .05), rel=.2)
  assert on.std() < off.std()


def test_a_fork_that_is_behind_has_one_way_left():
  few = np.arange(64)
  behind = roads('test', examples=64, forks=1., fork_at=(-12., -3.), position_error=0.,
                 heading_error=0., keep=False)[few]
  assert not behind['fork'].any()
  np.testing.assert_array_equal(behind['there'].argmax(1), behind['branch'])
  # The car is on the branch that it took: the map is white about it, of the route, too.
  row = int(32 - MAP_BEHIND / MAP_METRES)
  assert (behind['map'][:, row - 1:row + 1, 15:17, 1] > 150).mean() > .9
  # Others part from it, and are drawn.
  assert (behind['map'][..., 0].astype(int) - behind['map'][..., 1] > 200).any((1, 2)).mean() > .9


@pytest.mark.parametrize('options, said', [
    (dict(forks=2.), 'forks must lie between 0 and 1'), (dict(height=4), 'height must lie'),
    (dict(position_error=-1.), 'position_error must lie'), (dict(examples=-3), 'examples must'),
    (dict(shift=-1.), 'shift must lie'), (dict(fork_at=(9., 2.)), 'the smaller first')])
def test_options_out_of_range(options, said):
  with pytest.raises(ConfigError, match=said):
    roads('test', **options)


def test_a_clip_goes_on_from_its_example_as_the_car_is_steered():
  options = dict(examples=6, height=16, width=20, chart_size=16, fork_at=(1., 4.), noise=0.,
                 position_error=0., heading_error=0., keep=False)
  images, clips = (roads('test', frames=n, **options) for n in (1, 6))
  first, whole = images[np.arange(6)], clips[np.arange(6)]
  for name in ('map', 'steering', 'admissible', 'there', 'fork'):
    np.testing.assert_array_equal(whole[name][:, 0], first[name])
  np.testing.assert_array_equal(whole['video'][:, 0], first['image'])
  np.testing.assert_array_equal(whole['branch'], first['branch'])
  # Each frame is that of a road that begins where the bicycle has come by then.
  place, _ = jax.vmap(lambda i: drawn_place((16, 20), images.arrays, i))(np.arange(6))
  for i in range(6):
    one = jax.tree.map(lambda x, i=i: x[i], place)
    x, y, heading = np.asarray(one.pose, np.float64)
    wheel = np.arctan(WHEELBASE * whole['steering'][i, 0])
    for t in range(6):
      line = np.asarray(road.seen_from(one.road.lines[one.driven], jnp.array([x, y, heading])))
      assert float(road.pursuit(jnp.asarray(line))) == pytest.approx(whole['steering'][i, t],
                                                                     abs=1e-5)
      assert whole['fork'][i, t] == (first['fork'][i] and float(one.fork) > .8 * t)
      aim = np.arctan(WHEELBASE * whole['steering'][i, t])
      wheel += np.clip(aim - wheel, -.12, .12)
      turned = .8 * np.tan(wheel) / WHEELBASE
      radius = .8 / turned
      x += radius * (np.sin(heading + turned) - np.sin(heading))
      y += radius * (np.cos(heading) - np.cos(heading + turned))
      heading += turned
  assert (whole['fork'][:, 0] > whole['fork'][:, -1]).any()
