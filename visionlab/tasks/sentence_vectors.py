"""What tasks that give vectors of sentences share: which are near, measured and drawn."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.text.vocabulary import Vocabulary, join
from visionlab.figures import sentences as figures
from visionlab.measures.retrieval import centred, of_ranks, ranks_by_cosine
from visionlab.task import Evaluator


@dataclasses.dataclass(frozen=True)
class SentenceTask:
  """A task whose `model` has `encode`: all but its loss and what else it measures."""
  model: Any
  vocabulary: Vocabulary
  length: int
  draws = True

  def hyperparameters(self):
    return dict(word_dropout=0.)

  def init(self, key, batch):
    sentence = batch['sentence']
    return self.model.init(key, sentence['tokens'], sentence['valid'])

  def embed(self, variables, sentence):
    """The vectors (b d) of sentences, as `visionlab.data.text.sentence_rows.alone` gives them."""
    tokens, valid = (sentence[k][:, 1] for k in ('tokens', 'valid'))
    return self.model.apply(variables, tokens, valid, method='encode')

  def predict(self, variables, batch):
    return dict(embedding=self.embed(variables, batch['sentence']))

  def evaluators(self):
    return {'neighbours': neighbours(self.predict)}

  def figures(self, batch, predictions, results):
    return pictures(self.vocabulary, batch, predictions)


def neighbours(predict: Callable) -> Evaluator:
  """How well vectors, less their mean, find the sentence after by their cosines: among all others
  of the split. predict: the task's, which gives `embedding` (b d)."""
  def collect(variables, batch, hp):
    return dict(predict(variables, batch), place=batch['sentence']['place'])
  return Evaluator(collect, _ranked, kind='collect')


def _ranked(rows: Mapping) -> dict[str, float]:
  embedding, (_, place, after) = centred(rows['embedding']), rows['place'].T
  asked = np.flatnonzero(np.isin(after, place))
  if not len(asked):
    return {}
  rank = ranks_by_cosine(embedding[asked], embedding, after[asked, None] == place, asked)
  return {f'after_{name}': value for name, value in of_ranks(rank).items()}


def kept_words(batch: Mapping, share: jax.Array) -> jax.Array:
  """Which words of `sentence` (b 3 t) are left where each is dropped with a probability of `share`,
  by the keys `draw` of the examples; without these all, as in an evaluation."""
  valid = batch['sentence']['valid']
  if 'draw' not in batch:
    return valid
  drawn = jax.vmap(lambda key: jax.random.uniform(key, valid.shape[1:]))(batch['draw'])
  return valid & (drawn >= share)


def pictures(vocabulary: Vocabulary, batch: Mapping, predictions: Mapping) -> dict[str, np.ndarray]:
  """The nearest of some sentences, by `embedding`."""
  said = [text(vocabulary, tokens) for tokens in batch['sentence']['tokens'][:, 1]]
  return {'nearest': figures.nearest(said, predictions['embedding'])}


def text(vocabulary: Vocabulary, tokens) -> str:
  """A row of tokens as a sentence for people."""
  return join(vocabulary.decode(tokens).split())


def check_sentences(example: Mapping, task: str) -> None:
  """Raises `ConfigError` where a source has no sentences in their order."""
  if 'sentence' not in example:
    raise ConfigError(f'config.task: {task} learns from sentences in their order, as '
                      'dict(name="text") and dict(name="docstrings") have them, and this source '
                      f'gives {", ".join(sorted(example))}')
