"""Skip-thoughts: vectors of sentences, learnt by telling the sentences beside them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.data.text.vocabulary import Vocabulary, join
from visionlab.figures import sentences as figures
from visionlab.measures.retrieval import centred, of_ranks, ranks_by_cosine
from visionlab.metrics import Ratio
from visionlab.models.skip_thoughts import NEIGHBOURS
from visionlab.task import Aux, Evaluator
from visionlab.tasks.caption_losses import log_likelihoods


@dataclasses.dataclass(frozen=True)
class SkipThoughts:
  """batch: `sentence` as `visionlab.data.text.sentence_rows` has it, `valid` (b,).

  The loss has a term for each neighbour: minus the log-probability of its words and its end, over
  all that there are (Kiros et al. 2015, equation 10). A sentence without that neighbour counts
  nowhere.

  predict: `embedding` (b d), the thought of each sentence.
  """
  model: Any
  vocabulary: Vocabulary
  length: int

  def hyperparameters(self):
    return {}

  def init(self, key, batch):
    sentence = batch['sentence']
    return self.model.init(key, sentence['tokens'], sentence['valid'])

  def told(self, variables, batch):
    """Of the words of the sentence before and of the one after, minus their log-probabilities."""
    tokens, valid = (batch['sentence'][k] for k in ('tokens', 'valid'))
    logits = self.model.apply(variables, tokens, valid)
    found = {}
    for i, name in enumerate(NEIGHBOURS):
      counted = valid[:, 2 * i, 1:] & batch['valid'][:, None]
      found[name] = Ratio.of(-log_likelihoods(logits[i], tokens[:, 2 * i, 1:]), counted)
    return found

  def loss(self, variables, batch, key, hp, *, train):
    collections = {k: v for k, v in variables.items() if k != 'params'}
    return self.told(variables, batch), Aux(collections, {})

  def embed(self, variables, sentence):
    """The thoughts (b d) of sentences, as `visionlab.data.text.sentence_rows.alone` gives them."""
    tokens, valid = (sentence[k][:, 1] for k in ('tokens', 'valid'))
    return self.model.apply(variables, tokens, valid, method='encode')

  def predict(self, variables, batch):
    return dict(embedding=self.embed(variables, batch['sentence']))

  def evaluators(self):
    return {'words': Evaluator(lambda variables, batch, hp: self.told(variables, batch),
                               self._finish_words),
            'neighbours': Evaluator(self._collect, self._finish_neighbours, kind='collect')}

  def _finish_words(self, stats):
    return {f'perplexity_{name}': float(np.exp(ratio.value)) for name, ratio in stats.items()}

  def _collect(self, variables, batch, hp):
    return dict(self.predict(variables, batch), place=batch['sentence']['place'])

  def _finish_neighbours(self, rows):
    """How well thoughts, less their mean, find the sentence after by their cosines: among all
    others of the split."""
    embedding, (_, place, after) = centred(rows['embedding']), rows['place'].T
    asked = np.flatnonzero(np.isin(after, place))
    if not len(asked):
      return {}
    rank = ranks_by_cosine(embedding[asked], embedding, after[asked, None] == place, asked)
    return {f'after_{name}': value for name, value in of_ranks(rank).items()}

  def text(self, tokens) -> str:
    """A row of tokens as a sentence for people."""
    return join(self.vocabulary.decode(tokens).split())

  def figures(self, batch, predictions, results):
    said = [self.text(tokens) for tokens in batch['sentence']['tokens'][:, 1]]
    return {'nearest': figures.nearest(said, predictions['embedding'])}


def skip_thoughts(*, make_model: Callable, info: Info, example: Mapping) -> SkipThoughts:
  """Vectors of sentences from which the sentences beside them are told.

  Raises:
    ConfigError: a source without sentences in their order.
  """
  if 'sentence' not in example:
    raise ConfigError('config.task: skip_thoughts learns from sentences in their order, as '
                      'dict(name="text") and dict(name="docstrings") have them, and this source '
                      f'gives {", ".join(sorted(example))}')
  vocabulary = Vocabulary(info.words, info.punctuation)
  return SkipThoughts(make_model(words=len(vocabulary)), vocabulary,
                      example['sentence']['tokens'].shape[-1])
