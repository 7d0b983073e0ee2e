"""How like captions are to what people wrote: BLEU, ROUGE-L and CIDEr-D as coco-caption has them.

Everywhere `candidates` are n sentences and `references` n lists of sentences, any number for each.
A sentence is a string of words with white space between them; published numbers are of words
without punctuation, in lower case (`' '.join(vocabulary.tokenise(text, punctuation=False))`).
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError

ORDERS = 4        # of n-grams: 1..4
BETA = 1.2        # how much more recall counts than precision in ROUGE-L, as coco-caption has it
SIGMA = 6.        # of the lengths that CIDEr-D forgives, in words
_SMALL, _TINY = 1e-9, 1e-15

References = Sequence[Sequence[str]]


class Score(NamedTuple):
  """Attributes:
    corpus: of all candidates together; a float, or for BLEU (4,) of BLEU-1..4.
    each: (n,), or for BLEU (n 4): of each alone.
  """
  corpus: float | np.ndarray
  each: np.ndarray


def scores(candidates: Sequence[str], references: References) -> dict[str, float]:
  """The corpus's `bleu_1` ... `bleu_4`, `rouge_l` and `cider_d`.

  Raises:
    ConfigError: there are no candidates, not as many as lists of references, or an empty list.
  """
  bleus = bleu(candidates, references).corpus
  return dict({f'bleu_{n}': float(value) for n, value in enumerate(bleus, start=1)},
              rouge_l=rouge_l(candidates, references).corpus,
              cider_d=cider_d(candidates, references).corpus)


def bleu(candidates: Sequence[str], references: References) -> Score:
  """BLEU-1..4 (Papineni et al. 2002), in [0, 1].

  With c the length of the candidates, r that of the references nearest in length (of two equally
  near the shorter), and p_n the share of the candidates' n-grams that are in a reference, each
  counted no more often than in that reference which has most of it:

    BLEU-N = min(1, exp(1 - r / c)) (p_1 ... p_N) ** (1 / N)

  Over a corpus c, r and the counts are added up first. Like coco-caption 1e-15 is added to
  numerators and 1e-9 to denominators, so that a single caption without a common 4-gram scores near
  0 and an empty one 0.

  >>> bleu(['a cat on the mat'], [['a cat sat on the mat', 'a dog']]).corpus.round(3).tolist()
  [0.819, 0.709, 0.516, 0.0]
  """
  _check(candidates, references)
  counts = np.array([_bleu_counts(candidate.split(), [r.split() for r in refs])
                     for candidate, refs in zip(candidates, references, strict=True)])
  return Score(_bleu(counts.sum(0)), _bleu(counts))


def _bleu_counts(candidate, references):
  """(4, 4): matched n-grams, n-grams, and the lengths c and r, the same for all orders."""
  most = Counter()
  for reference in references:
    most |= _ngrams(reference)
  own = _ngrams(candidate)
  matched = np.zeros(ORDERS)
  for ngram, count in (own & most).items():
    matched[len(ngram) - 1] += count
  c = len(candidate)
  r = min((abs(len(reference) - c), len(reference)) for reference in references)[1]
  guessed = np.maximum(c - np.arange(ORDERS), 0)
  return np.stack([matched, guessed, np.full(ORDERS, c), np.full(ORDERS, r)])


def _bleu(counts):
  """BLEU-1..4 (..., 4) of counts (..., 4, 4)."""
  matched, guessed, c, r = np.moveaxis(counts, -2, 0)
  precision = np.cumprod((matched + _TINY) / (guessed + _SMALL), axis=-1)
  ratio = (c + _TINY) / (r + _SMALL)
  brevity = np.exp(np.minimum(0, 1 - 1 / ratio))
  return brevity * precision ** (1 / np.arange(1, ORDERS + 1))


def rouge_l(candidates: Sequence[str], references: References) -> Score:
  """ROUGE-L (Lin 2004, section 3.1), in [0, 1]; the corpus's is the mean.

  With P the greatest share, over the references, of the candidate's words that are in a longest
  common subsequence, and R the greatest share of a reference's words that are:

    (1 + 1.2 ** 2) P R / (R + 1.2 ** 2 P)

  >>> rouge_l(['police kill the gunman'], [['police killed the gunman']]).corpus
  0.75
  """
  _check(candidates, references)

  def one(candidate, references):
    common = np.array([_common_subsequence(r, candidate) for r in references])
    if not common.any():
      return 0.
    precision = max(common) / len(candidate)
    recall = max(common / [max(len(r), 1) for r in references])
    return (1 + BETA ** 2) * precision * recall / (recall + BETA ** 2 * precision)
  each = np.array([one(c.split(), [r.split() for r in refs])
                   for c, refs in zip(candidates, references, strict=True)])
  return Score(float(each.mean()), each)


def _common_subsequence(a, b):
  """The length of a longest common subsequence.

  A row of the usual table grows by 0 or 1 from place to place: here it is the bits of one number,
  0 where it grows, so that all of a row is computed at once (Hyyrö 2004, Australasian Workshop on
  Combinatorial Algorithms).
  """
  places = {}
  for i, word in enumerate(a):
    places[word] = places.get(word, 0) | 1 << i
  row = (1 << len(a)) - 1
  for word in b:
    both = row & places.get(word, 0)
    row = (row + both) | (row - both)
  return len(a) - (row & (1 << len(a)) - 1).bit_count()


def cider_d(candidates: Sequence[str], references: References) -> Score:
  """CIDEr-D (Vedantam et al. 2015), in [0, 10]; the corpus's is the mean.

  An n-gram that occurs k times in a sentence, and in the references of m of the n images, weighs
  k log(n / m). With g_c and g_r these weights in a candidate and a reference, and l_c, l_r their
  numbers of words, the score is 10 times the mean, over n = 1..4 and the references, of

    exp(-(l_c - l_r) ** 2 / (2 * 6 ** 2)) min(g_c, g_r) . g_r / (|g_c| |g_r|)

  Weights are those of this corpus: scores of different sets of images are not to be compared, and
  the scores of a single image are 0.

  >>> cider_d(['a cat', 'a dog'], [['a cat'], ['the dog']]).each.round(2).tolist()
  [5.0, 1.25]
  """
  _check(candidates, references)
  own = [_ngrams(candidate.split()) for candidate in candidates]
  theirs = [[_ngrams(r.split()) for r in refs] for refs in references]
  images = Counter(ngram for refs in theirs for ngram in set().union(*refs))

  def weigh(ngrams):
    """Weights by n-gram, their norms by order (4,), and the number of words."""
    weights = {g: k * math.log(len(own) / max(images[g], 1)) for g, k in ngrams.items()}
    squares = np.zeros(ORDERS)
    for ngram, weight in weights.items():
      squares[len(ngram) - 1] += weight ** 2
    return weights, np.sqrt(squares), sum(k for g, k in ngrams.items() if len(g) == 1)

  def similarity(candidate, reference):
    (own, own_norm, own_length), (other, norm, length) = candidate, reference
    product = np.zeros(ORDERS)
    for ngram, weight in own.items():
      if ngram in other:
        product[len(ngram) - 1] += min(weight, other[ngram]) * other[ngram]
    norms = own_norm * norm
    cosine = product / np.where(norms > 0, norms, 1)
    return cosine.mean() * math.exp(-(own_length - length) ** 2 / (2 * SIGMA ** 2))
  each = np.array([10 * np.mean([similarity(candidate, weigh(r)) for r in refs])
                   for candidate, refs in zip(map(weigh, own), theirs, strict=True)])
  return Score(float(each.mean()), each)


def _ngrams(words):
  """How often each run of 1..4 words occurs."""
  return Counter(tuple(words[i:i + n]) for n in range(1, ORDERS + 1)
                 for i in range(len(words) - n + 1))


def _check(candidates, references):
  if len(candidates) != len(references):
    raise ConfigError(f'captions: {len(candidates)} candidates, but references for '
                      f'{len(references)} images')
  if not len(candidates):
    raise ConfigError('captions: there are none to measure')
  for i, refs in enumerate(references):
    if isinstance(refs, str):
      raise ConfigError(f'captions: image {i} has the string {refs[:40]!r} for its references; '
                        'expected a list of strings')
    if not len(refs):
      raise ConfigError(f'captions: image {i} has no reference caption')
