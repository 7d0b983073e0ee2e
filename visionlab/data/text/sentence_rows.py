"""Sentences beside their neighbours, as the arrays of a batch.

`batch['sentence']` holds, of sentences of up to t tokens and of those before and after them,

  tokens  (b 3 t) int32: before, itself, after; START, the words, END, PAD; one that was cut has no
          END
  valid   (b 3 t) bool: False where `tokens` is PAD, and throughout where there is no such neighbour
  place   (b 3) int32: which sentences of the text these are; -1 where there is none
"""

from collections.abc import Iterable, Sequence

import jax
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.data.text import vocabulary as vocabularies
from visionlab.data.text.vocabulary import PAD, SPECIAL, Vocabulary

Documents = Sequence[Sequence[str]]


class Sentences:
  """A source of all sentences of documents, in their order; it may live on the device.

  Args:
    documents: sentences of each; no neighbour is in another document.
    length: t, START and END included.
    too_long, where: see `Vocabulary.encode`.

  Attributes:
    texts: the sentences as they were written.
    cut: how many of them are longer than a row.

  Raises:
    ConfigError: there are no sentences, or as `Vocabulary.encode`.

  >>> words = vocabularies.build(['a dog', 'a cat'], 1)
  >>> source = Sentences([['a dog', 'a cat'], ['dog']], words, 4)
  >>> source[np.array([1])]['sentence']['tokens'].tolist()
  [[[1, 4, 6, 2], [1, 4, 5, 2], [0, 0, 0, 0]]]
  """

  def __init__(self, documents: Documents, vocabulary: Vocabulary, length: int, *,
               too_long: str = 'cut', where: str = 'text'):
    texts = [text for document in documents for text in document]
    if not texts:
      raise ConfigError(f'{where}: there are no sentences')
    encoded = vocabulary.encode(texts, length, too_long=too_long, where=where)
    owner = np.repeat(np.arange(len(documents)), [len(own) for own in documents])
    follows = owner[1:] == owner[:-1]
    place = np.arange(len(texts), dtype=np.int32)
    before = np.where(np.append(False, follows), place - 1, -1)
    after = np.where(np.append(follows, False), place + 1, -1)
    self.texts, self.cut = texts, encoded.cut
    self.arrays = dict(tokens=encoded.tokens,
                       place=np.stack([before, place, after], 1).astype(np.int32))
    self.info = Info(words=vocabulary.words, punctuation=vocabulary.punctuation)

  def __len__(self) -> int:
    return len(self.texts)

  def __getitem__(self, indices: np.ndarray) -> dict:
    return jax.tree.map(np.asarray, self.gather(self.arrays, indices))

  def gather(self, arrays, indices):
    """As `visionlab.data.source.Arrays.gather`."""
    place = arrays['place'][indices]
    tokens = arrays['tokens'][place] * (place >= 0)[..., None]
    return dict(sentence=dict(tokens=tokens, valid=tokens != PAD, place=place))


def alone(texts: Sequence[str], vocabulary: Vocabulary, length: int) -> dict[str, np.ndarray]:
  """`batch['sentence']` of sentences that have no neighbours."""
  own = vocabulary.encode(texts, length, where='sentences').tokens
  tokens = np.full((len(own), 3, length), PAD, np.int32)
  tokens[:, 1] = own
  place = np.full((len(own), 3), -1, np.int32)
  place[:, 1] = np.arange(len(own))
  return dict(tokens=tokens, valid=tokens != PAD, place=place)


def commonest(texts: Iterable[str], least_count: int, most: int, punctuation: bool) -> Vocabulary:
  """The words that occur at least so many times; of these the commonest `most`, or all if it is 0.
  """
  known = vocabularies.build(texts, least_count, punctuation=punctuation)
  return Vocabulary(known.words[:len(SPECIAL) + most], punctuation) if most else known
