"""The order of examples: a shuffle that can be evaluated anywhere, in no memory.

Batch i is a function of (data_seed, i): no iterator state to save, random access for debugging,
and the same batches whether they are gathered on the device or loaded by any number of workers. A
stored permutation would need memory that grows with the set, and could not be had inside a scan.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

ROUNDS = 4
BLOCK = 32        # batches whose order is worked out at once: numpy's cost is per call


def shuffled(offset, epoch, n: int, seed: int, xp=np):
  """The example at place `offset` (0..n-1) of epoch `epoch`'s order, for n < 2^31.

  For each (seed, epoch) this is a permutation of 0..n-1: a Feistel network (Luby and Rackoff 1988)
  on the smallest power of two that holds n, walked until it lands below n (Black and Rogaway 2002).

  Args:
    offset, epoch: uint32 arrays of one shape.
    xp: numpy, or jax.numpy inside a trace; both give the same numbers.

  >>> np.sort(shuffled(np.arange(5, dtype=np.uint32), np.zeros(5, np.uint32), 5, 0)).tolist()
  [0, 1, 2, 3, 4]
  """
  bits = max(int(n - 1).bit_length(), 6)      # on a few bits Feistel permutations are too alike
  low = xp.uint32(bits // 2)
  low_mask, high_mask = xp.uint32(2 ** (bits // 2) - 1), xp.uint32(2 ** (bits - bits // 2) - 1)
  if not isinstance(seed, jax.Array):
    seed %= 2**32                    # a traced one is uint32 already
  mix = _mix if xp is np else _mix_traced
  key = mix(epoch ^ mix(xp.full_like(epoch, seed), xp), xp)
  keys = [mix(key + xp.uint32(r * 0x9e3779b9 % 2**32), xp) for r in range(2 * ROUNDS)]

  def permute(x):
    for to_high, to_low in zip(keys[::2], keys[1::2], strict=True):
      x = x ^ (mix(x & low_mask ^ to_high, xp) & high_mask) << low
      x = x ^ mix(x >> low ^ to_low, xp) & low_mask
    return x

  def walk(x):
    return xp.where(x >= xp.uint32(n), permute(x), x)
  x = permute(offset)
  if xp is jnp:
    return lax.while_loop(lambda x: (x >= n).any(), walk, x)
  while (x >= n).any():
    x = walk(x)
  return x


def batch_indices(step: int, batch: int, n: int, seed: int) -> np.ndarray:
  """The examples (batch,) int64 of batch `step`. Epochs follow each other without a gap: a batch
  may end one and begin the next, and no remainder is lost."""
  return _block(step // BLOCK, batch, n, seed)[step % BLOCK]


@lru_cache(maxsize=8)
def _block(block: int, batch: int, n: int, seed: int) -> np.ndarray:
  place = np.arange(block * BLOCK * batch, (block + 1) * BLOCK * batch)
  indices = shuffled((place % n).astype(np.uint32), (place // n).astype(np.uint32), n, seed)
  indices = indices.astype(np.int64).reshape(BLOCK, batch)
  indices.setflags(write=False)          # every caller is given the same block
  return indices


def traced_indices(step, batch: int, n: int, seed: int):
  """`batch_indices` for a traced step, (batch,) int32; for step * batch < 2^32."""
  place = step.astype(jnp.uint32) * jnp.uint32(batch) + jnp.arange(batch, dtype=jnp.uint32)
  return shuffled(place % jnp.uint32(n), place // jnp.uint32(n), n, seed, jnp).astype(jnp.int32)


def _mix(x, xp):
  """A bijective hash of uint32 in which every bit depends on every other (Ettinger's lowbias32)."""
  x = (x ^ x >> xp.uint32(16)) * xp.uint32(0x7feb352d)
  x = (x ^ x >> xp.uint32(15)) * xp.uint32(0x846ca68b)
  return x ^ x >> xp.uint32(16)


_mix_traced = jax.jit(_mix, static_argnums=1)      # once, for the 18 times a permutation asks
