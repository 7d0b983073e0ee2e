"""Pictures of landmarks: where they were found beside where they are, and the curve of errors."""

from collections.abc import Sequence

import numpy as np

from visionlab.figures.charts import image_grid, new_axes, rendered
from visionlab.figures.drawing import as_picture, draw_keypoints
from visionlab.measures.landmarks import FAILED, normalised_errors

SIDE = 160                      # pixels that an image is enlarged to, at least


def found(images: np.ndarray, true: np.ndarray, predicted: np.ndarray,
          between: Sequence[int] = (), most: int = 24) -> np.ndarray:
  """The first images with their landmarks: green rings where they are, red dots where they were
  found; under each its error.

  Args:
    images: (n h w c).
    true: (n k 3), predicted: (n k 2); between: see `visionlab.measures.landmarks`.
  """
  errors = normalised_errors(predicted[:most], true[:most], between)
  zoom = max(1, round(SIDE / images.shape[1]))
  drawn = []
  for image, own, said in zip(images[:most], true, predicted, strict=False):
    picture = as_picture(image, zoom)
    rings = np.where(own[:, 2:] > 0, [1], [0])
    picture = draw_keypoints(picture, np.concatenate([own[None, :, :2], rings[None]], -1),
                             sides=['left'] * len(own), zoom=zoom)
    dots = np.concatenate([said, np.full((len(said), 1), 2)], -1)[None]
    drawn.append(draw_keypoints(picture, dots, sides=['right'] * len(said), zoom=zoom))
  captions = ['an eye is not known' if np.isnan(e) else f'{e:.1%}' for e in errors]
  return image_grid(np.stack(drawn), captions, ~(errors > FAILED),
                    'Landmarks: rings where they are, dots where they were found', columns=6)


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
