"""Skip-thoughts: vectors of sentences, learnt by telling the sentences beside them."""

import dataclasses
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from visionlab.data.source import Info
from visionlab.data.text.vocabulary import SPECIAL, UNKNOWN, Vocabulary
from visionlab.metrics import Ratio
from visionlab.models.skip_thoughts import NEIGHBOURS
from visionlab.task import Aux, Evaluator
from visionlab.tasks import sentence_vectors
from visionlab.tasks.caption_losses import log_likelihoods


@dataclasses.dataclass(frozen=True)
class SkipThoughts(sentence_vectors.SentenceTask):
  """batch: `sentence` as `visionlab.data.text.sentence_rows` has it, `valid` (b,).

  The loss has a term for each neighbour: minus the log-probability of its words and its end, over
  all that there are (Kiros et al. 2015, equation 10). A sentence without that neighbour counts
  nowhere.

  In training a decoder hears a word as unknown with a probability of `hp.word_dropout` (Bowman et
  al. 2016, https://arxiv.org/abs/1511.06349, section 3.2): from the words before it alone a
  decoder tells most of a neighbour without the thought.

  predict: `embedding` (b d), the thought of each sentence.
  """

  def told(self, variables, batch, word_dropout=0.):
    """Of the words of the sentence before and of the one after, minus their log-probabilities."""
    tokens, valid = (batch['sentence'][k] for k in ('tokens', 'valid'))
    kept = sentence_vectors.kept_words(batch, word_dropout) | (tokens < len(SPECIAL))
    logits = self.model.apply(variables, tokens, valid, jnp.where(kept, tokens, UNKNOWN))
    found = {}
    for i, name in enumerate(NEIGHBOURS):
      counted = valid[:, 2 * i, 1:] & batch['valid'][:, None]
      found[name] = Ratio.of(-log_likelihoods(logits[i], tokens[:, 2 * i, 1:]), counted)
    return found

  def loss(self, variables, batch, key, hp, *, train):
    collections = {k: v for k, v in variables.items() if k != 'params'}
    return self.told(variables, batch, hp['word_dropout']), Aux(collections, {})

  def evaluators(self):
    words = Evaluator(lambda variables, batch, hp: self.told(variables, batch), self._finish_words)
    return {'words': words, **super().evaluators()}

  def _finish_words(self, stats):
    return {f'perplexity_{name}': float(np.exp(ratio.value)) for name, ratio in stats.items()}


def skip_thoughts(*, make_model: Callable, info: Info, example: Mapping) -> SkipThoughts:
  """Vectors of sentences from which the sentences beside them are told.

  Raises:
    ConfigError: a source without sentences in their order.
  """
  sentence_vectors.check_sentences(example, 'skip_thoughts')
  vocabulary = Vocabulary(info.words, info.punctuation)
  return SkipThoughts(make_model(words=len(vocabulary)), vocabulary,
                      example['sentence']['tokens'].shape[-1])
