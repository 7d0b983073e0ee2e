"""HOGgles: images from HOG by paired dictionaries (Vondrick et al. 2013, "HOGgles: Visualizing
object detection features", section 4).

An atom of a pair of dictionaries is a small picture and its HOG. A window's HOG is written as a sum
of few atoms; the same sum of their pictures is what it looked like. Here HOG is Dalal and Triggs's
(`visionlab.ops.hog`), the paper's is Felzenszwalb's of 32 numbers a cell.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError
from visionlab.ops.hog import hog
from visionlab.understand.hog import grey
from visionlab.understand.subject import in_chunks

CELL = 8
WINDOW = 5                     # blocks of a window's side: of 7 x 7 cells, 56 x 56 pixels
BLOCK = 3
SIDE = CELL * (WINDOW + BLOCK - 1)
SIGMA = 9.                     # pixels, of the Gaussian by which windows are blended
PENALTY = .02                  # on the sum of an image's weights
STEPS = 200                    # of FISTA: `sparse_code`


class Dictionaries(NamedTuple):
  """A pair: of each atom a picture and its HOG, together of norm 1 at most.

  Attributes:
    pictures: (k 56*56).
    hogs: (k n).
  """
  pictures: jax.Array
  hogs: jax.Array


def windows(image: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
  """`count` windows (count 56 56 1) in [0, 1] at random places of an image (h w c)."""
  h, w = image.shape[:2]
  if min(h, w) < SIDE:
    raise ConfigError(f'hoggles: windows of {SIDE} x {SIDE} pixels need larger images than {h} x '
                      f'{w}')
  rng, plain = np.random.default_rng(seed), np.asarray(grey(image[None]))[0]
  places = np.stack([rng.integers(0, n - SIDE + 1, count) for n in (h, w)], -1)
  return np.stack([plain[y:y + SIDE, x:x + SIDE] for y, x in places])


def learn(patches: np.ndarray, atoms: int = 1024, *, penalty: float = PENALTY, batch: int = 256,
          epochs: int = 5, seed: int = 0,
          progress: Callable[[int, int], None] | None = None) -> Dictionaries:
  """A pair of dictionaries of windows (n 56 56 1), as `windows` cuts them.

  Online dictionary learning (Mairal et al. 2010, https://arxiv.org/abs/0908.0050, algorithms 1 and
  2) with weights that are not negative.

  Raises:
    ConfigError: fewer windows than atoms.
  """
  if len(patches) < max(atoms, batch):
    raise ConfigError(f'hoggles: {atoms} atoms are learnt of at least {max(atoms, batch)} windows, '
                      f'not {len(patches)}')
  rows = np.concatenate([in_chunks(_pairs, batch, patches[i:i + batch])
                         for i in range(0, len(patches), batch)])
  rng = np.random.default_rng(seed)
  pictures = SIDE * SIDE
  dictionary = jnp.asarray(rows[rng.permutation(len(rows))[:atoms]] / np.sqrt(2))
  second = jnp.zeros((atoms, atoms)), jnp.zeros((atoms, rows.shape[1]))
  total, done = epochs * (len(rows) // batch), 0
  for _ in range(epochs):
    order = rng.permutation(len(rows))
    for i in range(0, len(rows) - batch + 1, batch):
      done += 1
      # The past counts less while the dictionary still changes much.
      keep = np.float32((1 - 1 / done) ** 2)
      dictionary, second = _learnt(dictionary, second, rows[order[i:i + batch]], penalty, keep)
      if progress:
        progress(done, total)
  return Dictionaries(dictionary[:, :pictures], dictionary[:, pictures:])


@jax.jit
def _pairs(patches):
  """(b 56*56 + n): a window and its HOG, each of mean 0 and norm 1."""
  return jnp.concatenate([_unit(patches.reshape(len(patches), -1)), _unit(_features(patches))], -1)


def _features(images):
  found = hog(images, cell=CELL, block=BLOCK)
  return found.reshape(len(images), -1)


def _unit(x):
  x = x - x.mean(-1, keepdims=True)
  return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-6)


@jax.jit
def _learnt(dictionary, second, rows, penalty, keep):
  code = sparse_code(rows, dictionary, penalty)
  a, b = (keep * old + new for old, new in zip(second, (code.T @ code, code.T @ rows), strict=True))

  def atom(j, d):
    moved = d[j] + (b[j] - a[j] @ d) / jnp.maximum(a[j, j], 1e-6)
    moved = moved / jnp.maximum(jnp.linalg.norm(moved), 1)
    return d.at[j].set(jnp.where(a[j, j] > 1e-6, moved, d[j]))       # else none has used it
  return jax.lax.fori_loop(0, len(dictionary), atom, dictionary), (a, b)


def sparse_code(rows: jax.Array, dictionary: jax.Array, penalty: float = PENALTY, *,
                steps: int = STEPS) -> jax.Array:
  """Weights w >= 0 (b k) with the least .5 |row - w dictionary|^2 + penalty sum(w), of each row
  (b n) by the atoms (k n); scikit-learn's `sparse_encode(positive=True)`. By FISTA (Beck and
  Teboulle 2009); traceable."""
  gram, answer = dictionary @ dictionary.T, rows @ dictionary.T
  step = .95 / _largest_eigenvalue(gram)

  def improve(state, _):
    code, ahead, t = state
    better = jnp.maximum(ahead - step * (ahead @ gram - answer + penalty), 0)
    # Restarted where it overshoots (O'Donoghue and Candes 2015).
    back = ((ahead - better) * (better - code)).sum(-1, keepdims=True) > 0
    t = jnp.where(back, 1., t)
    after = (1 + jnp.sqrt(1 + 4 * t ** 2)) / 2
    ahead = better + jnp.where(back, 0, (t - 1) / after) * (better - code)
    return (better, ahead, after), None
  start = jnp.zeros_like(answer)
  (code, _, _), _ = jax.lax.scan(improve, (start, start, jnp.ones((len(rows), 1))), length=steps)
  return code


def _largest_eigenvalue(gram):
  """By the power method, which never exceeds it."""
  def again(_, v):
    v = gram @ v
    return v / jnp.maximum(jnp.linalg.norm(v), 1e-12)
  v = jax.lax.fori_loop(0, 50, again, jnp.ones(len(gram)) / jnp.sqrt(len(gram)))
  return jnp.maximum(v @ gram @ v, 1e-12)


def invert_hog(features: np.ndarray, dictionaries: Dictionaries, *, penalty: float = PENALTY,
               chunk: int = 256) -> np.ndarray:
  """An image (h w) in [0, 1] whose HOG is about `features` (rows columns 3 3 bins), of `hog`.

  Of each window of 5 x 5 blocks a picture of mean 0, blended with a Gaussian; the least and the
  largest value of it all are 0 and 1.

  Raises:
    ConfigError: less than a window.
  """
  rows, columns = features.shape[:2]
  if min(rows, columns) < WINDOW:
    raise ConfigError(f'hoggles: HOG of at least {WINDOW} x {WINDOW} blocks is inverted, not '
                      f'{rows} x {columns}')
  places = [(y, x) for y in range(rows - WINDOW + 1) for x in range(columns - WINDOW + 1)]
  own = np.stack([np.reshape(features[y:y + WINDOW, x:x + WINDOW], -1) for y, x in places])
  pictures = in_chunks(lambda h: _pictures(h, dictionaries, penalty), chunk, own)
  weight = _gaussian()
  shape = (CELL * (rows + BLOCK - 1), CELL * (columns + BLOCK - 1))
  total, weights = np.zeros(shape), np.zeros(shape)
  for (y, x), picture in zip(places, pictures, strict=True):
    here = slice(CELL * y, CELL * y + SIDE), slice(CELL * x, CELL * x + SIDE)
    total[here] += weight * picture.reshape(SIDE, SIDE)
    weights[here] += weight
  blended = total / weights
  return (blended - blended.min()) / max(np.ptp(blended), 1e-12)


@jax.jit
def _pictures(hogs, dictionaries, penalty):
  code = sparse_code(_unit(hogs), dictionaries.hogs, penalty)
  return code @ dictionaries.pictures


def _gaussian():
  """(56 56), the weight of a window's pixels."""
  off = (np.arange(SIDE) - (SIDE - 1) / 2) ** 2 / (2 * SIGMA ** 2)
  return np.exp(-off)[:, None] * np.exp(-off)


def hog_distance(a: np.ndarray, b: np.ndarray) -> float:
  """The Euclidean distance of the HOG of two images (h w), by the norm of the first one's."""
  first, second = (np.asarray(hog(np.asarray(x, np.float32)[None, ..., None])) for x in (a, b))
  return float(np.linalg.norm(first - second) / np.linalg.norm(first))


def learn_from(images: Sequence[np.ndarray], count: int = 20000, **options) -> Dictionaries:
  """`learn` on `count` windows from images (h w c) of any size, as many of each."""
  each = -(-count // len(images))
  return learn(np.concatenate([windows(x, each, i) for i, x in enumerate(images)])[:count],
               **options)
