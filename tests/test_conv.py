"""ops/conv.py against lax and torch: values, gradients, every way of batching, loops, devices."""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, PartitionSpec

from visionlab.ops import kernel_gradient
from visionlab.ops.conv import conv

NHWC = ('NHWC', 'HWIO', 'NHWC')
CASES = {
  # name: (image, kernel, strides, padding, lhs_dilation, rhs_dilation, groups)
  'same': ((2, 6, 7, 3), (3, 3, 3, 4), (1, 1), 'SAME', None, None, 1),
  'same_strided': ((2, 7, 8, 3), (3, 2, 3, 4), (2, 3), 'SAME', None, None, 1),
  'valid_strided': ((2, 8, 9, 2), (3, 3, 2, 4), (3, 2), 'VALID', None, None, 1),
  'explicit': ((1, 5, 6, 2), (3, 4, 2, 3), (2, 1), ((2, 0), (1, 3)), None, None, 1),
  'cropped': ((1, 7, 7, 2), (2, 2, 2, 3), (1, 2), ((-1, 0), (0, -2)), None, None, 1),
  'dilated': ((2, 9, 8, 2), (3, 2, 2, 3), (2, 1), 'SAME', None, (2, 3), 1),
  'transposed': ((2, 4, 5, 2), (3, 4, 2, 3), (1, 1), ((1, 2), (2, 2)), (2, 3), None, 1),
  'groups': ((2, 5, 6, 4), (3, 3, 2, 6), (2, 1), 'SAME', None, None, 2),
  'depthwise': ((2, 5, 5, 4), (3, 3, 1, 8), (1, 1), 'VALID', None, (1, 2), 4),
  'everything': ((2, 5, 6, 4), (3, 2, 2, 4), (2, 3), ((3, 1), (2, 0)), (2, 1), (1, 2), 2),
  'pointwise': ((2, 4, 4, 3), (1, 1, 3, 2), (2, 2), 'VALID', None, None, 1),
}
WIDE = {           # whose kernel's gradient is made of products of matrices
  'wide': ((4, 6, 7, 4), (3, 3, 4, 16), (1, 1), 'SAME', None, None, 1),
  'wide_strided': ((4, 9, 8, 5), (3, 2, 5, 16), (2, 3), 'SAME', None, None, 1),
  'wide_explicit': ((3, 5, 6, 4), (4, 5, 4, 17), (3, 2), ((2, 0), (1, 3)), None, None, 1),
  'wide_rest': ((2, 8, 9, 4), (1, 2, 4, 16), (3, 4), 'VALID', None, None, 1),
  'wide_pointwise': ((2, 4, 4, 6), (1, 1, 6, 16), (1, 1), 'VALID', None, None, 1),
}
CASES |= WIDE
TORCH_CASES = (
  # image, kernel, stride, padding, dilation, groups: the padding of torch is symmetric
  ((2, 7, 6, 3), (3, 3, 3, 4), (2, 2), (1, 1), (1, 1), 1),
  ((2, 8, 9, 4), (3, 2, 2, 6), (1, 3), (2, 0), (2, 1), 2),
  ((1, 9, 7, 1), (5, 3, 1, 2), (2, 1), (2, 1), (1, 2), 1),
)


def draw(seed, *shape, dtype=jnp.float32):
  return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def both(case):
  """(our convolution, lax's, an image, a kernel) of a case."""
  image, kernel, strides, padding, lhs, rhs, groups = CASES[case]
  options = dict(lhs_dilation=lhs, rhs_dilation=rhs, dimension_numbers=NHWC,
                 feature_group_count=groups)
  ours, theirs = (lambda x, k, f=f: f(x, k, strides, padding, **options)
                  for f in (conv, lax.conv_general_dilated))
  return ours, theirs, draw(0, *image), draw(1, *kernel)


def value_and_gradients(f):
  """x, kernel -> f(x, kernel) and the gradients of a sum in which every output counts otherwise."""

  @jax.jit
  def run(x, kernel):
    y, pull = jax.vjp(f, x, kernel)
    return y, pull(jnp.cos(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype))

  return run


def assert_close(got, expected, tolerance=2e-5):
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert a.shape == b.shape and a.dtype == b.dtype
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + np.abs(b).max()))


@pytest.mark.parametrize('case', CASES)
def test_value_and_gradients_are_those_of_lax(case):
  ours, theirs, x, kernel = both(case)
  assert_close(value_and_gradients(ours)(x, kernel), value_and_gradients(theirs)(x, kernel))


@pytest.mark.parametrize('packed', [1, 2 ** 13])
@pytest.mark.parametrize('case', WIDE)
def test_how_many_examples_are_packed_at_once_changes_nothing(case, packed, monkeypatch):
  monkeypatch.setattr(kernel_gradient, 'PACKED', packed)
  test_value_and_gradients_are_those_of_lax(case)


@pytest.mark.parametrize('image, kernel, stride, padding, dilation, groups', TORCH_CASES)
def test_value_and_gradients_are_those_of_torch(image, kernel, stride, padding, dilation, groups):
  torch = pytest.importorskip('torch')
  x, k = draw(0, *image), draw(1, *kernel)
  y, (dx, dk) = value_and_gradients(partial(
    conv, strides=stride, padding=[(p, p) for p in padding], rhs_dilation=dilation,
    dimension_numbers=NHWC, feature_group_count=groups))(x, k)
  tx = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2), requires_grad=True)
  tk = torch.tensor(np.asarray(k).transpose(3, 2, 0, 1), requires_grad=True)
  ty = torch.nn.functional.conv2d(tx, tk, None, stride, padding, dilation, groups)
  weights = np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
  ty.backward(torch.tensor(weights.transpose(0, 3, 1, 2)))
  assert_close(y, ty.detach().numpy().transpose(0, 2, 3, 1))
  assert_close(dx, tx.grad.numpy().transpose(0, 2, 3, 1))
  assert_close(dk, tk.grad.numpy().transpose(2, 3, 1, 0))


def test_image_dilation_is_a_transposed_convolution_of_torch():
  torch = pytest.importorskip('torch')
  x, k = draw(0, 2, 4, 5, 3), draw(1, 4, 4, 3, 2)
  y = jax.jit(partial(conv, strides=(1, 1), padding=((2, 2), (2, 2)), lhs_dilation=(2, 2),
                      dimension_numbers=NHWC))(x, k)
  expected = torch.nn.functional.conv_transpose2d(
    torch.tensor(np.asarray(x).transpose(0, 3, 1, 2)),
    torch.tensor(np.asarray(k)[::-1, ::-1].transpose(2, 3, 0, 1).copy()), stride=2, padding=1)
  assert_close(y, expected.numpy().transpose(0, 2, 3, 1))


@pytest.fixture(params=['cpu', 'default'])
def platform(request, monkeypatch):
  """Runs, on CPU, what is chosen there and what is chosen elsewhere."""
  monkeypatch.setattr(lax, 'platform_dependent',
                      lambda *operands, **choices: choices[request.param](*operands))


@pytest.mark.usefixtures('platform')
@pytest.mark.parametrize('axes', [(0, None), (None, 0), (0, 0), (1, 2)])
@pytest.mark.parametrize('case', ['everything', 'depthwise', 'wide_strided'])
def test_vmap_is_a_loop_over_members(case, axes):
  ours, theirs, x, kernel = both(case)
  members = 3
  operands = [a if axis is None else
              np.stack([(i + 1) * np.roll(a, i) for i in range(members)], axis)
              for a, axis in zip((x, kernel), axes, strict=True)]
  got = jax.jit(jax.vmap(value_and_gradients(ours), axes))(*operands)
  alone = value_and_gradients(theirs)
  each = [alone(*(a if axis is None else np.take(a, i, axis)
                  for a, axis in zip(operands, axes, strict=True)))
          for i in range(members)]
  assert_close(got, jax.tree.map(lambda *leaves: np.stack(leaves), *each))


def test_gradient_of_a_vmap_sums_over_members():
  ours, theirs, x, kernel = both('same_strided')
  xs = np.stack([x, 2 * x, -x])

  def loss(f, xs, kernel):
    return jnp.sum(jnp.sin(jax.vmap(f, (0, None))(xs, kernel)))

  got, expected = (jax.jit(jax.grad(partial(loss, f), (0, 1)))(xs, kernel) for f in (ours, theirs))
  assert_close(got, expected)


@pytest.mark.parametrize('axes', [((0, 0), (0, 0)), ((0, None), (None, 0)), ((None, 0), (0, 0))])
def test_nested_vmap(axes):
  outer, inner = axes
  ours, theirs, x, kernel = both('groups')
  operands = []
  for i, a in enumerate((x, kernel)):
    sizes = [n for n, axis in ((2, outer[i]), (3, inner[i])) if axis is not None]
    operands.append(draw(i + 2, *sizes, *a.shape))
  got, expected = (jax.jit(jax.vmap(jax.vmap(value_and_gradients(f), inner), outer))(*operands)
                   for f in (ours, theirs))
  assert_close(got, expected)


def test_the_choice_is_made_when_lowering():
  ours, _, x, kernel = both('same')
  operands = np.stack([x, x]), np.stack([kernel, kernel])
  traced = jax.jit(jax.vmap(value_and_gradients(ours))).trace(*operands)
  cpu, gpu = (traced.lower(lowering_platforms=(p,)).as_text() for p in ('cpu', 'cuda'))
  assert 'stablehlo.while' in cpu and 'stablehlo.while' not in gpu
  assert cpu.count('stablehlo.convolution') == gpu.count('stablehlo.convolution') == 3
  assert 'conditional' not in traced.lower().compile().as_text()


def test_gradients_have_the_layout_that_is_fast_in_loops():
  """On CPU only this one is recognised inside a loop; others fall back to code 100 times slower."""
  x, kernel = draw(0, 32, 14, 14, 12), draw(1, 3, 3, 12, 12)

  def loss(f, x, kernel):
    return jnp.sum(jnp.sin(f(x, kernel, (2, 2), 'SAME', dimension_numbers=NHWC)))

  def layouts(f):
    grad = jax.jit(jax.grad(partial(loss, f), (0, 1)))
    text = grad.trace(x, kernel).lower(lowering_platforms=('cpu',)).as_text()
    return re.findall(r'dim_numbers = (\S+, .*?->\[.*?\])', text)
  fast = '[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]'
  ours = layouts(conv)
  assert len(ours) == 3 and set(ours) == {fast}
  assert set(layouts(lax.conv_general_dilated)) != {fast}          # so there is something to mend


def test_scan_of_gradient_steps():
  ours, theirs, x, kernel = both('same')

  def descend(f):
    def step(kernel, _):
      value, grad = jax.value_and_grad(lambda k: jnp.mean(f(x, k) ** 2))(kernel)
      return kernel - .1 * grad, value
    return jax.jit(lambda k: lax.scan(step, k, length=5))(kernel)

  got, expected = descend(ours), descend(theirs)
  assert got[1][-1] < got[1][0]
  assert_close(got, expected)


@pytest.mark.parametrize('case', ['everything', 'same_strided', 'wide_strided'])
def test_second_order_gradients(case):
  ours, theirs, x, kernel = both(case)

  def penalty(f, x, kernel):  # the squared norm of a gradient, as in a gradient penalty
    dx, dk = jax.grad(lambda x, k: jnp.sum(f(x, k) ** 3), (0, 1))(x, kernel)
    return jnp.mean(dx ** 2) + jnp.mean(dk ** 2)

  got, expected = (jax.jit(jax.grad(partial(penalty, f), (0, 1)))(x, kernel)
                   for f in (ours, theirs))
  assert_close(got, expected, 1e-4)


@pytest.mark.parametrize('case', ['same', 'wide'])
@pytest.mark.parametrize('check_vma', [True, False])
def test_shard_map_sums_the_gradient_over_devices(check_vma, case, monkeypatch):
  monkeypatch.setattr(kernel_gradient, 'PACKED', 1)               # example after example
  ours, theirs, x, kernel = both(case)
  x = draw(3, 8, *x.shape[1:])
  mesh = jax.make_mesh((4,), ('data',), axis_types=(AxisType.Auto,))
  batch, whole = PartitionSpec('data'), PartitionSpec()

  @jax.jit
  @partial(jax.shard_map, mesh=mesh, in_specs=(batch, whole), out_specs=(batch, whole),
           check_vma=check_vma)
  def sharded(x, kernel):
    loss = lambda x, k: jnp.sum(jnp.sin(ours(x, k)))  # noqa: E731
    dx, dk = jax.grad(loss, (0, 1))(x, kernel)
    return dx, dk if check_vma else lax.psum(dk, 'data')

  expected = jax.jit(jax.grad(lambda x, k: jnp.sum(jnp.sin(theirs(x, k))), (0, 1)))(x, kernel)
  assert_close(sharded(x, kernel), expected)


def test_shard_map_of_vmap_without_collectives():
  ours, theirs, x, _ = both('same')
  kernels = draw(4, 8, 3, 3, 3, 4)
  mesh = jax.make_mesh((4,), ('trial',), axis_types=(AxisType.Auto,))
  trial, whole = PartitionSpec('trial'), PartitionSpec()

  def gradients(f):
    return jax.vmap(jax.grad(lambda k, x: jnp.sum(jnp.sin(f(x, k)))), (0, None))

  sharded = jax.jit(jax.shard_map(gradients(ours), mesh=mesh, in_specs=(trial, whole),
                                  out_specs=trial))
  assert_close(sharded(kernels, x), jax.jit(gradients(theirs))(kernels, x))
  program = sharded.lower(kernels, x).compile().as_text()
  assert 'all-gather' not in program and 'all-reduce' not in program


def test_bfloat16_and_a_wider_result():
  x, kernel = draw(0, 2, 6, 6, 3, dtype=jnp.bfloat16), draw(1, 3, 3, 3, 4, dtype=jnp.bfloat16)
  exact = value_and_gradients(partial(
    conv, strides=(1, 1), padding='SAME', dimension_numbers=NHWC))(
      x.astype(jnp.float32), kernel.astype(jnp.float32))
  for dtype in (None, jnp.float32):
    y, grads = value_and_gradients(partial(
      conv, strides=(1, 1), padding='SAME', dimension_numbers=NHWC,
      preferred_element_type=dtype))(x, kernel)
    assert y.dtype == (dtype or jnp.bfloat16)
    assert {g.dtype for g in grads} == {jnp.dtype(jnp.bfloat16)}
    narrow = jax.tree.map(lambda e, g: np.asarray(e).astype(g.dtype), exact, (y, grads))
    assert_close((y, grads), narrow, 2e-2)


@pytest.mark.parametrize('numbers', [None, ('NCHW', 'OIHW', 'NHWC'), ('HWNC', 'IHWO', 'CNHW')])
def test_other_layouts(numbers):
  shapes = {None: ((2, 3, 5, 6), (4, 3, 3, 3)), 'NCHW': ((2, 3, 5, 6), (4, 3, 3, 3)),
            'HWNC': ((5, 6, 2, 3), (3, 3, 3, 4))}[numbers and numbers[0]]
  x, kernel = (draw(i, *shape) for i, shape in enumerate(shapes))
  got, expected = (
    value_and_gradients(partial(f, window_strides=(1, 2), padding='SAME', dimension_numbers=numbers)
                        if f is not conv else
                        partial(f, strides=(1, 2), padding='SAME', dimension_numbers=numbers))(
                          x, kernel) for f in (conv, lax.conv_general_dilated))
  assert_close(got, expected)


@pytest.mark.parametrize('spatial', [1, 3])
def test_one_and_three_spatial_axes_through_linen(spatial):
  x = draw(0, 2, *(5, 4, 6)[:spatial], 3)
  layers = [nn.Conv(4, (3,) * spatial, strides=2, **options)
            for options in ({}, {'conv_general_dilated': conv})]
  variables = jax.jit(layers[0].init)(jax.random.key(0), x)

  def gradient(layer):
    return jax.jit(jax.grad(lambda v: jnp.sum(jnp.sin(layer.apply(v, x)))))(variables)

  assert_close(gradient(layers[1]), gradient(layers[0]))


def test_batch_groups_are_left_to_lax():
  x, kernel = draw(0, 4, 5, 5, 3), draw(1, 3, 3, 3, 4)
  got, expected = (jax.jit(partial(f, padding='SAME', dimension_numbers=NHWC, batch_group_count=2,
                                   **{ones: (1, 1)}))(x, kernel)
                   for f, ones in ((conv, 'strides'), (lax.conv_general_dilated, 'window_strides')))
  assert_close(got, expected)


def test_an_empty_batch_has_an_empty_result_and_no_gradient():
  f = jax.vmap(partial(conv, strides=(1, 1), padding='SAME', dimension_numbers=NHWC), (0, None))
  y, (dx, dk) = value_and_gradients(f)(jnp.zeros((2, 0, 5, 5, 3)), jnp.ones((3, 3, 3, 4)))
  assert y.shape == (2, 0, 5, 5, 4) and dx.shape == (2, 0, 5, 5, 3)
  assert dk.shape == (3, 3, 3, 4) and not dk.any()
