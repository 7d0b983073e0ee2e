"""Landmarks: their errors by hand, and that what is not known is neither learnt nor measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.figures import landmarks as figures
from visionlab.measures.landmarks import landmark_scores, normalised_errors
from visionlab.models.cnn import CNN
from visionlab.models.multitask import MultiHead
from visionlab.tasks.multitask import multitask
from visionlab.tasks.targets import Target

TRUE = np.array([[[10, 10, 2], [30, 10, 1], [20, 20, 2], [12, 30, 2], [28, 30, 0]],
                 [[0, 0, 2], [0, 4, 2], [8, 8, 2], [0, 0, 0], [0, 0, 0]],
                 [[0, 0, 0], [5, 5, 2], [1, 1, 2], [1, 1, 2], [1, 1, 2]]], np.float32)
FOUND = TRUE[..., :2] + np.array([[[3, 4]], [[0, .2]], [[9, 9]]], np.float32)


def test_errors_by_hand():
  np.testing.assert_allclose(normalised_errors(FOUND, TRUE), [5 / 20, .2 / 4, np.nan], rtol=1e-5)
  other = normalised_errors(FOUND, TRUE, (0, 2))[0]
  np.testing.assert_allclose(other, 5 / np.hypot(10, 10), rtol=1e-5)
  scores = landmark_scores(FOUND, TRUE)
  assert scores == dict(nme=pytest.approx(.15), failures=.5, auc=pytest.approx(.25))
  assert all(np.isnan(v) for v in landmark_scores(FOUND[2:], TRUE[2:]).values())


def test_the_area_is_that_under_the_curve():
  errors = np.random.default_rng(0).uniform(0, .2, 200)
  true = np.tile(np.array([[0, 0, 2], [1, 0, 2]], np.float32), (200, 1, 1))
  found = true[..., :2] + np.stack([0 * errors, errors], -1)[:, None]
  limits = np.linspace(0, .1, 100_001)
  curve = np.searchsorted(np.sort(errors), limits, side='right') / 200
  assert landmark_scores(found, true, (0, 1))['auc'] == pytest.approx(curve.mean(), abs=1e-4)


@pytest.mark.parametrize('kind, truth', [
  ('softmax', np.array([1, -1, 2])),
  ('l2', np.array([[1., 2], [np.nan, 3], [4, 5]], np.float32)),
  ('landmarks', TRUE * [[[1]], [[0]], [[1]]]),
])
def test_what_is_not_known_pulls_nowhere(kind, truth):
  target, truth = Target('x', kind, std=2.), jnp.asarray(truth, jnp.float32 if kind != 'softmax'
                                                          else jnp.int32)
  width = {'softmax': 3, 'l2': 2, 'landmarks': 10}[kind]
  output = jnp.asarray(np.random.default_rng(0).normal(size=(3, width)), jnp.float32)

  def loss(output):
    return jnp.where(target.known(truth), target.losses(output, truth), 0).sum()
  gradient = np.asarray(jax.grad(loss)(output))
  assert np.isfinite(gradient).all() and not gradient[1].any() and gradient[[0, 2]].any()
  assert target.known(truth).tolist() == [True, False, True]
  if kind == 'landmarks':              # a hidden point of an example that is known
    assert not gradient[0].reshape(5, 2)[4].any() and gradient[0].reshape(5, 2)[:4].all()
    off = output[0].reshape(5, 2)[:4] - truth[0, :4, :2] / 2
    np.testing.assert_allclose(target.losses(output, truth)[0], (off ** 2).mean(), rtol=1e-5)


def test_measured_are_those_that_are_known():
  target = Target('x', 'softmax')
  rows = target.rows(jnp.array([[0., 1], [9, 0], [3, 0]]), jnp.array([1, -1, 1]))
  assert target.scores(jax.tree.map(np.asarray, rows)) == dict(x_accuracy=.5)
  numbers = Target('x', 'l2').rows(jnp.array([[1.], [7], [3]]), jnp.array([1., np.nan, 2]))
  assert Target('x', 'l2').scores(jax.tree.map(np.asarray, numbers))['x_rmse'] == pytest.approx(
      .5 ** .5)


def test_without_an_eye_there_is_no_error(caplog):
  true = np.zeros((3, 5, 3), np.float32) + [0, 0, 2]
  true[:, 1] = 10, 0, 2
  true[1, 0] = 0
  rows = dict(prediction=true[..., :2] + [0, 1], target=true, known=np.ones(3, bool))
  scores = Target('points', 'landmarks').scores(rows)
  assert scores['points_nme'] == pytest.approx(.1)
  assert 'points: 1 of 3 images count in no error, since landmark 0 or 1' in caplog.text


def example(**entries):
  return {k: jax.ShapeDtypeStruct((1, *shape), dtype) for k, (shape, dtype) in dict(
      image=((8, 8, 1), np.uint8), valid=((), bool), **entries).items()}


def made(info=None, **targets):
  return multitask(make_model=lambda outputs, classes: MultiHead(outputs, None),
                   info=info or Info(),
                   example=example(points=((5, 3), np.float32), few=((3, 3), np.float32),
                                   flat=((10,), np.float32), sex=((), np.int32)),
                   targets=targets)


@pytest.mark.parametrize('targets, message', [
  (dict(few=dict(kind='landmarks')), r'targets\.few\.between: .*two of the 3 landmarks'),
  (dict(points=dict(kind='landmarks', between=(0, 9))), r'two of the 5 .* not \(0, 9\)'),
  (dict(flat=dict(kind='landmarks')), r'targets\.flat\.kind: landmarks are x, y'),
  (dict(points=dict(kind='landmark')), 'did you mean "landmarks"'),
  (dict(sex=dict(kind='softmax')), r'targets\.sex\.kind: softmax is for a label'),
])
def test_targets_of_another_kind(targets, message):
  with pytest.raises(ConfigError, match=message):
    made(**targets)


def test_values_of_attributes_have_their_names(monkeypatch):
  monkeypatch.setattr(MultiHead, '__post_init__', lambda self: None)
  task = made(Info(attributes=dict(sex=('female', 'male'))), sex=dict(kind='softmax'),
              points=dict(kind='landmarks'))
  said = dict(sex=np.array([[.2, .8]]), points=FOUND[:1])
  assert task.describe(said, 1) == ['sex male 80%  points 13,14 33,14 23,24 15,34 31,34']


def test_pictures_show_where_landmarks_lie():
  images = np.full((3, 40, 40, 1), 90, np.uint8)
  picture = figures.found(images, TRUE, FOUND)
  other = figures.found(images, TRUE, TRUE[..., :2])
  assert picture.shape == other.shape and (picture != other).any()
  assert figures.cumulative(np.array([.05, np.nan, .2])).ndim == 3


def test_an_evaluation_measures_the_targets_that_there_are(caplog):
  info = Info(attributes=dict(sex=('f', 'm')))
  task = multitask(make_model=lambda outputs, classes: MultiHead(outputs, CNN(0)), info=info,
                   example=example(points=((5, 3), np.float32), sex=((), np.int32)),
                   targets=dict(points=dict(kind='landmarks'), sex=dict(kind='softmax')))
  batch = dict(image=np.zeros((2, 8, 8, 1), np.uint8), valid=np.ones(2, bool), points=TRUE[:2])
  outputs = dict(points=jnp.zeros((2, 10)), sex=jnp.zeros((2, 2)))
  object.__setattr__(task, 'outputs', lambda *a, **k: (outputs, {}))
  hp = task.hyperparameters()
  assert task.loss({}, batch, None, hp, train=False)[0].keys() == {'points'}
  found = task.evaluators()['targets']
  assert found.finish(jax.device_get(found.update({}, batch, hp))).keys() == {
      'points_nme', 'points_failures', 'points_auc'}
  assert 'no sex, and only the rest is measured' in caplog.text
  with pytest.raises(KeyError, match='sex'):               # what is learnt must be there
    task.loss({}, batch, None, hp, train=True)
  with pytest.raises(KeyError, match='points'):
    task.loss({}, {k: v for k, v in batch.items() if k != 'points'}, None, hp, train=False)
