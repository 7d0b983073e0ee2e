"""A checksum of arrays, wherever they are."""

import jax
import jax.numpy as jnp
import numpy as np

FACTOR = 0x9e3779b1
WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32}      # by bytes of an array's elements
CHUNK = 2**20


def fingerprint(tree) -> jax.Array | np.ndarray:
  """A checksum () uint32 of every bit of a tree. Any one changed bit changes it.

  The file format of checkpoints notices truncation but not a flipped bit. Computed where the arrays
  are, sharded or not, so that saving need not bring them to the host twice.
  """
  leaves = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
            for x in jax.tree.leaves(tree)]
  at_hand = all(x.is_fully_addressable and x.is_fully_replicated and
                all(d.platform == 'cpu' for d in x.devices()) for x in leaves)
  # A program with a reduction for each array takes seconds to compile; NumPy needs none.
  return on_host([np.asarray(x) for x in leaves]) if at_hand else on_devices(leaves)


# The factor of a word is odd, and so invertible mod 2^32: no change of one word is lost in the sum.


def on_host(leaves: list[np.ndarray]) -> np.ndarray:
  total, factors = 0, 2 * np.arange(CHUNK, dtype=np.uint32) + 1
  for leaf in leaves:
    words = np.ascontiguousarray(leaf).reshape(-1).view(WORDS[leaf.dtype.itemsize])
    total *= FACTOR
    for first in range(0, len(words), CHUNK):
      part = words[first:first + CHUNK].astype(np.uint32)
      total += int(part @ factors[:len(part)]) + 2 * first * int(part.sum(dtype=np.uint32))
    total %= 2**32
  return np.asarray(total, np.uint32)


@jax.jit
def on_devices(leaves: list[jax.Array]) -> jax.Array:
  total = jnp.uint32(0)
  for leaf in leaves:
    if leaf.dtype == bool:
      leaf = leaf.astype(jnp.uint8)
    words = jax.lax.bitcast_convert_type(leaf, WORDS[leaf.dtype.itemsize]).astype(jnp.uint32)
    place = jax.lax.iota(jnp.uint32, words.size).reshape(words.shape)
    total = total * jnp.uint32(FACTOR) + (words * (2 * place + 1)).sum(dtype=jnp.uint32)
  return total
