"""How like each two of many texts are: BLEU and the cosine of tf-idf weights, all pairs at once."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from visionlab.data.text.vocabulary import tokenise

ORDERS = 5                       # of n-grams, as Zhu et al. 2015 have them
_SMALL, _TINY = 1e-9, 1e-15


def bleu_of_pairs(candidates: Sequence[str], references: Sequence[str]) -> np.ndarray:
  """BLEU-1..5 (n m 5) float32 of each candidate against each reference alone, in [0, 1].

  As `visionlab.measures.captions.bleu` has it, with its brevity penalty, but up to 5-grams (Zhu et
  al. 2015, https://arxiv.org/abs/1506.06724, section 4.2), and 0 where either has no words. Words
  are in lower case, without punctuation.

  >>> bleu_of_pairs(['a cat on the mat'], ['a cat sat on the mat', '']).round(3)[0, :, :2].tolist()
  [[0.81..., 0.70...], [0.0, 0.0]]
  """
  own, theirs = ([tokenise(text, punctuation=False) for text in texts]
                 for texts in (candidates, references))
  c, r = (np.array([len(words) for words in texts], float) for texts in (own, theirs))
  log_precision, found = np.zeros((len(c), len(r))), []
  brevity = np.exp(np.minimum(0, 1 - (r + _SMALL) / (c[:, None] + _TINY)))
  brevity[(c == 0)[:, None] | (r == 0)] = 0
  for order in range(1, ORDERS + 1):
    matched = _common(*(_ngrams(texts, order) for texts in (own, theirs)))
    guessed = np.maximum(c - order + 1, 0)[:, None]
    log_precision += np.log((matched + _TINY) / (guessed + _SMALL))
    found.append(brevity * np.exp(log_precision / order))
  return np.stack(found, -1).astype(np.float32)


def _ngrams(texts: Sequence[Sequence[str]], order: int) -> list[Counter]:
  return [Counter(tuple(words[i:i + order]) for i in range(len(words) - order + 1))
          for words in texts]


def _common(own: Sequence[Counter], theirs: Sequence[Counter]) -> np.ndarray:
  """How many n-grams each of `own` shares with each of `theirs`, each as often as in both: the sum
  of min(a, b) is that, over k, of the n-grams that both have at least k times."""
  place = {ngram: i for i, ngram in enumerate(dict.fromkeys(g for text in own for g in text))}
  shared, most = np.zeros((len(own), len(theirs))), max(
      (count for text in own for count in text.values()), default=0)
  for k in range(1, most + 1):
    a, b = (_matrix([{g: 1 for g, count in text.items() if count >= k} for text in texts], place)
            for texts in (own, theirs))
    shared += (a @ b.T).toarray()
  return shared


def tfidf_cosines(texts: Sequence[str], others: Sequence[str]) -> np.ndarray:
  """Cosines (n m) float32 of tf-idf weights, in [0, 1]; 0 where either text has no words.

  A word that occurs k times in a text, and in d of all the n + m, weighs k (1 + log((1 + n + m) /
  (1 + d))): raw counts and the smooth inverse document frequency, as scikit-learn's
  TfidfVectorizer has them.

  >>> tfidf_cosines(['a cat', ''], ['A cat!', 'a dog']).round(2).tolist()
  [[1.0, 0.34...], [0.0, 0.0]]
  """
  counts = [Counter(tokenise(text, punctuation=False)) for text in [*texts, *others]]
  documents = Counter(word for count in counts for word in count)
  place = {word: i for i, word in enumerate(documents)}
  idf = {word: 1 + np.log((1 + len(counts)) / (1 + d)) for word, d in documents.items()}
  weights = _matrix([{word: k * idf[word] for word, k in count.items()} for count in counts], place)
  norms = np.sqrt(np.asarray(weights.multiply(weights).sum(1)).ravel())
  unit = sparse.diags(1 / np.where(norms > 0, norms, 1)) @ weights
  return (unit[:len(texts)] @ unit[len(texts):].T).toarray().astype(np.float32)


def _matrix(rows: Sequence[dict], place: dict) -> sparse.csr_matrix:
  """Values by name as a sparse matrix; names that have no place are left out."""
  kept = [(i, place[name], value) for i, row in enumerate(rows) for name, value in row.items()
          if name in place]
  i, j, values = zip(*kept, strict=True) if kept else ((), (), ())
  return sparse.csr_matrix((np.array(values, float), (i, j)), (len(rows), max(len(place), 1)))
