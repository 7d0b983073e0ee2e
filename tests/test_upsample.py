"""ops/upsample.py, ops/unpool.py and models/upsample.py against torch and NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.upsample import ConvTranspose, bilinear_init, he_transposed
from visionlab.ops import upsample
from visionlab.ops.unpool import max_pool_switches, max_unpool


def draw(seed, *shape):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def value_and_gradients(f, *operands):
  """f(*operands) and the gradients of a sum in which every output counts otherwise."""
  @jax.jit
  def run(*operands):
    y, pull = jax.vjp(f, *operands)
    return y, *pull(jnp.cos(jnp.arange(y.size)).reshape(y.shape).astype(y.dtype))
  return [np.asarray(a) for a in run(*operands)]


def torch_value_and_gradients(f, *operands):
  """The same in torch, for f on NCHW images; the first operand is NHWC, others are left alone."""
  import torch
  first, *others = (torch.tensor(np.asarray(a), requires_grad=True) for a in operands)
  y = f(first.permute(0, 3, 1, 2), *others).permute(0, 2, 3, 1)
  y.backward(torch.cos(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape))
  return [y.detach().numpy(), first.grad.numpy(), *(a.grad.numpy() for a in others)]


def assert_all_close(got, expected, tolerance=1e-5):
  for a, b in zip(got, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + abs(b).max()))


def assert_batch_is_its_images(f, *operands):
  """f of a batch, of its last image and of a batch of batches agree."""
  f = jax.jit(f)
  operands = [np.asarray(a) for a in operands]
  results = f(*operands), f(*(a[-1] for a in operands)), f(*(a[None] for a in operands))
  for whole, one, nested in zip(*map(jax.tree.leaves, results), strict=True):
    whole, one, nested = map(np.asarray, (whole, one, nested))
    np.testing.assert_allclose(one, whole[-1], atol=1e-6)
    np.testing.assert_allclose(nested[0], whole, atol=1e-6)


# --- interpolation ---


@pytest.mark.parametrize('factor', [1, 2, 3])
def test_nearest_and_bed_of_nails(factor):
  x = draw(0, 2, 3, 4, 5)
  y, dx = value_and_gradients(partial(upsample.nearest, factor=factor), x)
  np.testing.assert_array_equal(y, np.asarray(x).repeat(factor, 1).repeat(factor, 2))
  weights = np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
  blocks = weights.reshape(2, 3, factor, 4, factor, 5)
  np.testing.assert_allclose(dx, blocks.sum((2, 4)), atol=1e-5)

  y, dx = value_and_gradients(partial(upsample.bed_of_nails, factor=factor), x)
  nails = np.zeros((2, 3 * factor, 4 * factor, 5), np.float32)
  nails[:, ::factor, ::factor] = x
  np.testing.assert_array_equal(y, nails)
  np.testing.assert_allclose(dx, weights[:, ::factor, ::factor], atol=1e-6)
  for f in (upsample.nearest, upsample.bed_of_nails):
    assert_batch_is_its_images(partial(f, factor=factor), x)


@pytest.mark.parametrize('shape, size', [
    ((2, 3, 4, 5), (6, 8)), ((1, 5, 7, 2), (13, 9)), ((2, 9, 8, 1), (4, 3)), ((1, 1, 4, 2), (3, 1)),
    ((1, 6, 6, 3), (6, 6))])
def test_bilinear_is_torchs(shape, size):
  torch = pytest.importorskip('torch')
  x = draw(0, *shape)
  f = partial(upsample.bilinear, size=size)
  assert_all_close(value_and_gradients(f, x), torch_value_and_gradients(
      partial(torch.nn.functional.interpolate, size=size, mode='bilinear'), x))
  assert_batch_is_its_images(f, x)


def test_bilinear_reproduces_planes_and_keeps_types():
  rows, columns = np.mgrid[:6, :8].astype(np.float32)
  plane = jnp.asarray(2 * rows - 3 * columns)[..., None]
  fine = upsample.bilinear(plane, (18, 32))[..., 0]
  expected = (2 * ((np.arange(18) + .5) / 3 - .5)[:, None] - 3 * ((np.arange(32) + .5) / 4 - .5))
  np.testing.assert_allclose(fine[3:-3, 4:-4], expected[3:-3, 4:-4], atol=1e-5)
  assert upsample.bilinear(plane.astype(jnp.bfloat16), (3, 3)).dtype == jnp.bfloat16
  assert upsample.bilinear(plane.astype(jnp.uint8), (3, 3)).dtype == jnp.float32


def test_bilinear_of_a_gradient_and_under_vmap():
  x = draw(0, 2, 3, 4, 2)
  f = partial(upsample.bilinear, size=(5, 9))

  def penalty(f, x):
    return jnp.sum(jax.grad(lambda x: jnp.sum(f(x) ** 3))(x) ** 2)

  # Resizing by jax itself is differentiable any number of times.
  theirs = lambda x: jax.image.resize(x, (2, 5, 9, 2), 'bilinear', antialias=False)  # noqa: E731
  got, expected = (jax.jit(jax.grad(partial(penalty, g)))(x) for g in (f, theirs))
  np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
  gradient = jax.grad(lambda x: jnp.sum(f(x) ** 2))
  np.testing.assert_allclose(jax.jit(jax.vmap(gradient))(x), jax.jit(gradient)(x), atol=1e-5)


# --- transposed convolution ---


@pytest.mark.parametrize('factor, k', [
    (1, 3), (2, 2), (2, 3), (2, 4), (2, 7), (3, 5), (3, 3), (3, 6), (4, 9), (8, 16), (5, 14)])
def test_conv_transpose_is_torchs(factor, k):
  torch = pytest.importorskip('torch')
  x, kernel = draw(0, 2, 3, 4, 4), draw(1, k, k, 4, 6)
  crop = k - factor
  got = value_and_gradients(partial(upsample.conv_transpose, factor=factor), x, kernel)
  assert got[0].shape == (2, 3 * factor, 4 * factor, 6)
  assert_all_close(got, torch_value_and_gradients(
      lambda x, kernel: torch.nn.functional.conv_transpose2d(
          x, kernel.permute(2, 3, 0, 1), stride=factor, padding=-(-crop // 2),
          output_padding=crop % 2), x, kernel))


def test_conv_transpose_stamps_the_kernel():
  """By definition: a sum of stamps, cropped; with sides that differ."""
  factor, (rows, columns) = 2, (5, 4)
  x, kernel = np.asarray(draw(0, 3, 2, 2)), np.asarray(draw(1, rows, columns, 2, 3))
  canvas = np.zeros((2 * factor + rows, factor + columns, 3))
  for i, j in np.ndindex(3, 2):
    canvas[factor * i:factor * i + rows, factor * j:factor * j + columns] += x[i, j] @ kernel
  top, left = 2, 1
  expected = canvas[top:top + 6, left:left + 4]
  got = upsample.conv_transpose(jnp.asarray(x), jnp.asarray(kernel), factor)
  np.testing.assert_allclose(got, expected, atol=1e-5)
  assert_batch_is_its_images(lambda x: upsample.conv_transpose(x, jnp.asarray(kernel), factor),
                             draw(2, 2, 3, 4, 2))
  with pytest.raises(ConfigError, match='1x1 leaves gaps at factor 2; expected at least 2x2'):
    upsample.conv_transpose(jnp.asarray(x), jnp.ones((1, 1, 2, 3)), 2)


@pytest.mark.parametrize('factor', [1, 2, 3, 4, 8])
def test_bilinear_kernel_interpolates(factor):
  x = draw(0, 1, 5, 6, 3)
  kernel = upsample.bilinear_kernel(factor, 3)
  assert len(kernel) == 2 * factor - factor % 2
  enlarge = jax.jit(partial(upsample.conv_transpose, kernel=jnp.asarray(kernel), factor=factor))
  got = np.asarray(enlarge(x))
  expected = np.asarray(jax.jit(partial(upsample.bilinear, size=(5 * factor, 6 * factor)))(x))
  inside = np.s_[:, factor:-factor, factor:-factor]
  np.testing.assert_allclose(got[inside], expected[inside], atol=1e-5)
  # The weights of a constant image sum to one, except where it fades at the border.
  ones = np.asarray(enlarge(jnp.ones_like(x)))
  np.testing.assert_allclose(ones[inside], 1, atol=1e-6)
  assert factor == 1 or float(ones[0, 0, 0, 0]) < 1


def test_bilinear_kernel_is_the_papers():
  # FCN's surgery.py for factor 2 gives a side of 4 and these weights.
  quarter = np.array([.25, .75, .75, .25])
  np.testing.assert_allclose(upsample.bilinear_kernel(2)[:, :, 0, 0], np.outer(quarter, quarter))
  kernel = upsample.bilinear_kernel(2, 3)
  assert kernel.shape == (4, 4, 3, 3) and not kernel[:, :, 0, 1].any()


# --- unpooling ---


@pytest.mark.parametrize('shape, window', [((2, 6, 8, 3), 2), ((1, 7, 5, 2), 2), ((2, 9, 7, 1), 3)])
def test_switches_and_unpooling_are_torchs_where_values_tie(shape, window):
  torch = pytest.importorskip('torch')
  functional = torch.nn.functional
  x = jnp.asarray(np.random.default_rng(0).integers(0, 4, shape), jnp.float32)

  def ours(x):
    values, switches = max_pool_switches(x, window)
    return max_unpool(jnp.sin(values), switches, window, shape[1:3])

  def theirs(x):
    values, indices = functional.max_pool2d(x, window, return_indices=True)
    return functional.max_unpool2d(torch.sin(values), indices, window, output_size=x.shape[2:])
  assert_all_close(value_and_gradients(ours, x), torch_value_and_gradients(theirs, x), 1e-6)

  values, switches = map(np.asarray, jax.jit(partial(max_pool_switches, window=window))(x))
  assert switches.dtype == jnp.uint8 and switches.shape == values.shape
  indices = functional.max_pool2d(torch.tensor(np.asarray(x)).permute(0, 3, 1, 2), window,
                                  return_indices=True)[1].permute(0, 2, 3, 1).numpy()
  h, w = values.shape[1:3]
  row = window * np.arange(h)[:, None, None] + switches.astype(int) // window
  column = window * np.arange(w)[:, None] + switches.astype(int) % window
  np.testing.assert_array_equal(row * shape[2] + column, indices)
  assert_batch_is_its_images(partial(max_pool_switches, window=window), x)
  assert_batch_is_its_images(partial(max_unpool, window=window, shape=shape[1:3]), values, switches)


def test_pooling_what_was_unpooled_gives_it_back():
  x = abs(draw(0, 2, 6, 4, 3))
  pool = jax.jit(partial(max_pool_switches, window=2))
  values, switches = pool(x)
  again = pool(jax.jit(partial(max_unpool, window=2, shape=(6, 4)))(values, switches))
  np.testing.assert_array_equal(again[0], values)
  np.testing.assert_array_equal(again[1], switches)


def test_pooled_extremes():
  x = jnp.array([[-jnp.inf, -jnp.inf, 1., jnp.nan], [-jnp.inf, -jnp.inf, jnp.inf, jnp.nan]])
  values, switches = max_pool_switches(x[..., None], 2)
  assert values[0, 0, 0] == -jnp.inf and switches[..., 0].tolist() == [[0, 1]]
  assert np.isnan(values[0, 1, 0])
  large = jnp.zeros((16, 16, 1)).at[-1, -1].set(1.)
  assert max_pool_switches(large, 16)[1].item() == 255


def test_unpooling_errors():
  with pytest.raises(ConfigError, match='window of 17; expected 1 to 16'):
    max_pool_switches(jnp.ones((20, 20, 1)), 17)
  with pytest.raises(ConfigError, match='6x4 pools to 3x2 .* but the values are 2x2'):
    max_unpool(jnp.ones((2, 2, 1)), jnp.zeros((2, 2, 1), jnp.uint8), 2, (6, 4))


# --- layers ---


def test_layer_starts_as_bilinear_and_frozen_stays_so():
  x = draw(0, 1, 5, 6, 3)
  expected = upsample.bilinear(x, (20, 24))
  inside = np.s_[:, 4:-4, 4:-4]
  y, variables = jax.jit(ConvTranspose(3, 4).init_with_output)(jax.random.key(0), x)
  np.testing.assert_allclose(y[inside], expected[inside], atol=1e-5)
  assert jax.tree.map(jnp.shape, variables) == {'params': {'kernel': (8, 8, 3, 3)}}
  frozen, nothing = jax.jit(ConvTranspose(3, 4, frozen=True).init_with_output)(
      jax.random.key(0), x)
  np.testing.assert_allclose(frozen, y, atol=1e-6)
  assert not nothing
  low = ConvTranspose(3, 4, dtype=jnp.bfloat16).apply(variables, x)
  assert low.dtype == jnp.bfloat16


def test_layer_with_other_kernels():
  x = draw(0, 4, 16, 16, 32)
  layer = ConvTranspose(48, 2, kernel_size=2, use_bias=True, kernel_init=he_transposed(2))
  y, variables = jax.jit(layer.init_with_output)(jax.random.key(0), x)
  assert y.shape == (4, 32, 32, 48)
  assert jax.tree.map(jnp.shape, variables['params']) == {'kernel': (2, 2, 32, 48), 'bias': (48,)}
  # After ReLU the second moment is that of the input (He et al. 2015).
  assert .85 < float(jnp.mean(jnp.maximum(y, 0) ** 2)) < 1.15
  wide = ConvTranspose(48, 2, kernel_size=4, kernel_init=he_transposed(2))
  y, _ = jax.jit(wide.init_with_output)(jax.random.key(0), x)
  assert .8 < float(jnp.mean(jnp.maximum(y[:, 2:-2, 2:-2], 0) ** 2)) < 1.2


def test_layer_errors():
  def fails(match, **options):
    with pytest.raises(ConfigError, match=match):
      ConvTranspose(**{'features': 3, 'factor': 2, **options}).init(
          jax.random.key(0), jnp.ones((1, 2, 2, 3)))
  fails(r'as many features as channels \(3\).*5 features', features=5)
  fails('kernel of 4.* got a kernel of 3', kernel_size=3)
  fails('frozen, no bias', frozen=True, use_bias=True)
  with pytest.raises(ConfigError, match='keeps the channels'):
    bilinear_init(jax.random.key(0), (4, 4, 2, 3))
