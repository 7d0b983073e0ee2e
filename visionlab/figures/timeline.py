"""A film over time: some of its frames, and below them how likely each class is."""

from collections.abc import Sequence

import numpy as np

from visionlab.figures.charts import new_axes, rendered
from visionlab.figures.drawing import as_picture, below, beside, captioned

SHOWN = 8                       # frames
WIDTH = 760                     # pixels, about
CURVES = 6                      # classes: those that are likeliest somewhere


def timeline(frames: np.ndarray, when: np.ndarray, middles: np.ndarray, probabilities: np.ndarray,
             classes: Sequence[str], title: str) -> np.ndarray:
  """The picture of one film.

  Args:
    frames: (m h w c) uint8, some of it.
    when: (m,), the second of each.
    middles: (n,), the seconds of what is said.
    probabilities: (n k).
    classes: their names.
  """
  zoom = max(1, WIDTH // SHOWN // frames.shape[2])
  likeliest = probabilities[np.abs(middles[:, None] - when).argmin(0)].argmax(1)
  row = [captioned(as_picture(frame, zoom), f'{t:.1f} s: {classes[k]}')
         for frame, t, k in zip(frames, when, likeliest, strict=True)]
  figure, axes = new_axes(1, 1, (WIDTH / 100, 2.4))
  axis = axes[0, 0]
  for k in np.argsort(-probabilities.max(0))[:CURVES]:
    # With markers: of a film in a single window, a line is nothing.
    axis.plot(middles, probabilities[:, k], marker='.', linewidth=1, label=classes[k])
  axis.set(ylim=(0, 1.02), xlabel='seconds', ylabel='probability')
  axis.set_title(title)
  axis.grid(alpha=.3)
  axis.legend(loc='center left', bbox_to_anchor=(1, .5))
  return below([beside(row), rendered(figure)])
