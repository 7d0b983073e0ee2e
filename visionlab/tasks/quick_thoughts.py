"""Quick thoughts: vectors of sentences, learnt by telling the sentences beside them from others."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.data.source import Info
from visionlab.data.text.vocabulary import Vocabulary
from visionlab.metrics import Ratio
from visionlab.models.skip_thoughts import NEIGHBOURS
from visionlab.task import Aux
from visionlab.tasks import sentence_vectors


@dataclasses.dataclass(frozen=True)
class QuickThoughts(sentence_vectors.SentenceTask):
  """batch: `sentence` as `visionlab.data.text.sentence_rows` has it, `valid` (b,).

  The loss has a term for each neighbour: minus the log of its probability among all that stand
  beside the sentences of the batch, by a softmax over scores (Logeswaran and Lee 2018, equation 2).
  What is word for word the sentence itself or one of its own neighbours is none of the others. As
  with `visionlab.tasks.match` these are of all devices, though not of several microbatches, and an
  evaluation has no loss, which would hang on its batches.

  In training a word is not read with a probability of `hp.word_dropout`, drawn anew each time: few
  sentences are soon known by heart.

  predict: `embedding` (b d), the vector of each sentence.
  """
  axis: str | None = None       # under pmap

  def loss(self, variables, batch, key, hp, *, train):
    aux = Aux({k: v for k, v in variables.items() if k != 'params'}, {})
    if not train:
      return {}, aux
    tokens, valid = (batch['sentence'][k] for k in ('tokens', 'valid'))
    own, beside = self.model.apply(variables, tokens, sentence_vectors.kept_words(
        batch, hp['word_dropout']))
    there = valid[:, ::2, 0] & batch['valid'][:, None]                          # (b 2)
    every = dict(vectors=beside, tokens=tokens[:, ::2], there=there)
    if self.axis:
      every = jax.tree.map(lambda x: lax.all_gather(x, self.axis, tiled=True), every)
    every = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), every)          # (m ...)
    other = others(tokens, every['tokens']) & every['there']
    scores = jnp.where(other, own @ every['vectors'].T, -jnp.inf)
    terms, first = {}, Ratio(0., 0.)
    for i, name in enumerate(NEIGHBOURS):
      right = (own * beside[:, i]).sum(-1, keepdims=True)
      lost = jax.nn.logsumexp(jnp.concatenate([right, scores], 1), -1) - right[:, 0]
      counted = there[:, i] & other.any(-1)
      terms[name] = Ratio.of(lost, counted)
      first += Ratio.of((right > scores).all(-1), counted)
    return terms, aux._replace(metrics=dict(found_first=first))


def others(rows: jax.Array, candidates: jax.Array) -> jax.Array:
  """Which of the candidates (m t) is, word for word, none of a row's three sentences (b 3 t):
  (b m) bool."""
  return ~(rows[:, :, None] == candidates).all(-1).any(1)


def quick_thoughts(*, make_model: Callable, info: Info, example: Mapping, axis: str | None = None
                   ) -> QuickThoughts:
  """Vectors of sentences by which the sentences beside them are told from others.

  Raises:
    ConfigError: a source without sentences in their order.
  """
  sentence_vectors.check_sentences(example, 'quick_thoughts')
  vocabulary = Vocabulary(info.words, info.punctuation)
  return QuickThoughts(make_model(words=len(vocabulary)), vocabulary,
                       example['sentence']['tokens'].shape[-1], axis)
