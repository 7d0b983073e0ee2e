"""Similarities against Umeyama's own formula, and what aligning does to a face."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops.similarity import TEMPLATE, aligned, similarity
from visionlab.ops.warp import compose, rotation, scaling, transform, translation


def umeyama(points, onto):
  """Umeyama 1991, eq. 34 to 43, with singular values."""
  p, q = points - points.mean(0), onto - onto.mean(0)
  u, d, v = np.linalg.svd(q.T @ p / len(p))
  s = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
  turn = u @ np.diag(s) @ v
  scale = (d * s).sum() / (p ** 2).sum(1).mean()
  return scale * turn, onto.mean(0) - scale * turn @ points.mean(0)


def test_it_is_umeyamas():
  rng = np.random.default_rng(0)
  points, onto = rng.normal(size=(2, 30, 5, 2))
  found = np.asarray(similarity(jnp.asarray(points), jnp.asarray(onto)))
  for i in range(30):
    turn, shift = umeyama(points[i], onto[i])
    np.testing.assert_allclose(found[i, :2], np.c_[turn, shift], atol=1e-5)
    np.testing.assert_allclose(found[i, 2], [0, 0, 1])


def test_weights_leave_points_out():
  moved = compose(translation(3, -1), rotation(.4), scaling(2, 2))
  points = np.random.default_rng(1).normal(size=(5, 2)).astype(np.float32)
  onto = np.asarray(transform(moved, points)).copy()
  onto[2] += 50
  np.testing.assert_allclose(similarity(points, onto, jnp.array([1., 1, 0, 1, 1])), moved,
                             atol=1e-4)


@pytest.mark.parametrize('weights', [(0., 0, 0), (0., 1, 0)])
def test_too_few_points_are_only_moved(weights):
  points, onto = jnp.array([[0., 0], [1, 2], [3, 1]]), jnp.array([[5., 5], [6, 6], [0, 0]])
  found = np.asarray(similarity(points, onto, jnp.array(weights)))
  np.testing.assert_allclose(found[:2, :2], np.eye(2))
  assert np.isfinite(found).all()


def test_aligned_landmarks_lie_on_the_template():
  """White squares about the landmarks of a turned face are found where the template has them."""
  moved = compose(translation(28, 20), rotation(.5), scaling(30, 30), translation(-.5, -.5))
  place = np.asarray(transform(moved, TEMPLATE))
  y, x = np.mgrid[:60, :64] + .5
  image = np.zeros((60, 64, 1), np.float32)
  for u, v in place:
    image[(x - u) ** 2 + (y - v) ** 2 < 4] = 1
  landmarks = np.c_[place, np.full(5, 2)].astype(np.float32)
  found = np.asarray(jax.jit(aligned, static_argnums=2)(image, landmarks, 90))[..., 0]
  for u, v in 90 * TEMPLATE:
    assert found[int(v), int(u)] == pytest.approx(1, abs=1e-3)
  assert .02 < found.mean() < .1
  plain = aligned(image, np.zeros((5, 3), np.float32), 30)         # nothing is known
  np.testing.assert_allclose(plain[5, 7], image[10:12, 14:17].mean(), atol=.35)
  assert plain.shape == (30, 30, 1)
