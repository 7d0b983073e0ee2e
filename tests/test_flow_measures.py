"""Errors of optical flow, by values worked out by hand."""

import numpy as np
import pytest

from visionlab.measures.flow import angular_errors, end_point_errors, flow_scores


def test_end_points_by_hand():
  np.testing.assert_allclose(end_point_errors([[[1, 2], [0, 0]]], [[[4, 6], [0, -2]]]), [[5, 2]])


def test_angles_by_hand():
  """Between (u, v, 1): (1, 0, 1) and (0, 1, 1) are 60 degrees apart, (3, 0, 1) and itself 0."""
  estimated, true = [[1, 0], [3, 0], [0, 0], [1, 0]], [[0, 1], [3, 0], [3 ** .5, 0], [-1, 0]]
  np.testing.assert_allclose(angular_errors(estimated, true), [60, 0, 60, 90], atol=1e-12)


def test_tiny_angles_are_not_lost():
  assert angular_errors([1e-9, 0], [0, 0]) == pytest.approx(np.degrees(1e-9), rel=1e-6)


def test_angles_agree_with_the_arc_cosine():
  a, b = np.random.default_rng(0).normal(size=(2, 50, 2))
  dot = 1 + (a * b).sum(-1)
  cos = dot / np.sqrt((1 + (a * a).sum(-1)) * (1 + (b * b).sum(-1)))
  np.testing.assert_allclose(angular_errors(a, b), np.degrees(np.arccos(cos)), rtol=1e-9)


def test_scores_count_only_what_is_known():
  true = np.zeros((2, 2, 2))
  true[1, 1] = 100, 0
  found = true + [[[4, 0], [1, 0]], [[np.nan, 0], [4, 0]]]
  valid = np.array([[True, True], [False, True]])
  scores = flow_scores(found, true, valid)
  assert scores['end_point_error'] == pytest.approx(3)
  assert scores['outliers'] == pytest.approx(1 / 3)          # 4 px of 100 are within 5 %
  assert all(np.isnan(v) for v in flow_scores(found, true, 0 * valid).values())
