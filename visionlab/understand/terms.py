"""The terms that objectives are made of, as pytrees; see `visionlab.understand.objectives`."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.ops.pool import largest
from visionlab.understand.targets import Answer, scores

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


def node(*meta: str) -> Callable:
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


@node()
class Sum(_Both):
  """One and another."""
  first: Objective
  second: Objective

  def score(self, sums, images):
    return self.first.score(sums[0], images) + self.second.score(sums[1], images)


@node()
class Product(_Both):
  """One times another."""
  first: Objective
  second: Objective

  def score(self, sums, images):
    return self.first.score(sums[0], images) * self.second.score(sums[1], images)


@node()
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


@node('select')
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


@node('at')
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
    row, column = (self.place[:, i, None, None] for i in range(2))
    here = ((jnp.arange(x.shape[1])[:, None] + top == row)
            & (jnp.arange(x.shape[2])[None] + left == column))
    counted = counted * jnp.where(row == EVERYWHERE, 1., here)
    along = (x * self.vector[:, None, None]).sum(-1)
    return (along * counted).sum((1, 2)), counted.sum((1, 2)) + jnp.zeros(len(x))

  def score(self, sums, images):
    return sums[0] / sums[1]


@node('at')
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


@node('at')
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
    best = largest(jnp.einsum('bhwc,bnc->bhwn', x, guide))
    return (best * counted).sum((1, 2)), counted.sum((1, 2)) + jnp.zeros(len(x))

  def score(self, sums, images):
    return sums[0] / sums[1]


@node('at')
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
    wanted = with_places(self.features)
    if window is not None:
      # A tile may end beyond the image: what it says there does not count.
      over = [(0, max(0, n - 1)) for n in x.shape[1:3]]
      wanted = jnp.pad(wanted, [(0, 0), *over, (0, 0)])
      wanted = jax.lax.dynamic_slice(
          wanted, (0, top, left, 0), (len(wanted), *x.shape[1:3], wanted.shape[-1]))
      inside = [jnp.arange(n) + start < m for n, start, m in
                zip(x.shape[1:3], (top, left), with_places(self.features).shape[1:3],
                    strict=True)]
      counted = counted * (inside[0][:, None] & inside[1])
    elif x.shape[1:] != wanted.shape[1:]:
      raise ConfigError(f'layer {self.at!r}: its map is {x.shape[1:3]}, and that of the image it '
                        f'should be like {wanted.shape[1:3]}: images must be of one size')
    return (jnp.square(x - wanted).sum(-1) * counted).sum((1, 2))

  def score(self, sums, images):
    return -self.scale * sums


@node('at')
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


def gram(features: jax.Array) -> jax.Array:
  """The sums over places of the products of channels, (b h w c) -> (b c c)."""
  return jnp.einsum('bhwc,bhwd->bcd', features, features, precision='highest')


def with_places(x):
  """(b h w c) of a map, or of a row (b c)."""
  return x if x.ndim == 4 else x.reshape(len(x), 1, 1, -1)


def _of_window(x, window: Window | None):
  """A map (b h w c), 1 where a place counts (1 h w), and the map's top and left in the whole."""
  x = with_places(x)
  if window is None:
    return x, jnp.ones((1, *x.shape[1:3])), 0, 0
  strides = [len(own) // n for own, n in zip((window.rows, window.columns), x.shape[1:3],
                                             strict=True)]
  rows, columns = (own[::s][:n] for own, s, n in zip((window.rows, window.columns), strides,
                                                     x.shape[1:3], strict=True))
  counted = (rows[:, None] * columns[None])[None]
  return x, counted, window.top // strides[0], window.left // strides[1]
