"""What is wanted of an image: objectives, which are added, subtracted and multiplied.

>>> wanted = output(subject, 'palace') - .1 * total_variation()               # doctest: +SKIP
>>> wanted = channel(subject, 'stage4', 7) - channel(subject, 'stage4', 8)    # doctest: +SKIP

An objective is more where more of it is there, and `ascend` makes it more. It is a pytree: classes,
channels, features and weights are data, so a loop that was compiled for one serves all others. All
its arrays have a row for each image, or one row for all.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import jax
import numpy as np

from visionlab.config import ConfigError
from visionlab.ops.tiling import plan
from visionlab.understand.subject import Subject, floats, in_chunks
from visionlab.understand.targets import Target
from visionlab.understand.terms import (
  EVERYWHERE,
  Direction,
  Energy,
  FeaturesLike,
  GramLike,
  Guided,
  Objective,
  Output,
  with_places,
)


def output(subject: Subject, target: Target | Sequence = None) -> Objective:
  """A class's logit, or whatever `scores` takes a target for; a list gives each image its own."""
  select, index = subject.target(target)
  return Output(select, np.atleast_1d(index))


def channel(subject: Subject, at: str, index: int | Iterable[int]) -> Objective:
  """The mean of a channel over the places of a layer; several: one for each image.

  Raises:
    ConfigError: no such layer or channel.
  """
  return neuron(subject, at, index, None)


def neuron(subject: Subject, at: str, index: int | Iterable[int],
           place: tuple[int, int] | str | None = 'centre',
           size: tuple[int, int] | None = None) -> Objective:
  """One unit of a layer: a channel at a place (y, x) of the map, by default in its middle.

  Args:
    index: the channel; several: one for each image.
    place: None: the mean over all.
    size: (h, w) of the images that will be looked at; by default what the network is made for.

  Raises:
    ConfigError: no such layer, channel or place.
  """
  at, (h, w, c) = _layer(subject, at, size)
  index = np.atleast_1d(np.asarray(index, np.int64))
  if (index < 0).any() or (index >= c).any():
    raise ConfigError(f'layer {at!r}: its channels are 0 to {c - 1}, and there is no '
                      f'{index[(index < 0) | (index >= c)][0]}')
  return _direction(at, np.eye(c, dtype=np.float32)[index], (h, w), place)


def direction(subject: Subject, at: str, vector: jax.Array,
              place: tuple[int, int] | str | None = None) -> Objective:
  """The mean over the places of a layer of its product with a vector (c,), or (b c).

  Raises:
    ConfigError: no such layer, or a vector of another length.
  """
  at, (h, w, c) = _layer(subject, at)
  vector = np.atleast_2d(np.asarray(vector, np.float32))
  if vector.shape[-1] != c:
    raise ConfigError(f'layer {at!r} has {c} channels, and the direction {vector.shape[-1]}')
  return _direction(at, vector, (h, w), place)


def energy(subject: Subject, at: str) -> Objective:
  """The mean square of all that a layer puts out: what Deep Dream makes more of."""
  return Energy(subject.layer(at))


def guided(subject: Subject, at: str, guide: jax.Array) -> Objective:
  """What a layer has in common with a guide: of each place the product with that vector of the
  guide's map that fits best (Mordvintsev et al. 2015), averaged.

  guide: an image (h w c) of any size, uint8 or in [0, 1].
  """
  at = subject.layer(at)
  features = with_places(read(subject, floats(guide)[None], [at])[at])
  return Guided(at, features.reshape(1, -1, features.shape[-1]))


def features_like(subject: Subject, at: str, images: jax.Array, *,
                  relative: bool = True, tile: int | None = None) -> Objective:
  """How like a layer is to what it is of given images (b h w c): minus the squared distance.

  relative: the distance is divided by the squared norm of what is wanted, as Mahendran and Vedaldi
    do; else it is halved, as Gatys et al. do.
  tile: see `read`.
  """
  at = subject.layer(at, images)
  features = read(subject, images, [at], tile=tile)[at]
  norms = np.square(features).reshape(len(features), -1).sum(-1)
  scale = 1 / np.maximum(norms, 1e-12) if relative else np.full(len(features), .5, np.float32)
  return FeaturesLike(at, features, scale.astype(np.float32))


def gram_like(subject: Subject, at: str, images: jax.Array, *,
              tile: int | None = None) -> Objective:
  """How like a layer's Gram matrix is to that of given images (b h w c), of any size.

  Minus sum (G - A)^2 / (4 c^2) with G and A divided by the number of places n, which is the term
  of Gatys et al. (2016, equation 4), sum (G - A)^2 / (4 n^2 c^2), where both have as many.

  tile: see `read`.
  """
  at = subject.layer(at, images)
  features = read(subject, images, [at], tile=tile)[at]
  features = features.reshape(len(features), -1, features.shape[-1])       # on the host: (b n c)
  return GramLike(at, features.swapaxes(1, 2) @ features / features.shape[1])


def read(subject: Subject, images: jax.Array, names: Sequence[str], chunk: int = 16,
         tile: int | None = None) -> dict[str, np.ndarray]:
  """What those layers put out of images (b h w c), in chunks of images.

  tile: the network sees tiles of this many pixels, a multiple of the layers' strides, which overlap
    by half; each place is taken from where it is furthest from a tile's edge. Images that are
    smaller are read whole.
  """
  names, images = tuple(names), floats(images)
  if tile is None or min(images.shape[1:3]) < tile:
    return in_chunks(lambda x: dict(_read(subject, x, names)), chunk, images)
  whole = {name: np.zeros((len(images), *shape[1:]), np.float32)
           for name, shape in subject.layers(images).items() if name in names}
  of_tile = subject.layers(jax.ShapeDtypeStruct((1, tile, tile, images.shape[-1]), np.float32))
  strides = {name: tile // of_tile[name][1] for name in whole}
  axes = [plan(n, tile, tile // 2, max(strides.values())) for n in images.shape[1:3]]
  over = [(0, axis.length - n) for axis, n in zip(axes, images.shape[1:3], strict=True)]
  images = np.pad(images, [(0, 0), *over, (0, 0)], mode='edge')
  for top, low, high in axes[0].owners(max(strides.values())):
    for left, first, last in axes[1].owners(max(strides.values())):
      part = read(subject, images[:, top:top + tile, left:left + tile], names, chunk)
      for name, x in part.items():
        s = strides[name]
        own = x[:, (low - top) // s:(high - top) // s, (first - left) // s:(last - left) // s]
        into = whole[name][:, low // s:high // s, first // s:last // s]
        into[:] = own[:, :into.shape[1], :into.shape[2]]
  return whole


@partial(jax.jit, static_argnames='names')
def _read(subject, images, names):
  return subject.read(images, names)[1]


def _layer(subject, name, size=None):
  """Its full name, and (h, w, c) of its map; (1, 1, c) where it has no places."""
  images = jax.ShapeDtypeStruct((1, *(size or subject.shape[:2]), subject.shape[2]), np.float32)
  name = subject.layer(name, images)
  shape = subject.layers(images)[name]
  if len(shape) not in (2, 4):
    raise ConfigError(f'layer {name!r}: it is no map (b h w c) and no row (b c), but {shape}')
  return name, shape[1:] if len(shape) == 4 else (1, 1, shape[1])


def _direction(at, vector, size, place):
  if place is None:
    return Direction(at, vector, np.full((1, 2), EVERYWHERE))
  if isinstance(place, str):
    place = tuple(n // 2 for n in size)
  if not all(0 <= i < n for i, n in zip(place, size, strict=True)):
    raise ConfigError(f'layer {at!r}: its map is {size[0]} x {size[1]}, and there is no place '
                      f'{place}')
  return Direction(at, vector, np.array([place]))
