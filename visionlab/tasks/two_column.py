"""Adaptation by two columns of layers, one for each domain, that are kept alike."""

import dataclasses
from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax import lax

from visionlab.config import ConfigError, check_choice
from visionlab.data.source import Info
from visionlab.metrics import Ratio
from visionlab.ops.gradient_reversal import reversal_schedule
from visionlab.ops.image import Standardise
from visionlab.task import Aux
from visionlab.tasks.adapt import DISTANCES, check_domains, distance_of, one_domain
from visionlab.tasks.classify import Classify
from visionlab.tasks.forward import forward


@dataclasses.dataclass(frozen=True)
class TwoColumn(Classify):
  """In training, batch: `source` and `target`, each a batch of `Classify`, of equally many images.
  Labels of the target are read where it has `labelled` (b,) bool, of the examples that it names. An
  evaluation, and `predict`, see one domain's images through the target's column.

  Terms: `cross_entropy` of the source's labels through its column; `target_cross_entropy` of the
  target's, where some are labelled; and `alignment`, the sum over `layers` of the distances between
  the columns' maps, times lambda, whose schedule is DANN's.
  """
  cost: str
  layers: tuple[str, ...]
  few: bool

  def hyperparameters(self):
    return super().hyperparameters() | dict(lambda_max=1., gamma=10., alignment_weight=1.) | (
        dict(target_cross_entropy_weight=1.) if self.few else {})

  def init(self, key, batch):
    """Both columns start from the same weights, so that their features correspond."""
    images = self.preprocess(one_domain(batch)['image'])
    fresh = dict(self.model.init(key, images, images, method='both'))
    return {name: {**tree, 'target': tree['source']} if 'source' in tree else tree
            for name, tree in fresh.items()}

  def loss(self, variables, batch, key, hp, *, train):
    if 'image' in batch:                   # an evaluation
      return super().loss(variables, batch, key, hp, train=train)
    source, target = batch['source'], batch['target']
    images = [self.preprocess(domain['image']) for domain in (source, target)]
    (maps, logits), collections = forward(self.model, variables, images, key, train=train,
                                          method=_both)
    logits = [x.astype(jnp.float32) for x in logits]
    smoothing = hp['label_smoothing'] if train else 0.
    terms = {'cross_entropy': self.cross_entropy(logits[0], source, smoothing)}
    if self.few:
      terms['target_cross_entropy'] = self.cross_entropy(logits[1], target, smoothing)
    strength = hp['lambda_max'] * reversal_schedule(hp['progress'], hp['gamma'])
    distances = {layer: self._distance(maps, layer, source['valid'], target['valid'])
                 for layer in self.layers}
    terms['alignment'] = Ratio(strength * sum(distances.values()), jnp.float32(1))
    watched = {f'{layer}_distance': Ratio(lax.stop_gradient(x), jnp.float32(1))
               for layer, x in distances.items()}
    return terms, Aux(collections, watched | {
        'accuracy': self.accuracy(logits[0], source), 'lambda': Ratio(strength, jnp.float32(1))})

  def predict(self, variables, batch):
    return super().predict(variables, one_domain(batch))

  def _distance(self, maps, layer, *valid):
    sides = [own[layer].reshape(len(own[layer]), -1) for own in maps]
    return distance_of(self.cost, self.model, sides[0], valid[0], sides[1], valid[1])


def _both(model, images, *, train):
  return model.both(*images, train=train)


def two_column(*, make_model: Callable, info: Info, example: Mapping, infos: Mapping[str, Info],
               cost: str = 'mmd', layers: tuple = (), head: str = 'sigmoid', mean: tuple = (),
               std: tuple = (), channel_order: str = 'RGB') -> TwoColumn:
  """Adaptation with a column of layers for each domain, aligned where they end.

  The data of such a config are dict(source=dict(...), target=dict(...)).

  After Chen et al. 2015 ("Deep domain adaptation for describing people based on fine-grained
  clothing attributes", CVPR): costs between the columns' layers keep their features consistent, and
  attributes are predicted by layers in common. The cost here compares the two distributions, so
  that no pairs of images need be known.

  hp: `lambda_max` (1) and `gamma` (10), the strength of alignment and how soon it comes, as for
  `visionlab.tasks.adapt`; `target_cross_entropy_weight` (1).

  Args:
    infos: of both domains; that of the target may have no classes, where it has no labels.
    cost: 'mmd' or 'coral', see `visionlab.ops.alignment`; over the batch.
    layers: of the backbone's `features`, that are kept alike; by default all.
    head: 'sigmoid', of attributes of which an image may have any number, or 'softmax'.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.

  Raises:
    ConfigError: domains that are missing or do not fit together, a layer that is not there, or a
      model without columns.
  """
  check_choice(cost, tuple(DISTANCES), 'config.task.cost')
  check_choice(head, ('softmax', 'sigmoid'), 'config.task.head')
  check_domains(example, infos, task='two_column')
  if not info.classes:
    raise ConfigError('config.data.source: two_column needs classes, and this source has '
                      'continuous targets')
  model = make_model(classes=len(info.classes))
  if not hasattr(model, 'both'):
    raise ConfigError('config.task.model: two_column needs a network with two columns, such as '
                      'dict(name="two_column", backbone=dict(name="cnn")), not '
                      f'{type(model).__name__}')
  there = tuple(model.backbone.strides)
  for layer in layers:
    check_choice(layer, there, 'config.task.layers')
  return TwoColumn(model, info.classes, head, Standardise(mean, std, channel_order), cost,
                   tuple(layers) or there, 'labelled' in example['target'])
