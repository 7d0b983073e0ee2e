"""Pictures of landmarks: where they were found beside where they are, and the curve of errors."""

from collections.abc import Sequence

import numpy as np

from visionlab.figures.charts import image_grid, new_axes, rendered
from visionlab.figures.drawing import as_picture, draw_keypoints
from visionlab.measures.landmarks import FAILED, normalised_errors

SIDE = 160                      # pixels that an image is enlarged to, at least


def found(images: np.ndarray, true: np.ndarray, predicted: np.ndarray,
          between: Sequence[int] = (), most: int = 24) -> np.ndarray:
  """The first images with their landmarks: rings where they are, dots where they were found; under
  each its error.

  Args:
    images: (n h w c).
    true: (n k 3), predicted: (n k 2); between: see `visionlab.measures.landmarks`.
  """
  errors = normalised_errors(predicted[:most], true[:most], between)
  shown = drawn(images[:most], predicted, true)
  captions = ['an eye is not known' if np.isnan(e) else f'{e:.1%}' for e in errors]
  return image_grid(shown, captions, ~(errors > FAILED),
                    'Landmarks: rings where they are, dots where they were found', columns=6)


def drawn(images: Sequence[np.ndarray], predicted: np.ndarray, true: np.ndarray | None = None
          ) -> np.ndarray:
  """Images (n h w c) of one size, enlarged, with dots where landmarks (n k 2) were found and, if
  they are given, rings where they are (n k 3)."""
  zoom = max(1, round(SIDE / images[0].shape[0]))
  pictures = []
  for i, image in enumerate(images):
    picture = as_picture(image, zoom)
    if true is not None:
      rings = np.where(true[i, :, 2:] > 0, 1, 0)
      picture = draw_keypoints(picture, np.concatenate([true[i, :, :2], rings], -1)[None],
                               sides=['left'] * len(true[i]), zoom=zoom)
    dots = np.concatenate([predicted[i], np.full((len(predicted[i]), 1), 2)], -1)
    pictures.append(draw_keypoints(picture, dots[None], sides=['right'] * len(dots), zoom=zoom))
  return np.stack(pictures)


def cumulative(errors: np.ndarray) -> np.ndarray:
  """The share of images (n,) whose error is at most so large."""
  errors = np.sort(errors[~np.isnan(errors)])
  figure, axes = new_axes(1, 1, (4.2, 3.2))
  axis = axes[0, 0]
  axis.step(np.append(0, errors), np.arange(len(errors) + 1) / max(len(errors), 1), where='post')
  axis.axvline(FAILED, color='grey', linewidth=.6, linestyle=':')
  axis.set(xlim=(0, 2 * FAILED), ylim=(0, 1.01), ylabel='share of the images',
           xlabel='error, of the distance between the eyes')
  axis.grid(alpha=.3)
  return rendered(figure)
