"""ops/pool.py against linen and torch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops.pool import max_pool


def image(*shape, levels=4):
  """Few distinct values, so that most blocks hold their maximum several times."""
  return jnp.asarray(np.random.default_rng(0).integers(0, levels, shape), jnp.float32)


def value_and_gradient(f, x):
  y, pull = jax.vjp(f, x)
  return y, pull(jnp.arange(1., y.size + 1, dtype=y.dtype).reshape(y.shape))[0]


@pytest.mark.parametrize('shape, window', [((2, 6, 8, 3), 2), ((1, 7, 5, 2), 2), ((2, 9, 7, 1), 3)])
def test_value_and_gradient_are_those_of_torch_where_values_tie(shape, window):
  torch = pytest.importorskip('torch')
  x = image(*shape)
  y, dx = value_and_gradient(lambda x: max_pool(x, window), x)
  tx = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2), requires_grad=True)
  ty = torch.nn.functional.max_pool2d(tx, window)
  weights = np.arange(1., y.size + 1, dtype=np.float32).reshape(y.shape)
  ty.backward(torch.tensor(weights.transpose(0, 3, 1, 2)))
  np.testing.assert_array_equal(y, ty.detach().numpy().transpose(0, 2, 3, 1))
  np.testing.assert_array_equal(dx, tx.grad.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_value_and_gradient_are_those_of_linen_under_jit_and_vmap(dtype):
  x = image(3, 2, 7, 6, 2, levels=1000).astype(dtype)
  got, expected = (
    jax.jit(jax.vmap(lambda x, f=f: value_and_gradient(f, x)))(x)
    for f in (lambda x: max_pool(x, 2), lambda x: nn.max_pool(x, (2, 2), (2, 2))))
  for a, b in zip(got, expected, strict=True):
    assert a.dtype == b.dtype == dtype
    np.testing.assert_array_equal(a.astype(jnp.float32), b.astype(jnp.float32))


def test_second_order_gradient():
  x = image(1, 4, 4, 1, levels=1000) / 100

  def penalty(f, x):
    return jnp.sum(jax.grad(lambda x: jnp.sum(f(x) ** 3))(x) ** 2)

  got, expected = (jax.grad(lambda x, f=f: penalty(f, x))(x)
                   for f in (lambda x: max_pool(x, 2),
                             lambda x: x.reshape(1, 2, 2, 2, 2, 1).max((2, 4))))
  np.testing.assert_allclose(got, expected, rtol=1e-5)
