"""Dense predictions for images of any size, through one program for tiles of one size.

An image is covered with overlapping tiles, the network is asked about each, and the answers are
blended. That is exact, too: where the network looks no further around a pixel than a quarter of
the overlap, the result is what it would have said of the whole image at once.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from PIL import Image

from visionlab.config import ConfigError


class Axis(NamedTuple):
  """How one side of an image is covered.

  Attributes:
    starts: where each tile begins.
    length: of the side once it is filled up, so that the last tile is full.
    weights: (tiles, tile) float32, what each tile's answers count for; at every pixel they add up
      to one. At an inner edge a quarter of the overlap counts nothing, for there the network saw
      the padding; the half in the middle is a linear ramp.
  """
  starts: tuple[int, ...]
  length: int
  weights: np.ndarray

  def owners(self, align: int = 1) -> Iterator[tuple[int, int, int]]:
    """(start, first, end) of each tile: the pixels that are its own, up to the middle of each
    overlap, on a grid of `align` pixels."""
    tile = self.weights.shape[1]
    bounds = [(a + tile + b) // 2 // align * align
              for a, b in zip(self.starts, self.starts[1:], strict=False)]
    yield from zip(self.starts, [0, *bounds], [*bounds, self.length], strict=True)


def plan(length: int, tile: int, overlap: int, align: int = 1) -> Axis:
  """Covers `length` pixels by the fewest tiles that overlap by at least `overlap`, evenly spread.

  Args:
    align: tiles start at multiples of this. A network that strides by it then sees the image on
      the same grid in every tile.

  Raises:
    ConfigError: no tiles of that size can overlap so.

  >>> plan(10, 4, 1).starts, plan(3, 4, 1).starts, plan(10, 4, 0, align=4).length
  ((0, 3, 6), (0,), 12)
  """
  if not 0 <= overlap <= tile - align:
    raise ConfigError(f'tiles of {tile} pixels that start at multiples of {align} can overlap by '
                      f'0 to {tile - align}, not {overlap}')
  stride = (tile - overlap) // align * align
  count = 1 + max(0, -(-(length - tile) // stride))
  last = -(-max(length - tile, 0) // align)
  # Rounded down, no two starts are further apart than `stride`, itself a multiple of `align`.
  starts = tuple(i * last // max(count - 1, 1) * align for i in range(count))
  raw = np.stack([_window(tile, before, after) for before, after in _overlaps(starts, tile)])
  total = np.zeros(starts[-1] + tile)
  for start, weight in zip(starts, raw, strict=True):
    total[start:start + tile] += weight
  weights = [weight / total[start:start + tile] for start, weight in zip(starts, raw, strict=True)]
  return Axis(starts, starts[-1] + tile, np.array(weights, np.float32))


def _overlaps(starts, tile):
  """For each tile, by how much it overlaps with the one before and the one after; 0: none."""
  shared = [0, *(a + tile - b for a, b in zip(starts, starts[1:], strict=False)), 0]
  return list(zip(shared, shared[1:], strict=False))


def _window(tile, before, after):
  """A ramp over the overlap before, ones, a ramp down over the overlap after: (tile,)."""
  at = np.arange(tile) + .5

  def ramp(distance, overlap):
    if not overlap:
      return np.ones(tile)
    quarter = overlap // 4
    return np.clip((distance - quarter) / (overlap - 2 * quarter), 0, 1)
  return ramp(at, before) * ramp(tile - at, after)


def tiled(predict: Callable[[np.ndarray], np.ndarray], images: Sequence[np.ndarray],
          tile: tuple[int, int], *, answer: tuple[int, int] | None = None,
          overlap: int | None = None, batch: int = 8, align: int = 32) -> Iterator[np.ndarray]:
  """What `predict` says of every pixel of images of any size.

  Images are filled up by reflection where they are too small for a tile, and all around for a
  network whose answer is smaller than the tile (the overlap-tile strategy of U-Net,
  https://arxiv.org/abs/1505.04597, figure 2).

  Args:
    predict: (batch *tile c) -> (batch *answer k), what it says of the middle of each tile.
    images: (h w c) each.
    tile: height and width.
    answer: height and width of the answers; None for those of the tile.
    overlap: of answers, at least, in pixels; None for a quarter of their shorter side.
    batch: tiles at a time, of any images. The last batch is filled up: one program serves all.
    align: see `plan`; less where the tile is too small for it.

  Yields:
    (h w k) float32 for each image.

  Raises:
    ConfigError: no tiles of that size can overlap so.
  """
  answer = answer or tile
  overlap = min(answer) // 4 if overlap is None else overlap
  plans = [[plan(n, part, overlap, max(1, min(align, part - overlap)))
            for n, part in zip(image.shape[:2], answer, strict=True)] for image in images]
  count = sum(len(rows.starts) * len(columns.starts) for rows, columns in plans)
  batch = min(batch, 1 << (count - 1).bit_length())
  answers = _answers(predict, _cut(images, plans, tile, answer), batch)
  for image, axes in zip(images, plans, strict=True):
    whole = None
    for (top, left, weight), said in zip(_places(axes), answers, strict=False):  # in this order
      if whole is None:
        whole = np.zeros((axes[0].length, axes[1].length, said.shape[-1]), np.float32)
      whole[top:top + answer[0], left:left + answer[1]] += said * weight
    yield whole[:image.shape[0], :image.shape[1]]


def _places(axes: Sequence[Axis]) -> Iterator[tuple[int, int, np.ndarray]]:
  """Top, left and weights (h' w' 1) of every tile."""
  rows, columns = axes
  for top, down in zip(rows.starts, rows.weights, strict=True):
    for left, across in zip(columns.starts, columns.weights, strict=True):
      yield top, left, (down[:, None] * across)[..., None]


def _cut(images, plans, tile, answer) -> Iterator[np.ndarray]:
  """The pixels of every tile of every image, which grows by the margins of the answer."""
  for image, axes in zip(images, plans, strict=True):
    margins = [(t - a) // 2 for t, a in zip(tile, answer, strict=True)]
    missing = [(m, axis.length - n + t - a - m) for axis, n, t, a, m in
               zip(axes, image.shape[:2], tile, answer, margins, strict=True)]
    image = np.pad(image, [*missing, (0, 0)], mode='reflect')
    for top, left, _ in _places(axes):
      yield image[top:top + tile[0], left:left + tile[1]]


def _answers(predict, tiles, batch) -> Iterator[np.ndarray]:
  """predict's answers one by one, asked for in batches of one shape."""
  while some := list(islice(tiles, batch)):
    filled = some + some[:1] * (batch - len(some))
    yield from np.asarray(predict(np.stack(filled)), np.float32)[:len(some)]


def segment_images(probabilities: Callable[[np.ndarray], np.ndarray], images: Sequence[np.ndarray],
                   tile: tuple[int, int], *, scale: float | str = 1.,
                   **options) -> Iterator[dict[str, np.ndarray]]:
  """The likeliest class of every pixel of images of any size.

  Args:
    probabilities: (batch *tile c) -> (batch h' w' k).
    images: (h w c) uint8 each.
    tile: height and width.
    scale: of what the network is shown. Networks know objects at the size they were trained on: 1
      for images like those; 'fit' where whole images were shrunk to the tile, which makes them
      just cover it.
    options: of `tiled`.

  Yields:
    `prediction` (h w) uint8, or int32 for more than 255 classes, and `confidence` (h w) float32,
    its probability, for each image.

  Raises:
    ConfigError: a scale that is neither, no images, or what `tiled` raises.
  """
  if not images:
    raise ConfigError('segment: no images')
  if scale != 'fit' and not (isinstance(scale, int | float) and scale > 0):
    raise ConfigError(f'segment: scale must be above 0, or "fit", not {scale!r}')
  shown = [image if scale == 1 else _scaled(image, tile, scale) for image in images]
  for image, said in zip(images, tiled(probabilities, shown, tile, **options), strict=True):
    if said.shape[:2] != image.shape[:2]:
      said = np.stack([_resized(part, image.shape[:2]) for part in np.moveaxis(said, -1, 0)], -1)
    kind = np.uint8 if said.shape[-1] <= 255 else np.int32
    yield dict(prediction=said.argmax(-1).astype(kind), confidence=said.max(-1))


def _scaled(image, tile, scale):
  h, w = image.shape[:2]
  if scale == 'fit':
    scale = max(tile[0] / h, tile[1] / w)
  return _resized(image, (max(1, round(h * scale)), max(1, round(w * scale))))


def _resized(array, size):
  """Bilinear, and averaged where it gets smaller: (h w) float32 or (h w c) uint8."""
  if array.shape[:2] == tuple(size):
    return array
  grey = array.ndim == 3 and array.shape[2] == 1
  picture = Image.fromarray(np.ascontiguousarray(array[..., 0] if grey else array))
  picture = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
  return picture[..., None] if grey else picture
