"""Pictures of what features find in an X, with all numbers."""

import numpy as np

from experiments.filters.crosses import FEATURES, IMAGES, X, compared, found
from visionlab.figures.charts import new_axes, rendered
from visionlab.figures.drawing import below

SIDE = 7                    # of a response to an image of nine by nine
EXACT, POOR = 1 - 1e-4, .7
COLOURS = dict(zip(FEATURES, ('tab:green', 'tab:purple', 'tab:orange'), strict=True))


def picture() -> np.ndarray:
  """The layer at work on the X, above what it says of other images."""
  return below([layer(), others()], gap=0)


def layer() -> np.ndarray:
  """A row for each feature: it, its response to the X, the ReLU of that, and the largest of 2x2."""
  figure, axes = new_axes(3, 5, (13.5, 8.1))
  for axis in axes[[0, 2], 0]:
    axis.axis('off')
  _bitmap(axes[1, 0], X, 'the image')
  titles = 'response: the mean product', 'ReLU: no less than 0', 'the largest of 2 x 2'
  for (name, feature), row in zip(FEATURES.items(), axes, strict=True):
    _bitmap(row[1], feature, f'feature: {name}', COLOURS[name])
    for axis, values, title in zip(row[2:], found(X, feature), titles, strict=True):
      _numbers(axis, values, title)
  return rendered(figure)


def others() -> np.ndarray:
  """Images with the best matches of each feature framed, above the response of one feature; dotted
  where they are not exact, and left out where they are poor."""
  figure, axes = new_axes(2, len(IMAGES), (13.5, 6.4))
  for (name, image), (above, beneath) in zip(IMAGES.items(), axes.T, strict=True):
    row = compared(image)
    _bitmap(above, image, f'{name}\npixel by pixel {row["pixel by pixel"]}\n'
                          f'feature by feature {row["feature by feature"]}', signs=False)
    for kind, feature in FEATURES.items():
      response = found(image, feature).response
      _frame(above, np.argwhere(response > max(response.max() - 1e-4, POOR)), COLOURS[kind],
             '-' if response.max() > EXACT else ':')
    _numbers(beneath, found(image, FEATURES['crossing']).response, 'response of "crossing"')
  return rendered(figure)


def _bitmap(axis, image, title, colour='black', signs=True):
  """Pixels of 1 and -1 in white and grey."""
  axis.imshow(image, cmap='gray', vmin=-2.2, vmax=1)
  if signs:
    for (i, j), v in np.ndenumerate(image):
      axis.text(j, i, '1' if v > 0 else '−1', ha='center', va='center', fontsize=8,
                color='black' if v > 0 else 'white')
  _finish(axis, image, title, colour)


def _numbers(axis, values, title):
  """A map with its numbers: red is like the feature, blue unlike it, and exact matches are bold."""
  axis.imshow(values, cmap='RdBu_r', vmin=-1.3, vmax=1.3)
  for (i, j), v in np.ndenumerate(values):
    exact = v > EXACT
    text = '0' if abs(v) < .005 else f'{v:.2f}'.replace('0.', '.').replace('-', '−')
    axis.text(j, i, text, ha='center', va='center', fontsize=7.5,
              color='white' if exact else 'black', fontweight='bold' if exact else 'normal')
  _finish(axis, values, title, 'black')


def _finish(axis, values, title, colour):
  """White lines between pixels, no axes; small maps have pixels as large as those of others."""
  n = len(values)
  wide = max(n, SIDE)
  axis.set(xlim=((n - wide - 1) / 2, (n + wide - 1) / 2),
           ylim=((n + wide - 1) / 2, (n - wide - 1) / 2))
  axis.set_title(title, fontsize=9.5, color=colour, y=(1 + n / wide) / 2 + .01, pad=3)
  axis.set_xticks(np.arange(n + 1) - .5, [])
  axis.set_yticks(np.arange(n + 1) - .5, [])
  axis.grid(color='white', linewidth=.8)
  axis.tick_params(length=0)
  axis.spines[:].set_visible(False)
  ends = np.array([-.5, n - .5])           # a rim, for what is white at the edge
  for place in ends:
    axis.plot(ends, [place] * 2, [place] * 2, ends, color='grey', linewidth=.8, clip_on=False)


def _frame(axis, places, colour, line):
  """Squares around matches of three by three, by their upper left corners."""
  for i, j in places:
    axis.plot(np.array([j, j + 3, j + 3, j, j]) - .5, np.array([i, i, i + 3, i + 3, i]) - .5,
              color=colour, linewidth=2, linestyle=line, clip_on=False)
