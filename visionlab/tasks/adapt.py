"""Domain adaptation: images of two domains, labels of the source, and none or few of the target."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.config import ConfigError, check_choice, nearest
from visionlab.data.source import Info
from visionlab.metrics import Ratio
from visionlab.ops.alignment import coral, mmd
from visionlab.ops.gradient_reversal import gradient_reversal, reversal_schedule, scale_gradient
from visionlab.ops.image import Standardise
from visionlab.ops.soft_labels import class_sums, soft_cross_entropy, updated_table
from visionlab.task import Aux
from visionlab.tasks.classify import Classify, known
from visionlab.tasks.forward import forward
from visionlab.tasks.own_loss import hyperparameters_of, own_loss

DOMAINS = ('source', 'target')
ADVERSARIAL, DISTANCES = ('dann', 'confusion'), dict(mmd=mmd, coral=coral)
METHODS = (*ADVERSARIAL, *DISTANCES, *DOMAINS)


@dataclasses.dataclass(frozen=True)
class Adapt(Classify):
  """In training, batch: `source` and `target`, each a batch of `Classify`, of equally many images.
  Labels of the target are read by method 'target', and where it has `labelled` (b,) bool, which
  then says of which examples by any method but 'source'. An evaluation, and `predict`, see one
  domain: a batch of `Classify`.

  Terms: `cross_entropy` of labels, or a loss of one's own, and by method `domain` (the domain
  classifier's binary cross-entropy), `confusion`, `mmd` or `coral`. All have weight 1. What
  `lambda` (a metric) scales is the gradient that the domain classifier or the distance sends to the
  features, so the `loss` in the log is not what the features descend. Of labelled target examples:
  that of labels with `target_` before it, and with soft labels `soft`.

  The collection `soft_labels` has the running mean `table` (k k), row c that of the source's class.
  """
  method: str
  norm: str
  few: bool
  soft_labels: bool

  def hyperparameters(self):
    scalars = {} if self.method in DOMAINS else dict(lambda_max=1., gamma=10.)
    scalars |= {f'target_{self._term}_weight': 1.} if self.few else {}
    scalars |= dict(soft_weight=.1, temperature=2., soft_momentum=.99) if self.soft_labels else {}
    return super().hyperparameters() | hyperparameters_of([self.own], scalars)

  def init(self, key, batch):
    images = self.preprocess(one_domain(batch)['image'])
    fresh = self.model.init(key, images, train=False,
                            method=_all_heads if self.method in ADVERSARIAL else None)
    if not self.soft_labels:
      return fresh
    k = len(self.classes)
    return {**fresh, 'soft_labels': {'table': jnp.full((k, k), 1 / k)}}

  def loss(self, variables, batch, key, hp, *, train):
    if 'image' in batch:                   # an evaluation, of whichever domain
      return super().loss(variables, batch, key, hp, train=train)
    if self.method in DOMAINS:
      return super().loss(variables, batch[self.method], key, hp, train=train)

    def head(method, features, variables=variables):
      return self.model.apply(variables, features, train=train, method=method,
                              rngs={'dropout': key} if train else None)
    source, target = batch['source'], batch['target']
    (features, others), collections = self._features(variables, source, target, key, train)
    logits = head('label_logits', features).astype(jnp.float32)
    if self.own:
      cost = partial(self._own_cost, hp=hp)
    else:
      cost = partial(self.cross_entropy, smoothing=hp['label_smoothing'] if train else 0.)
    terms = {self._term: cost(logits, source)}
    watched = {'accuracy': self.accuracy(logits, source)}
    if self.few:
      predicted = head('label_logits', others).astype(jnp.float32)
      terms |= self._target_terms(predicted, target, variables, cost, hp)
    if self.soft_labels and train:
      table = self._table(variables, lax.stop_gradient(logits), source, hp)
      collections = {**collections, 'soft_labels': {'table': table}}
    strength = hp['lambda_max'] * reversal_schedule(hp['progress'], hp['gamma'])
    if self.method in DISTANCES:
      distance = distance_of(self.method, self.model,
                             scale_gradient(features, strength), source['valid'],
                             scale_gradient(others, strength), target['valid'])
      terms[self.method] = Ratio(distance, jnp.float32(1))
    else:
      valid = jnp.concatenate([source['valid'], target['valid']])
      domain, accuracy = _domain_terms(self.method, head, jnp.concatenate([features, others]),
                                       valid, strength, variables)
      terms, watched = terms | domain, watched | accuracy
    return terms, Aux(collections, watched | {'lambda': Ratio(strength, jnp.float32(1))})

  @property
  def _term(self) -> str:
    return self.own.term if self.own else 'cross_entropy'

  def predict(self, variables, batch):
    return super().predict(variables, one_domain(batch))

  def answer(self, variables, batch, given=None):
    if self.method not in ADVERSARIAL:
      return super().answer(variables, batch)
    x = self.preprocess(batch['image'])
    logits, domain = forward(self.model, variables, x, None, train=False, method=_all_heads)[0]
    return dict(logits=logits, domain_logits=domain)

  def _features(self, variables, source, target, key, train):
    """((b d), (b d)) of the two domains, and the collections after both."""
    halves = [self.preprocess(domain['image']) for domain in (source, target)]

    def features(model, halves, *, train):
      if self.norm == 'joint':
        return jnp.split(model.features(jnp.concatenate(halves), train=train), 2)
      return [model.features(half, train=train) for half in halves]
    of_model = {k: v for k, v in variables.items() if k != 'soft_labels'}
    return forward(self.model, of_model, halves, key, train=train, method=features)

  def _target_terms(self, logits, target, variables, cost, hp):
    """Of the labelled examples of the target."""
    terms = {f'target_{self._term}': cost(logits, target)}
    if self.soft_labels:
      soft = soft_cross_entropy(logits, target['label'], variables['soft_labels']['table'],
                                hp['temperature'])
      terms['soft'] = Ratio.of(soft, known(target))
    return terms

  def _table(self, variables, logits, source, hp):
    """Soft labels after a batch of the source."""
    sums = class_sums(logits, source['label'], known(source), hp['temperature'])
    axis = getattr(self.model, 'axis_name', None)
    return updated_table(variables['soft_labels']['table'],
                         *(lax.psum(sums, axis) if axis else sums), hp['soft_momentum'])


def distance_of(name: str, model: Any, *sides: jax.Array) -> jax.Array:
  """Between features (b d) of the two domains, each followed by which of its rows count (b,).

  name: of `DISTANCES`.
  """
  # No sum over examples: under pmap every device needs those of all.
  axis = getattr(model, 'axis_name', None)
  if axis:
    sides = [lax.all_gather(x, axis, tiled=True) for x in sides]
  source, source_valid, target, target_valid = sides
  return DISTANCES[name](source, target, source_valid, target_valid)


def _domain_terms(method: str, head: Callable, features: jax.Array, valid: jax.Array,
                  strength: jax.Array, variables) -> tuple[dict, dict]:
  """The terms that the domain classifier takes part in, and its accuracy.

  features: (2b d), the source's first.
  """
  is_target = jnp.arange(len(features)) >= len(features) // 2
  below = (gradient_reversal(features, strength) if method == 'dann' else
           lax.stop_gradient(features))
  logits = head('domain_logits', below)
  terms = {'domain': Ratio.of(jax.nn.softplus(jnp.where(is_target, -logits, logits)), valid)}
  if method == 'confusion':
    # The classifier as it is judges the features, which alone are to change.
    logits = head('domain_logits', scale_gradient(features, strength),
                  lax.stop_gradient(variables))
    uniform = .5 * (jax.nn.softplus(logits) + jax.nn.softplus(-logits))
    terms['confusion'] = Ratio.of(uniform, valid)
  return terms, {'domain_accuracy': Ratio.of((logits > 0) == is_target, valid)}


def _all_heads(model, x, *, train):
  features = model.features(x, train=train)
  return model.label_logits(features, train=train), model.domain_logits(features, train=train)


def one_domain(batch: Mapping[str, Any]) -> Mapping[str, Any]:
  return batch if 'image' in batch else batch['target']


def adapt(*, make_model: Callable, info: Info, example: Mapping,
          infos: Mapping[str, Info], method: str = 'dann', norm: str = 'joint',
          soft_labels: bool = False, loss: str = 'cross_entropy', mean: tuple = (), std: tuple = (),
          channel_order: str = 'RGB') -> Adapt:
  """Classes learnt in one domain, for another without labels: adversarial, MMD, CORAL, confusion.

  The data of such a config are dict(source=dict(...), target=dict(...)).

  hp, but for 'source' and 'target': `lambda_max` (1) times 2 / (1 + exp(-gamma p)) - 1, with
  `gamma` (10) and p the part of training done, scales the gradient that reaches the features.

  Args:
    infos: of both domains; that of the target may have no classes, where it has no labels.
    method: what is done beside learning the source's labels.
      'dann': a domain classifier is learnt, and its gradient reversed (Ganin et al. 2016).
      'confusion': a domain classifier is learnt, and the features are to make it answer one half
        (Tzeng et al. 2015, https://arxiv.org/abs/1510.02192, equations 4 and 5; both in each step
        rather than in turn).
      'mmd', 'coral': the distance of the two domains' features (`visionlab.ops.alignment`), over
        the batch, or with config.accumulate the mean of those over microbatches.
      'source': nothing, and no target image is seen: the lower bound.
      'target': the target's labels are learnt instead: the upper bound.
    norm: what BatchNorm normalises in training, 'joint': both domains together; 'separate': each by
      itself, the source first. Its averages, used in evaluation, are over both either way.
    soft_labels: labelled target examples are also to be taken for what the network takes the
      source's examples of their class for, at `hp.temperature` (2): Tzeng et al.'s equation 6, with
      weight `hp.soft_weight` (.1). The authors average over all of the source, by a network trained
      before; here the mean runs along (`hp.soft_momentum`, .99, is kept at each step), and with
      config.init_from a trained network, and a momentum near 1, it is theirs.
    loss: of labels, of either domain, as in `visionlab.tasks.classify`.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.

  Raises:
    ConfigError: domains that are missing or do not fit together, or a model that has no `features`
      and heads on them, which 'source' and 'target' do without.
  """
  check_choice(method, METHODS, 'config.task.method')
  check_choice(norm, ('joint', 'separate'), 'config.task.norm')
  check_domains(example, infos, method)
  if not info.classes:
    raise ConfigError('config.data.source: adapt needs classes, and this source has continuous '
                      'targets')
  few = method not in DOMAINS and 'labelled' in example['target']
  if soft_labels and not few:
    raise ConfigError('config.task.soft_labels: they are for labelled examples of the target, as '
                      'config.data.target=dict(name="partly_labelled", ...) has, and for a method '
                      f'that adapts, not "{method}"')
  own = own_loss(loss, ('cross_entropy',), 'config.task.loss')
  model = make_model(classes=len(info.classes))
  needs = {'domain_logits'} if method in ADVERSARIAL else set()
  needs |= {'label_logits'} if method not in DOMAINS else set()
  if not all(hasattr(model, name) for name in needs):
    raise ConfigError(f'config.task.model: method "{method}" needs a network whose heads stand on '
                      'its features, such as dict(name="dann", backbone=dict(name="cnn")), not '
                      f'{type(model).__name__}')
  return Adapt(model, info.classes, 'softmax', Standardise(mean, std, channel_order), method, norm,
               few, soft_labels, own=own)


def check_domains(example: Mapping, infos: Mapping[str, Info], method: str = '',
                  task: str = 'adapt') -> None:
  """Raises ConfigError unless there are two domains whose images and labels fit together."""
  if 'image' in example:
    raise ConfigError(f'config.data: {task} needs two domains, '
                      'dict(source=dict(name=...), target=dict(name=...)), and this is one source')
  for name in DOMAINS:
    if name not in example:
      raise ConfigError(f'config.data.{name}: missing; {task} needs source and target, and '
                        f'there are {", ".join(example)}{nearest(name, example)}')
  for name in example:
    if name not in DOMAINS:
      raise ConfigError(f'config.data.{name}: {task} takes source and target only')
  source, target = (example[name]['image'].shape[1:] for name in DOMAINS)
  if source[-1] != target[-1]:
    raise ConfigError(f'config.data.target: its images have {target[-1]} channels, those of '
                      f'config.data.source {source[-1]}; many sources have an option `channels`')
  if source != target:
    raise ConfigError('config.data.target: its images are {} x {} pixels, those of '
                      'config.data.source {} x {}; many sources have an option `size`'.format(
                          *target[:2], *source[:2]))
  labelled = 'target' if method == 'target' else 'source'
  if 'label' not in example[labelled]:
    who = f'method "{method}"' if method else task
    raise ConfigError(f'config.data.{labelled}: {who} learns its labels, and it has '
                      f'only {", ".join(example[labelled])}')
  classes = [infos[name].classes if name in infos else () for name in DOMAINS]
  if all(classes) and classes[0] != classes[1]:
    raise ConfigError(f'config.data.target: its classes are {_abridged(classes[1])}, those of '
                      f'config.data.source {_abridged(classes[0])}; they must be the same')


def _abridged(classes: tuple[str, ...]) -> str:
  shown = ', '.join(classes[:12])
  return f'{shown}, ... ({len(classes)})' if len(classes) > 12 else shown
