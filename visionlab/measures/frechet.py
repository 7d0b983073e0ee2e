"""How far one set of images is from another, by features of both."""

import numpy as np

NEIGHBOURS = 5
AT_ONCE = 1024


def likeness(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
  """All of this file by name, and two that say what the others are worth.

  `frechet_of_real_halves` is what two sets of real images have, half as many as there are: no
  generator need have less. `collapse` is the share of the real images near which nothing is made,
  beyond what chance leaves out: 0 of images that are like the real ones, 1 of one made again and
  again. Features (n d) and (m d).
  """
  near = neighbourhoods(real, made)
  by_chance = 1 - .5 ** NEIGHBOURS         # of as many: a neighbour is as likely real as made
  return dict(frechet=frechet_distance(real, made),
              frechet_of_real_halves=frechet_distance(real[::2], real[1::2]), **near,
              collapse=max(0., 1 - near['coverage'] / by_chance))


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
  """The squared Frechet distance of two normal distributions, those of features (n d) and (m d).

  |mean difference|^2 + trace(A + B - 2 (A B)^(1/2)) (Dowson and Landau 1982; of images Heusel et
  al. 2017, https://arxiv.org/abs/1706.08500, equation 6).

  Returns:
    nan where one has no more examples than features, so that its covariance is not known, or
    features that are no numbers, of a network that has diverged.
  """
  a, b = (np.asarray(x, np.float64) for x in (a, b))
  if min(len(a), len(b)) <= a.shape[1] or not (np.isfinite(a).all() and np.isfinite(b).all()):
    return float('nan')
  first, second = (np.cov(x.T).reshape(a.shape[1], a.shape[1]) for x in (a, b))
  # The trace of the root of A B is that of the symmetric A^(1/2) B A^(1/2), which is real.
  values, vectors = np.linalg.eigh(first)
  root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
  cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
  return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first) + np.trace(second)
               - 2 * cross)


def neighbourhoods(real: np.ndarray, made: np.ndarray, k: int = NEIGHBOURS) -> dict[str, float]:
  """What of the real (n d) and of the made (m d) lies among the others. A point's neighbourhood
  reaches to its k-th neighbour of its own kind.

    precision   of what is made, in a neighbourhood of a real one (Kynkaanniemi et al. 2019,
                https://arxiv.org/abs/1904.06991, equation 2)
    recall      of the real, in a neighbourhood of a made one
    density     neighbourhoods of real ones that a made one is in, over k: may be above 1 (Naeem et
                al. 2020, https://arxiv.org/abs/2002.09797, equation 3)
    coverage    of the real, that have a made one in their neighbourhood (equation 4); unlike recall
                it does not grow with made ones that are far from all others
  """
  around_real, around_made = _radii(real, k), _radii(made, k)
  inside, covered, recalled = 0, [], []
  for rows in _parts(len(real)):
    across = _distances(real[rows], made)
    in_real = across <= around_real[rows, None]
    inside += in_real.sum(0)
    covered.append(in_real.any(1))
    recalled.append((across <= around_made).any(1))
  return dict(precision=float((inside > 0).mean()), recall=float(np.concatenate(recalled).mean()),
              density=float(inside.mean() / k), coverage=float(np.concatenate(covered).mean()))


def like_in_two_moments(images: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
  """n images (n ...) in [0, 1] drawn from the normal distribution with the mean and covariance of
  those given (m ...): what is like them in all that has no shape."""
  flat = np.asarray(images, np.float64).reshape(len(images), -1)
  mean = flat.mean(0)
  mix = np.random.default_rng(seed).normal(size=(n, len(flat))) / len(flat) ** .5
  return np.clip(mean + mix @ (flat - mean), 0, 1).reshape(n, *images.shape[1:]).astype(np.float32)


def _radii(x, k):
  """The distance (n,) of each to its k-th neighbour, or to the last there is."""
  k = min(k, len(x) - 1)
  return np.concatenate([np.partition(_distances(x[rows], x), k, 1)[:, k]
                         for rows in _parts(len(x))])


def _parts(n):
  """Of n rows some at a time, for the distances of all from all would not fit."""
  return [slice(start, start + AT_ONCE) for start in range(0, n, AT_ONCE)]


def _distances(a, b):
  a, b = (np.asarray(x, np.float64) for x in (a, b))
  squares = (a ** 2).sum(1)[:, None] + (b ** 2).sum(1) - 2 * a @ b.T
  return np.sqrt(np.maximum(squares, 0))
