"""Photographs in which the people of `visionlab.data.faces.faces` are small, and somewhere.

What a detector of faces learns from, and what the whole chain is judged on: find a face, its
landmarks, turn it upright, and say whose it is.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError
from visionlab.data.drawn import draw
from visionlab.data.faces.faces import PEOPLE, moments
from visionlab.data.faces.render import MIDDLE, MOMENT, person, photographed, with_head
from visionlab.data.scenes import assets
from visionlab.data.scenes.render import TRIES, clearest, photograph
from visionlab.data.source import Arrays, Info, check_ranges, check_seed, check_split
from visionlab.ops.landmarks import FIVE, five_of

EXAMPLES = dict(train=1500, validation=300, test=300)
HEIGHT = 1.73                   # of an upright face from chin to hair, in units of `scale`
REACH = 1.25                    # of hair and chin from the centre, in these units
FRAME = .465                    # of them in the image of a face, where `faces` has it: the mean
CHUNK = 32                      # drawn by one call from the host


def crowds(split: str, *, root: str = '', size: int = 96, faces: tuple[int, int] = (0, 2),
           height: tuple[float, float] = (.2, .45), people: int = 0, examples: int = 0,
           seed: int = 0, yaw: float = 45., pitch: float = 15., roll: float = 20.,
           smiling: float = .5, glasses: float = .35, occluded: float = .2, light: float = 1.,
           keep: bool = True) -> 'Crowds | Arrays':
  """Some people each, on patches of photographs, of whom none hides another.

  The people of a split are those that `faces` has of the same seed, and the splits share neither
  them nor a region of a photograph.

  Args:
    split: 'train', 'validation' or 'test'.
    root: unused.
    size: height and width in pixels.
    faces: at least and at most so many are placed; one for whom there is no room is left out.
    height: of a face from the chin to the hair, as shares of `size`, from and to.
    people: how many there are; 0 stands for 1,200 of 'train' and 150 of the others.
    examples: how many photographs; 0 stands for 1,500 of 'train' and 300 of the others.
    seed, yaw, pitch, roll, smiling, glasses, occluded, light: see `faces`.
    keep: whether all are drawn once, in about 10 ms each, and kept; else anew in each epoch.

  Returns:
    A source of `image` (n h w 3) uint8; `person` (n k) int32, who is there, -1 for nobody; and
    `objects` as visionlab/ops/geometry.py has them: `boxes` (n k 4) from the chin to where hair
    begins, `classes` (n k), `valid` (n k), and `keypoints` (n k 5 3), as the landmarks of `faces`.

  Raises:
    ConfigError: an option out of its range, or scikit-learn is not installed.

  >>> some = crowds('test', faces=(1, 1), size=48, keep=False)[np.arange(2)]
  >>> some['image'].shape, some['objects']['boxes'].shape, some['objects']['valid'].tolist()
  ((2, 48, 48, 3), (2, 1, 4), [[True], [True]])
  """
  del root
  check_split(split, assets.SPLITS, 'crowds')
  check_seed(seed, 'crowds')
  numbers = moments('crowds', yaw=yaw, pitch=pitch, roll=roll, smiling=smiling, glasses=glasses,
                    occluded=occluded, light=light)
  people, examples = people or PEOPLE[split], examples or EXAMPLES[split]
  check_ranges('crowds', size=(size, 32, 512), people=(people, 1, 1 << 24),
               examples=(examples, 1, 1 << 24))
  for name, pair, least, most in (('faces', faces, 0, 20), ('height', height, .05, .7)):
    if len(pair) != 2 or not least <= pair[0] <= pair[1] <= most or not pair[1]:
      raise ConfigError(f'crowds: {name} must be (least, most) with {least} <= least <= most <= '
                        f'{most}, not {pair!r}')
  arrays = {**assets.backgrounds(split, size), 'seed': np.uint32(seed % 2**32),
            'split': np.int32(assets.SPLITS.index(split)), 'people': np.int32(people),
            'fewest': np.float32(faces[0]), 'height': np.float32(height), **numbers}
  source = Crowds(size, faces[1], arrays, examples)
  return Arrays(source[np.arange(len(source))], source.info) if keep else source


class Crowds:
  """The source that `crowds` opens; it holds what photographs are made of, and draws them.

  Args:
    size, most: what the program depends on: pixels, and faces that there is room for.
    arrays: the photographs, and the numbers among the options.
    examples: how many there are.
  """
  info = Info(classes=('face',), joints=FIVE)

  def __init__(self, size: int, most: int, arrays: Mapping[str, np.ndarray], examples: int):
    self.size, self.most, self.arrays, self.examples = size, most, dict(arrays), examples

  def __len__(self) -> int:
    return self.examples

  def gather(self, arrays: Mapping[str, jax.Array], indices: jax.Array) -> dict:
    """The photographs at traced indices (n,), for use inside a compiled loop."""
    return _draw(self.size, self.most, arrays, indices)

  def __getitem__(self, indices: np.ndarray) -> dict:
    return draw(partial(self.gather, self.arrays), indices, len(self), CHUNK)


@partial(jax.jit, static_argnums=(0, 1))
def _draw(size, most, arrays, indices):
  return jax.vmap(partial(_example, size, most, arrays))(indices)


def _example(size, most, arrays, index):
  # The implementation is named so that no setting of JAX makes other photographs of the same seed;
  # the second number is none that people have, who are counted from below.
  key = jax.random.key(arrays['seed'], impl='threefry2x32')
  key = jax.random.fold_in(key, jnp.uint32(2**32 - 1) - arrays['split'].astype(jnp.uint32))
  key = jax.random.fold_in(key, index)
  u = jax.random.uniform(key, (1 + most, MOMENT + 2 * TRIES))
  whole, own, places = u[0], u[1:, :MOMENT], u[1:, MOMENT:]
  low, high = arrays['height']
  scale = size * (low + (high - low) * own[:, 11]) / HEIGHT
  centre, _ = clearest(places, REACH * scale, size)
  count = arrays['fewest'] + jnp.floor(whole[0] * (most + 1 - arrays['fewest']))
  there = _apart(centre, REACH * scale, jnp.arange(most) < count)
  who = jnp.floor(own[:, 38] * arrays['people']).astype(jnp.int32)

  def add(image, head):
    u, centre, scale, there, who = head
    side = scale / FRAME
    shown, truth = with_head(image, person(arrays, who), u, centre, scale,
                             (centre - side * MIDDLE, side), arrays)
    return jnp.where(there, shown, image), (truth['points'], truth['forehead'], truth['covered'])
  ground = photograph(whole[1:10], arrays, size)
  image, (points, forehead, covered) = lax.scan(add, ground, (own, centre, scale, there, who))
  grain = jax.random.normal(jax.random.fold_in(key, 1), image.shape)
  outline = jnp.concatenate([points, forehead], 1)
  boxes = jnp.clip(jnp.concatenate([outline.min(1), outline.max(1)], -1), 0, size)
  five, hidden = five_of(points), five_of(covered[..., None].astype(jnp.float32))[..., 0] > .5
  seen = jnp.concatenate([five, jnp.where(hidden, 1., 2.)[..., None]], -1)
  inside = jnp.all((five >= 0) & (five <= size), -1, keepdims=True) & there[:, None, None]
  objects = dict(boxes=jnp.where(there[:, None], boxes, 0), valid=there,
                 classes=jnp.zeros(most, jnp.int32), keypoints=jnp.where(inside, seen, 0))
  return dict(image=photographed(image, whole[10:14], grain), objects=objects,
              person=jnp.where(there, who, -1))


def _apart(centre, reach, wanted):
  """Which of heads (n,) are there: those wanted that come near none before them."""
  def choose(there, i):
    apart = jnp.linalg.norm(centre - centre[i], axis=-1) >= reach + reach[i]
    free = wanted[i] & jnp.all(apart | ~there)
    return there.at[i].set(free), None
  return lax.scan(choose, jnp.zeros(len(reach), bool), jnp.arange(len(reach)))[0]
