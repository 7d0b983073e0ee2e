"""Are two photographs of one person? What scores of pairs, and embeddings, are judged by."""

from collections.abc import Callable, Mapping

import numpy as np

from visionlab.config import ConfigError

RATES = (1e-1, 1e-2, 1e-3)      # false accept rates at which true accept rates are quoted


def roc(scores, same) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The receiver operating characteristic.

  Args:
    scores: (n,), greater is more alike.
    same: (n,) bool.

  Returns:
    false accept rates, true accept rates and thresholds (m,), from the strictest on: at threshold t
    every pair with a score of at least t is accepted. The first is infinite.

  Raises:
    ConfigError: all pairs are same, or all are different.

  >>> [x.tolist() for x in roc([.9, .4, .6], [True, False, True])]
  [[0.0, 0.0, 0.0, 1.0], [0.0, 0.5, 1.0, 1.0], [inf, 0.9, 0.6, 0.4]]
  """
  scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
  if same.all() or not same.any():
    raise ConfigError('verification: needs pairs of one person and pairs of two')
  order = np.argsort(-scores, kind='stable')
  scores, same = scores[order], same[order]
  last = np.append(scores[1:] != scores[:-1], True)        # of those with one score
  accepted = np.cumsum(same)[last], np.cumsum(~same)[last]
  true, false = (np.append(0, n) / n[-1] for n in accepted)
  return false, true, np.append(np.inf, scores[last])


def verification_scores(scores, same) -> dict[str, float]:
  """`auc`, the area under the curve; `eer`, the rate at which as many are wrongly accepted as
  wrongly refused; and `tar_at_1e-1` ..., true accept rates where at most that share of the pairs of
  two people is accepted.

  Args:
    scores, same: as in `roc`.

  >>> verification_scores([.9, .8, .7, .1], [True, False, True, False])['auc']
  0.75
  """
  false, true, _ = roc(scores, same)
  area = float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())
  # The curve is straight between its corners: where it crosses false = 1 - true.
  gap = false - (1 - true)
  i = int(np.argmax(gap >= 0))
  share = -gap[i - 1] / (gap[i] - gap[i - 1]) if i else 0.
  eer = float(false[i - 1] + share * (false[i] - false[i - 1])) if i else 0.
  at = {f'tar_at_{rate:.0e}'.replace('e-0', 'e-'): float(true[false <= rate].max())
        for rate in RATES}
  return dict(auc=area, eer=eer, **at)


def folded_accuracy(scores, same, folds: int | np.ndarray = 10) -> dict[str, float]:
  """Accuracy as Labeled Faces in the Wild has it (Huang et al. 2007, view 2): of each fold with the
  threshold that is best for the others.

  Args:
    scores, same: as in `roc`.
    folds: which fold each pair is of (n,), or how many: pairs of either kind are then dealt out in
      their order.

  Returns:
    `accuracy`, the mean over folds; its standard error `accuracy_se`; and `threshold`, best for all
    pairs.

  Raises:
    ConfigError: fewer pairs of a kind than folds.

  >>> folded_accuracy([.9, .1, .8, .2], [True, False, True, False], 2)['accuracy']
  1.0
  """
  scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
  if isinstance(folds, int):
    if min(same.sum(), (~same).sum()) < folds:
      raise ConfigError(f'verification: {folds} folds need as many pairs of one person and of two, '
                        f'and there are {same.sum()} and {(~same).sum()}')
    dealt = np.empty(len(same), int)
    for kind in (same, ~same):
      dealt[kind] = np.arange(kind.sum()) * folds // kind.sum()
    folds = dealt
  accuracies = []
  for fold in np.unique(folds):
    own = folds == fold
    accepted = scores[own] >= best_threshold(scores[~own], same[~own])
    accuracies.append((accepted == same[own]).mean())
  return dict(accuracy=float(np.mean(accuracies)),
              accuracy_se=float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))),
              threshold=best_threshold(scores, same))


def best_threshold(scores, same) -> float:
  """That with which most pairs are judged rightly: half way between two scores.

  >>> best_threshold([.9, .8, .4, .2], [True, True, False, False])
  0.6...
  """
  order = np.argsort(-np.asarray(scores), kind='stable')
  scores, same = np.asarray(scores, np.float64)[order], np.asarray(same, bool)[order]
  # Right, if the first i are accepted: the same among them, the different among the rest.
  right = np.append(0, np.cumsum(same)) + (~same).sum() - np.append(0, np.cumsum(~same))
  right[1:-1] = np.where(scores[1:] == scores[:-1], -1, right[1:-1])     # no threshold between them
  i = int(right.argmax())
  ends = np.concatenate([scores[:1] + 2e-6, scores, scores[-1:] - 2e-6])
  return float((ends[i] + ends[i + 1]) / 2)


def random_pairs(labels, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
  """Pairs of examples (n 2) and whether each is of one person (n,), as many of either kind.

  Args:
    labels: (m,), the person of each example.
    each: pairs of either kind for each person that has two photographs. No pair is there twice; of
      those of one person there may be fewer.
    seed: other seeds draw others.

  Raises:
    ConfigError: only one person, or none with two photographs.
  """
  labels = np.asarray(labels)
  rng = np.random.Generator(np.random.PCG64(seed))
  people = [np.flatnonzero(labels == k) for k in np.unique(labels)]
  if len(people) < 2 or max(map(len, people)) < 2:
    raise ConfigError('verification: needs two people, and one with two photographs; there are '
                      f'{len(people)} people with at most {max(map(len, people), default=0)}')
  same, different = [], set()
  for own in people:
    first, second = np.triu_indices(len(own), 1)
    some = rng.permutation(len(first))[:each]
    same += np.stack([own[first[some]], own[second[some]]], 1).tolist()
  most = (len(labels) ** 2 - sum(len(own) ** 2 for own in people)) // 2
  while len(different) < min(len(same), most):
    a, b = sorted(rng.integers(0, len(labels), 2).tolist())
    if labels[a] != labels[b]:
      different.add((a, b))
  pairs = np.array(same + sorted(different))
  known = np.arange(len(pairs)) < len(same)
  order = rng.permutation(len(pairs))
  return pairs[order], known[order]


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """The likeness (...) of embeddings (... d) of unit length: their cosine."""
  return (a * b).sum(-1)


def chi_square(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """The likeness (...) of embeddings (... d) that are shares of 1: 1 - .5 sum (a - b)^2 / (a + b),
  between 0 and 1 (Taigman et al. 2014, "DeepFace", section 4.1).

  Its weights need no place here: w (a - b)^2 / (a + b) is that of w a and w b.

  >>> float(chi_square(np.array([.5, .5, 0.]), np.array([.5, 0., .5])))
  0.5
  """
  total = a + b
  return 1 - .5 * ((a - b) ** 2 / (total + (total == 0))).sum(-1)


def identification(embeddings, labels, ranks: tuple[int, ...] = (1, 5),
                   like: Callable = product) -> Mapping[str, float]:
  """`rank_1` ...: how often a person is among the k nearest of a gallery (the cumulative match
  characteristic). The gallery has the first photograph of each person, the rest are looked up; who
  has only one is looked at, and never looked up.

  Args:
    embeddings: (n d).
    labels: (n,).
    like: of two embeddings, `product` or `chi_square`.
  """
  labels = np.asarray(labels)
  people, gallery = np.unique(labels, return_index=True)
  probes = np.setdiff1d(np.arange(len(labels)), gallery)
  if not len(probes):
    return dict.fromkeys((f'rank_{k}' for k in ranks), np.nan)
  embeddings = np.asarray(embeddings)
  likeness = np.stack([like(embeddings[i], embeddings[gallery]) for i in probes])
  own = np.searchsorted(people, labels[probes])
  place = (likeness > np.take_along_axis(likeness, own[:, None], 1)).sum(1)
  return {f'rank_{k}': float((place < k).mean()) for k in ranks}
