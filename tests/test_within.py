"""Within-class covariance normalisation against NumPy's sums, and what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops.within import KEPT, after, moments, normalised, nothing, sums

CLASSES, WIDTH = 5, 4
RNG = np.random.default_rng(0)
LABEL = np.arange(400) % CLASSES
MIX = RNG.normal(size=(WIDTH, WIDTH))
ROWS = (10 * RNG.normal(size=(CLASSES, WIDTH))[LABEL] + RNG.normal(size=(400, WIDTH)) @ MIX + 3
        ).astype(np.float32)
VALID = RNG.random(400) < .8


def kept(parts: int, fades: bool = False):
  of = nothing(CLASSES, WIDTH)
  for rows, label, valid in zip(*(np.split(x, parts) for x in (ROWS, LABEL, VALID)), strict=True):
    of = after(of, sums(jnp.asarray(rows), label, valid, CLASSES), fades)
  return of


def pooled(rows, label, weight):
  """The mean, and the covariance about the means of classes, of weighted rows."""
  centre = np.stack([np.average(rows[label == c], 0, weight[label == c]) for c in range(CLASSES)])
  return np.average(rows, 0, weight), np.cov((rows - centre[label]).T, aweights=weight, bias=True)


@pytest.mark.parametrize('parts', [1, 8])
def test_moments_are_numpys_whatever_the_parts(parts):
  for found, expected in zip(moments(kept(parts)), pooled(ROWS, LABEL, VALID * 1.), strict=True):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_what_is_old_counts_less():
  weight = VALID * KEPT ** np.repeat(np.arange(8)[::-1], 50)
  expected = pooled(ROWS, LABEL, weight)
  for found, own in zip(moments(kept(8, fades=True)), expected, strict=True):
    np.testing.assert_allclose(found, own, rtol=1e-4, atol=1e-4)


def test_all_directions_differ_alike_within_classes():
  rows = np.asarray(normalised(jnp.asarray(ROWS), kept(4), 0.))
  _, covariance = pooled(rows, LABEL, VALID * 1.)
  np.testing.assert_allclose(covariance, np.eye(WIDTH), atol=1e-3)


def test_products_are_those_of_the_regularised_inverse():
  mean, covariance = pooled(ROWS, LABEL, VALID * 1.)
  ridge = .3 * np.trace(covariance) / WIDTH
  inverse = np.linalg.inv(covariance + ridge * np.eye(WIDTH))
  rows = np.asarray(normalised(jnp.asarray(ROWS[:9]), kept(1), .3))
  centred = ROWS[:9] - mean
  expected = centred @ inverse @ centred.T
  np.testing.assert_allclose(rows @ rows.T, expected, atol=1e-4 * abs(expected).max())


def test_before_anything_is_seen_directions_stay():
  rows = jnp.asarray(ROWS[:3])
  found = normalised(rows, nothing(CLASSES, WIDTH), .1)
  np.testing.assert_allclose(found / jnp.linalg.norm(found, axis=1, keepdims=True),
                             rows / jnp.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-5)


def test_fewer_examples_than_directions_are_no_trouble():
  few = sums(jnp.asarray(ROWS[:3]), np.array([0, 0, 1]), np.ones(3, bool), CLASSES)
  assert jnp.isfinite(jax.jit(normalised)(jnp.asarray(ROWS), few, .1)).all()
