"""An X of nine by nine pixels, and what three features of it find in it and in others like it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.ops.filters import filter_image
from visionlab.ops.pool import max_pool


def _pixels(*rows: str) -> np.ndarray:
  """Rows of '#', 1, and '.', -1."""
  return np.array([[1. if c == '#' else -1. for c in row] for row in rows], np.float32)


FEATURES = {
    'falling': _pixels('#..', '.#.', '..#'),
    'crossing': _pixels('#.#', '.#.', '#.#'),
    'rising': _pixels('..#', '.#.', '#..')}
X = _pixels('.........',
            '.#.....#.',
            '..#...#..',
            '...#.#...',
            '....#....',
            '...#.#...',
            '..#...#..',
            '.#.....#.',
            '.........')
IMAGES = {
    'X': X,
    'X, a pixel to the right': np.pad(X[:, :-1], ((0, 0), (1, 0)), constant_values=-1),
    'X, its upper arms bent': _pixels('.........',
                                      '#.......#',
                                      '.#.....#.',
                                      '..##.##..',
                                      '....#....',
                                      '...#.#...',
                                      '..#...#..',
                                      '.#.....#.',
                                      '.........'),
    'X, turned and bent': _pixels('.........',
                                  '......#..',
                                  '.#...#...',
                                  '..##.#...',
                                  '....#....',
                                  '...#.##..',
                                  '...#...#.',
                                  '..#......',
                                  '.........'),
    'O': _pixels('.........',
                 '...###...',
                 '..#...#..',
                 '.#.....#.',
                 '.#.....#.',
                 '.#.....#.',
                 '..#...#..',
                 '...###...',
                 '.........')}


class Found(NamedTuple):
  """What a feature finds in an image (9 9).

  Attributes:
    response: (7 7), the mean product of the feature's pixels and those beneath it, 1 where all are
      alike and -1 where none is.
    rectified: (7 7), its ReLU.
    pooled: (4 4), the largest of each 2 x 2 of those; the last row and column hold what is left.
  """
  response: np.ndarray
  rectified: np.ndarray
  pooled: np.ndarray


def found(image: np.ndarray, feature: np.ndarray) -> Found:
  """One layer of a convolutional network, by hand."""
  response = filter_image(jnp.asarray(image)[..., None], feature / feature.size, 'valid')
  rectified = jax.nn.relu(response)
  pooled = max_pool(rectified[None], 2, ceil=True)[0]
  return Found(*(np.asarray(x[..., 0]) for x in (response, rectified, pooled)))


def matches(response: np.ndarray) -> list[tuple[int, int]]:
  """Where a feature matches exactly: its upper left corners (row, column) in the image."""
  return [tuple(place) for place in np.argwhere(response > 1 - 1e-4).tolist()]


def compared(image: np.ndarray) -> dict[str, object]:
  """An image and the X, pixel by pixel and feature by feature."""
  responses = [found(image, feature).response for feature in FEATURES.values()]
  return {'bright pixels in common, of 13': int(((image > 0) & (X > 0)).sum()),
          'pixel by pixel': f'{(image * X).mean():.2f}',
          **{f'best {name}': f'{response.max():.2f}'
             for name, response in zip(FEATURES, responses, strict=True)},
          'feature by feature': f'{np.mean([response.max() for response in responses]):.2f}',
          'exact matches': ' + '.join(str(len(matches(response))) for response in responses)}


def rows() -> list[dict[str, object]]:
  """A row of the table for each image."""
  return [{'image': name, **compared(image)} for name, image in IMAGES.items()]
