"""Objectives of images that are larger than memory, tile by tile."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.ops.tiling import plan
from visionlab.understand.subject import Subject
from visionlab.understand.terms import Objective, Window


def sums_by_tiles(subject: Subject, objective: Objective, images: jax.Array, tile: int,
                  overlap: int):
  """An objective's `sums` of images (b h w c), of which the network sees one tile at a time.

  Each place of a map is taken from one tile alone. It is what the whole image would give where the
  network looks no further than half of the overlap, and its gradient keeps no tile's maps: memory
  is that of one.

  Args:
    tile: height and width, a multiple of the stride of every layer that is looked at.
    overlap: of neighbours, at least, in pixels.

  Raises:
    ConfigError: no such tiles, or an objective that needs the whole image.
  """
  stride = _stride(subject, objective, images, tile)
  axes = [plan(n, tile, overlap, stride) for n in images.shape[1:3]]
  over = [(0, axis.length - n) for axis, n in zip(axes, images.shape[1:3], strict=True)]
  images = jnp.pad(images, [(0, 0), *over, (0, 0)], mode='edge')
  windows = [(top, left, rows, columns)
             for top, rows in _owners(axes[0], tile, stride)
             for left, columns in _owners(axes[1], tile, stride)]

  @jax.checkpoint
  def of_tile(window):
    window = Window(*window)
    part = jax.lax.dynamic_slice(images, (0, window.top, window.left, 0),
                                 (len(images), tile, tile, images.shape[-1]))
    return objective.sums(None, subject.read(part, objective.reads)[1], window)
  parts = jax.lax.map(of_tile, tuple(np.stack(column) for column in zip(*windows, strict=True)))
  return jax.tree.map(lambda part: part.sum(0), parts)


def _stride(subject, objective, images, tile) -> int:
  """Pixels between neighbours of the coarsest layer; all others divide it."""
  there = subject.layers(jax.ShapeDtypeStruct((1, tile, tile, images.shape[-1]), np.float32))
  strides = [1]
  for name in objective.reads:
    shape = there[name]
    if len(shape) != 4 or tile % shape[1]:
      raise ConfigError(f'tile: layer {name!r} is {shape} of a tile of {tile} pixels, which is '
                        'not divided into its places; take a multiple of its stride')
    strides.append(tile // shape[1])
  return math.lcm(*strides)


def _owners(axis, tile, stride):
  """(start, (tile,) 1 where this tile answers) of each."""
  for start, first, end in axis.owners(stride):
    at = start + np.arange(tile)
    yield np.int32(start), ((at >= first) & (at < end)).astype(np.float32)
