"""Masks of objects as polygons or run lengths, in flat arrays, and crops made of them.

A crop is what a mask covers of each cell of a grid over its frame: a hundred objects take 1.25 MB
in whatever image they lie. Points are continuous: pixel i spans [i, i + 1).
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco
from PIL import Image

CROP = 112       # cells along each side of a crop


class Runs(NamedTuple):
  """A bitmap, column by column, as the lengths of runs of zeros and ones in turn.

  Attributes:
    counts: (r,) beginning with zeros, of which there may be none.
    size: (height, width) of the bitmap.
  """
  counts: np.ndarray
  size: tuple[int, int]


Shape = Sequence[Sequence[float]] | Runs


class Outlines:
  """The masks of m objects.

  Args:
    shapes: of each object its polygons, each (x1, y1, x2, y2, ...), which are united; or `Runs`;
      no polygon is an empty mask.

  Attributes:
    bounds: (m 4) float32, the smallest boxes around the masks; zeros of empty ones.

  >>> outlines = Outlines([[(2, 1, 6, 1, 6, 5)], runs_of(np.eye(4) > 0)])
  >>> outlines.bounds.tolist()
  [[2.0, 1.0, 6.0, 5.0], [0.0, 0.0, 4.0, 4.0]]
  >>> outlines.crop(0, (2, 1, 6, 5), size=2).tolist()       # a triangle
  [[128, 255], [0, 128]]
  """

  def __init__(self, shapes: Iterable[Shape]):
    shapes = list(shapes)
    runs = {i: shape for i, shape in enumerate(shapes) if isinstance(shape, Runs)}
    rings = [() if i in runs else shape for i, shape in enumerate(shapes)]
    self.rings = _starts(map(len, rings))                     # an object's in `points`' starts
    rings = list(chain.from_iterable(rings))
    self.starts = _starts(len(ring) // 2 for ring in rings)
    self.points = np.concatenate([np.zeros(0), *rings], dtype=np.float32,
                                 casting='same_kind').reshape(-1, 2)
    self.runs = _starts(len(runs[i].counts) if i in runs else 0 for i in range(len(shapes)))
    self.counts = np.concatenate([[], *(run.counts for run in runs.values())]).astype(np.uint32)
    self.heights = np.array([runs[i].size[0] if i in runs else 0 for i in range(len(shapes))])
    self.bounds = np.zeros((len(shapes), 4), np.float32)
    first = self.starts[self.rings]                           # an object's first point
    some = np.flatnonzero(first[1:] > first[:-1])
    if some.size:
      self.bounds[some, :2] = np.minimum.reduceat(self.points, first[some])
      self.bounds[some, 2:] = np.maximum.reduceat(self.points, first[some])
    for i, run in runs.items():
      self.bounds[i] = coco.toBbox(_code(run))
      self.bounds[i, 2:] += self.bounds[i, :2]

  def __len__(self) -> int:
    return len(self.bounds)

  def crop(self, i: int, frame: Sequence[float], size: int = CROP) -> np.ndarray:
    """What mask i covers of each cell of a grid over `frame` (x1, y1, x2, y2).

    Returns:
      (size size) uint8, 255 where it covers a cell entirely.
    """
    low, high = np.float64(frame[:2]), np.float64(frame[2:])
    counts = self.counts[self.runs[i]:self.runs[i + 1]]
    if counts.size:
      covered = Image.fromarray(255 * bitmap(Runs(counts, self._size(i, counts))).view(np.uint8))
      # With BOX, a cell is the mean of the pixels in it, and parts of a pixel are that pixel.
      return np.asarray(covered.resize((size, size), Image.Resampling.BOX, (*low, *high)))
    edges = self.starts[self.rings[i]:self.rings[i + 1] + 1]
    zoom = size / (high - low)
    covered = np.zeros((size, size))
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
      covered += coverage((self.points[start:stop] - low) * zoom, size)
    return np.round(255 * np.minimum(covered, 1)).astype(np.uint8)

  def _size(self, i, counts):
    return int(self.heights[i]), int(counts.sum()) // int(self.heights[i])


def coverage(polygon: np.ndarray, size: int) -> np.ndarray:
  """What share of each cell of a grid lies in a polygon, exactly.

  The signed area to the right of each edge is summed up, as font renderers do. Where the outline
  winds around a place several times, that counts once.

  Args:
    polygon: (k 2) corners, in cells; it may stick out of the grid.
    size: cells along each side.

  Returns:
    (size size) float64 in [0, 1].

  >>> coverage(np.array([[0, 0], [1.5, 0], [1.5, 2], [0, 2]]), size=2).tolist()
  [[1.0, 0.5], [1.0, 0.5]]
  """
  start = np.asarray(polygon, np.float64)
  step = np.roll(start, -1, axis=0) - start
  whole = np.arange(len(start))
  edge, at = [whole, whole], [np.zeros(len(start)), np.ones(len(start))]
  for axis in (0, 1):
    cut, place = _crossings(start[:, axis], step[:, axis], size)
    edge, at = [*edge, cut], [*at, place]
  edge, at = np.concatenate(edge), np.concatenate(at)
  order = np.lexsort((at, edge))
  edge, at = edge[order], at[order]
  points = start[edge] + at[:, None] * step[edge]
  # Between two cuts an edge stays within one cell, or outside of the grid.
  middle, rise = (points[1:] + points[:-1]) / 2, points[1:, 1] - points[:-1, 1]
  row = np.floor(middle[:, 1]).astype(np.int64)
  inside = (edge[1:] == edge[:-1]) & (row >= 0) & (row < size)
  x, row, rise = np.clip(middle[inside, 0], 0, size), row[inside], rise[inside]
  column = np.minimum(x.astype(np.int64), size - 1)
  cell, part = row * (size + 1) + column, x - column
  change = (np.bincount(cell, rise * (1 - part), size * (size + 1))
            + np.bincount(cell + 1, rise * part, size * (size + 1)))
  area = np.cumsum(change.reshape(size, size + 1), axis=1)[:, :size]
  return np.minimum(abs(area), 1)


def _crossings(start: np.ndarray, step: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
  """Along one axis, the edges that cross lines 0, ..., size of the grid, and where, in (0, 1)."""
  low, high = np.minimum(start, start + step), np.maximum(start, start + step)
  first, last = np.maximum(np.floor(low) + 1, 0), np.minimum(np.ceil(high) - 1, size)
  number = np.maximum(last - first + 1, 0).astype(np.int64)
  edge = np.repeat(np.arange(len(start)), number)
  line = first[edge] + np.arange(len(edge)) - _starts(number)[edge]
  return edge, (line - start[edge]) / step[edge]


def bitmap(runs: Runs) -> np.ndarray:
  """The (h w) bool that runs stand for.

  >>> bitmap(Runs(np.array([1, 2, 3]), (2, 3))).astype(int).tolist()
  [[0, 1, 0], [1, 0, 0]]
  """
  return np.ascontiguousarray(coco.decode(_code(runs)).view(bool))


def runs_of(mask: np.ndarray) -> Runs:
  """The runs of a bitmap (h w) bool; the inverse of `bitmap`."""
  code = coco.encode(np.asfortranarray(mask).view(np.uint8))
  return Runs(read_counts(code['counts']), mask.shape)


def _code(runs: Runs) -> dict:
  """As COCO's library takes them."""
  return coco.frPyObjects(dict(size=list(runs.size), counts=runs.counts.tolist()), *runs.size)


def read_counts(text: str | bytes) -> np.ndarray:
  """The counts (r,) in COCO's compressed form of them, int64.

  Every character holds five bits, least first, and whether more follow; the fifth bit of the last
  is the sign. From the fourth count on, what is written is the difference to the count before the
  last.

  Raises:
    ValueError: other characters, or the last number has no end.

  >>> read_counts('52203').tolist()                       # 5, 2, 2, 2 + 0, 2 + 3
  [5, 2, 2, 2, 5]
  """
  data = np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8).astype(np.int64)
  data = data - ord('0')
  last = data & 32 == 0
  if data.size == 0 or not last[-1] or data.min() < 0 or data.max() > 63:
    raise ValueError('the compressed counts are damaged')
  ends = np.flatnonzero(last)
  starts = np.concatenate([[0], ends[:-1] + 1])
  number = np.cumsum(last) - last
  place = 5 * (np.arange(data.size) - starts[number])
  if place.max() > 30:
    raise ValueError('the compressed counts are damaged')
  counts = np.add.reduceat((data & 31) << place, starts)
  counts -= np.where(data[ends] & 16, 1 << (place[ends] + 5), 0)
  for first in (1, 2):
    counts[first::2] = np.cumsum(counts[first::2])
  return counts


def _starts(lengths: Iterable[int]) -> np.ndarray:
  """(n + 1,) where each of n parts of these lengths begins, and where the last one ends."""
  return np.fromiter(accumulate(lengths, initial=0), np.int64)
