"""Distances of feature sets against sums written out, and scikit-learn's kernels and PCA."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel

from visionlab.ops import alignment

# One program each: compiled operation by operation they would take most of the time.
mmd, coral = jax.jit(alignment.mmd), jax.jit(alignment.coral)
subspace_alignment = jax.jit(alignment.subspace_alignment, static_argnums=2,
                             static_argnames='components')
RNG = np.random.default_rng(0)
SOURCE = RNG.standard_normal((7, 4)).astype(np.float32)
TARGET = (RNG.standard_normal((9, 4)) * [1, 2, .5, 1] + .7).astype(np.float32)
WIDTHS = (.25, .5, 1., 2., 4.)


def slow_mmd(source, target, widths=WIDTHS):
  both = np.concatenate([source, target]).astype(np.float64)
  mean = (euclidean_distances(both) ** 2).mean()
  kernel = lambda a, b: np.mean([rbf_kernel(a, b, 1 / (w * mean)) for w in widths])
  return kernel(source, source) + kernel(target, target) - 2 * kernel(source, target)


def slow_coral(source, target):
  gap = np.cov(source.T.astype(np.float64)) - np.cov(target.T.astype(np.float64))
  return (gap ** 2).sum() / (4 * source.shape[1] ** 2)


@pytest.mark.parametrize('distance, slow', [(mmd, slow_mmd), (coral, slow_coral)])
def test_distances_equal_the_sums_written_out(distance, slow):
  expected = slow(SOURCE, TARGET)
  assert expected > .01
  np.testing.assert_allclose(distance(SOURCE, TARGET), expected, rtol=1e-5)
  np.testing.assert_allclose(distance(TARGET, SOURCE), expected, rtol=1e-5)
  np.testing.assert_allclose(distance(SOURCE, SOURCE), 0, atol=1e-6)


@pytest.mark.parametrize('distance', [mmd, coral])
def test_rows_that_do_not_count_change_neither_value_nor_gradient(distance):
  pad = lambda x, n: (np.concatenate([x, np.full((n, 4), np.nan, np.float32)]),
                      np.arange(len(x) + n) < len(x))
  (source, source_valid), (target, target_valid) = pad(SOURCE, 3), pad(TARGET, 2)
  both = jax.jit(jax.value_and_grad(distance))
  value, slope = both(SOURCE, TARGET)
  padded, padded_slope = both(source, target, source_valid, target_valid)
  np.testing.assert_allclose(padded, value, rtol=1e-6)
  np.testing.assert_allclose(padded_slope[:7], slope, atol=1e-6)
  np.testing.assert_array_equal(padded_slope[7:], 0)
  nothing = distance(source, target, np.zeros_like(source_valid), target_valid)
  assert np.isfinite(nothing)


@pytest.mark.parametrize('distance', [mmd, coral])
def test_descending_the_gradient_brings_the_sets_together(distance):
  slope = jax.jit(jax.grad(distance, 1))
  target = jnp.asarray(TARGET)
  for _ in range(100):
    g = slope(SOURCE, target)
    target -= .1 * g / (jnp.linalg.norm(g) + 1e-6)
  assert distance(SOURCE, target) < .3 * distance(SOURCE, TARGET)


def test_mmd_does_not_depend_on_units():
  np.testing.assert_allclose(mmd(50 * SOURCE, 50 * TARGET), mmd(SOURCE, TARGET), rtol=1e-5)


def test_coral_of_more_features_than_examples():
  source, target = (RNG.standard_normal((5, 300)).astype(np.float32) * s for s in (1, 3))
  np.testing.assert_allclose(coral(source, target), slow_coral(source, target), rtol=1e-4)


def test_subspaces_are_those_of_sklearns_pca():
  """Coordinates hang on signs of the directions; scalar products of rows do not."""
  aligned, projected = subspace_alignment(SOURCE, TARGET, 2)
  p, q = (PCA(2).fit(x) for x in (SOURCE.astype(np.float64), TARGET.astype(np.float64)))
  np.testing.assert_allclose(projected @ projected.T,
                             q.transform(TARGET) @ q.transform(TARGET).T, atol=1e-4)
  expected = p.transform(SOURCE) @ (p.components_ @ q.components_.T)
  np.testing.assert_allclose(aligned @ aligned.T, expected @ expected.T, atol=1e-4)
  np.testing.assert_allclose(aligned @ projected.T, expected @ q.transform(TARGET).T, atol=1e-4)


def test_a_set_is_aligned_with_itself_as_it_is():
  aligned, projected = subspace_alignment(SOURCE, SOURCE + 5, 3)
  np.testing.assert_allclose(aligned, projected, atol=1e-4)


@pytest.mark.parametrize('measure', [mmd, coral, partial(subspace_alignment, components=2)])
def test_products_are_in_float32_in_full(measure):
  """On accelerators the default would round their factors."""
  program = jax.jit(measure).lower(SOURCE, TARGET).as_text()
  products = [line for line in program.splitlines() if 'stablehlo.dot_general' in line]
  assert products and all('HIGHEST, HIGHEST' in line for line in products)
