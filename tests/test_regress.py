"""Regression against torch's losses and scikit-learn's metrics."""

from functools import cache, partial

import flax.linen as nn
import jax
import numpy as np
import pytest
from sklearn import metrics

from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Arrays
from visionlab.ops.views import rescaled
from visionlab.parallel.sharding import data_mesh
from visionlab.tasks.regress import regress
from visionlab.training.evaluation import compile_evaluation, predictions

SHAPE = (2, 3, 1)
MEAN, STD = 40., 12.


class Linear(nn.Module):
  classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    return nn.Dense(self.classes, kernel_init=nn.initializers.normal(1.))(x.reshape(len(x), -1))


def draw(n=12, width=(), seed=0):
  rng = np.random.default_rng(seed)
  return dict(image=rng.integers(0, 256, (n, *SHAPE)).astype(np.uint8),
              target=(MEAN + STD * rng.standard_normal((n, *width))).astype(np.float32),
              valid=np.ones(n, bool))


def make(width=(), **options):
  options = dict(target_mean=MEAN, target_std=STD, **options)
  task = regress(make_model=Linear, example=draw(1, width), **options)
  return task, jax.jit(task.init)(jax.random.key(0), draw(2, width))


def outputs_of(variables, image):
  dense = variables['params']['Dense_0']
  x = image.reshape(len(image), -1) / 255.
  return x @ np.asarray(dense['kernel'], np.float64) + np.asarray(dense['bias'])


@pytest.mark.parametrize('width', [(), (1,), (3,)])
@pytest.mark.parametrize('distance, delta', [('l2', None), ('l1', None), ('huber', 1.),
                                             ('huber', .3)])
def test_loss_and_gradient_equal_torch(width, distance, delta):
  torch = pytest.importorskip('torch')
  losses = dict(l2=torch.nn.functional.mse_loss, l1=torch.nn.functional.l1_loss,
                huber=partial(torch.nn.functional.huber_loss, delta=delta))
  task, variables = make(width, distance=distance)
  batch = draw(12, width)
  hp = dict(task.hyperparameters()) if delta is None else dict(huber_delta=delta)

  def value(bias):
    params = {'Dense_0': {**variables['params']['Dense_0'], 'bias': bias}}
    terms, _ = task.loss({'params': params}, batch, jax.random.key(0), hp, train=True)
    return terms[distance].value, terms[distance].count
  (got, count), gradient = jax.jit(jax.value_and_grad(value, has_aux=True))(
      variables['params']['Dense_0']['bias'])
  assert count == 12 * np.prod(width)

  shift = torch.zeros(int(np.prod(width)), dtype=torch.float64, requires_grad=True)
  said = torch.tensor(outputs_of(variables, batch['image'])) + shift
  target = torch.tensor((batch['target'].reshape(12, -1).astype(np.float64) - MEAN) / STD)
  want = losses[distance](said, target)
  want.backward()
  np.testing.assert_allclose(got, want.item(), rtol=1e-5)
  np.testing.assert_allclose(gradient, shift.grad, rtol=1e-5, atol=1e-6)


def test_hyperparameters_are_those_the_loss_reads():
  assert make(distance='huber')[0].hyperparameters() == dict(huber_delta=1.)
  assert make(distance='l2')[0].hyperparameters() == make(distance='l1')[0].hyperparameters() == {}


def test_invalid_examples_are_ignored():
  task, variables = make((2,))
  batch, padded = draw(12, (2,)), {**draw(20, (2,), seed=5), 'valid': np.arange(20) < 12}
  for key in ('image', 'target'):
    padded[key][:12] = batch[key]

  def value(variables, batch):
    return task.loss(variables, batch, jax.random.key(0), {}, train=True)[0]['l2'].value
  run = jax.value_and_grad(value)
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), run(variables, batch),
               run(variables, padded))
  padded['target'][12:] = np.nan
  assert np.isfinite(run(variables, padded)[0])


@cache
def evaluation(task, devices):
  return compile_evaluation(task, data_mesh(jax.devices()[:devices]))


def evaluate(task, variables, data, batch, devices=1):
  data = {k: v for k, v in data.items() if k != 'valid' or not v.all()}
  return evaluation(task, devices)(variables, {}, eval_batches(Arrays(data), batch, 0))


@pytest.mark.parametrize('width', [(), (3,)])
@pytest.mark.parametrize('batch, devices', [(8, 1), (37, 1), (16, 4)])
def test_results_equal_sklearn(width, batch, devices):
  """r2 is one number over all outputs, each weighed by its variance."""
  task, variables = make(width)
  data = draw(37, width)
  got = evaluate(task, variables, data, batch, devices)
  said, target = outputs_of(variables, data['image']), data['target'].reshape(37, -1)
  said = said * STD + MEAN
  mse = metrics.mean_squared_error(target, said)
  want = dict(loss=mse / STD ** 2, l2=mse / STD ** 2, rmse=np.sqrt(mse),
              mae=metrics.mean_absolute_error(target, said),
              r2=metrics.r2_score(target, said, multioutput='variance_weighted'))
  assert got.keys() == want.keys()
  for name in want:
    np.testing.assert_allclose(got[name], want[name], rtol=1e-4, err_msg=name)


def test_broken_examples_of_a_source_are_left_out():
  task, variables = make()
  data = draw(37)
  data['valid'] = np.arange(37) % 4 != 1
  data['target'][~data['valid']] = np.nan
  got = evaluate(task, variables, data, 8)
  kept = evaluate(task, variables, {k: v[data['valid']] for k, v in data.items()}, 8)
  for name in got:
    np.testing.assert_allclose(got[name], kept[name], rtol=1e-5, err_msg=name)


def test_r2_of_equal_targets_is_zero():
  task, variables = make()
  data = {**draw(8), 'target': np.full(8, 5., np.float32)}
  assert evaluate(task, variables, data, 8)['r2'] == 0


def test_predictions_are_in_the_units_of_the_target():
  task, variables = make((2,))
  batch = draw(12, (2,))
  np.testing.assert_allclose(task.predict(variables, {'image': batch['image']})['prediction'],
                             outputs_of(variables, batch['image']) * STD + MEAN, rtol=1e-5)


def test_whole_numbers_may_be_targets():
  data = {**draw(12), 'label': np.arange(12, dtype=np.int32)}
  task = regress(make_model=Linear, example=data, target='label')
  variables = jax.jit(task.init)(jax.random.key(0), data)
  want = np.abs(outputs_of(variables, data['image'])[:, 0] - np.arange(12)).mean()
  np.testing.assert_allclose(evaluate(task, variables, data, 12)['mae'], want, rtol=1e-5)


def test_averaged_predicts_the_mean():
  task, first = make()
  second = jax.jit(task.init)(jax.random.key(1), draw(2))
  data = draw(37)
  average = task.averaged([task, task], rescaled(mirror=True))
  want = np.mean([outputs_of(v, image) * STD + MEAN for v in (first, second)
                  for image in (data['image'], data['image'][:, :, ::-1])], 0)
  variables = {'params': [first, second]}
  np.testing.assert_allclose(average.predict(variables, data)['prediction'], want, rtol=1e-5)
  np.testing.assert_allclose(evaluate(average, variables, data, 16)['mae'],
                             metrics.mean_absolute_error(data['target'], want), rtol=1e-4)


@pytest.mark.parametrize('width', [(), (3,)])
def test_figures_are_pictures(width):
  task, variables = make(width)
  data = draw(30, width)
  batch, said = predictions(task.predict, variables, eval_batches(Arrays(data), 16, 0), 100)
  assert len(said['prediction']) == 30
  pictures = task.figures(batch, said, {})
  assert set(pictures) == {'samples', 'scatter'}
  for picture in pictures.values():
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


@pytest.mark.parametrize('options, says', [
  (dict(distance='l3'), r"config\.task\.distance: unknown name 'l3' .*huber, l1, l2, or"),
  (dict(target='targets'), r"config\.task\.target: 'targets' .*did you mean \"target\""),
  (dict(target='image'), r"config\.task\.target: 'image' is not one of 'target'"),
  (dict(target_std=0.), r'config\.task\.target_std: must be above 0'),
])
def test_errors(options, says):
  with pytest.raises(ConfigError, match=says):
    regress(make_model=Linear, example=draw(1), **options)


def test_labels_that_are_hidden_are_no_numbers_to_learn():
  example = draw(1) | dict(label=np.zeros(1, np.int32), labelled=np.ones(1, bool))
  with pytest.raises(ConfigError, match=r'config\.task\.target: "label" is hidden in part'):
    regress(make_model=Linear, example=example, target='label')
