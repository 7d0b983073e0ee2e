"""ops/pool.py against linen and torch."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from visionlab.ops.pool import adaptive_mean, max_pool
from visionlab.parallel.sharding import data_mesh

OVERLAPPING = [  # window, stride, padding, ceil
  (3, 2, 0, False), (3, 2, 1, False), (3, 2, 0, True), (3, 1, 1, False), (5, 3, 2, True),
  (2, 2, 1, False), (2, 2, 0, True), (3, 3, 1, True), (2, 3, 0, False), (2, 3, 1, True)]


def image(*shape, levels=4):
  """Few distinct values, so that most blocks hold their maximum several times."""
  return np.random.default_rng(0).integers(0, levels, shape).astype(np.float32)


def value_and_gradient(f, x):
  y, pull = jax.vjp(f, x)
  return y, pull(jnp.arange(1., y.size + 1, dtype=y.dtype).reshape(y.shape))[0]


@pytest.mark.parametrize('shape, window', [((2, 6, 8, 3), 2), ((1, 7, 5, 2), 2), ((2, 9, 7, 1), 3)])
def test_value_and_gradient_are_those_of_torch_where_values_tie(shape, window):
  torch = pytest.importorskip('torch')
  x = image(*shape)
  y, dx = jax.jit(partial(value_and_gradient, lambda x: max_pool(x, window)))(x)
  tx = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2), requires_grad=True)
  ty = torch.nn.functional.max_pool2d(tx, window)
  weights = np.arange(1., y.size + 1, dtype=np.float32).reshape(y.shape)
  ty.backward(torch.tensor(weights.transpose(0, 3, 1, 2)))
  np.testing.assert_array_equal(y, ty.detach().numpy().transpose(0, 2, 3, 1))
  np.testing.assert_array_equal(dx, tx.grad.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize('shape', [(2, 9, 12, 2), (1, 8, 7, 3)])
@pytest.mark.parametrize('window, stride, padding, ceil', OVERLAPPING)
def test_overlapping_and_padded_windows_are_those_of_torch(shape, window, stride, padding, ceil):
  torch = pytest.importorskip('torch')
  x = image(*shape, levels=3) - 2
  y, dx = jax.jit(partial(
    value_and_gradient, lambda x: max_pool(x, window, stride, padding, ceil=ceil)))(x)
  tx = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2), requires_grad=True)
  ty = torch.nn.functional.max_pool2d(tx, window, stride, padding, ceil_mode=ceil)
  np.testing.assert_array_equal(y, ty.detach().numpy().transpose(0, 2, 3, 1))
  weights = np.arange(1., y.size + 1, dtype=np.float32).reshape(y.shape)
  ty.backward(torch.tensor(weights.transpose(0, 3, 1, 2)))
  np.testing.assert_array_equal(dx, tx.grad.numpy().transpose(0, 2, 3, 1))


def test_a_ceil_window_larger_than_the_image_holds_all_of_it():
  x = image(2, 1, 2, 3, levels=100)
  np.testing.assert_array_equal(max_pool(x, 3, 2, ceil=True), x.max((1, 2), keepdims=True))


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_overlapping_windows_under_jit_scan_and_vmap(dtype):
  x = image(3, 2, 7, 6, 2, levels=1000).astype(dtype)
  ours = partial(value_and_gradient, lambda x: max_pool(x, 3, 2, 1))
  linen = jax.jit(partial(
    value_and_gradient, lambda x: nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))))
  expected = [np.stack(part) for part in zip(*map(linen, x), strict=True)]
  scanned = jax.lax.scan(lambda c, x: (c, ours(x)), 0, x)[1]
  for got in (jax.jit(jax.vmap(ours))(x), scanned):
    for a, b in zip(got, expected, strict=True):
      assert a.dtype == b.dtype == dtype
      np.testing.assert_array_equal(a.astype(jnp.float32), b.astype(jnp.float32))


def test_overlapping_windows_under_shard_map():
  x = image(4, 7, 6, 2, levels=1000)
  mesh = data_mesh(jax.devices()[:2])
  spec = PartitionSpec(mesh.axis_names[0])
  square = jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x, 3, 2, 1) ** 2)))
  split = jax.jit(jax.shard_map(square, mesh=mesh, in_specs=spec, out_specs=spec))
  np.testing.assert_array_equal(split(x), square(x))


def test_overlapping_windows_scatter_elsewhere_than_on_cpu():
  """The program that a GPU would be given is lax's own."""
  traced = jax.jit(jax.grad(lambda x: jnp.sum(max_pool(x, 3, 2) ** 2))).trace(image(1, 7, 7, 1))
  programs = {platform: traced.lower(lowering_platforms=(platform,)).as_text()
              for platform in ('cpu', 'cuda', 'tpu')}
  assert {k: 'select_and_scatter' in v for k, v in programs.items()} == dict(
    cpu=False, cuda=True, tpu=True)


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

  got, expected = (jax.jit(jax.grad(lambda x, f=f: penalty(f, x)))(x)
                   for f in (lambda x: max_pool(x, 2),
                             lambda x: x.reshape(1, 2, 2, 2, 2, 1).max((2, 4))))
  np.testing.assert_allclose(got, expected, rtol=1e-5)

  def stacked(x):  # the four 3x3 windows, with stride 1
    return jnp.stack([x[:, i:i + 3, j:j + 3].max((1, 2)) for i in (0, 1) for j in (0, 1)])

  got, expected = (jax.jit(jax.grad(lambda x, f=f: penalty(f, x)))(x)
                   for f in (lambda x: max_pool(x, 3, 1), stacked))
  np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize('shape', [(2, 6, 6, 3), (1, 13, 9, 2), (2, 3, 5, 1), (1, 1, 2, 2),
                                   (1, 12, 18, 1)])
@pytest.mark.parametrize('size', [1, 4, 6])
def test_adaptive_mean_is_torchs(shape, size):
  torch = pytest.importorskip('torch')
  x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
  tx = torch.tensor(x.transpose(0, 3, 1, 2))
  expected = torch.nn.functional.adaptive_avg_pool2d(tx, size).numpy().transpose(0, 2, 3, 1)
  means = jax.jit(partial(adaptive_mean, size=size))
  np.testing.assert_allclose(means(x), expected, rtol=1e-5, atol=1e-6)
  assert jax.eval_shape(means, x.astype(jnp.bfloat16)).dtype == jnp.bfloat16


def test_adaptive_mean_leaves_an_image_of_its_size_alone():
  x = image(2, 6, 6, 3, levels=1000) / 7
  np.testing.assert_array_equal(adaptive_mean(x, 6), x)
