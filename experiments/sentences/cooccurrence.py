"""Word vectors of a text by how often words are near each other."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from visionlab.data.text.vocabulary import tokenise
from visionlab.data.text.word_vectors import WordVectors


def word_vectors(texts: Sequence[str], size: int = 50, window: int = 4, least_count: int = 5
                 ) -> WordVectors:
  """The left singular vectors of the positive pointwise mutual information of words and those up to
  `window` places from them, each times the root of its value (Levy and Goldberg 2014)."""
  from scipy.sparse import coo_matrix  # noqa: PLC0415
  from scipy.sparse.linalg import svds  # noqa: PLC0415
  sentences = [tokenise(text) for text in texts]
  counts = Counter(word for words in sentences for word in words)
  known = sorted(word for word, n in counts.items() if n >= least_count)
  token = {word: i for i, word in enumerate(known)}
  near: Counter = Counter()
  for words in sentences:
    own = [token.get(word, -1) for word in words]
    for i, a in enumerate(own):
      for b in own[i + 1:i + 1 + window]:
        if a >= 0 and b >= 0:
          near[a, b] += 1
          near[b, a] += 1
  (rows, columns), values = np.array(list(near)).T, np.array(list(near.values()), np.float64)
  share = np.bincount(rows, values, len(known)) / values.sum()
  information = np.log(values / values.sum() / (share[rows] * share[columns]))
  there = information > 0
  matrix = coo_matrix((information[there], (rows[there], columns[there])),
                      (len(known), len(known))).tocsr()
  u, s, _ = svds(matrix, size, v0=np.ones(len(known)))
  return WordVectors(known, (u * np.sqrt(s)).astype(np.float32))
