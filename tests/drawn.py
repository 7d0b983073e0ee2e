"""Weights that are drawn from their names, so that two programs can have the same ones.

A fixture then holds a network's few logits instead of its millions of weights.
"""

import math
import zlib

import jax
import numpy as np


def drawn(path: str, shape: tuple[int, ...]) -> np.ndarray:
  """The float32 array of a name such as 'stage1/block0/conv1/kernel'.

  Uniform numbers from a generator seeded by the name's CRC-32: kernels (*spatial i o) have a
  variance of 2 / fan-in, scales and variances lie in [.5, 1.5), all else in [-.2, .2).
  """
  u = np.random.Generator(np.random.PCG64(zlib.crc32(path.encode()))).random(shape, np.float32)
  match path.rsplit('/', 1)[-1]:
    case 'kernel':
      return (2 * u - 1) * np.float32(math.sqrt(6 / math.prod(shape[:-1])))
    case 'scale' | 'var':
      return u + np.float32(.5)
    case _:
      return (u - np.float32(.5)) * np.float32(.4)


def drawn_image(*shape: int) -> np.ndarray:
  """The input (b h w c), in [-1, 1)."""
  return 5 * drawn('image', shape)


def drawn_variables(shapes):
  """A tree of variables ({'params': ..., ...}) of the shapes given."""
  def draw(path, leaf):
    return drawn('/'.join(p.key for p in path[1:]), leaf.shape)
  return jax.tree.map_with_path(draw, shapes)
