"""Roads: drawn views from a car, a coarse map of the same place, and how to steer."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.drawn import draw, key_of
from visionlab.data.roads.render import Look, as_bytes, camera, chart
from visionlab.data.roads.road import BRANCHES, FORKS, TURNS, Road, centre_line, pursuit, seen_from
from visionlab.data.roads.simulator import SECONDS, SPEED, WHEELBASE, bicycle, forgotten
from visionlab.data.scenes import assets
from visionlab.data.source import Arrays, Info, check_ranges, check_seed, check_split

EXAMPLES = dict(train=8192, validation=1024, test=2048)
ATTRIBUTES = dict(fork=('no fork', 'fork'), branch=BRANCHES)
CHUNK = 64                       # examples drawn by one call from the host
TEXTURE = 48                     # pixels that stand for a photograph's detail


def roads(split: str, *, root: str = '', examples: int = 0, height: int = 32, width: int = 80,
          chart_size: int = 32, frames: int = 1, seed: int = 0, forks: float = .5,
          fork_at: tuple[float, float] = (2., 10.), shift: float = .5, turn: float = .05,
          position_error: float = 1.5, heading_error: float = .06, noise: float = .03,
          keep: bool = True) -> 'Roads | Arrays':
  """What a car's camera and its map show, and the curvature of the arc that it should drive.

  Roads curve; half of them fork a few metres ahead, to the left, the right, straight on, or all
  three, and one of the branches is driven. Which one the camera cannot tell, nor the map of all
  roads: but the map with the route. The car is a little beside the middle, and what is to be done
  leads it back (the shifted and turned views with corrected commands of Bojarski et al. 2016,
  https://arxiv.org/abs/1604.07316); its receiver is a little off, too.

  Args:
    split: 'train', 'validation' or 'test', which share no region of a photograph.
    root: unused.
    examples: how many; 0 stands for 8,192, 1,024 and 2,048. Example i is the same whatever that is.
    height, width: of the camera's image.
    chart_size: height and width of the map, of 1.5 m a pixel.
    frames: of a clip, a tenth of a second apart at 8 m/s, in which the car is led back to the
      middle; 1: images.
    seed: other seeds give other roads.
    forks: the share of roads that fork.
    fork_at: so many metres ahead of the car they do, at least and at most; less than 0: behind it.
    shift, turn: standard deviations of how far the car is off the middle, in metres, and off the
      road's direction, in radians; with 0 and 0 it is where a careful driver is, always.
    position_error, heading_error: standard deviations of the receiver, in metres and radians.
    noise: that of the camera, of 1.
    keep: whether all are drawn once, and kept; else as they are needed, anew in each epoch.

  Returns:
    A source of `image` (n h w 3) uint8; `map` (n m m 2) uint8, of all branches and of the one that
    is driven, the car's heading upwards; `steering` (n,) in 1/m, to the left where positive;
    `admissible` (n 3), that of each branch, 0 of those that `there` (n 3) bool says are none; and
    int32 (n,) `fork` (0 or 1) and `branch`, the one that is driven. Of clips `video` (n t h w c) in
    place of `image`, and of each frame (n t ...) all the others but `branch`.

  Raises:
    ConfigError: an option out of its range, or scikit-learn is not installed.

  >>> some = roads('test', keep=False)[np.arange(2)]
  >>> some['image'].shape, some['map'].shape, some['steering'].shape
  ((2, 32, 80, 3), (2, 32, 32, 2), (2,))
  """
  del root
  check_split(split, assets.SPLITS, 'roads')
  check_seed(seed, 'roads')
  examples = examples or EXAMPLES[split]
  check_ranges('roads', examples=(examples, 1, 1 << 24), height=(height, 16, 512),
               width=(width, 16, 1024), chart_size=(chart_size, 16, 256), frames=(frames, 1, 64),
               forks=(forks, 0, 1),
               shift=(shift, 0, 10), turn=(turn, 0, 1), noise=(noise, 0, 1),
               position_error=(position_error, 0, 100), heading_error=(heading_error, 0, 3))
  if np.shape(fork_at) != (2,) or not -20 <= fork_at[0] <= fork_at[1] <= 50:
    raise ConfigError('roads: fork_at must be two numbers between -20 and 50, the smaller first, '
                      f'not {fork_at!r}')
  numbers = dict(forks=forks, fork_at=fork_at, shift=shift, turn=turn, noise=noise,
                 position_error=position_error, heading_error=heading_error)
  arrays = {'photo': assets.photographs(split, TEXTURE), 'seed': np.uint32(seed % 2**32),
            'split': np.int32(assets.SPLITS.index(split)),
            **{name: np.float32(value) for name, value in numbers.items()}}
  source = Roads((height, width), chart_size, arrays, examples, frames)
  return Arrays(source[np.arange(len(source))], source.info) if keep else source


class Roads:
  """The source that `roads` opens; it holds what roads are made of, and draws them.

  Args:
    size, chart_size: what the program depends on; see `roads`.
    arrays: the photographs, and the numbers among the options.
    examples: how many there are; frames: of each.
  """

  def __init__(self, size: tuple[int, int], chart_size: int, arrays: Mapping[str, np.ndarray],
               examples: int, frames: int = 1):
    self.size, self.chart_size, self.frames = size, chart_size, frames
    self.arrays, self.examples = dict(arrays), examples
    self.info = Info(attributes=ATTRIBUTES)

  def __len__(self) -> int:
    return self.examples

  def gather(self, arrays: Mapping[str, jax.Array], indices: jax.Array) -> dict:
    """The examples at traced indices (n,), for use inside a compiled loop; arrays:
    `self.arrays`."""
    return _draw(self.size, self.chart_size, self.frames, arrays, indices)

  def __getitem__(self, indices: np.ndarray) -> dict:
    return draw(partial(self.gather, self.arrays), indices, len(self),
                max(CHUNK // self.frames, 1))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _draw(size, chart_size, frames, arrays, indices):
  one = partial(example, size, chart_size) if frames == 1 else partial(clip, size, chart_size,
                                                                       frames)
  return jax.vmap(partial(one, arrays))(indices)


class Place(NamedTuple):
  """What a view is of: a road, the `driven` branch of it, metres to its `fork`, how it all looks,
  and the pose (3,) of the car and the error (3,) of its receiver."""
  road: Road
  driven: jax.Array
  fork: jax.Array
  look: Look
  pose: jax.Array
  error: jax.Array


def example(size: tuple[int, int], chart_size: int, arrays: Mapping[str, jax.Array],
            index: jax.Array) -> dict:
  """The example of a traced index: a pure function of it and the arrays."""
  place, normal = drawn_place(size, arrays, index)
  seen = view(size, chart_size, arrays, place, normal[8:].reshape(*size, 3))
  return seen | dict(branch=place.driven.astype(jnp.int32))


def clip(size: tuple[int, int], chart_size: int, frames: int, arrays: Mapping[str, jax.Array],
         index: jax.Array) -> dict:
  """The clip of a traced index, which begins where the example of that index is; what is said of it
  is said of each frame."""
  place, normal = drawn_place(size, arrays, index)
  key = jax.random.fold_in(key_of(arrays, index, len(assets.SPLITS)), 2)

  def step(carry, number):
    place, wheel = carry
    now = jax.random.normal(jax.random.fold_in(key, number), normal[5:].shape)
    seen = view(size, chart_size, arrays, place, now[3:].reshape(*size, 3))
    pose, wheel = bicycle(place.pose, wheel, seen['steering'])
    error = forgotten(place.error, now[:3], arrays)
    return (place._replace(pose=pose, error=error, fork=place.fork - SPEED * SECONDS), wheel), seen
  way = pursuit(seen_from(place.road.lines[place.driven], place.pose))
  _, seen = jax.lax.scan(step, (place, jnp.arctan(WHEELBASE * way)), jnp.arange(frames))
  return {'video': seen.pop('image'), **seen, 'branch': place.driven.astype(jnp.int32)}


def drawn_place(size: tuple[int, int], arrays: Mapping[str, jax.Array], index: jax.Array
                ) -> tuple[Place, jax.Array]:
  """Where the example of an index is, and normal numbers (8 + h w 3,): the last are the camera's.
  """
  key = key_of(arrays, index, len(assets.SPLITS))
  u = jax.random.uniform(key, (24,))
  normal = jax.random.normal(jax.random.fold_in(key, 1), (8 + size[0] * size[1] * 3,))
  road, driven, fork = drawn_road(u[:8], normal[:2], arrays['forks'], arrays['fork_at'])
  pose = jnp.stack([0., arrays['shift'] * normal[2], arrays['turn'] * normal[3]])
  error = normal[5:8] * jnp.stack([arrays['position_error']] * 2 + [arrays['heading_error']])
  return Place(road, driven, fork, Look.drawn(u[8:19], .02 * normal[4]), pose, error), normal


def view(size: tuple[int, int], chart_size: int, arrays: Mapping[str, jax.Array], place: Place,
         grain: jax.Array) -> dict:
  """What is seen at a place with the camera's noise `grain` (h w 3), and how to steer there."""
  road, driven, pose = place.road, place.driven, place.pose
  image = camera(size, road, pose, place.look, arrays['photo']) + arrays['noise'] * grain
  ways = jax.vmap(pursuit)(seen_from(road.lines, pose))
  there = road.there & ((place.fork > 0) | (jnp.arange(len(BRANCHES)) == driven))
  chart_ = chart(chart_size, road, driven, pose + place.error)
  return dict(image=as_bytes(image), map=as_bytes(chart_), steering=ways[driven],
              admissible=jnp.where(there, ways, 0), there=there,
              fork=(there.sum() > 1).astype(jnp.int32))


def drawn_road(u: jax.Array, normal: jax.Array, forks: jax.Array, fork_at: jax.Array
               ) -> tuple[Road, jax.Array, jax.Array]:
  """A random road, which of its branches is driven, each as likely, and how far ahead they part.

  Args:
    u: (5,) uniform numbers, or more; normal: (2,); forks: the share of roads that do, between
      `fork_at` (2,) metres.
  """
  turn = .085 + .03 * u[2]
  fork = fork_at[0] + (fork_at[1] - fork_at[0]) * u[1]
  lines, poses = jax.vmap(lambda by: centre_line(.022 * normal[0], .0009 * normal[1], fork, by)
                          )(turn * jnp.array(TURNS))
  parts = jnp.array(FORKS, bool)[(u[3] * len(FORKS)).astype(jnp.int32)]
  there = jnp.where(u[0] < forks, parts, jnp.array([False, True, False]))
  order = jnp.cumsum(there)
  # Of n branches the k-th that there is, k being uniform.
  driven = (order > jnp.floor(u[4] * order[-1])).argmax()
  return Road(seen_from(lines, poses[driven]), there), driven, fork

