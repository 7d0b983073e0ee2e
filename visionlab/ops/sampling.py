"""A random sample of fixed size, in which positives are neither lost nor too many."""

import jax
import jax.numpy as jnp
from jax import lax

from visionlab.ops.matching import NEGATIVE, POSITIVE


def sample(key: jax.Array, label: jax.Array, *, size: int,
           positive_share: float) -> tuple[jax.Array, jax.Array]:
  """Draws `size` of n labelled candidates without replacement, at most a share of them positive.

  All positives if they are few, else int(size * positive_share) of them; negatives fill the rest
  (Ren et al. 2015, section 3.1.3). Every positive is equally likely, and every negative.

  Args:
    key: typed PRNG key.
    label: (n) integers, POSITIVE, NEGATIVE or anything else, which is never drawn.
    size: of the sample; may exceed n.
    positive_share: in [0, 1].

  Returns:
    index (size) int32 into the candidates, positives first, and weight (size) float32: 1 for what
    was drawn, 0 in the slots left over. A mean over the sample is
    sum(weight * loss) / max(sum(weight), 1).

  >>> label = jnp.array([0, -1, 1, 0, -1])
  >>> index, weight = sample(jax.random.key(0), label, size=4, positive_share=.5)
  >>> sorted(index[weight > 0].tolist())
  [0, 2, 3]
  """
  most = int(size * positive_share)
  draw = jnp.pad(jax.random.uniform(key, label.shape), (0, max(0, size - len(label))))
  label = jnp.pad(label, (0, max(0, size - len(label))), constant_values=NEGATIVE - 2)
  # One row per class, so that one top_k serves both.
  draws = jnp.where(label == jnp.array([[POSITIVE], [NEGATIVE]]), draw, -1.)
  draws, index = lax.top_k(draws, size)
  positives = jnp.minimum((draws[0] >= 0).sum(), most)
  slot = jnp.arange(size)
  place = jnp.where(slot < positives, slot, slot - positives)
  row = jnp.where(slot < positives, 0, 1)
  drawn = draws[row, place] >= 0
  return jnp.where(drawn, index[row, place], 0), drawn.astype(jnp.float32)
