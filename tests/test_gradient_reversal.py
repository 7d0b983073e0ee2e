"""The reversed gradient, and the paper's two schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops.gradient_reversal import gradient_reversal, reversal_schedule, scale_gradient
from visionlab.optim.schedule import make_schedule

RNG = np.random.default_rng(0)
X, G = (RNG.standard_normal((3, 5)).astype(np.float32) for _ in range(2))
SCALES = [0., .3, 1., 7.25]


@pytest.mark.parametrize('scale', SCALES)
def test_the_gradient_is_minus_scale_times_the_incoming_one_exactly(scale):
  @jax.jit
  def both(x, scale, g):
    out, pull = jax.vjp(gradient_reversal, x, scale)
    return out, pull(g)
  out, (x_bar, scale_bar) = both(X, scale, G)
  np.testing.assert_array_equal(out, X)
  np.testing.assert_array_equal(x_bar, np.float32(-scale) * G)
  assert scale_bar == 0


@pytest.mark.parametrize('scale', SCALES)
def test_a_scaled_gradient_keeps_its_sign(scale):
  out, pull = jax.vjp(lambda x: scale_gradient(x, scale), X)
  np.testing.assert_array_equal(out, X)
  np.testing.assert_array_equal(pull(G)[0], np.float32(scale) * G)


def test_it_composes_with_what_training_uses():
  """vmap over the scale (sweeps), checkpoint (accumulation), scan, half precision."""
  def slope(scale):
    return jax.grad(jax.checkpoint(lambda x: gradient_reversal(x, scale) ** 2))(jnp.float32(3))
  np.testing.assert_array_equal(jax.vmap(slope)(jnp.array([0., .5, 2.])), [0., -3., -12.])
  twice = jax.grad(lambda x: jax.lax.scan(
      lambda x, s: (gradient_reversal(x, s), None), x, jnp.array([2., 3.]))[0])
  assert twice(1.) == 6
  half = jax.grad(lambda x: gradient_reversal(x, jnp.float32(.5)).astype(jnp.float32))(
      jnp.bfloat16(1))
  assert half.dtype == jnp.bfloat16 and half == -.5


def test_what_is_below_climbs_while_what_is_above_descends():
  """On |a b| at a = b = 1: plain gradients are (1, 1), reversed at b (1, -1)."""
  slopes = jax.grad(lambda a, b: a * gradient_reversal(b, 1.), (0, 1))(1., 1.)
  assert slopes == (1, -1)


def test_schedule_is_the_papers():
  p = np.linspace(0, 1, 21)
  for gamma in (1., 10., 30.):
    np.testing.assert_allclose(reversal_schedule(p, gamma), 2 / (1 + np.exp(-gamma * p)) - 1,
                               rtol=1e-6, atol=1e-7)


def test_optims_inverse_schedule_is_the_papers_learning_rate():
  total = 400
  rate = make_schedule(dict(name='inverse'), total, lambda duration, key: int(duration))
  step = np.arange(0, total + 1, 25)
  np.testing.assert_allclose(rate(step), (1 + 10 * step / total) ** -.75, rtol=1e-6)
