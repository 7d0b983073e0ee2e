"""A whole split through a network, batch by batch: what is kept of it stays on the device."""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np

from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches
from visionlab.data.source import Arrays, Source
from visionlab.understand.subject import Subject

Progress = Callable[[int, int], None]      # (images done, images in all)


def as_source(images: Source | np.ndarray) -> Source:
  """A source as it is; images (n h w c), uint8 or in [0, 1], as one."""
  return Arrays({'image': images}) if hasattr(images, '__array__') else images


def batches_of(source: Source, batch: int, progress: Progress | None = None) -> Iterator[dict]:
  """Batches of `batch` examples in order, the last filled up with some that are not `valid`.

  Each is done when the next is asked for, which `progress` is told.
  """
  n = len(source)
  for i, one in enumerate(eval_batches(source, min(batch, n), workers=1)):
    yield one
    if progress:
      progress(min((i + 1) * min(batch, n), n), n)


def map_layer(subject: Subject, source: Source, at: str) -> tuple[str, tuple[int, int, int]]:
  """The full name of a layer, and (h w c) of its maps, or (1 1 c) of its vectors, for the images
  of a source.

  Raises:
    ConfigError: no such layer, or one that is neither a map nor a vector for each image.
  """
  if not len(source):
    raise ConfigError('there are no images in this split')
  shape = source[np.zeros(1, np.int64)]['image'].shape
  images = jax.ShapeDtypeStruct(shape, np.float32)
  at = subject.layer(at, images)
  there = subject.layers(images)[at]
  if len(there) not in (2, 4) or there[0] != 1:
    raise ConfigError(f'layer {at!r}: units have maps (b h w c) or vectors (b c), and this one has '
                      f'the shape {there}')
  return at, (1, 1, there[1]) if len(there) == 2 else there[1:]


def maps_of(subject: Subject, images: jax.Array, at: str) -> jax.Array:
  """The maps (b h w c) of a layer, vectors (b c) as (b 1 1 c); traceable."""
  maps = subject.read(images, [at])[1][at]
  return maps if maps.ndim == 4 else maps[:, None, None]


def checked_units(units: Sequence[int], count: int) -> np.ndarray:
  """Numbers of units as an array; a ConfigError where a layer of `count` has no such unit."""
  units = np.asarray(units, np.int64).reshape(-1)
  wrong = units[(units < 0) | (units >= count)]
  if len(wrong):
    raise ConfigError(f'unit {wrong[0]}: this layer has {count} units, 0 to {count - 1}')
  return units
