"""Fooling images by evolution, without a gradient: MAP-Elites (Nguyen et al. 2015).

One image for each class is kept, the one that the network is surest of. Each generation takes some
of them, changes them by chance, and puts a child wherever it is better than what was there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.understand.fool import softmax
from visionlab.understand.subject import Subject, in_chunks

BORN = 2 ** 31               # the generation before all, for what is drawn of the key


class Encoding(Protocol):
  """How genomes, trees of arrays, stand for images; hashable."""

  def born(self, key: jax.Array) -> Any:
    """A random genome."""

  def mutated(self, key: jax.Array, genome: Any) -> Any:
    """A child."""

  def drawn(self, genome: Any) -> jax.Array:
    """Its image (h w c) in [0, 1]."""


class Archive(NamedTuple):
  """Attributes:
    images: (k h w c), of each class the one the network is surest of.
    confidences: (k,), how sure.
    curve: (generations, k), the same after each generation; it never falls.
    genomes: of the images; `evolve` goes on from them.
  """
  images: np.ndarray
  confidences: np.ndarray
  curve: np.ndarray
  genomes: Any


def evolve(subject: Subject, encoding: Encoding, *, generations: int = 200, children: int = 64,
           key: jax.Array | None = None, start: Archive | None = None, every: int = 20,
           callback: Callable[[int, int, np.ndarray], None] | None = None) -> Archive:
  """MAP-Elites over the classes of a network.

  Args:
    encoding: `Direct` or `Indirect`; see `visionlab.understand.genomes`.
    children: of each generation, from parents drawn evenly from all classes; asked about at once.
    key: of all chance: with the same key a run is bit-equal.
    start: an archive to go on from; with the same key it goes on as if it had not been left.
    every: generations between calls of `callback`, of those done, all, and the images (k h w c).
  """
  key = jax.random.key(0) if key is None else key
  genomes, best, curve = (_first(subject, key, encoding, children) if start is None else
                          (start.genomes, jnp.asarray(start.confidences), start.curve))
  curve = [np.zeros((0, len(best)), np.float32)] if start is None else [curve]
  done = len(curve[0])
  for begin in range(done, done + generations, every):
    end = min(begin + every, done + generations)
    genomes, best, said = _generations(subject, genomes, best, key, begin, end, encoding,
                                       children, every)
    curve.append(np.asarray(said)[:end - begin])
    if callback is not None:
      callback(end - done, generations, drawn(encoding, genomes))
  return Archive(drawn(encoding, genomes), np.asarray(best), np.concatenate(curve), genomes)


def drawn(encoding: Encoding, genomes: Any, chunk: int = 64) -> np.ndarray:
  """The images (b h w c) of genomes."""
  return in_chunks(partial(_drawn, encoding), chunk, genomes)


@partial(jax.jit, static_argnums=0)
def _drawn(encoding, genomes):
  return jax.vmap(encoding.drawn)(genomes)


@partial(jax.jit, static_argnames=('encoding', 'children'))
def _first(subject, key, encoding, children):
  """Some born by chance, and of each class the best of them."""
  genomes = jax.vmap(encoding.born)(jax.random.split(jax.random.fold_in(key, BORN), children))
  said = softmax(subject, _drawn(encoding, genomes))                 # (children k)
  return jax.tree.map(lambda g: g[said.argmax(0)], genomes), said.max(0), None


@partial(jax.jit, static_argnames=('encoding', 'children', 'every'))
def _generations(subject, genomes, best, key, begin, end, encoding, children, every):
  """From generation `begin` to `end`, at most `every`: (genomes, best, curve (every k))."""
  k = len(best)

  def generation(i, carry):
    genomes, best, curve = carry
    parents, changes = jax.random.split(jax.random.fold_in(key, i))
    parents = jax.random.randint(parents, (children,), 0, k)
    young = jax.vmap(encoding.mutated)(jax.random.split(changes, children),
                                       jax.tree.map(lambda g: g[parents], genomes))
    said = softmax(subject, _drawn(encoding, young))
    champions, confidence = said.argmax(0), said.max(0)
    better = confidence > best
    genomes = jax.tree.map(
        lambda old, new: jnp.where(better.reshape(-1, *[1] * (old.ndim - 1)), new[champions], old),
        genomes, young)
    best = jnp.where(better, confidence, best)
    return genomes, best, curve.at[i - begin].set(best)
  return jax.lax.fori_loop(begin, end, generation, (genomes, best, jnp.zeros((every, k))))
