"""Images from HOG, by paired dictionaries."""

import jax
import numpy as np
import pytest
from sklearn.datasets import load_sample_images
from sklearn.decomposition import sparse_encode

from visionlab.config import ConfigError
from visionlab.ops.hog import hog
from visionlab.understand.hog import grey
from visionlab.understand.hoggles import (
  SIDE,
  Dictionaries,
  hog_distance,
  invert_hog,
  learn,
  sparse_code,
  windows,
)
from visionlab.understand.unit_cards import hog_sheet

RNG = np.random.default_rng(0)


@pytest.mark.parametrize('penalty', [.02, .2])
def test_codes_are_those_of_scikit_learn(penalty):
  dictionary = RNG.normal(size=(30, 20)).astype(np.float32)
  dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
  rows = RNG.normal(size=(6, 20)).astype(np.float32)
  rows /= np.linalg.norm(rows, axis=1, keepdims=True)
  expected = sparse_encode(rows.astype(float), dictionary.astype(float), algorithm='lasso_cd',
                           alpha=penalty, positive=True, max_iter=100000)
  with jax.default_matmul_precision('highest'):
    found = np.asarray(jax.jit(lambda x, d: sparse_code(x, d, penalty, steps=2000))(
        rows, dictionary))

  def cost(code):
    return .5 * ((rows - code @ dictionary) ** 2).sum(1) + penalty * code.sum(1)
  np.testing.assert_allclose(cost(found), cost(expected), rtol=1e-3)
  assert (cost(found) < cost(expected) + 1e-5).all() and found.min() == 0
  np.testing.assert_allclose(found, expected, atol=.02)


def test_what_is_inverted_has_that_hog():
  """Nearer than the mean picture has; of a photograph that was not learnt from."""
  china, flower = (image[::3, ::3] for image in load_sample_images().images)
  patches, told = windows(china, 640), []
  pair = learn(patches, 96, batch=64, epochs=2, progress=lambda *x: told.append(x))
  assert told[-1] == (20, 20)
  assert np.linalg.norm(np.concatenate(pair, 1), axis=1).max() < 1 + 1e-4
  image = np.asarray(grey(flower[None, 40:120, 60:140]))[0, ..., 0]
  inverse = invert_hog(np.asarray(hog(image[None, ..., None]))[0], pair)
  assert inverse.shape == image.shape and inverse.min() == 0 and inverse.max() == 1
  mean = np.tile(patches.mean(0)[..., 0], (2, 2))[:80, :80]
  assert hog_distance(image, inverse) < .95 * hog_distance(image, mean)


def test_one_atom_comes_back():
  """Of the HOG of an atom alone its picture."""
  patch = windows(RNG.random((60, 70, 1)), 1)
  features = np.asarray(hog(patch))[0]
  row = features.ravel() - features.mean()
  atom = (patch.ravel() - patch.mean())
  pair = Dictionaries(atom[None] / np.linalg.norm(atom), row[None] / np.linalg.norm(row))
  found = invert_hog(features, pair)
  expected = (patch[0, ..., 0] - patch.min()) / np.ptp(patch)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  sheet = hog_sheet(patch[0], features, found)
  assert sheet.dtype == np.uint8 and sheet.shape[1] == 3 * 4 * SIDE + 2 * 6


def test_what_is_wrong_is_said():
  with pytest.raises(ConfigError, match='56 x 56 pixels need larger images than 40 x 90'):
    windows(np.zeros((40, 90, 3)), 2)
  with pytest.raises(ConfigError, match='64 atoms are learnt of at least 256 windows, not 9'):
    learn(np.zeros((9, SIDE, SIDE, 1)), 64)
  with pytest.raises(ConfigError, match='at least 5 x 5 blocks is inverted, not 4 x 9'):
    invert_hog(np.zeros((4, 9, 3, 3, 9)), None)
