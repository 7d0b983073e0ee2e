"""Metrics of one's own: over the whole split, whatever the batch; one line for a mistake."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Arrays, Info
from visionlab.metrics import Ratio
from visionlab.parallel.sharding import data_mesh
from visionlab.task import Evaluator
from visionlab.tasks.classify import classify
from visionlab.training.evaluation import compile_evaluation
from visionlab.training.own_metrics import check_asked, metrics_of, own_metrics

WHERE = 'config.evals.test.metrics'
RNG = np.random.default_rng(0)
SOURCE = Arrays(dict(image=RNG.standard_normal((11, 3)).astype(np.float32),
                     label=RNG.integers(0, 3, 11).astype(np.int32),
                     hard=np.arange(11) % 2 == 0), Info(classes=('a', 'b', 'c')))
RIGHT = SOURCE.arrays['image'].argmax(1) == SOURCE.arrays['label']


class Answers:
  """In place of a network: the images are what it says."""
  def __call__(self, x):
    return x

  def init(self, key, x):
    return {'params': {}}

  def apply(self, variables, x, mutable, rngs):
    return x if mutable is False else (x, {})


TASK = classify(make_model=lambda classes: Answers(), info=SOURCE.info)


def measured(*names, batch=4, task=TASK):
  names = [f'test_own_metrics:{name}' for name in names]
  own = own_metrics(names, task, WHERE)
  check_asked(names, task, SOURCE, WHERE)
  run = compile_evaluation(task, data_mesh(jax.devices()[:1]), metrics=own)
  return run({'params': {}}, dict(label_smoothing=jnp.float32(0)), eval_batches(SOURCE, batch, 0))


def right(prediction, label, scale=100.):
  assert isinstance(label, np.ndarray) and label.shape == (11,)        # without padding
  return scale * (prediction == label).mean()


def by_kind(predictions, batch):
  correct = predictions['prediction'] == batch['label']
  return {'hard': correct[batch['hard']].mean(), 'each': correct}


def on_device(task):
  def update(variables, batch, hp):
    said = task.predict(variables, batch)['prediction']
    return Ratio.of(said == batch['label'], batch['valid'])
  return Evaluator(update, lambda total: {'summed': float(total.value)})


def test_of_the_whole_split_by_name_by_dict_and_on_the_device():
  results = measured('right', 'by_kind', 'on_device')
  assert results['right'] == pytest.approx(100 * RIGHT.mean())
  assert results['hard'] == pytest.approx(RIGHT[::2].mean())
  assert results['each'].tolist() == RIGHT.tolist()
  assert results['summed'] == pytest.approx(RIGHT.mean()) == results['accuracy']


def test_all_of_a_config_are_found():
  config = dict(evals=dict(a=dict(metrics=('test_own_metrics:right',)), b=dict(),
                           c=dict(metrics=('test_own_metrics:right', 'test_own_metrics:by_kind'))))
  assert list(metrics_of(config, TASK)) == ['test_own_metrics:right', 'test_own_metrics:by_kind']
  assert metrics_of({}, TASK) == {}


def misspelt(predicton, label):
  return 0


def both(hard):
  return 0


def accuracy(label):
  return .5


def words(label):
  return 'good'


def ragged(label):
  return dict(a=[[1], [1, 2]])


def raises(label):
  return label[99]


def no_evaluator(task):
  return 3


def untraceable(task):
  return Evaluator(lambda variables, batch, hp: float(batch['label'].sum()), lambda total: {})


class Twice(type(TASK)):
  def predict(self, variables, batch):
    return super().predict(variables, batch) | dict(hard=batch['hard'])


@pytest.mark.parametrize('name, said', [
    ('missing', r'\.test\.metrics\[0\]: cannot load .*no attribute .missing.'),
    ('misspelt', r'\.test\.metrics\[0\]: .*misspelt asks for "predicton" \(did you mean '
                 r'"prediction"\?\); the task predicts logits, .*the data have hard, image, label'),
    ('both', r'\.test\.metrics\[0\]: .*both: "hard" is among the predictions and in the batch'),
    ('accuracy', r": test_own_metrics:accuracy gives 'accuracy', which is measured already"),
    ('no_evaluator', r'\.test\.metrics\[0\]: .*takes `task`, and gave 3; expected a visionlab'),
    ('untraceable', r'\.test\.metrics\[0\]: .*untraceable: .*, line \d+: ConcretizationType')])
def test_mistakes_name_the_key_and_the_part(name, said):
  task = Twice(Answers(), SOURCE.info.classes, 'softmax', TASK.preprocess)
  with pytest.raises(ConfigError, match=f'^config.evals{said}'):
    measured(name, task=task if name == 'both' else TASK)


@pytest.mark.parametrize('name, said', [
    ('words', "test_own_metrics:words gave {'words': 'good'}; expected a number, or a dict"),
    ('ragged', '.*ragged gave .*; expected a number'),
    ('raises', r'.*raises: .*test_own_metrics.py, line \d+: IndexError')])
def test_what_is_no_number_and_what_raises_on_the_host(name, said):
  metric = own_metrics([f'test_own_metrics:{name}'], TASK, WHERE)[f'test_own_metrics:{name}']
  with pytest.raises(ConfigError, match=rf'^config.evals.test.metrics\[0\]: {said}'):
    metric.finish(dict(label=np.arange(3)))


def test_what_other_data_cannot_tell_is_left_out(caplog):
  config = dict(evals=dict(a=dict(metrics=('test_own_metrics:right', 'test_own_metrics:by_kind'))))
  source = Arrays({k: v for k, v in SOURCE.arrays.items() if k != 'label'})
  assert metrics_of(config, TASK, source=SOURCE).keys() == metrics_of(config, TASK).keys()
  assert 'test_own_metrics:right' not in metrics_of(config, TASK, source=source)
  assert 'not measured: ' in caplog.text and 'asks for "label"' in caplog.text
