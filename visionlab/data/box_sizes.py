"""Sizes of the boxes in a source, and the anchors that fit them: k-means by IoU (YOLOv2)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Concat, Source, Subset
from visionlab.data.sources.objects import Objects

MOST = 20_000              # boxes that are clustered, drawn from all
LOOKED_AT = 256            # images that are read, where boxes are not known before
STARTS = 10


class Anchors(NamedTuple):
  """What a detector's `anchor_sizes` and `anchor_ratios` are."""
  sizes: tuple[tuple[float, ...], ...]
  ratios: tuple[float, ...]

  def boxes(self) -> np.ndarray:
    """Widths and heights (a 2) of all of them."""
    sizes = np.concatenate([np.array(own, float) for own in self.sizes])[:, None]
    root = np.sqrt(np.array(self.ratios, float))
    return np.stack([sizes / root, sizes * root], -1).reshape(-1, 2)


def known_sizes(source: Source) -> np.ndarray | None:
  """Widths and heights (n 2) of all boxes that are learnt, in pixels of the canvas, before any
  augmentation; None where they are not known without reading the images."""
  if isinstance(source, Subset):
    of_images = _by_image(source.source)
    if of_images is None:
      return None
    owner, sizes = of_images
    times = np.bincount(source.indices, minlength=len(source.source))
    return np.repeat(sizes, times[owner], axis=0)
  if isinstance(source, Concat):
    parts = [known_sizes(part) for part in source.sources]
    return None if any(part is None for part in parts) else np.concatenate(parts)
  of_images = _by_image(source)
  return None if of_images is None else of_images[1]


def read_sizes(source: Source) -> np.ndarray:
  """As `known_sizes`; where they are not known, those of the first images, which are read."""
  known = known_sizes(source)
  return _of_batch(source[np.arange(min(len(source), LOOKED_AT))]) if known is None else known


def _by_image(source: Source) -> tuple[np.ndarray, np.ndarray] | None:
  """The image (n,) and the width and height (n 2) of each box."""
  if isinstance(source, Objects):
    annotations = source.annotations
    zoom = (source.extents / annotations.sizes)[annotations.owner, ::-1]
    corners, learnt = annotations.boxes, ~annotations.crowd
    return annotations.owner[learnt], ((corners[:, 2:] - corners[:, :2]) * zoom)[learnt]
  if isinstance(source, Arrays) and 'objects' in source.arrays:
    objects = source.arrays['objects']
    return np.nonzero(_learnt(objects))[0], _of_batch(source.arrays)
  return None


def _of_batch(batch) -> np.ndarray:
  corners = np.asarray(batch['objects']['boxes'])[_learnt(batch['objects'])]
  return corners[:, 2:] - corners[:, :2]


def _learnt(objects) -> np.ndarray:
  return np.asarray(objects['valid'], bool) & ~np.asarray(objects.get('crowd', False), bool)


def size_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """IoU (n m) of boxes of widths and heights a (n 2) and b (m 2) that have one centre.

  >>> size_iou(np.array([[4., 2.]]), np.array([[4., 2.], [2., 4.]])).round(3).tolist()
  [[1.0, 0.333]]
  """
  shared = np.minimum(a[:, None], b[None]).prod(-1)
  return shared / (a.prod(-1)[:, None] + b.prod(-1) - shared)


def kmeans(sizes: np.ndarray, k: int) -> np.ndarray:
  """k widths and heights (k 2), by area, with a small mean of 1 - IoU to the nearest of them.

  Lloyd's algorithm with that distance, and means of widths and heights for centres (Redmon and
  Farhadi 2017, https://arxiv.org/abs/1612.08242, section 2), from starts that are spread out
  (k-means++), the same ones always.

  Args:
    sizes: (n 2), positive; fewer than k different ones give some of them twice.
  """
  rng = np.random.Generator(np.random.PCG64(0))
  ends = [_lloyd(sizes, _spread(sizes, k, rng)) for _ in range(STARTS)]
  best = max(ends, key=lambda centres: size_iou(sizes, centres).max(1).mean())
  return best[np.argsort(best.prod(-1), kind='stable')]


def _spread(sizes: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
  """k of the sizes, each drawn by the squared distance to those before (Arthur and Vassilvitskii
  2007)."""
  chosen = sizes[rng.integers(len(sizes), size=1)]
  while len(chosen) < k:
    far = (1 - size_iou(sizes, chosen).max(1)) ** 2
    p = far / far.sum() if far.sum() > 0 else None
    chosen = np.concatenate([chosen, sizes[rng.choice(len(sizes), 1, p=p)]])
  return chosen


def _lloyd(sizes: np.ndarray, centres: np.ndarray) -> np.ndarray:
  nearest = None
  for _ in range(100):
    before, nearest = nearest, size_iou(sizes, centres).argmax(1)
    if before is not None and (before == nearest).all():
      break
    own = np.bincount(nearest, minlength=len(centres))[:, None]
    sums = np.stack([np.bincount(nearest, side, len(centres)) for side in sizes.T], -1)
    centres = np.where(own > 0, sums / np.maximum(own, 1), centres)
  return centres


def fitted_anchors(sizes: np.ndarray, levels: int, per_level: int, ratios: int) -> Anchors:
  """Anchors that fit boxes of widths and heights `sizes` (n 2).

  An anchor is any size with any ratio, so both are clustered apart: squares of the boxes' areas,
  and the boxes scaled to one area. The smallest sizes are for the finest level.
  """
  if len(sizes) > MOST:
    rng = np.random.Generator(np.random.PCG64(0))
    sizes = sizes[rng.choice(len(sizes), MOST, replace=False)]
  side = np.sqrt(sizes.prod(-1, keepdims=True))
  squares = kmeans(np.repeat(side, 2, 1), levels * per_level)[:, 0]
  shapes = kmeans(sizes / side, ratios)
  whole = np.maximum(np.round(squares), 1).reshape(levels, per_level)
  return Anchors(tuple(map(tuple, whole.tolist())),
                 tuple(sorted(np.round(shapes[:, 1] / shapes[:, 0], 2).tolist())))


def anchors_like(source: Source, model: Any) -> Anchors | tuple:
  """As many anchors as a detector has, fitted to the boxes of a source; () if that has none.

  Raises:
    ConfigError: the model has no anchors.
  """
  if not hasattr(model, 'anchor_sizes'):
    raise ConfigError('config.task.fit_anchors: this model has no anchors')
  found = read_sizes(source)
  return () if not len(found) else fitted_anchors(
      found, len(model.anchor_sizes), len(model.anchor_sizes[0]), len(model.anchor_ratios))


def anchor_line(source: Source | Mapping, model: Any) -> str:
  """How well a detector's anchors fit the training boxes, and which would fit better, to be copied;
  '' where it has none, or boxes are not known without reading the images."""
  if isinstance(source, Mapping) or getattr(model, 'proposals', False) is not True:
    return ''
  sizes, anchors = known_sizes(source), Anchors(model.anchor_sizes, model.anchor_ratios)
  if sizes is None or not len(sizes):
    return ''
  better = fitted_anchors(sizes, len(anchors.sizes), len(anchors.sizes[0]), len(anchors.ratios))
  mean, share = fit(sizes, anchors)
  line = (f'anchors: mean IoU {mean:.2f} of the best one with each of {len(sizes):,} training '
          f'boxes, {share:.0%} of them at least .5')
  mean, share = fit(sizes, better)
  return line if better == anchors else (
      f'{line}; {mean:.2f} and {share:.0%} with --config.task.fit_anchors, or '
      f'--config.task.model.anchor_sizes="{_short(better.sizes)}" '
      f'--config.task.model.anchor_ratios="{_short(better.ratios)}"')


def fit(sizes: np.ndarray, anchors: Anchors) -> tuple[float, float]:
  """The mean IoU of boxes of `sizes` (n 2) with the anchor that is most like each, and the share of
  boxes for which that is at least .5."""
  best = size_iou(sizes, anchors.boxes()).max(1)
  return float(best.mean()), float((best >= .5).mean())


def _short(values) -> str:
  """A tuple as Python writes it, whole numbers without a point."""
  if isinstance(values, tuple):
    return f'({", ".join(map(_short, values))}{"," if len(values) == 1 else ""})'
  return f'{values:g}'
