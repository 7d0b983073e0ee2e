"""Pictures of driving: what is seen, the map, and how probable each way to steer is."""

from collections.abc import Mapping

import numpy as np

from visionlab.figures.charts import new_axes, rendered

WIDEST = .16                     # curvature, 1/m, that is shown


def distributions(batch: Mapping, predictions: Mapping, most: int = 12) -> np.ndarray:
  """Views with the density of steering beside each, to the left on the left; lines are what was
  driven (solid) and, where they are known, the other branches (dotted).

  Args:
    batch: `image` (n h w c), `steering` (n,), and perhaps `map` (n m m 2), `admissible`, `there`.
    predictions: `weights`, `means`, `sigmas` (n k).
  """
  count = min(most, len(batch['steering']))
  wide = 3 if 'map' in batch else 2
  rows = -(-count // 2)
  figure, axes = new_axes(rows, 2 * wide, (11, 1.15 * rows))
  cells = np.asarray(axes).reshape(2 * rows, wide)
  steering = np.linspace(-WIDEST, WIDEST, 400)
  for cell in cells.ravel():
    cell.axis('off')
  for i in range(count):
    cells[i, 0].imshow(np.asarray(batch['image'][i]), aspect='auto')
    if wide == 3:
      cells[i, 1].imshow(np.asarray(batch['map'][i])[..., 0], cmap='gray')
    density = sum(w * np.exp(-.5 * ((steering - m) / s) ** 2) / (s * np.sqrt(2 * np.pi))
                  for w, m, s in zip(*(predictions[k][i] for k in ('weights', 'means', 'sigmas')),
                                     strict=True))
    axis = cells[i, -1]
    axis.axis('on')
    axis.fill_between(-steering, density, color='tab:blue', alpha=.5)
    for way, there in zip(*(batch[k][i] for k in ('admissible', 'there')), strict=True) if (
        'admissible' in batch) else ():
      if there:
        axis.axvline(-way, color='black', linestyle=':', linewidth=1)
    axis.axvline(-batch['steering'][i], color='tab:red', linewidth=1.2)
    axis.set_xlim(-WIDEST, WIDEST)
    axis.set_yticks([])
    axis.set_xticks([-.1, 0, .1], ['left', '', 'right'], fontsize=6)
  return rendered(figure)
