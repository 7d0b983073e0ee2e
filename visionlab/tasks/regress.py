"""Regression of continuous targets from images."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.figures import charts
from visionlab.measures.regression import regression_scores
from visionlab.metrics import Ratio
from visionlab.ops.image import Standardise
from visionlab.task import Aux, Evaluator
from visionlab.tasks.forward import forward, mean_over


@dataclasses.dataclass(frozen=True)
class Regress:
  """batch: `image` (b h w c), `valid` (b,), and under `target` numbers (b,) or (b d).

  predict: `prediction` (b d), in the target's own units.
  """
  model: Any
  target: str
  distance: str
  target_mean: float
  target_std: float
  preprocess: Standardise

  def hyperparameters(self):
    return dict(huber_delta=1.) if self.distance == 'huber' else {}

  def init(self, key, batch):
    return self.model.init(key, self.preprocess(batch['image']), train=False)

  def outputs(self, variables, batch, key=None, *, train=False):
    """(b d) in units of target_std from target_mean, and the collections after this batch."""
    return forward(self.model, variables, self.preprocess(batch['image']), key,
                   train=train)

  def loss(self, variables, batch, key, hp, *, train):
    outputs, collections = self.outputs(variables, batch, key, train=train)
    target = (_columns(batch[self.target]) - self.target_mean) / self.target_std
    # Masked before it is squared: 0 times the gradient of NaN would be NaN.
    error = jnp.where(batch['valid'][:, None], outputs - target, 0)
    size = jnp.abs(error)
    if self.distance == 'l2':
      losses = size ** 2
    elif self.distance == 'l1':
      losses = size
    else:                  # Huber 1964: quadratic up to delta, then linear
      delta = hp['huber_delta']
      losses = jnp.where(size < delta, .5 * size ** 2, delta * (size - .5 * delta))
    return {self.distance: Ratio.of(losses, batch['valid'])}, Aux(collections, {})

  def predict(self, variables, batch):
    outputs, _ = self.outputs(variables, batch)
    return dict(prediction=outputs * self.target_std + self.target_mean)

  def answer(self, variables, batch, given=None):
    return dict(outputs=self.predict(variables, batch)['prediction'])

  def averaged(self, members, views):
    """A task that predicts the mean of `members` over `views` (`visionlab.ops.views`); its
    variables are {'params': [each member's variables]}."""
    def mean(variables, batch):
      def ask(task, variables, view):
        return task.predict(variables, {'image': view.see(batch['image'])})['prediction']
      return (mean_over(ask, members, variables, views) - self.target_mean) / self.target_std
    return Averaged(None, self.target, self.distance, self.target_mean, self.target_std,
                    Standardise(), mean)

  def evaluators(self):
    def update(variables, batch, hp):
      return dict(prediction=self.predict(variables, batch)['prediction'],
                  target=_columns(batch[self.target]))
    return {'regression': Evaluator(update, _finish, kind='collect')}

  def figures(self, batch, predictions, results):
    target = np.asarray(_columns(batch[self.target]))
    captions = [f'{p[0]:.3g}\n(true {t[0]:.3g})'
                for p, t in zip(predictions['prediction'], target, strict=True)][:24]
    return {'samples': charts.image_grid(batch['image'][:24], captions, None, 'Predictions'),
            'scatter': charts.scatter(target, predictions['prediction'])}


@dataclasses.dataclass(frozen=True)
class Averaged(Regress):
  """What `Regress.averaged` gives; it is evaluated, not trained."""
  average: Callable

  def outputs(self, variables, batch, key=None, *, train=False):
    return self.average(variables['params'], batch), {}


def regress(*, make_model: Callable, example: Mapping, target: str = 'target', distance: str = 'l2',
            target_mean: float = 0., target_std: float = 1., mean: tuple = (),
            std: tuple = (), channel_order: str = 'RGB') -> Regress:
  """Numbers that belong to an image: L2, L1 or Huber.

  Args:
    target: the batch's entry to predict; `label` serves too.
    distance: 'l2', 'l1' or 'huber' (with hp.huber_delta), on standardised targets.
    target_mean, target_std: what targets are standardised by.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.
  """
  check_choice(distance, ('l2', 'l1', 'huber'), 'config.task.distance')
  check_choice(target, [k for k in example if k not in ('image', 'valid')], 'config.task.target')
  if target == 'label' and 'labelled' in example:
    raise ConfigError('config.task.target: "label" is hidden in part by this source, and regress '
                      'would learn 0 in its place; name the source itself in config.data')
  if target_std <= 0:
    raise ConfigError(f'config.task.target_std: must be above 0, not {target_std}')
  outputs = int(np.prod(example[target].shape[1:]))
  return Regress(make_model(classes=outputs), target, distance, target_mean, target_std,
                 Standardise(mean, std, channel_order))


def _columns(target):
  return target.reshape(len(target), -1).astype(np.float32)


def _finish(stats):
  return regression_scores(stats['prediction'], stats['target'])
