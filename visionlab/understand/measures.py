"""How good an attribution is: by hiding what it names, by masks, by its sum, by random weights."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.understand.baselines import baseline as baseline_of
from visionlab.understand.explained import checked, fixed, scored
from visionlab.understand.subject import Subject, in_chunks
from visionlab.understand.targets import Target

SCALES = {'': lambda x: x, 'softmax': jax.nn.softmax, 'sigmoid': jax.nn.sigmoid}
SPREAD = 1e-12                 # of a map that is the same everywhere, and correlates with nothing


class Curve(NamedTuple):
  """What a target becomes as an image changes.

  Attributes:
    shares: (s,) of its pixels that have been changed, evenly from 0 to 1.
    scores: (b s).
  """
  shares: np.ndarray
  scores: np.ndarray

  @property
  def area(self) -> np.ndarray:
    """(b,), the mean height."""
    return (self.scores[:, 1:] + self.scores[:, :-1]).mean(-1) / 2


def deletion(subject: Subject, images, maps: np.ndarray, target: Target | Sequence = None, *,
             steps: int = 20, fill='black', scale: str = '', given: Mapping | None = None,
             chunk: int = 16) -> Curve:
  """A target as pixels are hidden, those first that a map says are most important (Petsiuk et al.
  2018, RISE, https://arxiv.org/abs/1806.07421, section 4.2). The smaller the area, the better.

  Args:
    images: (b h w c), uint8 or in [0, 1].
    maps: (b h w); of (b h w c) the largest of a pixel's channels, in size.
    steps: in which an equal number of pixels is hidden each.
    fill: what hides them, as `visionlab.understand.baselines.baseline` takes it.
    scale: of `logits`: '' as they are, or 'softmax' or 'sigmoid' for probabilities, as the paper
      has it. Areas of logits can be compared between methods, but not between images.
    Others as for `visionlab.understand.attribute.saliency`.

  Raises:
    ConfigError: no such class or scale; maps of another size; images that the network cannot look
      at.
  """
  return _changed(subject, images, maps, target, steps, fill, scale, given, chunk, insert=False)


def insertion(subject: Subject, images, maps: np.ndarray, target: Target | Sequence = None, *,
              steps: int = 20, fill='blur', scale: str = '', given: Mapping | None = None,
              chunk: int = 16) -> Curve:
  """A target as pixels are shown, the most important first, from a blurred image on. The larger the
  area, the better. Arguments and errors as for `deletion`."""
  return _changed(subject, images, maps, target, steps, fill, scale, given, chunk, insert=True)


def pointing_game(maps: np.ndarray, masks: np.ndarray, tolerance: float = 0.) -> np.ndarray:
  """(b,) bool: whether a map's largest value lies in a mask (Zhang et al. 2018,
  https://arxiv.org/abs/1608.00507, section 4.1).

  Args:
    maps: (b h w), or (b h w c), of which the largest of a pixel's channels in size is taken.
    masks: (b h w) bool.
    tolerance: pixels around the mask that count as inside; the paper has 15 of some hundred.

  >>> pointing_game(np.eye(3)[None] * [1., 3, 2], np.eye(3)[None] == 1).tolist()
  [True]
  """
  maps, masks = by_place(maps), np.asarray(masks, bool)
  _of_one_size(maps, masks)
  if tolerance:
    from scipy.ndimage import distance_transform_edt  # noqa: PLC0415
    masks = np.stack([distance_transform_edt(~mask) <= tolerance if mask.any() else mask
                      for mask in masks])
  best = maps.reshape(len(maps), -1).argmax(-1)
  return masks.reshape(len(masks), -1)[np.arange(len(masks)), best]


def iou(maps: np.ndarray, masks: np.ndarray, above: float | None = None) -> np.ndarray:
  """(b,): how well a map's highest pixels and a mask agree, intersection over union.

  above: pixels of at least this share of the map's maximum; None: as many as the mask has, which
    needs no threshold that suits some methods better than others.

  >>> iou(np.array([[[3., 2], [1, 0]]]), np.array([[[True, False], [True, False]]])).tolist()
  [0.3333333333333333]
  """
  maps, masks = by_place(maps), np.asarray(masks, bool)
  _of_one_size(maps, masks)
  if above is None:
    high = ranks(maps) < masks.sum((1, 2), keepdims=True)
  else:
    high = maps >= above * maps.max((1, 2), keepdims=True)
  either = (high | masks).sum((1, 2))
  return (high & masks).sum((1, 2)) / np.maximum(either, 1)


def completeness(subject: Subject, images, values: np.ndarray, target: Target | Sequence = None, *,
                 baseline='black', given: Mapping | None = None, chunk: int = 16) -> np.ndarray:
  """(b,): the difference of the answers to an image and to its baseline, less the sum of its values
  (b h w c) or (b h w); as a share of that difference. 0 where they add up to it.

  Arguments and errors as for `visionlab.understand.attribute.integrated_gradients`.
  """
  images = checked(subject, images)
  kept, select, whole = _kept(subject, images, target, baseline, '', given, chunk)
  empty = in_chunks(partial(_partly, subject, select, '', kept), chunk, np.arange(len(images)),
                    np.ones(images.shape[:-1], bool))
  return 1 - np.reshape(values, (len(images), -1)).sum(-1) / (whole - empty)


def cascade(method: Callable[[Subject, np.ndarray], np.ndarray], subject: Subject,
            images: np.ndarray, *, seed: int = 0,
            modules: Sequence[str] | None = None) -> Iterator[tuple[str, np.ndarray]]:
  """Cascading randomisation (Adebayo et al. 2018, https://arxiv.org/abs/1810.03292, section 3.1).

  The weights of one layer after the other, from the last to the first, are drawn anew, from a
  normal distribution of their own mean and deviation; the maps that a method then finds are held
  against those of the trained network. What explains a network changes with it: where the
  correlation stays high, the method shows the image instead. Guided backpropagation fails so.

  Args:
    method: (subject, images) -> maps (b h w) or (b h w c). It should name its target, and what that
      is about (`given`), or these change as well.
    seed: of the weights.
    modules: paths of those that are drawn, in that order; by default `randomised_modules`.

  Yields:
    The path of a module, and the rank correlation (b,) of the maps from there on with those of the
    trained network, sizes without signs; 0 where a map is the same everywhere.
  """
  there = randomised_modules(subject)
  for name in modules or ():
    check_choice(name, there, 'modules')
  first = _ranked(method(subject, images))
  variables, key = subject.variables, jax.random.key(seed)
  for i, path in enumerate(there if modules is None else modules):
    variables = redrawn(variables, path, jax.random.fold_in(key, i))
    changed = dataclasses.replace(subject, variables=variables)
    yield path, _correlation(first, _ranked(method(changed, images)))


def randomised_modules(subject: Subject) -> list[str]:
  """The paths of all modules with weights, from the last of the computation to the first."""
  paths = jax.tree_util.tree_leaves_with_path(subject.variables['params'])
  owners = dict.fromkeys('/'.join(key.key for key in path[:-1]) for path, _ in paths)
  # The module beside a map of its name is called 'stem.conv', but its weights 'stem'.
  order = {}
  for place, name in enumerate(subject.layers()):
    parent, slash, last = name.partition('@')[0].rpartition('/')
    order.setdefault(parent + slash + last.split('.')[0], place)
  # What is not called as a layer of its own, such as a cell within a scan, comes with the last.
  return sorted(owners, key=lambda path: -order.get(path, len(order) + 1))


def redrawn(variables: Mapping, module: str, key: jax.Array) -> dict:
  """Variables in which a module's own weights are drawn anew, each of its mean and deviation."""
  def draw(path, w):
    if '/'.join(k.key for k in path[:-1]) != module:
      return w
    own = jax.random.fold_in(key, sum(map(ord, path[-1].key)))
    return (w.mean() + w.std() * jax.random.normal(own, w.shape)).astype(w.dtype)
  return {**variables, 'params': jax.tree_util.tree_map_with_path(draw, variables['params'])}


def by_place(maps: np.ndarray) -> np.ndarray:
  """Maps (b h w) as they are; of (b h w c) the largest of the channels, in size."""
  maps = np.asarray(maps)
  return abs(maps).max(-1) if maps.ndim == 4 else maps


def ranks(maps: np.ndarray) -> np.ndarray:
  """How many pixels of a map (b h w) are above each; of equal ones those before it in reading
  order.

  >>> ranks(np.array([[[5, 9], [5, 1]]])).tolist()
  [[[1, 0], [2, 3]]]
  """
  order = np.argsort(-maps.reshape(len(maps), -1), axis=-1, kind='stable')
  return np.argsort(order, axis=-1, kind='stable').reshape(maps.shape)


def _changed(subject, images, maps, target, steps, fill, scale, given, chunk, insert):
  if steps < 1:
    raise ConfigError(f'steps: at least 1, not {steps}')
  check_choice(scale, SCALES, 'scale')
  images, places = checked(subject, images), ranks(by_place(maps))
  _of_one_size(places, images[..., 0])
  kept, select, _ = _kept(subject, images, target, fill, scale, given, chunk)
  shares = np.linspace(0, 1, steps + 1)
  which, step = (axis.ravel() for axis in np.indices((len(images), steps + 1)))
  counts = np.round(shares * places[0].size).astype(np.int32)[step]

  def partly(which, counts):
    first = places[which] < counts[:, None, None]
    return _partly(subject, select, scale, kept, which, ~first if insert else first)
  found = in_chunks(partly, chunk, which, counts)
  return Curve(shares, found.reshape(len(images), steps + 1))


def _kept(subject, images, target, fill, scale, given, chunk):
  """On the device: (images, what hides them, the target's weights, given); select; the target's
  value (b,) of the images as they are."""
  select, index = subject.target(target)
  given = in_chunks(subject.given, chunk, images) if given is None else given
  index = np.broadcast_to(index, (len(images),))
  whole, weights = in_chunks(partial(_whole, subject, select, scale), chunk, images, index, given)
  return jax.device_put((images, baseline_of(images, fill), weights, given)), select, whole


@partial(jax.jit, static_argnames=('select', 'scale'))
def _whole(subject, select, scale, images, index, given):
  answer = _scaled(subject.answer(images, given), scale)
  weights = fixed(answer, select, index)
  return scored(answer, select, weights), weights


@partial(jax.jit, static_argnames=('select', 'scale'))
def _partly(subject, select, scale, kept, which, hidden):
  images, fill, weights, given = jax.tree.map(lambda x: x[which], kept)
  images = jnp.where(hidden[..., None], fill, images)
  return scored(_scaled(subject.answer(images, given), scale), select, weights)


def _scaled(answer, scale):
  return {**answer, 'logits': SCALES[scale](answer['logits'])} if scale else answer


def _ranked(maps):
  """Ranks (b n) of the sizes of a map's values, equal ones alike; centred, of length 1."""
  from scipy.stats import rankdata  # noqa: PLC0415 - half a second
  ranked = rankdata(abs(by_place(maps)).reshape(len(maps), -1), axis=-1)
  ranked = ranked - ranked.mean(-1, keepdims=True)
  return ranked / np.maximum(np.linalg.norm(ranked, axis=-1, keepdims=True), SPREAD)


def _correlation(a, b):
  return (a * b).sum(-1)


def _of_one_size(maps, others):
  if maps.shape != others.shape:
    raise ConfigError(f'maps: expected one for each image or mask, {others.shape}; got '
                      f'{maps.shape}')
