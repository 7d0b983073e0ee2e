"""How far one set of images is from another, by features of both."""

import numpy as np


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
  """The squared Frechet distance of two normal distributions, those of features (n d) and (m d).

  |mean difference|^2 + trace(A + B - 2 (A B)^(1/2)) (Dowson and Landau 1982; of images Heusel et
  al. 2017, https://arxiv.org/abs/1706.08500, equation 6).

  Returns:
    nan where one has fewer examples than features: its covariance is not known.
  """
  a, b = (np.asarray(x, np.float64) for x in (a, b))
  if min(len(a), len(b)) <= a.shape[1]:
    return float('nan')
  first, second = (np.cov(x.T).reshape(a.shape[1], a.shape[1]) for x in (a, b))
  # The trace of the root of A B is that of the symmetric A^(1/2) B A^(1/2), which is real.
  values, vectors = np.linalg.eigh(first)
  root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
  cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
  return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second)
               - 2 * cross)


def precision_recall(real: np.ndarray, made: np.ndarray, k: int = 3) -> tuple[float, float]:
  """The share of what was made that lies among the real, and of the real among what was made.

  A point lies among others if it is within the distance of one of them to its k-th neighbour
  (Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991, equation 2). Features (n d), (m d).
  """
  across = _distances(real, made)
  near_real = across <= _radii(real, k)[:, None]
  near_made = across <= _radii(made, k)[None]
  return float(near_real.any(0).mean()), float(near_made.any(1).mean())


def coverage(real: np.ndarray, made: np.ndarray, k: int = 5) -> float:
  """The share of the real within whose k-th neighbour's distance something was made (Naeem et al.
  2020, https://arxiv.org/abs/2002.09797, equation 4): it does not grow with outliers."""
  return float((_distances(real, made).min(1) <= _radii(real, k)).mean())


def _radii(x, k):
  """The distance (n,) of each to its k-th neighbour, or to the last there is."""
  return np.sort(_distances(x, x), 1)[:, min(k, len(x) - 1)]


def _distances(a, b):
  a, b = (np.asarray(x, np.float64) for x in (a, b))
  squares = (a ** 2).sum(1)[:, None] + (b ** 2).sum(1) - 2 * a @ b.T
  return np.sqrt(np.maximum(squares, 0))
