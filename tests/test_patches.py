"""The patch classifier: the same answers in one pass as patch by patch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.patches import PatchClassifier, classify_patches, smallest_patch


def start(model, size=(14, 17), batch=2):
  rng = np.random.default_rng(0)
  x = rng.standard_normal((batch, *size, 3), np.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)
  return jax.tree.map(lambda s: np.float32(.3 * rng.standard_normal(s.shape)), shapes), x


def cut(x, patch, row, column):
  """The patch (p p c) around a pixel of an image (h w c), zeros outside, pixel by pixel."""
  out = np.zeros((patch, patch, x.shape[-1]), x.dtype)
  for i, j in np.ndindex(patch, patch):
    r, c = row + i - patch // 2, column + j - patch // 2
    if 0 <= r < x.shape[0] and 0 <= c < x.shape[1]:
      out[i, j] = x[r, c]
  return out


@pytest.mark.parametrize('patch, widths', [
    (22, (4, 5, 6)), (23, (4, 5, 6)), (26, (4, 5, 6)), (33, (4, 5)), (9, (6,)), (5, ())])
def test_one_pass_says_what_the_patches_say(patch, widths):
  model = PatchClassifier(3, patch, widths, hidden=8)
  variables, x = start(model)
  whole = jax.jit(model.apply)(variables, x)
  assert whole.shape == (2, 14, 17, 3) and float(whole.std()) > .1
  at = [(0, 0, 0), (1, 13, 16), (0, 0, 16), (1, 7, 8), (0, 13, 3), (1, 6, 9)]
  patches = np.stack([cut(x[i], patch, r, c) for i, r, c in at])
  alone = jax.jit(lambda v, p: model.apply(v, p, method='classify'))(variables, patches)
  np.testing.assert_allclose([whole[i] for i in at], alone, rtol=1e-4, atol=1e-4)
  slow = jax.jit(lambda v, x: classify_patches(model, v, x, chunk=100))(variables, x)
  np.testing.assert_allclose(slow, whole, rtol=1e-4, atol=1e-4)


def test_equals_torch():
  torch = pytest.importorskip('torch')
  model = PatchClassifier(3, 23, (4, 5, 6), hidden=8)
  variables, _ = start(model)
  params = jax.tree.map(lambda p: torch.tensor(np.asarray(p, np.float64)), variables['params'])
  x = np.random.default_rng(1).standard_normal((5, 23, 23, 3))
  y, conv = torch.tensor(x).permute(0, 3, 1, 2), torch.nn.functional.conv2d
  for i in (1, 2, 3):
    p = params[f'conv{i}']
    y = torch.nn.functional.max_pool2d(conv(y, p['kernel'].permute(3, 2, 0, 1), p['bias']), 2)
    y = y.relu()
  y = conv(y, params['hidden']['kernel'].permute(3, 2, 0, 1), params['hidden']['bias']).relu()
  want = y[:, :, 0, 0] @ params['head']['kernel'] + params['head']['bias']
  got = model.apply(variables, jnp.asarray(x, jnp.float32), method='classify')
  np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_a_pixel_sees_its_patch_and_no_more():
  """Where gradients come from: the patch is centred as documented, odd or even."""
  for patch, seen in ((22, 22), (24, 22), (25, 22), (30, 30)):
    model = PatchClassifier(1, patch, (4, 4, 4), hidden=8, act='tanh')
    variables, _ = start(model)
    x = np.random.default_rng(0).standard_normal((1, 50, 50, 3), np.float32)
    g = jax.jit(jax.grad(lambda x: model.apply(variables, x)[0, 25, 24, 0]))(x)  # noqa: B023
    rows, columns = (np.flatnonzero(np.abs(g).sum(axes)) for axes in ((0, 2, 3), (0, 1, 3)))
    for places, centre in ((rows, 25), (columns, 24)):
      assert places.min() >= centre - patch // 2
      assert places.max() <= centre - patch // 2 + seen - 1
      # Which pixels win the maxima is chance, but the corner of the patch is not far.
      assert places.min() <= centre - patch // 2 + 7
      assert places.max() >= centre - patch // 2 + seen - 8


def test_gradients_of_one_pass_are_those_of_the_patches():
  model = PatchClassifier(3, 12, (4, 4), hidden=8)
  variables, x = start(model, (5, 6), 1)
  weights = np.random.default_rng(2).standard_normal((1, 5, 6, 3), np.float32)
  f, g = (jax.jit(jax.grad(lambda v, f=f: (weights * f(v)).sum()))(variables) for f in (
      lambda v: model.apply(v, x), lambda v: classify_patches(model, v, x, chunk=8)))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), f, g)


def test_parameters_dtype_and_dropout():
  model = PatchClassifier(10, dropout=.5)
  variables, x = start(model, (8, 8))
  convolutions = (3 * 16 + 16 * 32 + 32 * 64) * 9 + 16 + 32 + 64
  count = sum(p.size for p in jax.tree.leaves(variables))
  assert count == convolutions + (2 * 2 * 64 + 1) * 128 + (128 + 1) * 10
  run = jax.jit(lambda key: model.apply(variables, x, train=True, rngs={'dropout': key}))
  assert not np.allclose(run(jax.random.key(0)), run(jax.random.key(1)))
  half = PatchClassifier(10, dtype=jnp.bfloat16).apply(variables, x)
  assert half.dtype == jnp.float32
  full = model.apply(variables, x)
  assert 0 < float(jnp.abs(half - full).max()) < .05 * float(full.std())


def test_errors():
  with pytest.raises(ConfigError, match='3 stages need patches of at least 22 pixels, not 21'):
    PatchClassifier(2, 21)
  with pytest.raises(ConfigError, match='did you mean "relu"'):
    PatchClassifier(2, act='rleu')
  model = PatchClassifier(2)
  variables, _ = start(model)
  with pytest.raises(ConfigError, match='patches of 33 x 33 pixels, got 33 x 32'):
    model.apply(variables, jnp.ones((1, 33, 32, 3)), method='classify')
  assert [smallest_patch(n) for n in range(4)] == [1, 4, 10, 22]
