"""Augmentation policies: operations of a fixed list, drawn for each image.

RandAugment (Cubuk et al. 2020) and TrivialAugment (Müller and Hutter 2021), with the operations and
ranges of torchvision's `RandAugment` and `TrivialAugmentWide`. Each operation is defined as Pillow
and torchvision define it for bytes, on images in [0, 1].
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from visionlab.ops import colour, warp


class Ranges(NamedTuple):
  """What the largest strength stands for."""
  shear: float
  translate: tuple[float, float]        # (of the image's side, pixels)
  degrees: float
  factor: float                         # away from 1: brightness, saturation, contrast, sharpness
  bits: int                             # of 8, that posterising leaves


RAND = Ranges(.3, (150 / 331, 0.), 30., .9, 4)
WIDE = Ranges(.99, (0., 32.), 135., .99, 2)


def rand_augment(key, image, number: int = 2, magnitude: float = 9., ranges: Ranges = RAND):
  """`number` operations in a row, each at `magnitude` of 30."""
  strength = magnitude / 30
  for i in range(number):
    image = drawn(jax.random.fold_in(key, i), image, strength, ranges)
  return image


def trivial_augment(key, image, ranges: Ranges = WIDE):
  """One operation, of a strength drawn uniformly from 31 levels."""
  strength = jax.random.randint(jax.random.fold_in(key, 7), (), 0, 31) / 30
  return drawn(key, image, strength, ranges)


def drawn(key, image, strength, ranges: Ranges):
  """One of `OPERATIONS` at a strength in [0, 1], in either direction where it has two."""
  which, sign = jax.random.split(key)
  strength = jnp.where(jax.random.bernoulli(sign), strength, -strength)
  return operate(jax.random.randint(which, (), 0, len(OPERATIONS)), image, strength, ranges)


def operate(which, image, strength, ranges: Ranges):
  """OPERATIONS[which], for a traced index. Under vmap all of them are computed, so the five that
  move pixels share one lookup."""
  matrices = jnp.stack([f(image.shape[:2], strength, ranges) for f in MOVES])
  moved = which < len(MOVES)
  matrix = matrices[jnp.minimum(which, len(MOVES) - 1)]
  points = warp.transform(matrix, warp.centres(*image.shape[:2]))
  there = warp.sample(image, points, order=0, mode='constant')
  branches = [lambda x, f=f: f(x, strength, ranges) for f in CHANGES]
  changed = jax.lax.switch(jnp.maximum(which - len(MOVES), 0), branches, image)
  return jnp.where(moved, there, changed)


def shear_x(size, strength, ranges):
  return jnp.eye(3).at[0, 1].set(strength * ranges.shear)


def shear_y(size, strength, ranges):
  return jnp.eye(3).at[1, 0].set(strength * ranges.shear)


def translate_x(size, strength, ranges):
  return warp.translation(_pixels(size[1], strength, ranges), 0.)


def translate_y(size, strength, ranges):
  return warp.translation(0., _pixels(size[0], strength, ranges))


def rotate(size, strength, ranges):
  h, w = size
  return warp.compose(warp.translation(w / 2, h / 2),
                      warp.rotation(jnp.deg2rad(strength * ranges.degrees)),
                      warp.translation(-w / 2, -h / 2))


def identity(image, strength, ranges):
  return image


def brightness(image, strength, ranges):
  return colour.brighten(image, 1 + strength * ranges.factor)


def saturation(image, strength, ranges):
  return colour.saturate(image, 1 + strength * ranges.factor)


def contrast(image, strength, ranges):
  return colour.contrast(image, 1 + strength * ranges.factor)


def sharpness(image, strength, ranges):
  """Away from a 3x3 smoothing, which leaves the border as it is."""
  kernel = jnp.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], jnp.float32) / 13
  inner = sum(kernel[i, j] * image[i:image.shape[0] - 2 + i, j:image.shape[1] - 2 + j]
              for i in range(3) for j in range(3))
  smooth = image.at[1:-1, 1:-1].set(inner)
  return colour.blend(image, smooth, 1 + strength * ranges.factor)


def posterise(image, strength, ranges):
  """Keeps the highest bits of each byte."""
  bits = 8 - jnp.round(abs(strength) * (8 - ranges.bits))
  step = 2. ** (8 - bits)
  return jnp.floor(_bytes(image) / step) * step / 255


def solarise(image, strength, ranges):
  """Inverts what is at least as bright as a threshold, which falls with strength."""
  return jnp.where(image >= 1 - abs(strength), 1 - image, image)


def autocontrast(image, strength, ranges):
  """Stretches each channel to [0, 1]."""
  low, high = image.min((0, 1)), image.max((0, 1))
  flat = high <= low
  return jnp.where(flat, image, jnp.clip((image - low) / jnp.where(flat, 1, high - low), 0, 1))


def equalise(image, strength, ranges):
  """Makes the histogram of each channel's bytes as even as it can be (Pillow's `equalize`)."""
  def channel(values):
    counts = jnp.zeros(256, jnp.int32).at[values].add(1)
    last = counts[255 - jnp.argmax(counts[::-1] > 0)]
    step = (values.size - last) // 255
    before = jnp.cumsum(counts) - counts
    table = jnp.clip((before + step // 2) // jnp.maximum(step, 1), 0, 255)
    return jnp.where(step > 0, table[values], values)
  values = _bytes(image).astype(jnp.int32)
  return jax.vmap(channel, -1, -1)(values).astype(jnp.float32) / 255


MOVES: tuple[Callable, ...] = (shear_x, shear_y, translate_x, translate_y, rotate)
CHANGES: tuple[Callable, ...] = (identity, brightness, saturation, contrast, sharpness, posterise,
                                 solarise, autocontrast, equalise)
OPERATIONS = MOVES + CHANGES


def _pixels(side, strength, ranges):
  share, pixels = ranges.translate
  return jnp.round(strength * (share * side + pixels))


def _bytes(image):
  return jnp.round(image * 255)
