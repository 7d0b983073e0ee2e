"""Pictures of verification: pairs with their scores, and the curve of all thresholds."""

from collections.abc import Mapping

import numpy as np

from visionlab.figures.charts import image_grid, new_axes, rendered


def pairs(images: np.ndarray, pairs: np.ndarray, same: np.ndarray, scores: np.ndarray,
          threshold: float, most: int = 16) -> np.ndarray:
  """Pairs of photographs side by side: those that are judged worst, of either kind as many.

  Args:
    images: (n h w c).
    pairs: (m 2), as indices of images.
    same: (m,) bool, whether each is of one person.
    scores: (m,); from `threshold` on a pair is said to be of one person.
  """
  worst = [np.flatnonzero(same)[np.argsort(scores[same])],
           np.flatnonzero(~same)[np.argsort(-scores[~same])]]
  chosen = np.concatenate([some[:most // 2] for some in worst])
  beside = np.concatenate([images[pairs[chosen, 0]], images[pairs[chosen, 1]]], 2)
  right = (scores[chosen] >= threshold) == same[chosen]
  captions = [f'{"one person" if same[i] else "two people"}: {scores[i]:.2f}' for i in chosen]
  return image_grid(beside, captions, right, f'The hardest pairs (threshold {threshold:.2f})',
                    columns=4)


def roc_curve(curve: np.ndarray, results: Mapping[str, float]) -> np.ndarray:
  """The receiver operating characteristic.

  Args:
    curve: (m 2), false and true accept rates.
    results: `auc` and `eer`, named in the heading.
  """
  figure, axes = new_axes(1, 1, (4.2, 3.6))
  axis = axes[0, 0]
  axis.plot(curve[:, 0], curve[:, 1])
  axis.plot([1, 0], [0, 1], color='grey', linewidth=.6, linestyle=':')
  least = max(curve[curve[:, 0] > 0, 0].min(initial=1), 1e-5)
  axis.set(xscale='log', xlim=(least, 1), ylim=(0, 1.01), xlabel='two people, accepted',
           ylabel='one person, accepted')
  axis.set_title(f'area {results["auc"]:.3f}, equal error {results["eer"]:.1%}')
  axis.grid(alpha=.3)
  return rendered(figure)
