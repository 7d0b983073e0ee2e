"""Weights over their largest singular value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops.spectral import first_vectors, normalised


@pytest.fixture(scope='module')
def params():
  rng = np.random.default_rng(0)
  return dict(conv=dict(kernel=jnp.asarray(rng.normal(size=(3, 3, 4, 6)), jnp.float32),
                        bias=jnp.ones(6)),
              head=dict(kernel=jnp.asarray(rng.normal(size=(24, 1)), jnp.float32)))


def test_after_enough_steps_the_largest_singular_value_is_one(params):
  step = jax.jit(normalised)
  vectors = first_vectors(jax.random.key(0), params)
  for _ in range(100):
    made, vectors = step(params, vectors)
  for name, axes in dict(conv=36, head=24).items():
    singular = np.linalg.svd(np.asarray(params[name]['kernel']).reshape(axes, -1),
                             compute_uv=False)
    found = np.linalg.svd(np.asarray(made[name]['kernel']).reshape(axes, -1), compute_uv=False)
    np.testing.assert_allclose(found, singular / singular[0], rtol=1e-4)
  np.testing.assert_array_equal(made['conv']['bias'], params['conv']['bias'])


def test_a_step_is_the_papers(params):
  """Algorithm 1 by hand, and the gradient of equation 11 by differences."""
  w = np.asarray(params['conv']['kernel'], np.float64).reshape(36, 6)
  vectors = first_vectors(jax.random.key(1), params)
  u = np.asarray(vectors['conv']['kernel'], np.float64)
  v = w @ u / np.linalg.norm(w @ u)
  u = w.T @ v / np.linalg.norm(w.T @ v)
  made, new = normalised(params, vectors)
  np.testing.assert_allclose(new['conv']['kernel'], u, rtol=1e-4)
  np.testing.assert_allclose(made['conv']['kernel'].reshape(36, 6), w / (v @ w @ u), rtol=1e-4)
  rng = np.random.default_rng(1)
  weights, way = rng.normal(size=(2, 36, 6))

  def total(kernel):
    one = params | dict(conv=params['conv'] | dict(kernel=kernel))
    return (normalised(one, vectors)[0]['conv']['kernel'] * weights.reshape(3, 3, 4, 6)).sum()
  slope = (jax.grad(total)(params['conv']['kernel']) * way.reshape(3, 3, 4, 6)).sum()
  # u and v are held, as in the paper.
  by_hand = lambda w: (weights * w / (v @ w @ u)).sum()
  expected = (by_hand(w + 1e-5 * way) - by_hand(w - 1e-5 * way)) / 2e-5
  assert float(slope) == pytest.approx(expected, rel=1e-3)
