"""What excites a unit most: the patches of a whole split at which it is largest.

As Zeiler and Fergus 2014 (https://arxiv.org/abs/1311.2901, figure 2) show them: of each of the
images that excite a unit most the part that it sees, and beside it what of that part it is, by
their deconvnet.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Source
from visionlab.understand.backward import deconvnet_relu
from visionlab.understand.receptive_field import Field, receptive_fields
from visionlab.understand.streaming import (
  Progress,
  as_source,
  batches_of,
  checked_units,
  map_layer,
  maps_of,
)
from visionlab.understand.subject import Subject, floats, in_chunks

GREY = .5


class Best(NamedTuple):
  """Of each unit of a layer the images that excite it most, one place in each, the best first.

  Attributes:
    values: (u k) f32; -inf where there are fewer images than k.
    images: (u k) int, their numbers in the source.
    places: (u k 2) int: row and column of the map.
    layer: its full name.
  """
  values: np.ndarray
  images: np.ndarray
  places: np.ndarray
  layer: str


def best_patches(subject: Subject, source: Source | np.ndarray, at: str, *, k: int = 9,
                 batch: int = 64, progress: Progress | None = None) -> Best:
  """The k images that excite each unit of a layer most, and where, exactly.

  The split is read once, one program a batch; k numbers of each unit are kept, on the device. Of
  equal values the first image is kept, and in it the first place in reading order.

  Args:
    source: a split, or images (n h w c).
    at: the layer, see `Subject.layers`.
    batch: images at a time, which bounds the memory.
    progress: is called with how many images are done, and how many there are.

  Raises:
    ConfigError: no such layer, k below 1, or no images.
  """
  source = as_source(source)
  if k < 1:
    raise ConfigError(f'k: at least one image of each unit, not {k}')
  at, (_, width, units) = map_layer(subject, source, at)
  best = (jnp.full((units, k), -jnp.inf), jnp.full((units, k), -1), jnp.zeros((units, k), int))
  first = 0
  for examples in batches_of(source, batch, progress):
    images = floats(examples['image'])
    best = _better(subject, best, images, examples['valid'], jnp.int32(first), at)
    first += len(images)
  values, images, places = map(np.asarray, best)
  return Best(values, images, np.stack([places // width, places % width], -1), at)


@partial(jax.jit, static_argnames='at')
def _better(subject, best, images, valid, first, at):
  """The best so far and those of a batch whose first image has the number `first`."""
  maps = maps_of(subject, images, at)
  maps = maps.reshape(len(maps), -1, maps.shape[-1]).astype(jnp.float32)       # (b places u)
  values = jnp.where(valid[:, None], maps.max(1), -jnp.inf).T
  numbers = jnp.broadcast_to(first + jnp.arange(len(images)), values.shape)
  kept, images, places = best
  values = jnp.concatenate([kept, values], 1)
  # Of equal values `top_k` takes the first.
  values, order = jax.lax.top_k(values, kept.shape[1])
  pick = lambda old, new: jnp.take_along_axis(jnp.concatenate([old, new], 1), order, 1)
  return values, pick(images, numbers), pick(places, maps.argmax(1).T)


def cut(picture: np.ndarray, field: Field, place: Sequence[int]) -> np.ndarray:
  """What the unit at a place sees of a picture (h w c) in [0, 1]: as large as the layer's fields,
  grey beyond the picture's borders; along an axis on which fields are larger than the picture, all
  of it."""
  box = field.boxes[tuple(place)]
  for axis, (low, high) in enumerate(((box[0], box[2]), (box[1], box[3]))):
    n = picture.shape[axis]
    if field.size[axis] >= n:
      continue
    padding = [(0, 0)] * 3
    padding[axis] = max(-low, 0), max(high - n, 0)
    inside = picture.take(range(max(low, 0), min(high, n)), axis)
    picture = np.pad(inside, padding, constant_values=GREY)
  return picture


def patches(subject: Subject, source: Source | np.ndarray, best: Best, units: Sequence[int], *,
            deconvnet: bool = True, chunk: int = 16) -> tuple[np.ndarray, np.ndarray | None]:
  """The parts of images that some units see where they are largest, and their deconvnet pictures.

  Args:
    best: of `best_patches` on the same source.
    deconvnet: make those pictures; a network of ReLUs is needed.

  Returns:
    (u k s s' c) in [0, 1], grey where there are fewer images; and alike what the deconvnet shows of
    each, around grey, each as strong as it can be, and grey where the unit is 0; or None.

  Raises:
    ConfigError: no such unit, or with `deconvnet` a network of other activations.
  """
  source, units = as_source(source), checked_units(units, len(best.values))
  k = best.values.shape[1]
  numbers, places = best.images[units].reshape(-1), best.places[units].reshape(-1, 2)
  shown = floats(source[np.maximum(numbers, 0)]['image'])
  field = receptive_fields(subject, [best.layer], shown.shape[1:])[best.layer]
  empty = numbers < 0

  def parts(pictures):
    cuts = np.stack([cut(picture, field, place)
                     for picture, place in zip(pictures, places, strict=True)])
    cuts[empty] = GREY
    return cuts.reshape(len(units), k, *cuts.shape[1:])
  if not deconvnet:
    return parts(shown), None
  slopes = unit_slopes(subject.with_act(deconvnet_relu), shown, best.layer,
                       np.repeat(units, k), places, chunk=chunk)
  slopes[best.values[units].reshape(-1) == 0] = 0         # what a ReLU has shut is silent
  strongest = np.abs(slopes).max((1, 2, 3), keepdims=True)
  return parts(shown), parts(GREY + GREY * slopes / np.maximum(strongest, 1e-30))


def unit_slopes(subject: Subject, images: np.ndarray, at: str, units: np.ndarray,
                places: np.ndarray, *, chunk: int = 16) -> np.ndarray:
  """The gradient (b h w c) of a unit (of `units` (b,)) at a place (of `places` (b 2)) of a layer
  by each of the images (b h w c)."""
  return in_chunks(lambda x, u, p: _unit_slopes(subject, x, u, p, at), chunk, floats(images),
                   np.asarray(units, np.int32), np.asarray(places, np.int32))


@partial(jax.jit, static_argnames='at')
def _unit_slopes(subject, images, units, places, at):
  def total(images):
    maps = maps_of(subject, images, at)
    return maps[jnp.arange(len(maps)), places[:, 0], places[:, 1], units].sum()
  return jax.grad(total)(images)
