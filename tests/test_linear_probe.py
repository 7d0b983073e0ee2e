"""What a linear classifier reads off features."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from visionlab.config import ConfigError
from visionlab.measures.linear_probe import linear_probe

RNG = np.random.default_rng(0)


def test_what_is_linear_is_found_and_what_is_not_is_missed():
  x, y = RNG.normal(size=(400, 6)), RNG.normal(size=(300, 6))
  plane = np.array([3., 0, -1, 0, 2, 0])
  assert linear_probe(x, x @ plane > 0, y, y @ plane > 0) > .95
  assert abs(linear_probe(x, x[:, 0] * x[:, 1] > 0, y, y[:, 0] * y[:, 1] > 0) - .5) < .12
  words = np.array(['a', 'b'])[(x @ plane > 0).astype(int)]
  assert linear_probe(csr_matrix(x), words, csr_matrix(x), words) > .95


def test_the_strength_is_chosen_on_what_is_held_out_and_scale_is_no_matter():
  x = RNG.normal(size=(60, 40)) * np.geomspace(1e-3, 1e3, 40)
  true = x[:, 0] > 0
  true ^= RNG.random(60) < .2
  z = (x - x.mean(0)) / x.std(0)
  single = [LogisticRegression(C=c, max_iter=300).fit(z, true).score(z, true) for c in (1e-3, 10.)]
  assert single[0] != single[1]
  assert linear_probe(x, true, x, true, strengths=(1e-3,)) == pytest.approx(single[0])
  assert linear_probe(x, true, x, true) == pytest.approx(linear_probe(z, true, z, true))


def test_the_strength_is_that_of_scikit_learns_cross_validation():
  x = RNG.normal(size=(120, 30))
  true = x[:, :3].sum(1) + 2 * RNG.normal(size=120) > 0
  fold = np.arange(120) % 3
  strengths = (1e-4, 1e-2, 1.)
  search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
                        dict(logisticregression__C=strengths), cv=PredefinedSplit(fold))
  tested = RNG.normal(size=(200, 30))
  own = tested[:, :3].sum(1) > 0
  expected = search.fit(x, true).score(tested, own)
  assert linear_probe(x, true, tested, own, strengths) == expected
  turned = np.argsort(fold, kind='stable')                    # the same folds by their groups
  assert linear_probe(x[turned], true[turned], tested, own, strengths, 7 * fold[turned]) == (
      pytest.approx(expected, abs=.01))


@pytest.mark.parametrize('shapes, words', [(((5, 2), 4, (3, 2), 3), 'of .4,. labels'),
                                           (((5, 2), 5, (3, 3), 3), 'as many features'),
                                           (((5, 2), 5, (3, 2), 3), 'at least two kinds')])
def test_what_does_not_fit_is_said(shapes, words):
  x, n, y, m = shapes
  with pytest.raises(ConfigError, match=words):
    linear_probe(np.zeros(x), np.zeros(n), np.zeros(y), np.zeros(m))
