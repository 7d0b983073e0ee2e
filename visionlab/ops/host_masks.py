"""Masks of instances on the host: put where they are in their images, and encoded as COCO does.

Run lengths are counts of 0s, then of 1s, and so on, down one column of the image after the other.
"""

from collections.abc import Sequence

import numpy as np
from faster_coco_eval.core import mask as coco

from visionlab.ops.boxes import LEAST_SIDE


def encode(masks: Sequence[np.ndarray], frames: np.ndarray,
           size: tuple[int, int]) -> tuple[list[bytes], np.ndarray]:
  """The compressed run lengths of n masks in their frames (n 4), and their areas (n,) in pixels.

  masks and size are as `paste_bitmap` takes them.
  """
  # Not `coco.encode`, which goes through all of an image for every mask: four times as long.
  runs = [run_lengths(*paste_bitmap(mask, frame, size), size)
          for mask, frame in zip(masks, frames, strict=True)]
  codes = [dict(size=list(size), counts=one.tolist()) for one in runs]
  codes = coco.frPyObjects(codes, *size) if codes else []
  return ([code['counts'] for code in codes],
          np.array([one[1::2].sum() for one in runs], np.float64))


def paste_bitmap(mask: np.ndarray, frame: np.ndarray,
                 size: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
  """The part of an image of size (h, w) in which a mask may be set, and where that part begins.

  The mask is interpolated bilinearly, fading to zero over half a cell about the frame's edge, and
  set where it is at least .5; outside of the frame it never is.

  Args:
    mask: (s t) bool, uint8 up to 255, or a probability.
    frame: (4,) the box in the image that the mask depicts.

  Returns:
    bitmap (i j) bool, and its (top, left).

  >>> paste_bitmap(np.ones((2, 2)), np.array([1., 0, 3, 1]), (2, 4))
  (array([[ True,  True]]), (0, 1))
  """
  x1, y1, x2, y2 = np.asarray(frame, np.float64).tolist()
  top, *rows = _samples(y1, y2, size[0], mask.shape[0])
  left, *columns = _samples(x1, x2, size[1], mask.shape[1])
  half = 127.5 if mask.dtype == np.uint8 else .5
  # Not as matrix products: BLAS's threads take ten times as long when other cores are busy.
  values = _between(_between(mask, *rows).T, *columns).T
  return values >= half, (top, left)


def _samples(start, end, pixels, s):
  """Along one axis, the first pixel whose centre is in [start, end] and, for it and the m after it,
  the cells (m,) on either side among s, which an empty one precedes and follows, and the share of
  the second."""
  first, last = max(0, int(np.ceil(start - .5))), min(pixels - 1, int(np.floor(end - .5)))
  at = (np.arange(first, last + 1) + (.5 - start)) * (s / max(end - start, LEAST_SIDE)) + .5
  cell = at.astype(np.intp)
  return first, cell, (at - cell).astype(np.float32)


def _between(values, cell, share):
  """Rows of `values` (s t), interpolated; before the first and after the last there are zeros."""
  if len(values) == len(cell) and cell[0] == 1 and not share.any():
    return values                # a bitmap of the image itself
  padded = np.zeros((len(values) + 2, values.shape[1]), np.float32)
  padded[1:-1] = values
  low = padded[cell]
  low += share[:, None] * (padded[cell + 1] - low)
  return low


def paste_bitmaps(masks: Sequence[np.ndarray], frames: np.ndarray,
                  size: tuple[int, int]) -> np.ndarray:
  """n masks in their frames (n 4) as bitmaps (n h w) of an image of size (h, w).

  >>> paste_bitmaps(np.ones((1, 2, 2)), np.array([[1., 0, 3, 1]]), (2, 4)).astype(int).tolist()
  [[[0, 1, 1, 0], [0, 0, 0, 0]]]
  """
  bitmaps = np.zeros((len(masks), *size), bool)
  for whole, mask, frame in zip(bitmaps, masks, frames, strict=True):
    part, (top, left) = paste_bitmap(mask, frame, size)
    whole[top:top + part.shape[0], left:left + part.shape[1]] = part
  return bitmaps


def run_lengths(bitmap: np.ndarray, corner: tuple[int, int],
                size: tuple[int, int]) -> np.ndarray:
  """The runs (m,) in an image of size (h, w) of which `bitmap` (i j) is the part at `corner`.

  >>> run_lengths(np.array([[True, True]]), (0, 1), (2, 4)).tolist()
  [2, 1, 1, 1, 3]
  """
  (h, w), (top, left), (i, j) = size, corner, bitmap.shape
  columns = np.zeros((j, i + 2), bool)
  columns[:, 1:-1] = bitmap.T
  column, row = np.divmod(np.flatnonzero(columns[:, 1:] != columns[:, :-1]), i + 1)
  edges = (left + column) * h + top + row
  if i == h:                     # a run that goes on at the top of the next column is one run
    joined = np.flatnonzero(edges[1:] == edges[:-1])
    edges = np.delete(edges, [joined, joined + 1])
  whole = np.concatenate([[0], edges, [h * w]])
  runs = whole[1:] - whole[:-1]
  return runs if runs[-1] else runs[:-1]
