"""Deep Dream: a picture in which a network's layer finds more and more of what it knows."""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np
from PIL import Image as Pillow

from visionlab.config import ConfigError
from visionlab.understand.ascend import ascend, normalised
from visionlab.understand.images import pixels
from visionlab.understand.objectives import energy
from visionlab.understand.subject import Subject, floats
from visionlab.understand.terms import Objective
from visionlab.understand.transforms import Jitter

SMALLEST = 32              # the shorter side of an octave, in pixels


def dream(subject: Subject, image: np.ndarray, at: str | Objective, *, octaves: int = 4,
          scale: float = 1.4, steps: int = 10, rate: float = 1.5 / 255, jitter: int = 32,
          key: jax.Array | None = None, callback: Callable | None = None,
          **options) -> np.ndarray:
  """Deep Dream (Mordvintsev et al. 2015): ascent from a picture, from small to large.

  At each size the picture takes the details that were found at the smaller ones, enlarged, and
  finds its own.

  Args:
    image: (h w c), uint8 or in [0, 1], of any size.
    at: a layer, whose energy is made more, or any objective, such as `guided`.
    octaves, scale: how many sizes, each that many times the one before; those with a side shorter
      than 32 pixels are left out.
    steps, rate: in each octave, of a gradient whose mean size is 1.
    jitter: pixels by which the picture is rolled at each step, which keeps it from hardening on the
      network's grid; with tiles, it moves their seams.
    key: of the jitter.
    callback: as in `ascend`, over all octaves' steps.
    options: of `ascend`, such as tile=256 for pictures larger than memory.

  Returns:
    (h w c) float32 in [0, 1].
  """
  image = floats(image)
  if image.ndim != 3:
    raise ConfigError(f'dream: expected an image (h w c), not an array {image.shape}')
  wanted = energy(subject, at) if isinstance(at, str) else at
  h, w, _ = image.shape
  sizes = [(round(h / scale ** i), round(w / scale ** i)) for i in reversed(range(octaves))]
  sizes = [size for size in sizes if min(size) >= SMALLEST] or [(h, w)]
  key = jax.random.key(0) if key is None else key
  detail = np.zeros_like(image)
  for i, size in enumerate(sizes):
    base = resized(image, size)
    start = np.clip(base + resized(detail, size), 0, 1)
    told = callback and partial(_told, callback, i, len(sizes))
    tile = options.get('tile')
    here = options | dict(tile=tile if tile and tile < min(size) else None)
    found, _ = ascend(subject, wanted, pixels(start[None]), steps=steps,
                      optimizer=normalised(rate), transforms=(Jitter(jitter),) if jitter else (),
                      key=jax.random.fold_in(key, i), callback=told, **here)
    detail = found[0] - base
  return found[0]


def endless_zoom(subject: Subject, image: np.ndarray, at: str | Objective, frames: int, *,
                 factor: float = .05, key: jax.Array | None = None,
                 **options) -> Iterator[np.ndarray]:
  """A dream into which one falls: each frame is the middle of the one before, enlarged, dreamt on.

  Args:
    image, at, options: as for `dream`. After the first frame one octave is enough, and the default.
    frames: how many.
    factor: how much larger each frame is than the one before.

  Yields:
    (h w c) float32 in [0, 1], as each is done.
  """
  key = jax.random.key(0) if key is None else key
  octaves = options.pop('octaves', 4)
  for i in range(frames):
    image = dream(subject, image, at, octaves=octaves if i == 0 else 1,
                  key=jax.random.fold_in(key, i), **options)
    yield image
    image = enlarged(image, factor)


def enlarged(image: np.ndarray, factor: float) -> np.ndarray:
  """The middle of an image (h w c), 1 + factor times as large, cut to the same size."""
  h, w, _ = image.shape
  dy, dx = (n * (1 - 1 / (1 + factor)) / 2 for n in (h, w))
  return resized(image, (h, w), (dx, dy, w - dx, h - dy))


def resized(image: np.ndarray, size: tuple[int, int],
            box: tuple[float, float, float, float] | None = None) -> np.ndarray:
  """An image (h w c) of floats at another size, bilinear and without aliasing."""
  if image.shape[:2] == tuple(size) and box is None:
    return image
  planes = [Pillow.fromarray(np.ascontiguousarray(plane, np.float32))
            for plane in np.moveaxis(image, -1, 0)]
  return np.stack([np.asarray(plane.resize(size[::-1], Pillow.Resampling.BILINEAR, box))
                   for plane in planes], -1)


def shrunk(image: np.ndarray, longest: int) -> np.ndarray:
  """An image (h w c), uint8 or in [0, 1], as floats whose longer side is `longest` at most."""
  scale = min(1, longest / max(image.shape[:2]))
  h, w = (max(1, round(n * scale)) for n in image.shape[:2])
  return resized(floats(image), (h, w))


def _told(callback, i, octaves, done, of, images):
  callback(i * of + done, octaves * of, images)
