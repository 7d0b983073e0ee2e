"""Made images beside real ones, in the features of another network."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config

from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.facts import Facts
from visionlab.measures import frechet
from visionlab.runs import likeness as module
from visionlab.runs.likeness import fitted, likeness
from visionlab.training.own_metrics import metrics_of

N, CLASSES = 40, tuple('abc')
IMAGES = np.random.default_rng(0).random((N, 4, 4, 1), np.float32)
LABEL = np.arange(N, dtype=np.int32) % 3


@pytest.fixture(scope='module')
def judge():
  """A network of 16 features, which takes images of 8 x 8 pixels."""
  example = dict(image=jax.ShapeDtypeStruct((1, 8, 8, 1), np.uint8),
                 label=jax.ShapeDtypeStruct((1,), np.int32), valid=jax.ShapeDtypeStruct((1,), bool))
  facts = Facts(Info(CLASSES), example, N)
  task = build_task(config(task=dict(name='classify', model=dict(name='mlp', hidden=(16,)))), facts)
  variables = jax.jit(task.init)(jax.random.key(0), example | dict(image=jnp.zeros((1, 8, 8, 1))))
  return SimpleNamespace(task=task, variables=variables, facts=facts, classes=CLASSES)


@pytest.fixture
def found(judge, monkeypatch):
  """What is measured of a task that makes the images of a batch darker; asked: their classes."""
  monkeypatch.setattr(module, 'load', lambda place: judge)

  def measured(asked=None):
    task = SimpleNamespace(made=lambda variables, batch: (batch['image'] * .5, asked),
                           classes=CLASSES)
    evaluator = likeness(task, 'runs/judge', '--features')
    rows = jax.jit(lambda batch: evaluator.update({}, batch, {}))(dict(image=IMAGES, label=LABEL))
    return evaluator.finish(jax.device_get(rows))
  return measured


def of(judge, images):
  """The features and classes of images, by hand: two layers."""
  w, n = judge.variables['params'], len(images)
  x = np.asarray(jax.image.resize(images, (n, 8, 8, 1), 'linear')).reshape(n, -1)
  hidden, head = sorted(w, key=lambda name: w[name]['kernel'].shape[-1], reverse=True)
  x = np.maximum(x @ w[hidden]['kernel'] + w[hidden]['bias'], 0)
  return np.asarray(x), np.asarray(x @ w[head]['kernel'] + w[head]['bias']).argmax(-1)


def test_features_are_those_before_the_classes(judge, found):
  real, named = of(judge, IMAGES)
  made, named_made = of(judge, IMAGES * .5)
  results = found(LABEL)
  expected = frechet.likeness(real, made)
  for name in ('frechet', 'precision', 'recall', 'density', 'coverage', 'collapse'):
    assert results[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-4), name
  gaussian, _ = of(judge, frechet.like_in_two_moments(IMAGES, N))
  assert results['frechet_of_gaussian'] == pytest.approx(
      frechet.frechet_distance(real, gaussian), rel=1e-3)
  assert results['named_right'] == (named_made == LABEL).mean()
  assert results['real_named_right'] == (named == LABEL).mean()
  assert results['classes_made'] == len(set(named_made))


def test_where_no_class_was_asked_for_none_is_named(found):
  assert 'named_right' not in found()


def test_more_features_than_images_are_said(found, monkeypatch, warned):
  monkeypatch.setattr(module, 'seen_by', lambda judge: lambda images: dict(
      features=jnp.asarray(images).reshape(len(images), -1).repeat(3, 1)))
  results = found()
  assert np.isnan(results['frechet']) and results['coverage'] > 0
  assert 'the 40 images are no more than the 48 features' in warned[0]


def test_images_are_made_to_fit():
  grey = np.full((2, 4, 4, 1), 51, np.uint8)
  np.testing.assert_allclose(fitted(grey, (8, 8, 3)), np.full((2, 8, 8, 3), .2), rtol=1e-6)
  colour = np.broadcast_to(np.float32([.1, .2, .6]), (2, 4, 4, 3))
  np.testing.assert_allclose(fitted(colour, (4, 4, 1)), np.full((2, 4, 4, 1), .3), rtol=1e-6)


def test_it_is_asked_for_by_a_config_or_by_name(judge, monkeypatch):
  monkeypatch.setattr(module, 'load', lambda place: judge)
  task = SimpleNamespace(made=None, classes=CLASSES)
  assert list(metrics_of(dict(evals=dict(test=dict(features='runs/a'))), task)) == ['features']
  assert list(metrics_of(dict(evals=dict(test={})), task, 'runs/a')) == ['features']
  with pytest.raises(ConfigError, match='config.evals.test.features: for tasks that make images'):
    metrics_of(dict(evals=dict(test=dict(features='runs/a'))), judge.task)
