"""A classifier that slides: what is shared equals what is cut out, window by window."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.sliding_window import SlidingWindow


@pytest.fixture(scope='module')
def model():
  return SlidingWindow(3, shapes=((24, 24), (36, 18), (20, 31)), patch=24, widths=(4, 6), hidden=8)


@pytest.fixture(scope='module')
def drawn(model):
  x = jax.random.normal(jax.random.key(0), (2, 40, 52, 3))
  variables = jax.jit(model.init)(jax.random.key(1), x)
  noisy = jax.tree.map(lambda p: p + .1 * jax.random.normal(jax.random.key(2), p.shape), variables)
  return x, noisy


def test_one_pass_says_what_every_window_by_itself_does(model, drawn):
  x, variables = drawn
  shared = jax.jit(model.apply)(variables, x)
  apart = model.apply(variables, x, method='one_by_one', chunk=7)
  assert shared.shape == (2, len(model.windows((40, 52))), 4)
  np.testing.assert_allclose(shared, apart, atol=1e-5)
  assert np.std(np.asarray(shared), axis=1).min() > 1e-3


def test_a_window_says_what_is_in_its_box(model, drawn):
  """The image is changed inside one window of the size that is not resized: only windows that
  overlap it may change, and it does."""
  x, variables = drawn
  windows = model.windows((40, 52))
  chosen = 3                                      # of the first shape, at (12, 0)
  x1, y1, x2, y2 = windows[chosen].astype(int)
  assert (x2 - x1, y2 - y1) == (24, 24)
  changed = x.at[:, y1:y2, x1:x2].multiply(-1)
  difference = np.abs(model.apply(variables, x) - model.apply(variables, changed)).max((0, 2))
  n = 5 * 8 // 4                                  # (40 - 24) // 4 + 1 rows
  same = difference < 1e-6
  apart = ((windows[:, 0] >= x2) | (windows[:, 2] <= x1) | (windows[:, 1] >= y2)
           | (windows[:, 3] <= y1))
  assert difference[chosen] > 1e-3 and same[:n][apart[:n]].all()


def test_windows_have_their_shapes_and_stay_inside(model):
  windows = model.windows((40, 52))
  sides = windows[:, 2:] - windows[:, :2]
  for height, width in model.shapes:
    near = np.abs(sides - [width, height]).max(1) < 1.5     # sizes are rounded to whole pixels
    assert near.any()
  assert windows.min() >= 0 and (windows[:, 2] <= 52).all() and (windows[:, 3] <= 40).all()


def test_bad_shapes(model, drawn):
  with pytest.raises(ConfigError, match='model.shapes.*height, width'):
    SlidingWindow(3, shapes=(24, 24))
  with pytest.raises(ConfigError, match='at least 22 pixels, not 20'):
    SlidingWindow(3, patch=20, widths=(4, 4, 4))
  with pytest.raises(ConfigError, match='36x18 pixels does not fit into an image of 30x52'):
    model.apply(drawn[1], jnp.zeros((1, 30, 52, 3)))
