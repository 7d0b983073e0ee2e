"""How well a matrix of scores finds what belongs together: images by captions, and the reverse."""

import numpy as np

from visionlab.config import ConfigError

BLOCK = 500                     # queries that are compared with all items at a time


def ranks(scores, relevant=None) -> np.ndarray:
  """The rank of the best-scoring relevant item of each query: (n,) int, 1 the first.

  An item that is not relevant and scores as much counts as before it, and so does one that cannot
  be compared (NaN): a model that says nothing finds nothing.

  Args:
    scores: (n m), queries by items, greater is more alike.
    relevant: (n m) bool, which items answer a query; None: item i answers query i, n = m.

  Raises:
    ConfigError: the shapes do not fit, or a query has no answer.

  >>> ranks([[.9, .1, .3], [.8, .5, .6], [.1, .2, .4]]).tolist()
  [1, 3, 1]
  """
  scores = np.asarray(scores, np.float64)
  if scores.ndim != 2 or relevant is None and scores.shape[0] != scores.shape[1]:
    raise ConfigError(f'retrieval: expected a square matrix of scores, got shape {scores.shape}; '
                      'where items are not one to a query, say which are relevant')
  relevant = np.eye(len(scores), dtype=bool) if relevant is None else np.asarray(relevant, bool)
  if relevant.shape != scores.shape:
    raise ConfigError(f'retrieval: scores have shape {scores.shape}, relevant {relevant.shape}')
  if not relevant.any(1).all():
    raise ConfigError(f'retrieval: query {int(relevant.any(1).argmin())} has no relevant item')
  best = np.where(relevant & ~np.isnan(scores), scores, -np.inf).max(1, keepdims=True)
  return 1 + (~relevant & ~(scores < best)).sum(1)


def recall(scores, relevant=None, at: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
  """`recall_at_k`, the share of queries with a relevant item among the first k, and `median_rank`
  (Hodosh et al. 2013).

  Args:
    scores, relevant: as in `ranks`.
    at: which k.

  >>> recall([[.9, .1, .3], [.8, .5, .6], [.1, .2, .4]], at=(1, 3))
  {'recall_at_1': 0.66..., 'recall_at_3': 1.0, 'median_rank': 1.0}
  """
  return of_ranks(ranks(scores, relevant), at)


def of_ranks(rank: np.ndarray, at: tuple[int, ...] = (1, 5, 10)) -> dict[str, float]:
  """`recall` of ranks (n,)."""
  return dict({f'recall_at_{k}': float((rank <= k).mean()) for k in at},
              median_rank=float(np.median(rank)))


def unit_rows(vectors: np.ndarray) -> np.ndarray:
  """Vectors (n d) of length 1; zeros stay what they are."""
  return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def centred(vectors: np.ndarray) -> np.ndarray:
  """Vectors (n d) less their mean: what they have in common may be most of them, and then every two
  are alike (Mu and Viswanath 2018, https://arxiv.org/abs/1702.01417)."""
  return vectors - vectors.mean(0)


def ranks_by_cosine(queries: np.ndarray, items: np.ndarray, relevant: np.ndarray,
                    leave_out: np.ndarray | None = None) -> np.ndarray:
  """`ranks` (n,) of queries (n d) among items (m d) by their cosines, some queries at a time: the
  matrix of all would be too large.

  Args:
    relevant: (n m) bool, as in `ranks`.
    leave_out: (n,), for each query an item that is not compared, such as itself; -1: none.

  >>> corners = np.eye(3)[[0, 1, 2]] + .1
  >>> ranks_by_cosine(corners, corners[::-1], np.eye(3, dtype=bool)[::-1]).tolist()
  [1, 1, 1]
  """
  queries, items, found = unit_rows(queries), unit_rows(items), []
  for start in range(0, len(queries), BLOCK):
    rows = slice(start, start + BLOCK)
    scores = queries[rows] @ items.T
    if leave_out is not None:
      left = np.flatnonzero(leave_out[rows] >= 0)
      scores[left, leave_out[rows][left]] = -np.inf
    found.append(ranks(scores, relevant[rows]))
  return np.concatenate(found)
