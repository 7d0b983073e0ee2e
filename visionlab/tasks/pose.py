"""Poses by a cascade of regressors: the joints of a person, then each joint anew from nearby."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.figures import poses as figures
from visionlab.measures.poses import parts_of, pose_scores
from visionlab.metrics import Ratio
from visionlab.ops.crop import squares
from visionlab.ops.displacements import displacement, moments
from visionlab.ops.image import Standardise
from visionlab.ops.joint_words import words_of
from visionlab.ops.joints import TORSO
from visionlab.task import Aux, Evaluator
from visionlab.tasks.draws import draw_of
from visionlab.tasks.forward import check_output, forward, fresh

CONTEXT = 1.2                   # how much of its box's longer side a person's square shows
MOVED, ZOOMED = .05, .08        # standard deviations of squares in training: sides, and log
USUAL = .25                     # a torso, of the square, where a pose's own is not known
KEPT = .98                      # of the count of errors, after an update
GUESS = np.float32([0, 0, .04, 0, .04])       # of their means at first: a fifth of a torso


@dataclasses.dataclass(frozen=True)
class Pose:
  """DeepPose (Toshev and Szegedy 2014, https://arxiv.org/abs/1312.4659).

  batch: `image` (b h w c), `valid` (b,) and `objects`: `boxes` (b n 4), `valid` (b n) and
  `keypoints` (b n k 3), x, y and whether they are known. Without objects a person fills the image.

  The first stage sees a square about the box, and says where all joints are in it (section 3.1). A
  later one sees a square of `sigma` torsos about each joint that the stage before found, and says
  how far off it is: the network's own two numbers of that joint. It learns from squares
  about true joints, displaced by as much as the stage before is wrong: normal, with the mean and
  the covariance of each joint's errors, times `hp.spread`, since errors on what was learnt from are
  smaller than on what is new (section 3.2). A share `hp.reached` of them, which the paper does not
  have, lies where the stage before has got to with that very image instead: its errors are no
  normal ones, and hang on what there is to be seen.

  The terms `stage1`, ... are the mean squared distances, in sides of squares. All stages have one
  form of network, and learn in every update, or with config.optim.turns one after the other.

  The collection `errors` has the moments of each joint's error, in torsos, of every stage but the
  last: decaying `means` (s-1 k 5) of x, y, x^2, xy and y^2, of how many they are, `count` (s-1 k),
  and what of this update is to be added, `new` (s-1 k 6).

  predict: `keypoints` (b n k 2) in pixels, and `stages` (b s n k 2) after each.
  """
  model: Any
  joints: tuple[str, ...]
  limbs: tuple[tuple[int, int], ...]
  sizes: tuple[int, ...]
  sigma: float
  samples: int
  torso: tuple[int, int]
  preprocess: Standardise
  axis: str | None = None        # under pmap

  draws = True

  def hyperparameters(self):
    return dict(spread=1.3, reached=0.) | {f'{name}_weight': 1. for name in self.stages}

  @property
  def stages(self) -> tuple[str, ...]:
    return tuple(f'stage{i + 1}' for i in range(len(self.sizes)))

  def init(self, key, batch):
    channels = self.preprocess(batch['image'][:1]).shape[-1]
    variables = {}
    for i, (name, size) in enumerate(zip(self.stages, self.sizes, strict=True)):
      made = fresh(self.model, jax.random.fold_in(key, i), jnp.zeros((1, size, size, channels)))
      for collection, own in made.items():
        variables.setdefault(collection, {})[name] = own
    each = len(self.sizes) - 1, len(self.joints)
    return {**variables, 'errors': dict(means=jnp.broadcast_to(GUESS, (*each, 5)),
                                        count=jnp.ones(each), new=jnp.zeros((*each, 6)))}

  # --- a stage ---

  def outputs(self, variables, stage, image, centres, sides, key=None, *, train=False):
    """What a stage says of squares (b m): (b m k 2) in sides; and its collections after them."""
    own = {name: tree[stage] for name, tree in variables.items() if name != 'errors'}
    size = self.sizes[self.stages.index(stage)]
    seen = jax.vmap(lambda *one: squares(*one, size))(self.preprocess(image), centres, sides)
    out, collections = forward(self.model, own, seen.reshape(-1, *seen.shape[2:]), key, train=train)
    check_output(out, (out.shape[0], 2 * len(self.joints)), self.model, 'x and y of each joint')
    out = out.astype(jnp.float32).reshape(*centres.shape[:2], len(self.joints), 2)
    return out, collections

  def side(self, pose, known, square):
    """Of the squares (...) about the joints of a pose (... k 2), of a person in a square (...)."""
    a, b = self.torso
    length = jnp.linalg.norm(pose[..., a, :] - pose[..., b, :], axis=-1)
    # A torso seen from above has next to no length.
    return self.sigma * jnp.where(known[..., a] & known[..., b],
                                  jnp.maximum(length, .3 * USUAL * square), USUAL * square)

  def refined(self, variables, stage, image, pose, square):
    """A pose (b n k 2) after one more stage."""
    b, n, k = pose.shape[:3]
    side = self.side(pose, jnp.ones((b, n, k), bool), square)
    every = jnp.broadcast_to(jnp.arange(k), (b, n, k))
    sides = jnp.broadcast_to(side[..., None], (b, n, k))
    return pose + self.moved(variables, stage, image, every, pose, sides)[0] * side[..., None, None]

  def cascade(self, variables, batch):
    """The poses after each stage, (b s n k 2)."""
    centre, square = frames(batch)
    out, _ = self.outputs(variables, self.stages[0], batch['image'], centre, square)
    found = [centre[:, :, None] + out * square[..., None, None]]
    for stage in self.stages[1:]:
      found.append(self.refined(variables, stage, batch['image'], found[-1], square))
    return jnp.stack(found, 1)

  # --- what is learnt ---

  def loss(self, variables, batch, key, hp, *, train):
    truth = batch['objects']['keypoints']
    true, known = truth[..., :2], truth[..., 2] > 0
    known &= (batch['objects']['valid'] & batch['valid'][:, None])[..., None]
    keys = draw_of(batch)
    centre, square = frames(batch)
    if train:
      moved = jax.vmap(lambda k: jax.random.normal(k, (square.shape[1], 3)))(keys)
      centre, square = (centre + MOVED * square[..., None] * moved[..., :2],
                        square * jnp.exp(ZOOMED * moved[..., 2]))
    unit = self.side(true, known, square) / self.sigma
    out, after = self.outputs(variables, self.stages[0], batch['image'], centre, square, key,
                              train=train)
    target = (true - centre[:, :, None]) / square[..., None, None]
    terms = {self.stages[0]: squared(out - target, known)}
    error, k = (out - target) * (square / unit)[..., None, None], true.shape[2]
    collected = [moments(error, known, jax.nn.one_hot(jnp.arange(k), k))]
    merged = {self.stages[0]: after}
    draw = jax.vmap(lambda key: jax.random.uniform(key, (true.shape[1], self.samples)))(keys)
    joint = jnp.minimum((draw * k).astype(jnp.int32), k - 1)

    def of_joints(x):
      return jnp.take_along_axis(x, joint.reshape(*joint.shape, *[1] * (x.ndim - 3)), axis=2)
    place, sure = of_joints(true), of_joints(known)
    side = jnp.broadcast_to(self.sigma * unit[..., None], joint.shape)
    reached = lax.stop_gradient(of_joints(centre[:, :, None] + out * square[..., None, None]))
    for i, stage in enumerate(self.stages[1:]):
      z = jax.vmap(lambda key, i=i: jax.random.normal(jax.random.fold_in(key, i + 1),
                                                      place.shape[1:]))(keys)
      wrong = displacement(variables['errors']['means'][i][joint], z) * hp['spread']
      start = place + wrong * unit[..., None, None]
      own = jax.vmap(lambda key, i=i: jax.random.bernoulli(
          jax.random.fold_in(key, len(self.stages) + i), hp['reached'], place.shape[1:3]))(keys)
      start = jnp.where(own[..., None], reached, start)
      said, merged[stage] = self.moved(variables, stage, batch['image'], joint, start, side, key,
                                       train=train)
      terms[stage] = squared(said - (place - start) / side[..., None], sure)
      if len(collected) < len(self.stages) - 1:
        # Where this stage gets to from where the one before really has: the next one's errors.
        said, _ = self.moved(variables, stage, batch['image'], joint, reached, side)
        reached = lax.stop_gradient(reached + said * side[..., None])
        collected.append(moments((reached - place) / unit[..., None, None], sure,
                                 jax.nn.one_hot(joint, k)))
    collections = {name: {stage: merged[stage][name] for stage in self.stages}
                   for name in merged[self.stages[0]]}
    errors = variables['errors']
    if train and len(self.stages) > 1:
      errors = self._after(errors, jnp.stack(collected), hp)
    return terms, Aux({**collections, 'errors': errors}, {})

  def moved(self, variables, stage, image, joint, centres, sides, key=None, *, train=False):
    """By how much a stage moves joints (b n m) seen in squares, (b n m 2) in sides; and its
    collections after them."""
    b, n, m = joint.shape
    out, after = self.outputs(variables, stage, image, centres.reshape(b, n * m, 2),
                              sides.reshape(b, n * m), key, train=train)
    out = out.reshape(b, n, m, -1, 2)
    return jnp.take_along_axis(out, joint[..., None, None], 3)[..., 0, :], after

  def _after(self, errors, collected, hp):
    """The moments after a batch, or after a part of one: what is drawn of hangs on whole ones."""
    collected = lax.stop_gradient(collected)
    new = errors['new'] + (lax.psum(collected, self.axis) if self.axis else collected)
    ends = jnp.asarray(hp.get('update_ends', True))
    old = KEPT * errors['count']
    count = old + new[..., 0]
    means = (old[..., None] * errors['means'] + new[..., 1:]) / jnp.maximum(count, 1e-30)[..., None]
    return dict(means=jnp.where(ends, means, errors['means']),
                count=jnp.where(ends, count, errors['count']), new=jnp.where(ends, 0., new))

  # --- what is said ---

  def predict(self, variables, batch):
    stages = self.cascade(variables, batch)
    return dict(keypoints=stages[:, -1], stages=stages)

  def answer(self, variables, batch, given=None):
    said = self.predict(variables, batch)['keypoints']
    return dict(outputs=said.reshape(len(said), -1))

  def describe(self, predictions, top):
    """A line for each image: where the first person's joints are."""
    del top
    return ['  '.join(f'{name} {x:.0f},{y:.0f}' for name, (x, y) in zip(self.joints, one[0]))
            for one in predictions['keypoints']]

  def picture(self, images, predictions, captions, title):
    return figures.found(np.stack(images), predictions['keypoints'], self.joints, self.limbs,
                         captions, title)

  def evaluators(self):
    def update(variables, batch, hp):
      objects = batch['objects']
      return dict(stages=self.cascade(variables, batch), true=objects['keypoints'],
                  boxes=objects['boxes'], there=objects['valid'])
    return {'poses': Evaluator(update, self._finish, kind='collect')}

  def _finish(self, rows):
    there = np.asarray(rows['there'], bool)
    true, boxes = rows['true'][there], rows['boxes'][there]
    parts, results = parts_of(self.joints, self.limbs), {}
    for i, name in enumerate(self.stages):
      scores = pose_scores(rows['stages'][:, i][there], true, boxes, parts, self.torso)
      results |= {f'{name}_{k}': scores[k] for k in ('pcp', 'pdj', 'pck', 'pdj_curve')}
    return results | scores

  def figures(self, batch, predictions, results):
    pictures = dict(samples=figures.stages(batch['image'], batch['objects'], predictions['stages'],
                                           self.joints, self.limbs))
    curves = {name: results[f'{name}_pdj_curve'] for name in self.stages
              if f'{name}_pdj_curve' in results}
    return pictures | (dict(pdj=figures.curves(curves)) if curves else {})


def frames(batch):
  """The squares about people: centres (b n 2) and sides (b n)."""
  if 'objects' not in batch:
    h, w = batch['image'].shape[1:3]
    boxes = jnp.broadcast_to(jnp.float32([0, 0, w, h]), (len(batch['image']), 1, 4))
    return boxes[..., 2:] / 2, jnp.maximum(boxes[..., 2], boxes[..., 3])
  boxes = batch['objects']['boxes']
  side = CONTEXT * (boxes[..., 2:] - boxes[..., :2]).max(-1)
  # Where there is nobody nothing is learnt, but numbers must be finite.
  return (boxes[..., :2] + boxes[..., 2:]) / 2, jnp.maximum(side, 1.)


def squared(off, known) -> Ratio:
  """The mean of squared distances (... 2) over what is known (...)."""
  return Ratio(jnp.where(known, (off ** 2).sum(-1), 0).sum(), known.sum().astype(jnp.float32))


def torso_of(joints) -> tuple[int, ...]:
  """The left hip and the right shoulder, where names tell; else where those 14 joints have them."""
  words = [words_of(name) for name in joints]
  ends = [words_of(name) for name in ('left hip', 'right shoulder')]
  return tuple(words.index(end) for end in ends) if set(ends) <= set(words) else TORSO


def pose(*, make_model: Callable, info: Info, example: Mapping, sizes: tuple[int, ...] = (48, 24),
         sigma: float = 1.2, samples: int = 1, torso: tuple[int, ...] = (), mean: tuple = (),
         std: tuple = (), channel_order: str = 'RGB', axis: str | None = None) -> Pose:
  """The joints of people in given boxes, by regression in a cascade.

  Args:
    sizes: of the squares that each stage sees, in pixels: as many as there are stages.
    sigma: how wide the squares about joints are, in torsos.
    samples: joints of each person that a later stage learns from in an update.
    torso: a hip and the other shoulder, whose distance is the unit; () finds them by their names.
    mean, std, channel_order: what is done to images before the network sees them, see
      `visionlab.ops.image.standardise`.

  Raises:
    ConfigError: a source without keypoints, or options that do not fit.
  """
  if set(example) != {'image'} and 'keypoints' not in example.get('objects', {}):
    raise ConfigError('config.task: pose learns from people with `keypoints`, as '
                      'dict(name="scenes", kind="figures") and "lsp" have them, and this source '
                      f'gives {", ".join(sorted(example))}')
  joints = info.joints
  if not joints and 'objects' in example:
    joints = tuple(f'joint {i}' for i in range(example['objects']['keypoints'].shape[2]))
  count = len(joints)
  torso = torso or torso_of(joints)
  if len(torso) != 2 or torso[0] == torso[1] or not all(0 <= i < count for i in torso):
    raise ConfigError(f'config.task.torso: must name two of the {count} joints, a hip and the '
                      f'other shoulder, not {torso!r}')
  if not sizes or min(sizes) < 4:
    raise ConfigError(f'config.task.sizes: a size of 4 or more for each stage, not {sizes!r}')
  if samples < 1 or sigma <= 0:
    raise ConfigError('config.task: samples must be at least 1 and sigma above 0, not '
                      f'{samples} and {sigma}')
  return Pose(make_model(classes=2 * count), tuple(joints), info.limbs, tuple(sizes), sigma,
              samples, tuple(torso), Standardise(mean, std, channel_order), axis)
