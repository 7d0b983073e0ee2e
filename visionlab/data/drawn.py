"""Examples that a program draws, asked for from the host."""

from collections.abc import Callable, Mapping

import jax
import numpy as np


def draw(gather: Callable[[np.ndarray], dict], indices: np.ndarray, n: int, chunk: int) -> dict:
  """The examples at indices (m,) of n, as host arrays; negative ones count from the end.

  Args:
    gather: compiled, gives the examples at indices (chunk,) int32: one program serves all calls.

  Raises:
    IndexError: there are not so many.
  """
  indices = np.asarray(indices, np.int64)
  if indices.size and not (-n <= indices.min() and indices.max() < n):
    raise IndexError(f'an index is outside the {n} examples')
  padded = np.zeros(max(-(-len(indices) // chunk), 1) * chunk, np.int32)
  padded[:len(indices)] = indices % n
  drawn = [jax.device_get(gather(part)) for part in padded.reshape(-1, chunk)]
  return jax.tree.map(lambda *x: np.concatenate(x)[:len(indices)], *drawn)


def key_of(arrays: Mapping[str, jax.Array], index: jax.Array, splits: int) -> jax.Array:
  """The key of which the example of a traced index is drawn; no two splits share one.

  Args:
    arrays: with `seed`, and `split`, the number of one of so many `splits`.
  """
  # The implementation is named so that no setting of JAX makes other examples of the same seed.
  key = jax.random.key(arrays['seed'], impl='threefry2x32')
  return jax.random.fold_in(key, index * splits + arrays['split'])
