"""Scores of predicted numbers against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from visionlab.measures.regression import regression_scores


@pytest.mark.parametrize('outputs', [1, 3])
@pytest.mark.parametrize('mean', [0., 1e4])
def test_equal_scikit_learns(outputs, mean):
  rng = np.random.default_rng(outputs)
  target = (mean + rng.standard_normal((50, outputs)) * np.arange(1, outputs + 1)).astype('float32')
  said = (target + .3 * rng.standard_normal(target.shape)).astype('float32')
  got, exact = regression_scores(said, target), (target.astype(float), said.astype(float))
  np.testing.assert_allclose(got['r2'], r2_score(*exact, multioutput='variance_weighted'))
  np.testing.assert_allclose(got['mae'], mean_absolute_error(*exact))
  np.testing.assert_allclose(got['rmse'] ** 2, mean_squared_error(*exact))


def test_targets_that_do_not_vary_and_none_at_all():
  constant = np.full((7, 1), .1, np.float32)
  assert regression_scores(constant + 1, constant)['r2'] == 0
  assert all(np.isnan(list(regression_scores(np.zeros((0, 2)), np.zeros((0, 2))).values())))
