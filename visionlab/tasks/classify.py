"""Image classification: one label an image (softmax) or any number of them (sigmoid)."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.source import Info
from visionlab.figures import charts
from visionlab.figures.clips import film_strips
from visionlab.measures.classification import (
  calibration_bins,
  calibration_error,
  confusion,
  mean_there,
  shares,
  topk_correct,
)
from visionlab.measures.per_class import auroc, average_precision, mean, precision_recall_f1
from visionlab.metrics import Ratio
from visionlab.ops.image import Standardise
from visionlab.task import Aux, Evaluator
from visionlab.tasks.forward import check_output, forward, fresh, mean_over
from visionlab.tasks.label_losses import label_losses, weights_of_classes
from visionlab.tasks.own_loss import OwnLoss, own_loss

RANKED = 100
"""Classes for which all scores of a split are kept, to rank its examples by: AUROC and AP."""


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
  class_weights: tuple[float, ...] = field(default=(), kw_only=True)
  focal: bool = field(default=False, kw_only=True)
  own: OwnLoss | None = field(default=None, kw_only=True)

  mixable = ('label',)

  def hyperparameters(self):
    auxiliary = getattr(self.model, 'auxiliary', {})
    scalars = self.own.hyperparameters if self.own else dict(
        label_smoothing=0., **(dict(focal_gamma=2.) if self.focal else {}))
    return scalars | {f'{k}_weight': w for k, w in auxiliary.items()}

  def init(self, key, batch):
    return fresh(self.model, key, self.seen(batch))

  def seen(self, batch):
    """What the network is shown: preprocessed images (b h w c)."""
    return self.preprocess(batch['image'])

  def viewed(self, batch, view):
    """A batch whose pictures are those of a view (`visionlab.ops.views`)."""
    return {'image': view.see(batch['image'])}

  def outputs(self, variables, batch, key=None, *, train=False):
    """{'logits': (b k) float32, in training also those of auxiliary heads}, and the collections
    after this batch."""
    x = self.seen(batch)
    out, updated = forward(self.model, variables, x, key, train=train)
    out = out if isinstance(out, dict) else {'logits': out}
    check_output(out.get('logits'), (x.shape[0], len(self.classes)), self.model,
                 'logits of the classes')
    return {k: v.astype(jnp.float32) for k, v in out.items()}, updated

  def loss(self, variables, batch, key, hp, *, train):
    outputs, collections = self.outputs(variables, batch, key, train=train)
    if self.own:
      costs = partial(self._own_cost, hp=hp)
    elif train:
      costs = partial(self.cross_entropy, smoothing=hp['label_smoothing'],
                      weights=self.class_weights, gamma=hp['focal_gamma'] if self.focal else None)
    else:                       # what is measured is the plain loss, to be compared between runs
      costs = partial(self.cross_entropy, smoothing=0.)
    name = self.own.term if self.own else 'cross_entropy'
    terms = {name if k == 'logits' else k: costs(v, batch) for k, v in outputs.items()}
    return terms, Aux(collections, {'accuracy': self.accuracy(outputs['logits'], batch)})

  def cross_entropy(self, logits, batch, smoothing, weights: tuple = (), gamma=None) -> Ratio:
    """Of logits (b k), with the labels of a batch, which may be mixed; see
    `visionlab.tasks.label_losses` for the other arguments."""
    def cost(label):
      return label_losses(logits, label, self.head, smoothing, weights, gamma)
    return _over_batch(batch, cost)

  def _own_cost(self, logits, batch, hp) -> Ratio:
    def cost(label):
      return self.own.of_each(logits, label, hp), jnp.ones(len(logits))
    return _over_batch(batch, cost)

  def accuracy(self, logits, batch) -> Ratio:
    return Ratio.of(self._correct(logits, batch['label']), known(batch))

  def predict(self, variables, batch):
    logits = self.outputs(variables, batch)[0]['logits']
    if self.head == 'sigmoid':
      return dict(logits=logits, probabilities=jax.nn.sigmoid(logits), prediction=logits > 0)
    return dict(logits=logits, probabilities=jax.nn.softmax(logits), prediction=logits.argmax(-1))

  def answer(self, variables, batch, given=None):
    return dict(logits=self.outputs(variables, batch)[0]['logits'])

  def evaluators(self):
    if self.head == 'sigmoid':
      counts = {'labels': Evaluator(self._label_counts, self._finish_labels)}
    else:
      counts = {'classes': Evaluator(self._class_counts, self._finish_classes)}
    if len(self.classes) > RANKED:
      return counts
    return counts | {'ranking': Evaluator(self._scores, self._finish_scores, kind='collect')}

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
      if 'video' in batch:
        return film_strips(batch['video'][chosen], captions, ~wrong[chosen], title)
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
        return task.predict(variables, task.viewed(batch, view))['probabilities']
      p = jnp.clip(mean_over(ask, members, variables, views), 1e-12, 1 - 1e-7)
      return jnp.log(p) if self.head == 'softmax' else jnp.log(p) - jnp.log1p(-p)
    return Averaged(None, self.classes, self.head, Standardise(), log_mean,
                    own=self.own)

  def _correct(self, logits, label):
    if self.head == 'sigmoid':
      return ((logits > 0) == (_one_hot(label, len(self.classes)) > .5)).mean(-1)
    return topk_correct(logits, _hard(label), 1)

  def _class_counts(self, variables, batch, hp):
    logits = self.predict(variables, batch)['logits']
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
    named = precision_recall_f1(np.diag(counts), counts.sum(1), counts.sum(0))
    results |= {'macro_f1': mean(named['f1']), 'class_precision': named['precision'],
                'class_f1': named['f1']}
    if len(self.classes) > 5:
      results['top5_error'] = 1 - float(stats['top5'].value)
    return results

  def _label_counts(self, variables, batch, hp):
    logits = self.predict(variables, batch)['logits']
    true = _one_hot(batch['label'], len(self.classes)) > .5
    predicted, valid = logits > 0, known(batch)
    counted = valid[:, None]
    return dict(both=(counted & true & predicted).sum(0), true=(counted & true).sum(0),
                predicted=(counted & predicted).sum(0),
                right=Ratio.of(true == predicted, valid),
                exact=Ratio.of((true == predicted).all(-1), valid))

  def _finish_labels(self, stats):
    named = precision_recall_f1(*(stats[k] for k in ('both', 'true', 'predicted')))
    return dict(accuracy=float(stats['right'].value), exact_match=float(stats['exact'].value),
                macro_f1=mean(named['f1']), **{f'class_{k}': v for k, v in named.items()})

  def _scores(self, variables, batch, hp):
    logits = self.predict(variables, batch)['logits']
    scores = jax.nn.sigmoid(logits) if self.head == 'sigmoid' else jax.nn.softmax(logits)
    return dict(scores=scores, positive=_one_hot(batch['label'], len(self.classes)) > .5,
                known=known(batch))

  def _finish_scores(self, rows):
    scores, positive = (np.asarray(rows[k])[rows['known']] for k in ('scores', 'positive'))
    area, precision = auroc(scores, positive), average_precision(scores, positive)
    return dict(macro_auroc=mean(area), macro_ap=mean(precision), class_auroc=area,
                class_ap=precision)


@dataclasses.dataclass(frozen=True)
class Averaged(Classify):
  """What `Classify.averaged` gives; it is evaluated, not trained."""
  log_mean: Callable

  def outputs(self, variables, batch, key=None, *, train=False):
    return {'logits': self.log_mean(variables['params'], batch)}, {}


def classify(*, make_model: Callable, info: Info, counts: tuple = (), head: str = 'softmax',
             loss: str = 'cross_entropy', class_weights: tuple | str = (), focal: bool = False,
             mean: tuple = (), std: tuple = (), channel_order: str = 'RGB') -> Classify:
  """Which class an image is of (softmax), or which labels it has (sigmoid).

  Args:
    counts: training examples of each class, where they are known.
    head: 'softmax', or 'sigmoid' where an image may have any number of labels.
    loss: 'cross_entropy', or one's own: 'package.module:function' of logits (b k) and labels, that
      gives losses (b,); its floats are hp's.
    class_weights: what an example of each class counts in training; 'balanced': n / (k n_c) for the
      n_c of n examples in each of k classes, as scikit-learn has it.
    focal: what is already right counts less, by (1 - p)^hp.focal_gamma (Lin et al. 2017, eq. 4).
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.
  """
  check_choice(head, ('softmax', 'sigmoid'), 'config.task.head')
  if not info.classes:
    raise ConfigError('config.task: classify needs classes, but this source has continuous targets;'
                      ' use name="regress"')
  own = own_loss(loss, ('cross_entropy',), 'config.task.loss')
  if own and (class_weights or focal):
    key = 'class_weights' if class_weights else 'focal'
    raise ConfigError(f'config.task.{key}: is for the cross-entropy, not for {loss}')
  weights = weights_of_classes(class_weights, counts, info.classes)
  return Classify(make_model(classes=len(info.classes)), info.classes, head,
                  Standardise(mean, std, channel_order), class_weights=weights, focal=focal,
                  own=own)


def _over_batch(batch, cost: Callable) -> Ratio:
  """Of cost(label) -> losses, and what each counts in their mean; of both labels where mixed."""
  losses, counts = cost(batch['label'])
  if 'label_mixed' in batch:
    share, other = batch['mix_weight'], cost(batch['label_mixed'])
    losses, counts = (share * a + (1 - share) * b
                      for a, b in zip((losses, counts), other, strict=True))
  return Ratio(Ratio.of(losses, known(batch)).sum, Ratio.of(counts, known(batch)).sum)


def known(batch: Mapping[str, Any]) -> jax.Array:
  """Which examples (b,) of a batch are valid and have their labels."""
  return batch['valid'] & batch.get('labelled', True)


def _hard(label):
  return label if label.ndim == 1 else label.argmax(-1)


def _one_hot(label, classes: int):
  return jax.nn.one_hot(label, classes) if label.ndim == 1 else label
