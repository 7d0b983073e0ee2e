"""Pictures of histograms of oriented gradients (`visionlab.ops.hog`)."""

import math

import jax
import jax.numpy as jnp

from visionlab.ops.image import to_float


def hog_picture(features: jax.Array, *, cell: int = 8) -> jax.Array:
  """The glyphs (b h w) in [0, 1] by which HOG is mostly shown: in each cell a line across every
  direction of its gradients, as bright as their mean over the blocks the cell is in.

  features: of `visionlab.ops.hog.hog`, (b rows columns block block bins).
  """
  b, rows, columns, block, _, bins = features.shape
  cells = jnp.zeros((b, rows + block - 1, columns + block - 1, bins))
  counts = jnp.zeros((1, *cells.shape[1:3], 1))
  for i in range(block):
    for j in range(block):
      here = (slice(None), slice(i, i + rows), slice(j, j + columns))
      cells = cells.at[here].add(features[:, :, :, i, j])
      counts = counts.at[here].add(1)
  y, x = jnp.mgrid[:cell, :cell] - (cell - 1) / 2
  angles = (jnp.arange(bins) + .5) * math.pi / bins
  # Edges run across their gradient.
  off = jnp.abs(x[..., None] * jnp.cos(angles) + y[..., None] * jnp.sin(angles))
  glyphs = jnp.maximum(1 - off, 0)
  drawn = jnp.einsum('brck,yxk->brycx', cells / counts, glyphs)
  drawn = drawn.reshape(b, (rows + block - 1) * cell, (columns + block - 1) * cell)
  return drawn / jnp.maximum(drawn.max((1, 2), keepdims=True), 1e-12)


def grey(images: jax.Array) -> jax.Array:
  """Images (b h w c), uint8 or in [0, 1], as their mean channel (b h w 1) in [0, 1]."""
  return to_float(jnp.asarray(images)).mean(-1, keepdims=True)
