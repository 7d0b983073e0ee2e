"""Dissection: which units of a network detect which things that people have names for.

After Bau et al. 2017 (https://arxiv.org/abs/1704.05796, section 2): where a unit is among its
largest half per cent of a whole split, it is on. Enlarged to the image, that is a mask; its IoU
with the pixels of a concept, over the split, says how well the unit detects it. A unit with an IoU
above .04 is called a detector.
"""

import dataclasses
import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Source
from visionlab.understand.receptive_field import receptive_fields
from visionlab.understand.streaming import (
  Progress,
  as_source,
  batches_of,
  map_layer,
  maps_of,
)
from visionlab.understand.subject import Subject, floats

QUANTILE = .005                # the paper's
DETECTS = .04                  # the IoU above which a unit is a detector, the paper's


@dataclasses.dataclass(frozen=True)
class Dissection:
  """What the units of a layer detect.

  Attributes:
    layer: its full name.
    concepts: names of the values of the label maps.
    iou: (u c) f64, of each unit with each concept; 0 where the split shows none of it.
    thresholds: (u,) f32: a unit is on where it is at least this.
    pixels: (c,) labelled pixels of each concept.
  """
  layer: str
  concepts: tuple[str, ...]
  iou: np.ndarray
  thresholds: np.ndarray
  pixels: np.ndarray

  @property
  def concept(self) -> np.ndarray:
    """(u,) of each unit the concept it detects best."""
    return self.iou.argmax(1)

  @property
  def best(self) -> np.ndarray:
    """(u,) the IoU with that."""
    return self.iou.max(1)

  def detectors(self, above: float = DETECTS) -> np.ndarray:
    """(u,) bool: units that detect some concept."""
    return self.best > above

  def counts(self, above: float = DETECTS) -> dict[str, int]:
    """How many units detect each concept, of those that any does, the most first."""
    found = np.bincount(self.concept[self.detectors(above)], minlength=len(self.concepts))
    return {self.concepts[i]: int(found[i]) for i in np.argsort(-found, kind='stable') if found[i]}


def dissect(subject: Subject, source: Source, at: str, *, concepts: Sequence[str] = (),
            quantile: float = QUANTILE, rotation: np.ndarray | None = None, batch: int = 32,
            progress: Progress | None = None) -> Dissection:
  """The IoU of every unit of a layer with every concept of a split's label maps.

  The split is read twice: for the thresholds, and for the masks.

  Args:
    source: whose examples have `image` and `label_map` (b h w) int, in pixels of the image; what is
      no concept, such as 255, counts nowhere.
    at: the layer, see `Subject.layers`.
    concepts: names of the label maps' values, by default the source's.
    quantile: the share of a unit's values at which it is on.
    rotation: (u u), by which the units are turned first: see `random_rotation`.
    batch: images at a time, which bounds the memory.
    progress: is called with how many images are done, and how many there are, in either reading.

  Raises:
    ConfigError: no such layer, or no label maps.
  """
  concepts = _concepts(source, concepts)
  at, (_, _, units) = map_layer(subject, source, at)
  if rotation is not None and np.shape(rotation) != (units, units):
    raise ConfigError(f'rotation: of {units} units it is ({units} {units}), not '
                      f'{np.shape(rotation)}')
  levels = thresholds(subject, source, at, quantile=quantile, rotation=rotation, batch=batch,
                      progress=progress)
  rows, columns = enlargement(subject, source, at)
  # Sums on the host, of whole numbers without an end.
  both, on, pixels = 0, 0, 0
  for examples in batches_of(source, batch, progress):
    counted = _counts(subject, floats(examples['image']), examples['label_map'], examples['valid'],
                      levels, rotation, rows, columns, at, len(concepts))
    both, on, pixels = (total + np.asarray(new, np.int64)
                        for total, new in zip((both, on, pixels), counted, strict=True))
  iou = both / np.maximum(on[:, None] + pixels - both, 1)
  return Dissection(at, concepts, iou, levels, pixels)


def thresholds(subject: Subject, source: Source | np.ndarray, at: str, *,
               quantile: float = QUANTILE, rotation: np.ndarray | None = None, batch: int = 32,
               progress: Progress | None = None) -> np.ndarray:
  """The value (u,) f32 of each unit of a layer that the share `quantile` of its values, over all
  places of all images, reaches.

  Exact, not estimated: with n values it is the largest but ceil(quantile n) - 1, as a sort of all
  gives it. The split is read once, and that many numbers of each unit are kept, on the device. Of a
  unit that is at its least, such as 0 after ReLU, more often than that, it is the next number above
  its least, and of one that never changes infinity: silent units are never on. Arguments as for
  `dissect`.
  """
  if not 0 < quantile <= 1:
    raise ConfigError(f'quantile: above 0 and at most 1, not {quantile}')
  source = as_source(source)
  at, (height, width, units) = map_layer(subject, source, at)
  most = math.ceil(quantile * len(source) * height * width)
  largest, least = jnp.full((units, most), -jnp.inf), jnp.full(units, jnp.inf)
  count = 0
  for examples in batches_of(source, batch, progress):
    largest, least = _larger(subject, largest, least, floats(examples['image']),
                             examples['valid'], rotation, at)
    count += int(examples['valid'].sum()) * height * width
  if not count:
    raise ConfigError('there is no valid image in this split')
  largest, least = np.asarray(largest), np.asarray(least)
  level, tiny = largest[:, math.ceil(quantile * count) - 1], np.finfo(np.float32).tiny
  above = np.nextafter(least, np.float32(np.inf))
  # What is smaller counts as 0 on many devices.
  above = np.where(np.abs(above) < tiny, tiny, above)
  return np.where(largest[:, 0] > least, np.where(level > least, level, above), np.inf)


@partial(jax.jit, static_argnames='at')
def _larger(subject, largest, least, images, valid, rotation, at):
  """The largest values so far, in order, and the least one, and those of a batch."""
  maps = _turned(maps_of(subject, images, at), rotation)
  values = maps.reshape(-1, maps.shape[-1]).T                                  # (u places)
  valid = jnp.repeat(valid, maps.shape[1] * maps.shape[2])
  least = jnp.minimum(least, jnp.where(valid, values, jnp.inf).min(1))
  values = jnp.where(valid, values, -jnp.inf)
  largest, _ = jax.lax.top_k(jnp.concatenate([largest, values], 1), largest.shape[1])
  return largest, least


@partial(jax.jit, static_argnames=('at', 'k'))
def _counts(subject, images, labels, valid, levels, rotation, rows, columns, at, k):
  """Pixels: (u c) on and of a concept, (u,) on and labelled, (c,) of a concept."""
  maps = _turned(maps_of(subject, images, at), rotation)

  def of_image(one):
    values, label, real = one
    label = jnp.where(real, label, k).reshape(-1)
    is_on = (enlarged(values, rows, columns) >= levels).reshape(len(label), -1)
    # Counts up to 2^24 pixels are exact in f32.
    is_concept = jax.nn.one_hot(label, k)
    both = jnp.einsum('pu,pc->uc', is_on.astype(jnp.float32), is_concept,
                      precision=jax.lax.Precision.HIGHEST)
    return tuple(x.astype(jnp.int32) for x in (both, both.sum(1), is_concept.sum(0)))
  # Image by image: the enlarged maps of a batch are many times what the network needs.
  counts = jax.lax.map(of_image, (maps, labels.astype(jnp.int32), valid))
  return tuple(x.sum(0) for x in counts)


def _turned(maps, rotation):
  maps = maps.astype(jnp.float32)
  return maps if rotation is None else jnp.einsum('bhwu,vu->bhwv', maps, rotation)


def enlarged(values, rows, columns):
  """A map (h' w' u) at the pixels (h w u)."""
  exact = jax.lax.Precision.HIGHEST
  return jnp.einsum('yi,iju,xj->yxu', rows, values, columns, precision=exact)


def enlargement(subject: Subject, source: Source | np.ndarray,
                at: str) -> tuple[np.ndarray, np.ndarray]:
  """Two matrices, (h h') and (w w'), by which maps of a layer are enlarged to the images of a
  source: linearly between the centres of the units' receptive fields, as Bau et al. do it."""
  source = as_source(source)
  shape = source[np.zeros(1, np.int64)]['image'].shape[1:]
  centres = receptive_fields(subject, [at], shape)[at].centres
  return tuple(_between(one, n) for one, n in zip(centres, shape, strict=False))


def _between(centres, n):
  """(n k): linear interpolation at 0 .. n - 1 of values at k places."""
  k = len(centres)
  if k > 1 and not (np.diff(centres) > 0).all():       # each unit sees all
    centres = (np.arange(k) + .5) * n / k - .5
  return np.stack([np.interp(np.arange(n), centres, one) for one in np.eye(k)], 1).astype('f4')


def untrained(run, seed: int = 0) -> Subject:
  """The subject of a run (`visionlab.load`) as it was before training: with fresh weights."""
  example = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), run.facts.example)
  return dataclasses.replace(Subject.of(run), variables=jax.jit(run.task.init)(
      jax.random.key(seed), example))


def compared(run, source: Source, at: str, *, seed: int = 0, **options) -> dict[str, Dissection]:
  """Dissections of a layer of a run (`visionlab.load`), `trained`; of the same with its units
  `rotated` at random; and of the `untrained` network. Options as for `dissect`."""
  subject = Subject.of(run)
  at, (_, _, units) = map_layer(subject, source, at)
  turned = random_rotation(units, seed)
  return dict(trained=dissect(subject, source, at, **options),
              rotated=dissect(subject, source, at, rotation=turned, **options),
              untrained=dissect(untrained(run, seed), source, at, **options))


def random_rotation(units: int, seed: int = 0) -> np.ndarray:
  """A random rotation (u u) f32 of a layer's units, none likelier than another: what a network of
  these maps computes is as well computed from the turned ones; if units are special, their turned
  mixtures detect less (Bau et al. 2017, section 3.2)."""
  q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(units, units)))
  q = q * np.sign(np.diag(r))
  q[0] *= np.sign(np.linalg.det(q))
  return q.astype(np.float32)


def _concepts(source, concepts):
  if 'label_map' not in (example := source[np.zeros(1, np.int64)]):
    raise ConfigError('dissection: this data has no label maps, only '
                      f'{", ".join(sorted(example))}; see visionlab.data for sources that do')
  concepts = tuple(concepts or source.info.map_classes or source.info.classes)
  if not concepts:
    raise ConfigError('dissection: the data does not name what its label maps show; give '
                      '`concepts`, the names of the values 0, 1, ...')
  return concepts
