"""Verification: embeddings in which photographs of one person lie close together.

A network is trained to tell the people of the training set apart; what it is judged by are pairs of
photographs of others, whom it has never seen.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError, check_choice
from visionlab.data.source import Info
from visionlab.figures import verification as figures
from visionlab.measures.classification import topk_correct
from visionlab.measures.verification import (
  chi_square,
  folded_accuracy,
  identification,
  product,
  random_pairs,
  roc,
  verification_scores,
)
from visionlab.metrics import Ratio
from visionlab.models.layers import noise
from visionlab.ops import within
from visionlab.ops.image import Standardise
from visionlab.options.kinds import Amount, Count, Natural
from visionlab.task import Aux, Evaluator
from visionlab.tasks import pair_losses
from visionlab.tasks.forward import check_output, forward, fresh

LOSSES = dict(softmax={}, cosface=dict(margin=.35, scale=16.), arcface=dict(margin=.3, scale=16.),
              contrastive=dict(margin=1.), triplet=dict(margin=.3))
LIKENESS = dict(cosine=product, chi_square=chi_square)
PEOPLE = 'people'               # of params: a direction for each person of the training set
WITHIN = 'within'               # a collection: sums over embeddings, see visionlab.ops.within
MOST_RANKED = 20_000            # photographs beyond which `identification` would take minutes


@dataclasses.dataclass(frozen=True)
class Verify:
  """batch: `image` (b h w c), `valid` (b,), and `label` (b,) int, the person, with or without
  `other` (b h w c), one more photograph of each; or, in an evaluation of pairs, `other`, the second
  of each, `same` (b,) bool and, if folds are given, `fold` (b,) int.

  Losses: 'softmax', of W e + b for embeddings e; 'cosface', of s (cos - m) for the true person and
  s cos for others, with the cosines of e to each row of W (Wang et al. 2018,
  https://arxiv.org/abs/1801.09414, eq. 4); 'arcface', of s cos(angle + m) (Deng et al. 2019,
  https://arxiv.org/abs/1801.07698, eq. 3), where that exceeds pi with its tangent's continuation.
  m and s are `hp.margin` and `hp.scale`. 'contrastive' and 'triplet' compare the photographs of a
  batch, over all devices, though not over microbatches (`visionlab.tasks.pair_losses`), by the
  distance of unit embeddings, sqrt(2 - 2 cos), or with chi-square by what they lack of 1.

  With `shrinkage` above 0 embeddings are known by what differs between photographs of one person,
  which then counts less (`visionlab.ops.within`): wherever they are compared, though not in a loss.

  predict: `embedding` (b d). With likeness 'cosine' it is of unit length, and two photographs are
  as alike as their product; with 'chi_square' its numbers, those above 0, are shares of 1, and they
  are as alike as `visionlab.measures.verification.chi_square` says. An evaluation has no loss,
  since its people are others.
  """
  model: Any
  people: int
  embedding: int
  kind: str
  pairs: int
  preprocess: Standardise
  likeness: str = 'cosine'
  mining: str = 'hard'
  shrinkage: float = 0.
  axis: str | None = None       # under pmap

  # Who is in a split that is measured is nobody of those learnt from.
  open_set = True

  def hyperparameters(self):
    return LOSSES[self.kind]

  def init(self, key, batch):
    network, people = jax.random.split(key)
    variables = fresh(self.model, network, self.preprocess(batch['image']))
    width = jax.eval_shape(self.embeddings, variables, batch['image'])[0].shape[-1]
    if self.shrinkage:
      variables = {**variables, WITHIN: within.nothing(self.people, width)}
    if self.kind in pair_losses.LOSSES:
      return variables
    kernel = noise(people, (width, self.people)) / np.sqrt(width)
    own = dict(kernel=kernel, **(dict(bias=jnp.zeros(self.people)) if self.kind == 'softmax'
                                 else {}))
    return {**variables, 'params': {**variables['params'], PEOPLE: own}}

  def embeddings(self, variables, image, key=None, *, train=False):
    """(b d) float32 of any length, and the network's collections after this batch."""
    own = {k: v for k, v in variables.items() if k != WITHIN}
    own['params'] = {k: v for k, v in variables['params'].items() if k != PEOPLE}
    out, collections = forward(self.model, own, self.preprocess(image), key, train=train)
    width = self.embedding or (jnp.shape(out) or [0])[-1]
    if not width:
      raise ConfigError('config.task.embedding: 0 is for a network without a last layer, as resnet '
                        f'is with classes=0, and {type(self.model).__name__} has one')
    check_output(out, (len(image), width), self.model, 'an embedding')
    return out.astype(jnp.float32), collections

  def seen(self, variables, collections, embedding, batch, hp):
    """The collections after a batch whose embeddings these are, the task's own among them."""
    if not self.shrinkage:
      return collections
    new = within.sums(lax.stop_gradient(embedding), batch['label'], batch['valid'], self.people)
    new = lax.psum(new, self.axis) if self.axis else new
    return {**collections,
            WITHIN: within.after(variables[WITHIN], new, hp.get('update_ends', True))}

  def known(self, variables, image):
    """Embeddings as `predict` has them."""
    embedding, _ = self.embeddings(variables, image)
    if self.shrinkage:
      embedding = within.normalised(embedding, variables[WITHIN], self.shrinkage)
    return self.normed(embedding)

  def normed(self, embedding):
    """Embeddings of any length as `likeness` compares them."""
    if self.likeness == 'cosine':
      return unit(embedding)
    positive = jax.nn.relu(embedding)
    return positive / jnp.maximum(positive.sum(-1, keepdims=True), 1e-6)

  def apart(self, a, b):
    """Distances (n m) of embeddings (n d) and (m d)."""
    if self.likeness == 'cosine':
      return jnp.sqrt(jnp.maximum(2 - 2 * a @ b.T, 1e-6))
    return 1 - chi_square(a[:, None], b)

  def compared(self, variables, batch, key, hp):
    """The loss of photographs beside each other, and the collections after them."""
    copies = 1 + ('other' in batch)
    image = jnp.concatenate([batch[k] for k in ('image', 'other') if k in batch])
    embedding, collections = self.embeddings(variables, image, key, train=True)
    label, valid = (jnp.tile(batch[k], copies) for k in ('label', 'valid'))
    collections = self.seen(variables, collections, embedding, dict(label=label, valid=valid), hp)
    n = len(label)
    first = n * (lax.axis_index(self.axis) if self.axis else 0)
    own = pair_losses.Photographs(self.normed(embedding), label, valid, first + jnp.arange(n))
    others = own
    if self.axis:
      others = jax.tree.map(lambda x: lax.all_gather(x, self.axis, tiled=True), own)
    losses, counts = pair_losses.compared(self.kind, self.mining, hp['margin'],
                                          self.apart(own.embedding, others.embedding), own, others)
    return {self.kind: Ratio.of(losses, counts)}, Aux(collections, {})

  def loss(self, variables, batch, key, hp, *, train):
    if train and self.kind in pair_losses.LOSSES:
      return self.compared(variables, batch, key, hp)
    embedding, collections = self.embeddings(variables, batch['image'], key, train=train)
    if not train:               # the people are others
      return {}, Aux(collections, {})
    collections = self.seen(variables, collections, embedding, batch, hp)
    label, valid = batch['label'], batch['valid']
    logits = self.logits(variables['params'][PEOPLE], embedding)
    log_shares = jax.nn.log_softmax(self.with_margin(logits, label, hp))
    costs = -jnp.take_along_axis(log_shares, label[:, None], -1)[:, 0]
    accuracy = Ratio.of(topk_correct(logits, label, 1), valid)
    return {self.kind: Ratio.of(costs, valid)}, Aux(collections, {'accuracy': accuracy})

  def logits(self, people, embedding):
    """(b people): W e + b, or cosines."""
    if self.kind == 'softmax':
      return embedding @ people['kernel'] + people['bias']
    return unit(embedding) @ unit(people['kernel'], 0)

  def with_margin(self, logits, label, hp):
    if self.kind == 'softmax':
      return logits
    true = jnp.take_along_axis(logits, label[:, None], -1)
    if self.kind == 'cosface':
      harder = true - hp['margin']
    else:
      cos, sin = jnp.cos(hp['margin']), jnp.sin(hp['margin'])
      # At the ends the sine's gradient is infinite.
      own_sin = jnp.sqrt(jnp.maximum(1 - true ** 2, 1e-6))
      harder = jnp.where(true > -cos, true * cos - own_sin * sin, true - sin * hp['margin'])
    return hp['scale'] * jnp.where(jnp.arange(self.people) == label[:, None], harder, logits)

  def predict(self, variables, batch):
    return dict(embedding=self.known(variables, batch['image']))

  def answer(self, variables, batch, given=None):
    """`outputs` (b d), the embeddings; and where another `image` is given how `alike` (b 1) it
    is."""
    outputs, _ = self.embeddings(variables, batch['image'])
    if not given:
      return dict(outputs=outputs)
    alike = LIKENESS[self.likeness](*(self.known(variables, x['image']) for x in (batch, given)))
    return dict(outputs=outputs, alike=alike[:, None])

  def alike(self, embedding):
    """How alike each two of embeddings (n d), as `predict` has them, are: (n n)."""
    return LIKENESS[self.likeness](embedding[:, None], embedding[None])

  def describe(self, predictions, top: int) -> list[str]:
    """A line for each image: which of the others it is most like."""
    alike = self.alike(predictions['embedding'])
    np.fill_diagonal(alike, -np.inf)
    if len(alike) < 2:
      return [f'an embedding of {self.embedding} numbers']
    top = min(top, len(alike) - 1)
    return ['  '.join(f'image {j + 1}: {row[j]:.2f}' for j in np.argsort(-row)[:top])
            for row in alike]

  def evaluators(self):
    return {'pairs': Evaluator(self._collected, self._finish, kind='collect')}

  def _collected(self, variables, batch, hp):
    rows = self.predict(variables, batch)
    if 'same' not in batch:
      return dict(rows, label=batch['label'])
    other = self.predict(variables, dict(image=batch['other']))['embedding']
    return dict(score=LIKENESS[self.likeness](rows['embedding'], other),
                **{k: batch[k] for k in ('same', 'fold') if k in batch})

  def _finish(self, rows):
    """Of photographs with names, pairs are drawn: always the same."""
    if 'label' in rows:
      pairs, same = random_pairs(rows['label'], self.pairs)
      like, embedding = LIKENESS[self.likeness], np.asarray(rows['embedding'])
      scores = like(embedding[pairs[:, 0]], embedding[pairs[:, 1]])
      found = identification(embedding, rows['label'], like=like) if len(
          rows['label']) <= MOST_RANKED else {}
    else:
      scores, same, found = rows['score'], np.asarray(rows['same'], bool), {}
    folds = rows.get('fold', min(10, same.sum(), (~same).sum()))
    false, true, _ = roc(scores, same)
    return {**verification_scores(scores, same), **found,
            **folded_accuracy(scores, same, folds if isinstance(folds, np.ndarray) else int(folds)),
            'roc': np.stack([false, true], 1)}

  def figures(self, batch, predictions, results):
    pictures = {'roc': figures.roc_curve(results['roc'], results)} if 'roc' in results else {}
    if 'label' not in batch or 'threshold' not in results:
      return pictures
    try:
      pairs, same = random_pairs(batch['label'], self.pairs)
    except ConfigError:         # too few of them are of one person
      return pictures
    embedding = predictions['embedding']
    scores = LIKENESS[self.likeness](embedding[pairs[:, 0]], embedding[pairs[:, 1]])
    return pictures | dict(pairs=figures.pairs(batch['image'], pairs, same, scores,
                                               results['threshold']))


def unit(x: jax.Array, axis: int = -1) -> jax.Array:
  """x of unit length along an axis; zeros stay what they are."""
  return x * lax.rsqrt(jnp.maximum((x * x).sum(axis, keepdims=True), 1e-12))


def verify(*, make_model: Callable, info: Info, example: Mapping, loss: str = 'softmax',
           embedding: Natural = 128, pairs: Count = 10, likeness: str = 'cosine',
           mining: str = 'hard', shrinkage: Amount = 0., mean: tuple = (), std: tuple = (),
           channel_order: str = 'RGB', axis: str | None = None) -> Verify:
  """Whether two photographs are of one person, by how alike two embeddings are.

  Args:
    loss: 'softmax', 'cosface', 'arcface', 'contrastive' or 'triplet', see `Verify`; for the last
      two the data should have two photographs of a person in a batch, as dict(name='partners') has.
    likeness: 'cosine' or 'chi_square'.
    mining: of 'contrastive' and 'triplet', 'hard' or 'all'.
    embedding: how many numbers tell a face: what the model has instead of classes; 0 for a
      network's own features, where it then has no last layer ("resnet").
    shrinkage: 0, or embeddings by within-class covariance normalisation: the part of its mean
      variance that is added in all directions, .1 or so (the fewer people, the more).
    pairs: of either kind that an evaluation draws for each person.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.

  Raises:
    ConfigError: a source that does not say who is to be seen, or fewer than two people.
  """
  check_choice(loss, tuple(LOSSES), 'config.task.loss')
  check_choice(likeness, tuple(LIKENESS), 'config.task.likeness')
  check_choice(mining, pair_losses.MINING, 'config.task.mining')
  if 'label' not in example and set(example) != {'image'}:
    raise ConfigError('config.task: verify learns from photographs with their person as `label`, '
                      f'and this source gives {", ".join(sorted(example))}')
  if len(info.classes) < 2:
    raise ConfigError('config.task: verify needs the photographs of at least two people, as '
                      'dict(name="faces") has them, or dict(name="folder") with a folder for each')
  return Verify(make_model(classes=embedding), len(info.classes), embedding, loss, pairs,
                Standardise(mean, std, channel_order), likeness, mining, shrinkage, axis)
