"""Object detectors that emerged in a network (Zhou et al. 2015, https://arxiv.org/abs/1412.6856).

Where a unit is large, what of the image makes it so? A small block hides one part after another;
how much the unit changes is the discrepancy map. Averaged over the images that excite the unit
most, each shifted so that the unit's place is in the middle, that is the field it uses, which is
mostly far smaller than what it could see.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Source
from visionlab.understand.dissect import enlarged, enlargement
from visionlab.understand.patches import Best
from visionlab.understand.receptive_field import receptive_fields
from visionlab.understand.streaming import as_source, checked_units, maps_of
from visionlab.understand.subject import Subject, floats

SIDE, STRIDE = 11, 3           # of the block that hides: the paper's, on images of 227 pixels
LEVEL = .2                     # of a map's maximum, above which it is part of the segmentation
EDGE = .2                      # of a mean discrepancy map's maximum: what counts as the field


def segmented(subject: Subject, source: Source | np.ndarray, best: Best, units: Sequence[int], *,
              level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
  """Which pixels of its best images a unit is large at.

  Returns:
    images (u k h w c) in [0, 1], and (u k h w) bool: the unit's map, enlarged to the image, above
    `level` of its maximum.
  """
  source, units = as_source(source), checked_units(units, len(best.values))
  numbers = np.maximum(best.images[units], 0)
  unique, where = np.unique(numbers, return_inverse=True)
  images = floats(source[unique]['image'])
  rows, columns = enlargement(subject, source, best.layer)
  masks = np.stack([_above(subject, images[i:i + 1], units, rows, columns, np.float32(level),
                           best.layer) for i in range(len(images))])          # (images u h w)
  where = where.reshape(numbers.shape)
  there = best.images[units][..., None, None] >= 0
  return images[where], masks[where, np.arange(len(units))[:, None]] & there


@partial(jax.jit, static_argnames='at')
def _above(subject, images, units, rows, columns, level, at):
  maps = maps_of(subject, images, at)[0].astype(jnp.float32)
  maps = enlarged(maps[..., units], rows, columns).transpose(2, 0, 1)
  highest = maps.max((1, 2), keepdims=True)
  return (maps > level * highest) & (highest > 0)


def discrepancy(subject: Subject, image: np.ndarray, at: str, unit: int, place: Sequence[int], *,
                side: int = SIDE, stride: int = STRIDE, fill: float = .5,
                chunk: int = 64) -> np.ndarray:
  """How much a unit at a place changes where a block hides the image.

  Args:
    image: (h w c), uint8 or in [0, 1].
    place: row and column of the layer's map.
    side, stride: of the block, in pixels; the last ones end at the image's border.
    fill: what is put in its place, in [0, 1].
    chunk: blocks at a time, which bounds the memory.

  Returns:
    (h w) f32: the mean change, in size, over the blocks that hide a pixel. 0 outside the unit's
    receptive field and the blocks that reach into it.
  """
  image = floats(image[None])[0]
  if not 0 < side <= min(image.shape[:2]) or stride < 1:
    raise ConfigError(f'side {side}, stride {stride}: of blocks that hide an image of '
                      f'{image.shape[0]} x {image.shape[1]}')
  corners = np.stack(np.meshgrid(*(_starts(n, side, stride) for n in image.shape[:2]),
                                 indexing='ij'), -1).reshape(-1, 2).astype(np.int32)
  changes = np.asarray(_changes(subject, image, corners, np.int32(unit), np.asarray(place),
                                np.float32(fill), at, side, min(chunk, len(corners))))
  total, count = np.zeros(image.shape[:2], np.float32), np.zeros(image.shape[:2], np.float32)
  for (y, x), change in zip(corners, changes, strict=True):
    total[y:y + side, x:x + side] += change
    count[y:y + side, x:x + side] += 1
  return total / np.maximum(count, 1)


def _starts(n, side, stride):
  """Where blocks begin: at every `stride` pixels, the last where the image ends."""
  starts = np.arange(0, n - side + 1, stride)
  return starts if starts[-1] == n - side else np.append(starts, n - side)


@partial(jax.jit, static_argnames=('at', 'side', 'chunk'))
def _changes(subject, image, corners, unit, place, fill, at, side, chunk):
  y, x = jnp.arange(image.shape[0]), jnp.arange(image.shape[1])

  def value(images):
    return maps_of(subject, images, at)[:, place[0], place[1], unit]

  def hidden(corners):
    inside = lambda axis, start: (axis >= start[:, None]) & (axis < start[:, None] + side)
    block = inside(y, corners[:, 0])[:, :, None] & inside(x, corners[:, 1])[:, None]
    return value(jnp.where(block[..., None], fill, image))
  n = len(corners)
  padded = jnp.pad(corners, ((0, -n % chunk), (0, 0)), mode='edge').reshape(-1, chunk, 2)
  return jnp.abs(jax.lax.map(hidden, padded).reshape(-1)[:n] - value(image[None])[0])


def used_field(subject: Subject, source: Source | np.ndarray, best: Best, unit: int, *,
               side: int = SIDE, stride: int = STRIDE, chunk: int = 64) -> np.ndarray:
  """The mean (h w) of a unit's discrepancy maps over its best images, each divided by its maximum
  and shifted so that the centre of the unit's receptive field is at (h // 2, w // 2)."""
  source = as_source(source)
  checked_units([unit], len(best.values))
  total, n = 0., 0
  for number, place in zip(best.images[unit], best.places[unit], strict=True):
    if number < 0:
      continue
    image = source[np.array([number])]['image'][0]
    found = discrepancy(subject, image, best.layer, unit, place, side=side, stride=stride,
                        chunk=chunk)
    if n == 0:
      y, x = receptive_fields(subject, [best.layer], image.shape)[best.layer].centres
    total, n = total + _shifted(found / max(found.max(), 1e-30), y[place[0]], x[place[1]]), n + 1
  return total / max(n, 1)


def field_size(mean: np.ndarray, edge: float = EDGE) -> float:
  """The side in pixels of a square with as many pixels as exceed `edge` of the maximum."""
  return float(np.sqrt((mean > edge * mean.max()).sum()))


def _shifted(image, y, x):
  """(h w) with what is at (y, x) in the middle, and 0 where that leaves nothing."""
  h, w = image.shape
  canvas = np.zeros((3 * h, 3 * w), image.dtype)
  top, left = (h + round(float(h // 2 - y)), w + round(float(w // 2 - x)))
  top, left = min(max(top, 0), 2 * h), min(max(left, 0), 2 * w)
  canvas[top:top + h, left:left + w] = image
  return canvas[h:2 * h, w:2 * w]
