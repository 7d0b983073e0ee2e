"""Sums and counts: the only form in which a number leaves a step.

Devices, microbatches, padded examples and streamed evaluation are then the same addition, and a
mean is exact however the examples were cut up.
"""

import dataclasses

import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Ratio:
  """sum / count, kept apart. `+` adds both, so ratios may be merged in any order.

  >>> float((Ratio(3., 1.) + Ratio(1., 3.)).value)
  1.0
  """
  sum: jax.Array | float
  count: jax.Array | float

  def __add__(self, other: 'Ratio') -> 'Ratio':
    return Ratio(self.sum + other.sum, self.count + other.count)

  @property
  def value(self):
    """The mean; 0 when nothing was counted (a loss over no examples pulls nowhere)."""
    count = jnp.asarray(self.count)
    return jnp.where(count > 0, self.sum / jnp.where(count > 0, count, 1), 0)

  @classmethod
  def of(cls, values: jax.Array, valid: jax.Array | None = None) -> 'Ratio':
    """Sum and count of `values` (...) where `valid` (broadcastable to the leading axes) holds.

    A value that is masked out may be NaN without harm, and gets no gradient.
    """
    values = values.astype(jnp.float32)
    if valid is None:
      return cls(values.sum(), jnp.float32(values.size))
    valid = jnp.broadcast_to(valid.reshape(valid.shape + (1,) * (values.ndim - valid.ndim)),
                             values.shape)
    return cls(jnp.where(valid, values, 0).sum(), valid.sum(dtype=jnp.float32))
