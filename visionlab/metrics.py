"""Sums and counts: the only form in which a number leaves a step.

Devices, microbatches, padded examples and streamed evaluation are then the same addition, and a
mean is exact however the examples were cut up.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


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


def confusion(label: jax.Array, prediction: jax.Array, classes: int,
              valid: jax.Array) -> jax.Array:
  """Counts (k k) of true class (row) against predicted class (column) over the valid entries.

  Written as a matrix product because a scatter-add is slow on accelerators.
  """
  rows = jax.nn.one_hot(label, classes) * valid[..., None]
  columns = jax.nn.one_hot(prediction, classes)
  return jnp.einsum('...i,...j->ij', rows, columns, precision='highest')


def topk_correct(logits: jax.Array, label: jax.Array, k: int) -> jax.Array:
  """Whether fewer than `k` classes score above the true one (... bool); a tie counts as wrong.

  Counting ties against the network means that constant logits (a network that says nothing, or
  NaN) score zero rather than one.
  """
  own = jnp.take_along_axis(logits, label[..., None], -1)
  others = jnp.arange(logits.shape[-1]) != label[..., None]
  return (others & ~(logits < own)).sum(-1) < k


def calibration_bins(confidence: jax.Array, correct: jax.Array, valid: jax.Array,
                     bins: int = 15) -> jax.Array:
  """Per confidence bin the count, summed confidence and summed correctness (bins 3)."""
  index = jnp.clip(jnp.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
  member = jax.nn.one_hot(index, bins)
  columns = jnp.stack([jnp.ones_like(confidence), confidence, correct.astype(jnp.float32)], 1)
  columns = jnp.where(valid[:, None], columns, 0)      # not a product: padding may be NaN
  return jnp.einsum('bi,bj->ij', member, columns, precision='highest')


def calibration_error(bins) -> float:
  """Expected calibration error in [0, 1] (Guo et al. 2017, eq. 3) of `calibration_bins`' sums."""
  bins = np.asarray(bins, np.float64)
  return float(np.abs(bins[:, 1] - bins[:, 2]).sum() / max(bins[:, 0].sum(), 1))
