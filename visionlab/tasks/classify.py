"""Image classification: one label an image (softmax) or any number of them (sigmoid)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.source import Info
from visionlab.figures import charts
from visionlab.measures.classification import (
  calibration_bins,
  calibration_error,
  confusion,
  mean_there,
  shares,
  topk_correct,
)
from visionlab.metrics import Ratio
from visionlab.ops.image import Standardise
from visionlab.task import Aux, Evaluator
from visionlab.tasks.forward import forward, mean_over


@dataclasses.dataclass(frozen=True)
class Classify:
  """batch: `image` (b h w c), `label` (b,) int, or (b k) soft or multi-hot, `valid` (b,);
  `label_mixed` and `mix_weight` where mixup or cutmix made them; `labelled` (b,) bool where some
  labels are not known, which then count nowhere.

  predict: `logits`, `probabilities` (b k), `prediction` (b,).
  """
  model: Any
  classes: tuple[str, ...]
  head: str
  preprocess: Standardise

  mixable = ('label',)

  def hyperparameters(self):
    auxiliary = getattr(self.model, 'auxiliary', {})
    return dict(label_smoothing=0., **{f'{k}_weight': w for k, w in auxiliary.items()})

  def init(self, key, batch):
    return self.model.init(key, self.preprocess(batch['image']), train=False)

  def outputs(self, variables, batch, key=None, *, train=False):
    """{'logits': (b k) float32, in training also those of auxiliary heads}, and the collections
    after this batch."""
    out, updated = forward(self.model, variables, self.preprocess(batch['image']), key,
                           train=train)
    out = out if isinstance(out, dict) else {'logits': out}
    return {k: v.astype(jnp.float32) for k, v in out.items()}, updated

  def loss(self, variables, batch, key, hp, *, train):
    outputs, collections = self.outputs(variables, batch, key, train=train)
    smoothing = hp['label_smoothing'] if train else 0.

    terms = {'cross_entropy' if k == 'logits' else k: self.cross_entropy(v, batch, smoothing)
             for k, v in outputs.items()}
    return terms, Aux(collections, {'accuracy': self.accuracy(outputs['logits'], batch)})

  def cross_entropy(self, logits, batch, smoothing) -> Ratio:
    """Of logits (b k), with the labels of a batch, which may be mixed."""
    losses = self._losses(logits, batch['label'], smoothing)
    if 'label_mixed' in batch:
      weight, other = batch['mix_weight'], batch['label_mixed']
      losses = weight * losses + (1 - weight) * self._losses(logits, other, smoothing)
    return Ratio.of(losses, known(batch))

  def accuracy(self, logits, batch) -> Ratio:
    return Ratio.of(self._correct(logits, batch['label']), known(batch))

  def predict(self, variables, batch):
    logits = self.outputs(variables, batch)[0]['logits']
    if self.head == 'sigmoid':
      return dict(logits=logits, probabilities=jax.nn.sigmoid(logits), prediction=logits > 0)
    return dict(logits=logits, probabilities=jax.nn.softmax(logits), prediction=logits.argmax(-1))

  def evaluators(self):
    if self.head == 'sigmoid':
      return {'labels': Evaluator(self._label_counts, self._finish_labels)}
    return {'classes': Evaluator(self._class_counts, self._finish_classes)}

  def figures(self, batch, predictions, results):
    if self.head == 'sigmoid':
      return {}
    label, predicted = _hard(batch['label']), predictions['prediction']
    confidence = predictions['probabilities'].max(-1)
    of_label = np.take_along_axis(predictions['probabilities'], label[:, None], -1)[:, 0]
    wrong = predicted != label

    def sheet(chosen, title):
      captions = [f'{self.classes[predicted[i]]} {confidence[i]:.0%}' + (
          f'\n(true {self.classes[label[i]]})' if wrong[i] else '') for i in chosen]
      return charts.image_grid(batch['image'][chosen], captions, ~wrong[chosen], title)
    order = np.argsort(of_label)
    worst = order[wrong[order]][:24]
    pictures = {'samples': sheet(np.arange(min(24, len(label))), 'Predictions')}
    if len(worst):
      pictures['most_confused'] = sheet(worst, 'Most confident mistakes')
    if 'confusion' in results:
      pictures['confusion'] = charts.confusion_matrix(results['confusion'], self.classes)
    return pictures

  def averaged(self, members, views):
    """A task whose probabilities are the mean over `members` and over `views`
    (`visionlab.ops.views`); its variables are {'params': [each member's variables]}."""
    def log_mean(variables, batch):
      def ask(task, variables, view):
        return task.predict(variables, {'image': view.see(batch['image'])})['probabilities']
      p = jnp.clip(mean_over(ask, members, variables, views), 1e-12, 1 - 1e-7)
      return jnp.log(p) if self.head == 'softmax' else jnp.log(p) - jnp.log1p(-p)
    return Averaged(None, self.classes, self.head, Standardise(), log_mean)

  def _losses(self, logits, label, smoothing):
    """Cross-entropy (b,) against targets smoothed towards uniform (Szegedy et al. 2016, sec. 7),
    or for sigmoid the sum over classes, smoothed towards one half."""
    if self.head == 'sigmoid':
      target = _one_hot(label, len(self.classes)) * (1 - smoothing) + .5 * smoothing
      return -(target * jax.nn.log_sigmoid(logits)
               + (1 - target) * jax.nn.log_sigmoid(-logits)).sum(-1)
    log_p = jax.nn.log_softmax(logits)
    if label.ndim == 1:
      of_label = jnp.take_along_axis(log_p, label[:, None], -1)[:, 0]
    else:
      of_label = (label * log_p).sum(-1)
    return -(1 - smoothing) * of_label - smoothing * log_p.mean(-1)

  def _correct(self, logits, label):
    if self.head == 'sigmoid':
      return ((logits > 0) == (_one_hot(label, len(self.classes)) > .5)).mean(-1)
    return topk_correct(logits, _hard(label), 1)

  def _class_counts(self, variables, batch, hp):
    logits = self.outputs(variables, batch)[0]['logits']
    label, valid = _hard(batch['label']), known(batch)
    probabilities = jax.nn.softmax(logits)
    correct = topk_correct(logits, label, 1)
    return dict(
        top1=Ratio.of(correct, valid), top5=Ratio.of(topk_correct(logits, label, 5), valid),
        confusion=confusion(label, logits.argmax(-1), len(self.classes), valid),
        bins=calibration_bins(probabilities.max(-1), correct, valid))

  def _finish_classes(self, stats):
    counts = np.asarray(stats['confusion'], np.float64)
    per_class = shares(np.diag(counts), counts.sum(1))
    results = dict(accuracy=float(stats['top1'].value),
                   top1_error=1 - float(stats['top1'].value),
                   mean_class_accuracy=mean_there(per_class),
                   calibration_error=calibration_error(stats['bins']),
                   confusion=counts.astype(int), class_accuracy=per_class)
    if len(self.classes) > 5:
      results['top5_error'] = 1 - float(stats['top5'].value)
    return results

  def _label_counts(self, variables, batch, hp):
    logits = self.outputs(variables, batch)[0]['logits']
    true = _one_hot(batch['label'], len(self.classes)) > .5
    predicted, valid = logits > 0, known(batch)
    counted = valid[:, None]
    return dict(both=(counted & true & predicted).sum(0), true=(counted & true).sum(0),
                predicted=(counted & predicted).sum(0),
                right=Ratio.of(true == predicted, valid),
                exact=Ratio.of((true == predicted).all(-1), valid))

  def _finish_labels(self, stats):
    both, true, predicted = (np.asarray(stats[k], np.float64)
                             for k in ('both', 'true', 'predicted'))
    return dict(accuracy=float(stats['right'].value), exact_match=float(stats['exact'].value),
                mean_f1=mean_there(shares(2 * both, true + predicted)),
                recall=shares(both, true), precision=shares(both, predicted))


@dataclasses.dataclass(frozen=True)
class Averaged(Classify):
  """What `Classify.averaged` gives; it is evaluated, not trained."""
  log_mean: Callable

  def outputs(self, variables, batch, key=None, *, train=False):
    return {'logits': self.log_mean(variables['params'], batch)}, {}


def classify(*, make_model: Callable, info: Info, head: str = 'softmax',
             mean: tuple = (), std: tuple = (), channel_order: str = 'RGB') -> Classify:
  """The classification task of a config.

  Args:
    head: 'softmax', or 'sigmoid' where an image may have any number of labels.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.
  """
  check_choice(head, ('softmax', 'sigmoid'), 'config.task.head')
  if not info.classes:
    raise ConfigError('config.task: classify needs classes, but this source has continuous targets;'
                      ' use name="regress"')
  return Classify(make_model(classes=len(info.classes)), info.classes, head,
                  Standardise(mean, std, channel_order))


def known(batch: Mapping[str, Any]) -> jax.Array:
  """Which examples (b,) of a batch are valid and have their labels."""
  return batch['valid'] & batch.get('labelled', True)


def _hard(label):
  return label if label.ndim == 1 else label.argmax(-1)


def _one_hot(label, classes: int):
  return jax.nn.one_hot(label, classes) if label.ndim == 1 else label
