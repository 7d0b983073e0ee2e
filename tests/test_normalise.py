"""ops/normalise.py against torch and the paper's formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops.normalise import local_response


def image(*shape):
  return (30 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize('size, beta', [(5, .75), (4, .75), (1, .5), (3, 1.), (9, .75)])
def test_value_and_gradient_are_torchs(size, beta):
  torch = pytest.importorskip('torch')
  x, g = image(2, 3, 4, 7), image(2, 3, 4, 7)
  y, pull = jax.vjp(lambda x: local_response(x, size, 2e-3, beta, 1.5), jnp.asarray(x))
  tx = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
  ty = torch.nn.functional.local_response_norm(tx, size, 2e-3, beta, 1.5)
  ty.backward(torch.tensor(g.transpose(0, 3, 1, 2)))
  np.testing.assert_allclose(y, ty.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-5)
  np.testing.assert_allclose(pull(jnp.asarray(g))[0], tx.grad.numpy().transpose(0, 2, 3, 1),
                             rtol=1e-4, atol=1e-4)


def test_alexnets_arguments_are_the_papers():
  """Krizhevsky et al. 2012, section 3.3, written out: n=5, k=2, alpha=1e-4, beta=.75."""
  x = image(1, 1, 2, 11).astype(np.float64)
  expected = np.empty_like(x)
  for i in range(11):
    nearest = x[..., max(0, i - 2):min(10, i + 2) + 1]
    expected[..., i] = x[..., i] / (2 + 1e-4 * (nearest ** 2).sum(-1)) ** .75
  got = local_response(jnp.asarray(x, jnp.float32), 5, alpha=5e-4, beta=.75, k=2.)
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_bfloat16_is_computed_in_float32():
  x = jnp.asarray(image(1, 2, 2, 8), jnp.bfloat16)
  got = local_response(x, 5, 5e-4, .75, 2.)
  assert got.dtype == jnp.bfloat16
  wide = local_response(x.astype(jnp.float32), 5, 5e-4, .75, 2.)
  np.testing.assert_array_equal(got, wide.astype(jnp.bfloat16))
