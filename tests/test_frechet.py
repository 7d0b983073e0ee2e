"""Distances between sets of images, against independent formulas."""

import numpy as np
import pytest
from scipy import linalg

from visionlab.measures import frechet
from visionlab.measures.frechet import (
  frechet_distance,
  like_in_two_moments,
  likeness,
  neighbourhoods,
)


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


def test_images_of_a_network_that_has_diverged_have_none_and_cover_nothing():
  a, b = clouds()
  b[3, 1] = np.nan
  for made in (b, np.full_like(b, np.inf)):
    assert np.isnan(frechet_distance(a, made))
  assert likeness(a, np.full_like(a, np.nan))['collapse'] == 1


def test_neighbourhoods_by_loops(monkeypatch):
  monkeypatch.setattr(frechet, 'AT_ONCE', 25)
  a, b = clouds()

  def radius(x, i, k):
    return sorted(np.linalg.norm(x - x[i], axis=1))[k]

  def around(point, x, k):
    return sum(np.linalg.norm(point - x[i]) <= radius(x, i, k) for i in range(len(x)))
  for k in (3, 5):
    found = neighbourhoods(a, b, k=k)
    assert found['precision'] == np.mean([around(p, a, k) > 0 for p in b])
    assert found['recall'] == np.mean([around(p, b, k) > 0 for p in a])
    assert found['density'] == pytest.approx(np.mean([around(p, a, k) for p in b]) / k)
    assert found['coverage'] == np.mean(
        [np.linalg.norm(b - a[i], axis=1).min() <= radius(a, i, k) for i in range(len(a))])


def test_one_image_made_again_and_again_is_precise_and_covers_little():
  a, _ = clouds()
  found = likeness(a, np.repeat(a[:1], 50, 0))
  assert found['precision'] == 1 and found['recall'] <= 2 / len(a)
  assert found['coverage'] < .2 and found['collapse'] > .8


def test_of_the_same_distribution_chance_alone_leaves_some_out():
  rng = np.random.default_rng(0)
  found = likeness(*rng.normal(size=(2, 1000, 3)))
  assert found['coverage'] == pytest.approx(1 - .5 ** 5, abs=.02)
  assert found['density'] == pytest.approx(1, abs=.06) and found['collapse'] < .02
  assert max(found['frechet'], found['frechet_of_real_halves']) < .1


def test_images_with_the_two_moments_of_others():
  rng = np.random.default_rng(0)
  images = np.clip(rng.normal(.5, .1, (4000, 3)) @ [[1, .5, 0], [0, .5, 0], [0, 0, 1]], 0, 1)
  drawn = like_in_two_moments(images.reshape(-1, 3, 1, 1), 4000)
  assert drawn.shape == (4000, 3, 1, 1) and 0 <= drawn.min() <= drawn.max() <= 1
  np.testing.assert_allclose(drawn.mean((0, 2, 3)), images.mean(0), atol=.01)
  np.testing.assert_allclose(np.cov(drawn[:, :, 0, 0].T), np.cov(images.T), atol=.001)
