"""Where a car is, of what is seen: on roads of which it can be told by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.data.roads.localise import entropy, followed_up, grid, likelihood
from visionlab.data.roads.road import Road, centre_line, pursuit, seen_from

SPREAD = (1.5, 1.5, .06)


@pytest.fixture(scope='module')
def known():
  return grid(SPREAD)


@pytest.fixture(scope='module')
def told(known):
  """(road of a turn so many metres ahead, pose, error, sigma) -> log-likelihoods, of a network that
  is right."""
  @jax.jit
  def call(turn, ahead, pose, error, sigma):
    points, origin = centre_line(0., 0., ahead, turn)
    line = seen_from(points, origin)
    road = Road(jnp.stack([line] * 3), jnp.array([False, True, False]))
    right = pursuit(seen_from(line, pose))
    return likelihood(road, pose, error, known.offsets, jnp.ones(1), right[None], sigma[None])
  return lambda *given: np.asarray(call(*map(jnp.float32, given)))


def test_the_prior_is_the_receivers(known):
  p = np.exp(known.prior)
  assert p.sum() == pytest.approx(1, abs=1e-5)
  np.testing.assert_allclose(np.sqrt(p @ known.offsets ** 2), SPREAD, rtol=.03)
  assert entropy(np.log(np.full(8, 1 / 8))) == pytest.approx(np.log(8))


def test_of_a_straight_road_no_place_along_it_is_told(known, told):
  found = told(0., 99., np.zeros(3), np.zeros(3), .01).reshape(13, 13, 9)
  np.testing.assert_allclose(found, np.broadcast_to(found[:1], found.shape), atol=2e-2)
  aside = found[6, :, 4]                                   # a metre beside it is .02 1/m
  assert aside.argmax() == 6
  by = known.offsets.reshape(13, 13, 9, 3)[6, 9, 4, 1]
  expected = -.5 * (2 * by / (by ** 2 + 100) / .01) ** 2
  assert aside[9] - aside[6] == pytest.approx(expected, rel=.02)


def test_where_it_turns_the_place_along_it_is_told(known, told):
  error = np.array([1.5, 0., 0.])                          # what the receiver is off, a grid point
  views = np.stack([told(.1, 12. - x, np.zeros(3), error, .01)
                    for x in np.arange(0., 9., 1.5)])
  after = followed_up(views, known.prior)
  fell = entropy(after)
  assert fell[0] == pytest.approx(entropy(known.prior)) and fell[-1] < fell[0] - 1.5
  np.testing.assert_allclose(known.offsets[views.sum(0).argmax()], error, atol=1e-5)
  # Between what the receiver says and what is seen.
  ahead = np.exp(after) @ known.offsets[:, 0]
  assert abs(ahead[0]) < 1e-4 and .5 < ahead[-1] < 1.5


def test_views_count_as_evidence_by_their_share(known):
  views = np.random.default_rng(0).normal(0, 1, (3, len(known.prior)))
  by_hand = known.prior + .5 * views.sum(0)
  by_hand -= np.log(np.exp(by_hand).sum())
  np.testing.assert_allclose(followed_up(views, known.prior, .5)[-1], by_hand, atol=1e-5)
