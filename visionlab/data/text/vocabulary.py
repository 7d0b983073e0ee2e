"""Captions as rows of tokens, and back."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError, check_choice

SPECIAL = ('<pad>', '<start>', '<end>', '<unknown>')
PAD, START, END, UNKNOWN = range(len(SPECIAL))

PUNCTUATION = frozenset(('.', ',', '!', '?', ':', ';', '-', '--', '...', '"', "'", '`', "''", '``',
                         '(', ')', '{', '}'))

# An alternative matches only where no earlier one does.
_TOKEN = re.compile(r"""
    \.\.\. | -- | '' | ``
  | can(?=not\b) | (?<=can)not\b    # can not
  | \w+?(?=n't\b) | n't\b           # is n't
  | '(?:s|m|d|ll|re|ve)\b           # it 's
  | (?:[^\W\d_]\.){2,}              # u.s.
  | o'\w{2,}                        # o'clock
  | \w+(?:[-.,:/@]\w+)*             # t-shirt, 1,000, 10:30
  | \S""", re.VERBOSE)


def tokenise(text: str, punctuation: bool = True) -> list[str]:
  """The words of a sentence in lower case, its punctuation marks as words of their own.

  What stays together and what is parted follows the Penn Treebank (Marcus et al. 1993), by whose
  tokeniser coco-caption prepares sentences for measurement: "man 's", "is n't", "t-shirt". What
  needs a dictionary is left out ("mr." is two tokens, "gonna" one).

  Args:
    punctuation: False leaves the members of `PUNCTUATION` out, as coco-caption does.

  >>> tokenise("A man's dog (a big one) isn't here.")
  ['a', 'man', "'s", 'dog', '(', 'a', 'big', 'one', ')', 'is', "n't", 'here', '.']
  >>> tokenise('Two T-shirts, a hat.', punctuation=False)
  ['two', 't-shirts', 'a', 'hat']
  """
  words = _TOKEN.findall(text.lower().replace('’', "'"))
  return words if punctuation else [word for word in words if word not in PUNCTUATION]


def join(words: Iterable[str]) -> str:
  """A sentence for people: no space before a mark that closes, nor after a bracket that opens.

  >>> join(['a', 'man', "'s", 'dog', '(', 'big', ')', 'is', "n't", 'here', '.'])
  "a man's dog (big) isn't here."
  """
  text = re.sub(r"\s+(n't\b|'(?:s|m|d|ll|re|ve)\b|[.,!?:;)}])", r'\1', ' '.join(words))
  return re.sub(r'([({])\s+', r'\1', text)


class Encoded(NamedTuple):
  """Captions as rows of equal length.

  Attributes:
    tokens: (n t) int32: START, the words, END, and PAD to the end of the row. A caption that was
      cut has no END, for it does not end there.
    valid: (n t) bool, False where `tokens` is PAD.
    cut: how many captions were cut.
  """
  tokens: np.ndarray
  valid: np.ndarray
  cut: int


@dataclass(frozen=True)
class Vocabulary:
  """Which words there are; a word's token is its place.

  Attributes:
    words: the four of `SPECIAL`, then the others.
    punctuation: whether marks are words (see `tokenise`).

  >>> vocabulary = build(['A dog, a cat.', 'A dog runs.'], least_count=2)
  >>> vocabulary.words[4:]
  ('a', '.', 'dog')
  >>> tokens, valid, cut = vocabulary.encode(['A dog sleeps.'], length=8)
  >>> tokens.tolist()
  [[1, 4, 6, 3, 5, 2, 0, 0]]
  >>> vocabulary.decode(tokens[0])
  'a dog <unknown> .'
  """
  words: tuple[str, ...]
  punctuation: bool = True

  def __post_init__(self):
    object.__setattr__(self, '_tokens', {word: i for i, word in enumerate(self.words)})
    if self.words[:len(SPECIAL)] != SPECIAL:
      raise ConfigError(f'vocabulary: must begin with {", ".join(SPECIAL)}')
    if len(self._tokens) < len(self.words):
      twice = next(w for i, w in enumerate(self.words) if self._tokens[w] != i)
      raise ConfigError(f'vocabulary: {twice!r} occurs twice')

  def __len__(self) -> int:
    return len(self.words)

  def encode(self, captions: Sequence[str], length: int, *, too_long: str = 'cut',
             where: str = 'captions') -> Encoded:
    """Captions as tokens.

    Args:
      captions: n sentences.
      length: of a row, START and END included.
      too_long: 'cut' a caption that does not fit, or 'stop'.
      where: the captions' file or key, for errors.

    Raises:
      ConfigError: a caption has no words, or with 'stop' more than fit.
    """
    check_choice(too_long, ('cut', 'stop'), 'too_long')
    if length < 3:
      raise ConfigError(f'length: a row holds a start, a word and an end: at least 3, not {length}')
    rows, cut = np.full((len(captions), length), PAD, np.int32), 0
    for i, (row, text) in enumerate(zip(rows, captions, strict=True)):
      words = tokenise(text, self.punctuation)
      if not words:
        raise ConfigError(f'{where}: caption {i}, {text!r}, has no words')
      tokens = [START, *(self._tokens.get(word, UNKNOWN) for word in words), END]
      if len(tokens) > length:
        if too_long == 'stop':
          raise ConfigError(f'{where}: caption {i}, {text[:60]!r}, needs {len(tokens)} tokens, but '
                            f'the length is {length}; too_long="cut" would shorten it')
        cut += 1
      row[:len(tokens)] = tokens[:length]
    return Encoded(rows, rows != PAD, cut)

  def decode(self, tokens: Iterable[int]) -> str:
    """The words up to the first END, spaces between them; `join` makes them a sentence."""
    words = []
    for token in np.asarray(tokens).tolist():
      if token == END:
        break
      if token not in (PAD, START):
        words.append(self.words[token])
    return ' '.join(words)


def build(captions: Iterable[str], least_count: int = 5, *,
          punctuation: bool = True) -> Vocabulary:
  """The words that occur at least `least_count` times in `captions`, the commonest first.

  Raises:
    ConfigError: no word does.
  """
  counts = Counter(word for text in captions for word in tokenise(text, punctuation))
  kept = sorted((word for word, n in counts.items() if n >= least_count),
                key=lambda word: (-counts[word], word))
  if not kept:
    commonest = max(counts.values(), default=0)
    raise ConfigError(f'vocabulary: no word occurs {least_count} times; '
                      f'the commonest occurs {commonest} times')
  return Vocabulary((*SPECIAL, *kept), punctuation)
