"""Faces: drawn heads whose identity, landmarks and attributes are known exactly.

People differ in 16 proportions, in colours, hair and beard; their photographs in expression, pose,
light, glasses, background and in what hides a part of them. Face i is a function of (seed, split,
i), drawn on the device like the scenes of `visionlab.data.scenes`; nothing is downloaded.
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.drawn import draw
from visionlab.data.faces.render import POSES, face
from visionlab.data.scenes import assets
from visionlab.data.scenes.render import LUMA
from visionlab.data.source import Arrays, Info, check_ranges, check_seed, check_split
from visionlab.ops.landmarks import FIVE, five_of

PEOPLE = dict(train=1200, validation=150, test=150)
EACH = dict(train=16, validation=8, test=8)
ATTRIBUTES = dict(smile=('no smile', 'smile'), glasses=('no glasses', 'glasses'),
                  beard=('no beard', 'beard'), male=('female', 'male'), pose=POSES)
CHUNK = 64                      # faces drawn by one call from the host


def faces(split: str, *, root: str = '', size: int = 40, people: int = 0, train_people: int = 0,
          each: int = 0, seed: int = 0, points: int = 5, yaw: float = 45., pitch: float = 15.,
          roll: float = 20., smiling: float = .5, glasses: float = .35, occluded: float = .2,
          light: float = 1., complexion: float = 0., grey: bool = False, keep: bool = True
          ) -> 'Faces | Arrays':
  """Photographs of people who do not exist, of each so many.

  The splits share no person and no region of a background photograph.

  Args:
    split: 'train', 'validation' or 'test'.
    root: unused.
    size: height and width in pixels; a face is about four fifths of that high.
    people, each: how many there are, and photographs of each; 0 stands for 1,200 and 16 of 'train',
      150 and 8 of the others. Photograph j of person i is the same whatever their number, and
      example i * each + j.
    train_people: how many of 'train', where that is not what `people` says of all splits.
    seed: other seeds give other people.
    points: 5, those that faces are aligned by, or the 68 of iBUG 300-W.
    yaw, pitch, roll: heads are turned by at most so many degrees.
    smiling, glasses, occluded: the shares of photographs with each.
    light: how uneven it is, from 0 to 2.
    complexion: how uneven skin is, from 0 to 1; .3 is a face's. Above 0, each person's skin has
      spots of its own, and hair falls over the forehead; at 0, heads are of one colour.
    grey: one channel instead of three.
    keep: whether all are drawn once, in about 1 ms each, and kept; else as they are needed, anew in
      each epoch, which needs no memory.

  Returns:
    A source of `image` (n h w 3) uint8; `label` (n,) int32, the person; `landmarks` (n points 3):
    x, y in pixels, and 2 where it is seen, 1 where something hides it, 0 (all three) outside the
    image; and int32 (n,) `smile`, `glasses`, `beard`, `male` (0 or 1) and `pose`, which fifth of
    the yaws from the left to the right.

  Raises:
    ConfigError: an option out of its range, or scikit-learn is not installed.

  >>> some = faces('test', people=2, each=3, keep=False)[np.arange(6)]
  >>> some['image'].shape, some['landmarks'].shape, some['label'].tolist()
  ((6, 40, 40, 3), (6, 5, 3), [0, 0, 0, 1, 1, 1])
  """
  del root
  check_split(split, assets.SPLITS, 'faces')
  check_seed(seed, 'faces')
  check_ranges('faces', train_people=(train_people, 0, 1 << 24))
  people = (split == 'train' and train_people) or people or PEOPLE[split]
  each = each or EACH[split]
  numbers = moments('faces', yaw=yaw, pitch=pitch, roll=roll, smiling=smiling, glasses=glasses,
                    occluded=occluded, light=light, complexion=complexion)
  check_ranges('faces', size=(size, 16, 512), people=(people, 1, 1 << 24), each=(each, 1, 1 << 16))
  if points not in (5, 68):
    raise ConfigError(f'faces: points must be 5 or 68, not {points!r}')
  arrays = {**assets.backgrounds(split, size), 'seed': np.uint32(seed % 2**32),
            'split': np.int32(assets.SPLITS.index(split)), 'each': np.int32(each),
            **numbers}
  source = Faces(size, points, grey, arrays, people)
  return Arrays(source[np.arange(len(source))], source.info) if keep else source


def moments(source: str, *, yaw: float, pitch: float, roll: float, light: float,
            complexion: float = 0., **shares: float) -> dict[str, np.float32]:
  """What `visionlab.data.faces.render.face` needs of the options of that name of a source.

  Raises:
    ConfigError: one is out of its range.
  """
  check_ranges(source, yaw=(yaw, 0, 80), pitch=(pitch, 0, 60), roll=(roll, 0, 180),
               light=(light, 0, 2), complexion=(complexion, 0, 1),
               **{k: (v, 0, 1) for k, v in shares.items()})
  numbers = dict(yaw=np.deg2rad(yaw), pitch=np.deg2rad(pitch), roll=np.deg2rad(roll), light=light,
                 **(dict(complexion=complexion) if complexion else {}), **shares)
  return {name: np.float32(value) for name, value in numbers.items()}


class Faces:
  """The source that `faces` opens; it holds what faces are made of, and draws them.

  Args:
    size, points, grey: what the program depends on; see `faces`.
    arrays: the photographs, at most some megabytes, and the numbers among the options.
    people: how many there are.
  """

  def __init__(self, size: int, points: int, grey: bool, arrays: Mapping[str, np.ndarray],
               people: int):
    self.size, self.points, self.grey = size, points, grey
    self.arrays, self.people = dict(arrays), people
    # Those of another split are others: nothing may take the one for the other.
    split, digits = assets.SPLITS[int(self.arrays['split'])], len(str(people - 1))
    names = FIVE if points == 5 else tuple(f'point {i}' for i in range(points))
    self.info = Info(classes=tuple(f'{split} {i:0{digits}}' for i in range(people)), joints=names,
                     attributes=ATTRIBUTES)

  def __len__(self) -> int:
    return self.people * int(self.arrays['each'])

  @property
  def labels(self) -> np.ndarray:
    """The person of each example, (n,), which needs no drawing."""
    return np.repeat(np.arange(self.people, dtype=np.int32), int(self.arrays['each']))

  def gather(self, arrays: Mapping[str, jax.Array], indices: jax.Array) -> dict:
    """The faces at traced indices (n,), for use inside a compiled loop; arrays: `self.arrays`."""
    return _draw(self.size, self.points, self.grey, arrays, indices)

  def __getitem__(self, indices: np.ndarray) -> dict:
    return draw(partial(self.gather, self.arrays), indices, len(self), CHUNK)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _draw(size, points, grey, arrays, indices):
  return jax.vmap(partial(_example, size, points, grey, arrays))(indices)


def _example(size, points, grey, arrays, index):
  drawn = face(size, arrays, index)
  place, covered = drawn.pop('points'), drawn.pop('covered')
  if points == 5:
    # What hides an eye's outline hides the eye.
    place, covered = (five_of(x)
                      for x in (place, covered[:, None].astype(jnp.float32)))
    covered = covered[:, 0] > .5
  inside = jnp.all((place >= 0) & (place <= size), -1, keepdims=True)
  seen = jnp.where(covered, 1., 2.)[:, None]
  landmarks = jnp.where(inside, jnp.concatenate([place, seen], -1), 0)
  if grey:
    luma = (drawn['image'] * np.array(LUMA, np.float32)).sum(-1, keepdims=True)
    drawn['image'] = jnp.round(luma).astype(jnp.uint8)
  return dict(drawn, landmarks=landmarks.astype(jnp.float32))
