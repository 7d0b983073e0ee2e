"""The one loop that changes images until a network says what is wanted."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging

from visionlab.config import ConfigError
from visionlab.understand.images import Image
from visionlab.understand.subject import Subject
from visionlab.understand.terms import Objective
from visionlab.understand.tiles import sums_by_tiles

# An optimiser is static: the same call must give the same object, or all is compiled anew.
adam = lru_cache(optax.adam)
adam.__doc__ = 'optax.adam, the same object for the same rate.'
lbfgs = lru_cache(optax.lbfgs)
lbfgs.__doc__ = 'optax.lbfgs, the same object for the same options.'

Progress = Callable[[int, int, np.ndarray], None]


class Ascent(NamedTuple):
  """Attributes:
    images: (b h w c) float32.
    curve: (steps, b), the objective before each step.
  """
  images: np.ndarray
  curve: np.ndarray


@lru_cache
def normalised(rate: float) -> optax.GradientTransformation:
  """Steps of the gradient divided by its mean size in each image, times `rate`: Deep Dream's."""
  def update(grads, state, params=None):
    def scaled(g):
      size = jnp.abs(g).mean(range(1, g.ndim), keepdims=True)
      return -rate * g / (size + 1e-8)
    return jax.tree.map(scaled, grads), state
  return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def ascend(subject: Subject, objective: Objective, image: Image, *, steps: int,
           optimizer: optax.GradientTransformation | None = None, transforms: Sequence = (),
           key: jax.Array | None = None, chunk: int = 16, given: Mapping | None = None,
           tile: int | None = None, overlap: int | None = None, every: int = 10,
           callback: Progress | None = None) -> Ascent:
  """Changes images so that the objective becomes more.

  One program, compiled once for a network, the form of an objective and the images' size: other
  classes, channels, features, weights, starts and numbers of steps use it again.

  Args:
    objective: see `visionlab.understand.objectives`; its arrays have a row for each image, or one.
    image: see `visionlab.understand.images`.
    optimizer: of optax; by default Adam with a rate of .05. One that searches along lines, such as
      `lbfgs()`, has one image at a time.
    transforms: see `visionlab.understand.transforms`, done to the image before the network sees it;
      what the objective says of the image itself is of the image without them.
    key: of the transformations; every image has its own, whatever the chunk.
    chunk: images at a time, which bounds the memory.
    given: what answers are about, such as `boxes` (b 4); by default what the network finds at each
      step.
    tile: the network sees tiles of this many pixels, which bounds the memory for one image; see
      `visionlab.understand.tiles`. overlap: of those, by default a quarter.
    every: steps between calls of
    callback: of the steps done, all there are, and the images (b h w c) of this chunk.

  Raises:
    ConfigError: rows that do not fit, or an objective that is not a finite number.
  """
  optimizer = adam(.05) if optimizer is None else optimizer
  n = len(jax.tree.leaves(image.params)[0])
  objective = _of_each(objective, n)
  if _searches(optimizer, image):
    chunk = 1
  chunk = min(chunk, n)
  keys = jax.random.split(jax.random.key(0) if key is None else key, n)
  if tile and overlap is None:
    overlap = tile // 4
  climb = partial(_climb, subject, tile=tile, overlap=overlap, optimizer=optimizer,
                  transforms=tuple(transforms), every=every)
  total, done, parts = steps * -(-n // chunk), 0, []
  for start in range(0, n, chunk):
    rows = np.minimum(np.arange(start, start + chunk), n - 1)
    part, wanted, about = jax.tree.map(lambda x, rows=rows: jnp.asarray(x[rows]),
                                       (image, objective, given))
    state, curve = optimizer.init(part.params), []
    for begin in range(0, steps, every):
      end = min(begin + every, steps)
      params, state, said = climb(wanted, part, state, keys[rows], about, begin, end)
      part = Image(params, part.render, part.project)
      curve.append(np.asarray(said)[:end - begin])
      _watch(curve[-1], begin, wanted)
      done += end - begin
      if callback is not None:
        callback(done, total, np.asarray(_rendered(part))[:n - start])
    curve = np.concatenate(curve) if curve else np.zeros((0, chunk), np.float32)
    parts.append((np.asarray(_rendered(part)), curve))
  images, curves = zip(*parts, strict=True)
  return Ascent(np.concatenate(images)[:n], np.concatenate(curves, 1)[:, :n])


def score(subject: Subject, objective: Objective, shown: jax.Array, images: jax.Array,
          given: Mapping | None = None, tile: int | None = None,
          overlap: int | None = None) -> jax.Array:
  """The objective (b,) of what the network is shown, and of the images themselves; traceable."""
  if tile:
    sums = sums_by_tiles(subject, objective, shown, tile, overlap)
  else:
    sums = objective.sums(*subject.read(shown, objective.reads, given), None)
  return jnp.broadcast_to(objective.score(sums, images), (len(images),))


@partial(jax.jit, static_argnames=('tile', 'overlap', 'optimizer', 'transforms', 'every'))
def _climb(subject, objective, image, state, keys, given, begin, end, *, tile, overlap, optimizer,
           transforms, every):
  """From step `begin` to `end`, at most `every`: (params, state, curve (every, b))."""
  def step(i, carry):
    params, state, curve = carry

    def loss(params):
      images = image.render(params)
      shown = _transformed(transforms, keys, i, images)
      said = score(subject, objective, shown, images, given, tile, overlap)
      return -said.sum(), said
    total = lambda params: loss(params)[0]
    if not transforms and optax.tree.get(state, 'grad') is not None:
      value, slopes = optax.value_and_grad_from_state(total)(params, state=state)
      said = -value[None]
    else:
      (value, said), slopes = jax.value_and_grad(loss, has_aux=True)(params)
    updates, state = optax.with_extra_args_support(optimizer).update(
        slopes, state, params, value=value, grad=slopes, value_fn=total)
    params = optax.apply_updates(params, updates)
    params = image.project(params) if image.project else params
    return params, state, curve.at[i - begin].set(said)
  curve = jnp.zeros((every, len(keys)))
  return jax.lax.fori_loop(begin, end, step, (image.params, state, curve))


def _transformed(transforms, keys, step, images):
  keys = jax.vmap(jax.random.fold_in, (0, None))(keys, step)
  for i, transform in enumerate(transforms):
    images = transform(jax.vmap(jax.random.fold_in, (0, None))(keys, i), images)
  return images


@jax.jit
def _rendered(image):
  return image.images()


def _searches(optimizer, image) -> bool:
  """Whether it asks for the objective's value, which is then that of one image."""
  state = jax.eval_shape(optimizer.init, image.params)
  return optax.tree.get(state, 'grad') is not None


def _watch(curve, begin, objective):
  """Says what is wrong with some steps (steps b) of the curve."""
  if not np.isfinite(curve).all():
    raise ConfigError(f'ascend: the objective is not finite from step '
                      f'{begin + int((~np.isfinite(curve)).any(1).argmax())}; a smaller rate may '
                      'help, or look whether the image, the weights or the penalties are')
  still = (curve == curve[0]).all(0)
  if begin == 0 and len(curve) > 1 and still.any():
    logging.warning('ascend: %d of %d images do not change: their gradient is 0. A unit that is '
                    'off passes none through its ReLU: start elsewhere, or take the layer before '
                    'it (%s)', still.sum(), len(still), ', '.join(objective.reads) or 'the output')


def _of_each(objective, n):
  """With a row for each image in all its arrays, so that one program serves one and many."""
  for leaf in jax.tree.leaves(objective):
    if len(leaf) not in (1, n):
      raise ConfigError(f'ascend: there are {n} images, and the objective has an array of '
                        f'{len(leaf)} rows: it must have 1 or {n}')
  return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (n, *leaf.shape[1:])), objective)
