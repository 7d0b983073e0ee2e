"""Alignment: which sentence of a book tells which shot of a film, if any does."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, bind
from visionlab.data.source import Info
from visionlab.figures import alignment as figures
from visionlab.measures.story_alignment import alignment_scores
from visionlab.metrics import Ratio
from visionlab.ops.story_chain import NOWHERE, best_path, shares, steps
from visionlab.options.kinds import Amount, Count, Share
from visionlab.task import Aux, Evaluator
from visionlab.tasks.draws import draw_of
from visionlab.tasks.forward import check_output, forward, fresh

LEAST = .05                      # share of a shot that none tells


@dataclasses.dataclass(frozen=True)
class Steps:
  """The chain's prior, see `visionlab.ops.story_chain.steps`. pace: 0 stands for as many sentences
  a shot as book and film have."""
  pace: Amount = 0.
  stay: Share = .05
  back: Share = .1
  jump: Share = .1

  def __call__(self, shots: int, sentences: int) -> np.ndarray:
    return steps(sentences, self.pace or sentences / shots, self.stay, self.back, self.jump)


@dataclasses.dataclass(frozen=True)
class Align:
  """batch: of films `image` (b s m k), similarities of shots and sentences; `valid` (b,);
  `sentence` (b s) int, the one that tells a shot, -1 where none does; `known` (b s) bool, the
  shots of which that is known; for evaluations `paragraph` (b m) int.

  What the network says is, for each pair, the logarithm of how much likelier it is that the
  sentence tells the shot than if any sentence might: with m sentences log(p / (1 - p)) + log(m).

  predict: `scores` (b s m), that; `sentence` (b s), the likeliest of each shot, or -1 where it is
  likelier that none tells it, and `confidence` (b s), how likely the sentence is; and the same of
  a chain, in context of all shots: `chain_sentence` and `chain_confidence`; and `path` (b s), the
  chain's likeliest as a whole.
  """
  model: Any
  measures: tuple[str, ...]
  negatives: int
  steps: Steps

  draws = True

  def hyperparameters(self):
    return {}

  def seen(self, batch):
    """The measures (b s m k), each standardised within its film."""
    x = batch['image'].astype(jnp.float32)
    mean, std = x.mean((1, 2), keepdims=True), x.std((1, 2), keepdims=True)
    return (x - mean) / jnp.maximum(std, 1e-3)

  def init(self, key, batch):
    return fresh(self.model, key, self.seen(batch))

  def scores(self, variables, batch, key=None, *, train=False):
    """(b s m), and the collections after this batch."""
    out, collections = forward(self.model, variables, self.seen(batch), key, train=train)
    check_output(out, (*batch['image'].shape[:3], 1), self.model, 'a number of each pair')
    return out[..., 0].astype(jnp.float32), collections

  def loss(self, variables, batch, key, hp, *, train):
    """Of each known shot the summed cross-entropy of its pairs; in training of the true pair and of
    some others, drawn anew, that stand for all."""
    scores, collections = self.scores(variables, batch, key, train=train)
    sentence, counted = batch['sentence'], batch['known'] & batch['valid'][:, None]
    m, told = scores.shape[-1], sentence != NOWHERE
    logits = scores - np.log(m)
    true = jnp.maximum(sentence, 0)
    right = jnp.where(told, jax.nn.softplus(-_at(logits, true)), 0)
    if train:
      others = jax.vmap(lambda key, true, told: _others(key, true, told, m, self.negatives))(
          draw_of(batch, key), true, told)
      wrong = jax.nn.softplus(jnp.take_along_axis(logits, others, -1)).mean(-1) * (m - told)
    else:
      wrong = jax.nn.softplus(logits).sum(-1) - jnp.where(told, jax.nn.softplus(_at(logits, true)),
                                                          0)
    found, _ = self.alone(scores)
    return ({'cross_entropy': Ratio.of(right + wrong, counted)},
            Aux(collections, {'accuracy': Ratio.of(found == sentence, counted)}))

  def likelihoods(self, scores):
    """That each sentence tells a shot (b s m), and that none does (b s), as shares of 1."""
    each = jax.nn.sigmoid(scores - np.log(scores.shape[-1]))
    # What is compared pair by pair need not add up to 1.
    none = jnp.maximum(1 - each.sum(-1), LEAST)
    whole = each.sum(-1) + none
    return each / whole[..., None], none / whole

  def alone(self, scores):
    """The sentence of each shot (b s), without regard to other shots, and its probability."""
    each, none = self.likelihoods(scores)
    return _decided(each, none)

  def chained(self, scores):
    """The same in context: the likeliest of each shot, and the best path."""
    each, none = self.likelihoods(scores)
    step = jnp.asarray(self.steps(*scores.shape[1:]))
    # A sentence's probability, beside what it would be if any might tell the shot.
    told, untold = jnp.log(each * each.shape[-1] + 1e-30), jnp.log(none)
    each = jax.vmap(lambda *shots: shares(*shots, step))(told, untold)
    path = jax.vmap(lambda *shots: best_path(*shots, step).sentence)(told, untold)
    return *_decided(each, 1 - each.sum(-1)), path

  def predict(self, variables, batch):
    scores, _ = self.scores(variables, batch)
    sentence, confidence = self.alone(scores)
    chain_sentence, chain_confidence, path = self.chained(scores)
    return dict(scores=scores, sentence=sentence, confidence=confidence, path=path,
                chain_sentence=chain_sentence, chain_confidence=chain_confidence)

  def describe(self, predictions, top: int) -> list[str]:
    return ['  '.join(f'shot {i}: {"none" if j == NOWHERE else f"sentence {j}"} ({p:.2f})'
                      for i, (j, p) in enumerate(zip(found[:top], likely[:top], strict=True)))
            for found, likely in zip(predictions['chain_sentence'], predictions['chain_confidence'],
                                     strict=True)]

  def evaluators(self):
    def update(variables, batch, hp):
      said = self.predict(variables, batch)
      truth = {k: batch[k] for k in ('sentence', 'known', 'paragraph')}
      return truth | dict(found=said['sentence'], **{
          k: said[k] for k in ('confidence', 'chain_sentence', 'chain_confidence', 'path')})
    return {'alignment': Evaluator(update, self._finish, kind='collect')}

  def _finish(self, rows):
    truth = [rows[k] for k in ('paragraph', 'known')]
    alone = alignment_scores(rows['found'], rows['sentence'], rows['confidence'], *truth)
    chain = alignment_scores(rows['chain_sentence'], rows['sentence'], rows['chain_confidence'],
                             *truth)
    path = alignment_scores(rows['path'], rows['sentence'], rows['chain_confidence'], *truth)
    return (alone | {f'chain_{name}': value for name, value in chain.items()}
            | {f'path_{name}': value for name, value in path.items() if 'recall' in name})

  def figures(self, batch, predictions, results):
    return {'film': figures.film(batch, predictions, self.measures)}


def _decided(each: jax.Array, none: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The likeliest sentence of each shot, `NOWHERE` where none is likelier than all together, and
  its probability."""
  likeliest = each.argmax(-1)
  return jnp.where(none > .5, NOWHERE, likeliest), _at(each, likeliest)


def _at(values: jax.Array, index: jax.Array) -> jax.Array:
  """values (... m) at index (...)."""
  return jnp.take_along_axis(values, index[..., None], -1)[..., 0]


def _others(key, true, told, m: int, n: int) -> jax.Array:
  """For each shot of one film n of the m sentences (s n) that do not tell it, each as likely."""
  u = jax.random.uniform(key, (len(true), n))
  true, told = true[:, None], told[:, None]
  by = jnp.where(told, 1 + jnp.floor(u * (m - 1)), jnp.floor(u * m))
  return (true + by.astype(jnp.int32)) % m


def align(*, make_model: Callable, info: Info, example: Mapping, negatives: Count = 20,
          chain: Mapping | None = None) -> Align:
  """Pairs of shots and sentences, told apart from measures of how alike they are, and the path
  through the book that a film takes.

  Args:
    negatives: sentences that each known shot is compared with at an update, beside its own.
    chain: which steps are likely, see `Steps`.

  Raises:
    ConfigError: data without films and sentences.
  """
  for name in ('image', 'sentence', 'known', 'paragraph'):
    if name not in example:
      raise ConfigError(f'config.task: align needs data with {name!r}, such as "stories"; there '
                        f'are {", ".join(example)}')
  count = example['image'].shape[-1]
  names = info.attributes.get('image', tuple(f'measure {i}' for i in range(count)))
  return Align(make_model(classes=1), names, negatives,
               bind(Steps, chain or {}, 'config.task.chain'))
