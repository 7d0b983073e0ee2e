"""Distances between sets of images, against independent formulas."""

import numpy as np
import pytest
from scipy import linalg

from visionlab.measures.frechet import coverage, frechet_distance, precision_recall


def clouds(n=60, d=4):
  rng = np.random.default_rng(0)
  return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), rng.normal(size=(n + 9, d)) * 2 + 1


def test_the_distance_by_the_root_of_the_product():
  a, b = clouds()
  root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
  expected = (((a.mean(0) - b.mean(0)) ** 2).sum()
              + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root))
  assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
  assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
  # One number each: (m - m')^2 + (s - s')^2.
  x, y = a[:, :1], b[:, :1]
  assert frechet_distance(x, y) == pytest.approx(
      (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2)


def test_features_that_never_change_are_no_obstacle():
  a, b = clouds()
  still = lambda x: np.concatenate([x, np.ones((len(x), 2))], 1)
  assert frechet_distance(still(a), still(b)) == pytest.approx(frechet_distance(a, b))


def test_too_few_examples_give_none():
  a, b = clouds()
  assert np.isnan(frechet_distance(a[:4], b))


def test_precision_recall_and_coverage_by_loops():
  a, b = clouds()

  def radius(x, i, k):
    return sorted(np.linalg.norm(x - x[i], axis=1))[k]

  def among(point, x, k):
    return any(np.linalg.norm(point - x[i]) <= radius(x, i, k) for i in range(len(x)))
  precision, recall = precision_recall(a, b, k=3)
  assert precision == np.mean([among(p, a, 3) for p in b])
  assert recall == np.mean([among(p, b, 3) for p in a])
  assert coverage(a, b, k=5) == np.mean(
      [np.linalg.norm(b - a[i], axis=1).min() <= radius(a, i, 5) for i in range(len(a))])


def test_one_image_made_again_and_again_is_precise_and_covers_little():
  a, _ = clouds()
  collapsed = np.repeat(a[:1], 50, 0)
  precision, recall = precision_recall(a, collapsed)
  assert precision == 1 and recall <= 2 / len(a)
  assert coverage(a, collapsed) < .2
