"""What is wanted of an image: objectives, which are added, subtracted and multiplied.

>>> wanted = output(subject, 'palace') - .1 * total_variation()               # doctest: +SKIP
>>> wanted = channel(subject, 'stage4', 7) - channel(subject, 'stage4', 8)    # doctest: +SKIP

An objective is more where more of it is there, and `ascend` makes it more. It is a pytree: classes,
channels, features and weights are data, so a loop that was compiled for one serves all others. All
its arrays have a row for each image, or one row for all.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.ops.filters import filter_image, gaussian
from visionlab.understand.subject import Answer, Subject, Target, floats, in_chunks, scores

EVERYWHERE = -1              # the place of a unit: all of them


class Window(NamedTuple):
  """The part of an image that a tile of it answers for; see `visionlab.understand.tiles`.

  Attributes:
    top, left: of the tile in the image, pixels.
    rows, columns: (h,) and (w,) of the tile's: 1 where no other tile answers, else 0.
  """
  top: jax.Array
  left: jax.Array
  rows: jax.Array
  columns: jax.Array


class Objective:
  """What is wanted: score(sums(...), images) -> (b,).

  The two parts are apart because `sums` of an image's tiles add up to those of the image: that is
  how an image that is larger than memory is worked on.
  """

  reads: tuple[str, ...] = ()          # the layers it looks at

  def sums(self, answer: Answer | None, maps: Mapping[str, jax.Array],
           window: Window | None) -> Any:
    """Arrays (b ...) of what a network says of images, or of one tile (answer None) of each."""
    return ()

  def score(self, sums: Any, images: jax.Array) -> jax.Array:
    """(b,) of what `sums` gave, and of the images (b h w c) themselves, before transformations."""
    raise NotImplementedError

  def __add__(self, other: 'Objective') -> 'Objective':
    return Sum(self, other)

  def __neg__(self) -> 'Objective':
    return self * -1.

  def __sub__(self, other: 'Objective') -> 'Objective':
    return Sum(self, -other)

  def __mul__(self, other) -> 'Objective':
    """Times another objective, or a number, or one (b,) for each image."""
    if isinstance(other, Objective):
      return Product(self, other)
    weight, of = np.atleast_1d(np.float32(other)), self
    if isinstance(of, Scaled):                # one weight, so that all weighted are of one form
      weight, of = weight * of.weight, of.of
    return Scaled(weight, of)

  def __rmul__(self, other) -> 'Objective':
    return self * other


def _node(*meta: str) -> Callable:
  """A frozen dataclass that is a pytree of all its fields but `meta`."""
  def made(cls):
    cls = dataclasses.dataclass(frozen=True)(cls)
    data = [field.name for field in dataclasses.fields(cls) if field.name not in meta]
    return jax.tree_util.register_dataclass(cls, data, list(meta))
  return made


class _Both(Objective):

  @property
  def reads(self):
    return tuple(dict.fromkeys(self.first.reads + self.second.reads))

  def sums(self, answer, maps, window):
    return self.first.sums(answer, maps, window), self.second.sums(answer, maps, window)


@_node()
class Sum(_Both):
  """One and another."""
  first: Objective
  second: Objective

  def score(self, sums, images):
    return self.first.score(sums[0], images) + self.second.score(sums[1], images)


@_node()
class Product(_Both):
  """One times another."""
  first: Objective
  second: Objective

  def score(self, sums, images):
    return self.first.score(sums[0], images) * self.second.score(sums[1], images)


@_node()
class Scaled(Objective):
  """An objective times a weight (1,) or (b,)."""
  weight: jax.Array
  of: Objective

  @property
  def reads(self):
    return self.of.reads

  def sums(self, answer, maps, window):
    return self.of.sums(answer, maps, window)

  def score(self, sums, images):
    return self.weight * self.of.score(sums, images)


@_node('select')
class Output(Objective):
  """See `output`."""
  select: Callable | None
  index: jax.Array

  def sums(self, answer, maps, window):
    if answer is None:
      raise ConfigError('tile: what a network says of a whole image cannot be had by tiles; give '
                        'objectives on maps')
    return scores(answer, self.select, self.index)

  def score(self, sums, images):
    return sums


@_node('at')
class Direction(Objective):
  """See `direction`; `place` (1 or b, 2) is y and x in the map, or EVERYWHERE."""
  at: str
  vector: jax.Array
  place: jax.Array

  @property
  def reads(self):
    return (self.at,)

  def sums(self, answer, maps, window):
    x, counted, top, left = _of_window(maps[self.at], window)
    y, x_ = (self.place[:, i, None, None] for i in range(2))
    here = ((jnp.arange(x.shape[1])[:, None] + top == y)
            & (jnp.arange(x.shape[2])[None] + left == x_))
    counted = counted * jnp.where(y == EVERYWHERE, 1., here)
    along = (x * self.vector[:, None, None]).sum(-1)
    return (along * counted).sum((1, 2)), counted.sum((1, 2)) + jnp.zeros(len(x))

  def score(self, sums, images):
    return sums[0] / sums[1]


@_node('at')
class Energy(Objective):
  """See `energy`."""
  at: str

  @property
  def reads(self):
    return (self.at,)

  def sums(self, answer, maps, window):
    x, counted, _, _ = _of_window(maps[self.at], window)
    return ((jnp.square(x).mean(-1) * counted).sum((1, 2)),
            counted.sum((1, 2)) + jnp.zeros(len(x)))

  def score(self, sums, images):
    return sums[0] / sums[1]


@_node('at')
class Guided(Objective):
  """See `guided`; guide (1 or b, n, c)."""
  at: str
  guide: jax.Array

  @property
  def reads(self):
    return (self.at,)

  def sums(self, answer, maps, window):
    x, counted, _, _ = _of_window(maps[self.at], window)
    guide = jnp.broadcast_to(self.guide, (len(x), *self.guide.shape[1:]))
    best = jnp.einsum('bhwc,bnc->bhwn', x, guide).max(-1)
    return (best * counted).sum((1, 2)), counted.sum((1, 2)) + jnp.zeros(len(x))

  def score(self, sums, images):
    return sums[0] / sums[1]


@_node('at')
class FeaturesLike(Objective):
  """See `features_like`."""
  at: str
  features: jax.Array
  scale: jax.Array

  @property
  def reads(self):
    return (self.at,)

  def sums(self, answer, maps, window):
    x, counted, top, left = _of_window(maps[self.at], window)
    wanted = _with_places(self.features)
    if window is not None:
      # A tile may end beyond the image: what it says there does not count.
      over = [(0, max(0, n - 1)) for n in x.shape[1:3]]
      wanted = jnp.pad(wanted, [(0, 0), *over, (0, 0)])
      wanted = jax.lax.dynamic_slice(
          wanted, (0, top, left, 0), (len(wanted), *x.shape[1:3], wanted.shape[-1]))
      inside = [jnp.arange(n) + start < m for n, start, m in
                zip(x.shape[1:3], (top, left), _with_places(self.features).shape[1:3],
                    strict=True)]
      counted = counted * (inside[0][:, None] & inside[1])
    elif x.shape[1:] != wanted.shape[1:]:
      raise ConfigError(f'layer {self.at!r}: its map is {x.shape[1:3]}, and that of the image it '
                        f'should be like {wanted.shape[1:3]}: images must be of one size')
    return (jnp.square(x - wanted).sum(-1) * counted).sum((1, 2))

  def score(self, sums, images):
    return -self.scale * sums


@_node('at')
class GramLike(Objective):
  """See `gram_like`; gram (1 or b, c, c) is by place."""
  at: str
  gram: jax.Array

  @property
  def reads(self):
    return (self.at,)

  def sums(self, answer, maps, window):
    x, counted, _, _ = _of_window(maps[self.at], window)
    return gram(x * counted[..., None]), counted.sum((1, 2)) + jnp.zeros(len(x))

  def score(self, sums, images):
    products, places = sums
    difference = products / places[:, None, None] - self.gram
    return -jnp.square(difference).sum((1, 2)) / (4 * difference.shape[-1] ** 2)


@_node('power')
class TotalVariation(Objective):
  """See `total_variation`."""
  unit: jax.Array
  power: float

  def score(self, sums, images):
    right = images[:, :-1, 1:] - images[:, :-1, :-1]
    down = images[:, 1:, :-1] - images[:, :-1, :-1]
    squares = jnp.square(right) + jnp.square(down)
    if self.power != 2:
      # The root's slope is infinite at 0, where an even image has all its pixels.
      squares = jnp.where(squares > 0, jnp.where(squares > 0, squares, 1) ** (self.power / 2), 0)
    return squares.mean((1, 2, 3)) / self.unit ** self.power


@_node('power')
class AlphaNorm(Objective):
  """See `alpha_norm`."""
  centre: jax.Array
  unit: jax.Array
  power: float

  def score(self, sums, images):
    away = (images - self.centre) / self.unit[:, None, None, None]
    return (jnp.abs(away) ** self.power).mean((1, 2, 3))


@_node('sigma')
class Roughness(Objective):
  """See `roughness`."""
  sigma: float

  def score(self, sums, images):
    smooth = jax.lax.stop_gradient(filter_image(images, gaussian(self.sigma), 'edge'))
    return jnp.square(images - smooth).mean((1, 2, 3))


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
  features = _with_places(read(subject, floats(guide)[None], [at])[at])
  return Guided(at, features.reshape(1, -1, features.shape[-1]))


def features_like(subject: Subject, at: str, images: jax.Array, *,
                  relative: bool = True) -> Objective:
  """How like a layer is to what it is of given images (b h w c): minus the squared distance.

  relative: the distance is divided by the squared norm of what is wanted, as Mahendran and Vedaldi
    do; else it is halved, as Gatys et al. do.
  """
  at = subject.layer(at, images)
  features = read(subject, floats(images), [at])[at]
  norms = np.square(features).reshape(len(features), -1).sum(-1)
  scale = 1 / np.maximum(norms, 1e-12) if relative else np.full(len(features), .5, np.float32)
  return FeaturesLike(at, features, scale.astype(np.float32))


def gram_like(subject: Subject, at: str, images: jax.Array) -> Objective:
  """How like a layer's Gram matrix is to that of given images (b h w c), of any size.

  Minus sum (G - A)^2 / (4 c^2) with G and A divided by the number of places n, which is the term
  of Gatys et al. (2016, equation 4), sum (G - A)^2 / (4 n^2 c^2), where both have as many.
  """
  at = subject.layer(at, images)
  features = _with_places(read(subject, floats(images), [at])[at])
  n = features.shape[1] * features.shape[2]
  return GramLike(at, np.asarray(gram(features)) / n)


def gram(features: jax.Array) -> jax.Array:
  """The sums over places of the products of channels, (b h w c) -> (b c c)."""
  return jnp.einsum('bhwc,bhwd->bcd', features, features, precision='highest')


def total_variation(power: float = 2., unit: float = 1.) -> Objective:
  """The mean of (dx^2 + dy^2)^(power / 2), differences in units of `unit` (Mahendran and Vedaldi
  2015, section 3.2). To be subtracted."""
  return TotalVariation(np.float32([unit]), power)


def alpha_norm(power: float = 6., unit: float = 1., centre: jax.Array | float = .5) -> Objective:
  """The mean of |x - centre|^power, in units of `unit`: with a power of 6 all values are kept
  within about one unit, with 2 it is the norm of Simonyan et al. To be subtracted.

  centre: a number, or one for each channel.
  """
  centre = np.broadcast_to(np.float32(centre), np.shape(centre) or (1,))
  return AlphaNorm(centre[None, None, None], np.float32([unit]), power)


def roughness(sigma: float = 1.) -> Objective:
  """The mean squared distance to the image blurred by a Gaussian: what a blur takes away. To be
  subtracted; its gradient draws each pixel to its surroundings."""
  return Roughness(sigma)


def read(subject: Subject, images: jax.Array, names: Sequence[str], chunk: int = 16,
         ) -> dict[str, np.ndarray]:
  """What those layers put out of images (b h w c), in chunks of images."""
  names = tuple(names)
  return in_chunks(lambda x: dict(_read(subject, x, names)), chunk, floats(images))


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


def _with_places(x):
  """(b h w c) of a map, or of a row (b c)."""
  return x if x.ndim == 4 else x.reshape(len(x), 1, 1, -1)


def _of_window(x, window: Window | None):
  """A map (b h w c), 1 where a place counts (1 h w), and the map's top and left in the whole."""
  x = _with_places(x)
  if window is None:
    return x, jnp.ones((1, *x.shape[1:3])), 0, 0
  strides = [len(own) // n for own, n in zip((window.rows, window.columns), x.shape[1:3],
                                             strict=True)]
  rows, columns = (own[::s][:n] for own, s, n in zip((window.rows, window.columns), strides,
                                                     x.shape[1:3], strict=True))
  counted = (rows[:, None] * columns[None])[None]
  return x, counted, window.top // strides[0], window.left // strides[1]
