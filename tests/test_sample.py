"""Images that a network makes, and walks between them."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.models.autoencoder import AutoEncoder
from visionlab.runs import codes as sampling
from visionlab.sample import save_walk
from visionlab.tasks.reconstruct import reconstruct


@pytest.fixture(scope='module')
def run():
  example = dict(image=jax.ShapeDtypeStruct((1, 4, 4, 1), np.float32))
  task = reconstruct(make_model=lambda **given: AutoEncoder(codes=3, widths=(4,), **given),
                     example=example, variational=True)
  variables = jax.jit(task.init)(jax.random.key(0), dict(image=jnp.zeros((1, 4, 4, 1))))
  return SimpleNamespace(task=task, variables=variables)


def test_a_seed_gives_the_same_images_however_many_are_made_at_once(run, monkeypatch):
  whole = sampling.sample(run.task, run.variables, 5, seed=3)
  monkeypatch.setattr(sampling, 'AT_ONCE', 2)
  np.testing.assert_allclose(sampling.sample(run.task, run.variables, 5, seed=3), whole, rtol=1e-6)
  expected = run.task.sample(run.variables, jax.random.key(3), 5)
  np.testing.assert_allclose(whole, expected, rtol=1e-6)
  assert not np.allclose(sampling.sample(run.task, run.variables, 5, seed=4), whole)


def test_a_walk_goes_through_its_places_and_comes_back(run):
  places = sampling.sample(run.task, run.variables, 3, seed=1)
  images = sampling.walk(run.task, run.variables, 3, 4, seed=1)
  assert len(images) == 12
  np.testing.assert_allclose(images[::4], places, rtol=1e-5)
  steps = np.abs(np.diff(np.concatenate([images, images[:1]]), axis=0)).mean((1, 2, 3))
  assert steps.mean() < .5 * np.abs(np.diff(places, axis=0)).mean()


def test_in_a_row_one_code_alone_changes(run):
  values = np.float32([-2, 0, 2])
  images = sampling.traverse(run.task, run.variables, values, seed=1)
  base = np.array(jax.random.normal(jax.random.key(1), (1, 3)))
  base[0, 1] = 2
  assert images.shape == (3, 3, 4, 4, 1)
  np.testing.assert_allclose(images[1, 2], sampling.decode(run.task, run.variables, base)[0],
                             rtol=1e-5)


def test_a_class_is_asked_for_in_any_number_of_images(monkeypatch):
  monkeypatch.setattr(sampling, '_images', lambda task, variables, codes, label: label)
  task = SimpleNamespace(images=None, generative=True, conditional=True, classes=('cat', 'dog'),
                         model=SimpleNamespace(codes=3))
  monkeypatch.setattr(sampling, 'AT_ONCE', 3)
  assert sampling.sample(task, {}, 7).tolist() == [0, 1, 0, 1, 0, 1, 0]
  assert sampling.sample(task, {}, 4, asked='dog').tolist() == [1] * 4
  assert sampling.asked_for(task, 3) == ['cat', 'dog', 'cat']
  assert sampling.asked_for(task, 2, 'dog') == ['dog', 'dog']
  assert set(sampling.walk(task, {}, 2, 2, asked='dog').tolist()) == {1}
  with pytest.raises(ConfigError, match="'dgo' is not one of 'cat', 'dog'"):
    sampling.sample(task, {}, 4, asked='dgo')
  with pytest.raises(ConfigError, match="'dog': this network was not trained to be asked"):
    task.conditional = False
    sampling.sample(task, {}, 1, 0, 'dog')
  assert sampling.asked_for(task, 2) == ['', '']


def test_between_two_codes_none_is_nearer_to_the_middle():
  a, b = np.array([3., 0, 0]), np.array([0., 3, 0])
  codes = sampling.between(a, b, np.linspace(0, 1, 9)[:, None])
  np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 3)
  np.testing.assert_allclose(codes[[0, -1]], [a, b], atol=1e-12)
  np.testing.assert_allclose(sampling.between(a, a, np.array([[.5]])), [a])


def test_a_walk_is_saved_as_a_picture_that_moves(run, tmp_path):
  save_walk(sampling.walk(run.task, run.variables, 2, 3), tmp_path / 'walk.gif', seconds=1.)
  with Image.open(tmp_path / 'walk.gif') as picture:
    assert picture.is_animated and picture.n_frames == 6 and min(picture.size) >= 160


def test_a_network_that_makes_no_images_is_named(run):
  with pytest.raises(ConfigError, match='makes no images of numbers that are drawn'):
    sampling.sample(SimpleNamespace(), {}, 4)
  with pytest.raises(ConfigError, match='SimpleNamespace: this network makes no images of codes'):
    sampling.decode(SimpleNamespace(), {}, np.zeros((1, 3)))
  with pytest.raises(ConfigError, match=r'expected .n 3., got .2, 4.'):
    sampling.decode(run.task, run.variables, np.zeros((2, 4)))
  with pytest.raises(ConfigError, match='at least one'):
    sampling.sample(run.task, run.variables, 0)
