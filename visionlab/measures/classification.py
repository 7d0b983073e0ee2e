"""Confusion, top-k and calibration: what classifications are judged by."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def confusion(label: jax.Array, prediction: jax.Array, classes: int,
              valid: jax.Array) -> jax.Array:
  """Counts (k k) int32 of true class (row) against predicted class (column).

  Args:
    label: (...) int; what is not in 0..classes - 1, such as 255 in a label map, counts nowhere.
    prediction: (...) int in 0..classes - 1.
    valid: (...) bool, which entries count.

  >>> confusion(jnp.array([0, 1, 255]), jnp.array([0, 0, 1]), 2, jnp.ones(3, bool)).tolist()
  [[1, 0], [1, 0]]
  """
  def add(label, prediction):
    index = jnp.where(label < classes, label * classes + prediction, classes ** 2)
    return _scattered(index, classes ** 2).reshape(classes, classes)

  def multiply(label, prediction):
    rows, columns = (jax.nn.one_hot(x, classes, dtype=jnp.bfloat16) for x in (label, prediction))
    return jnp.einsum('...i,...j->ij', rows, columns,
                      preferred_element_type=jnp.float32).astype(jnp.int32)
  label = jnp.where(valid & (label >= 0) & (label < classes), label, classes).astype(jnp.int32)
  # A scatter is 20 times faster than a matrix product on CPU, and slow on accelerators.
  return lax.platform_dependent(label, prediction.astype(jnp.int32), cpu=add, default=multiply)


def class_counts(label: jax.Array, classes: int, valid: jax.Array) -> jax.Array:
  """How many of the valid entries of each row of `label` (b ...) are of each class: (b k) int32."""
  def add(label):
    index = jnp.arange(len(label))[:, None] * classes + label
    index = jnp.where(label < classes, index, len(label) * classes)
    return _scattered(index, len(label) * classes).reshape(len(label), classes)

  def compare(label):
    return (label[..., None] == jnp.arange(classes)).sum(1, dtype=jnp.int32)
  label = jnp.where(valid & (label >= 0) & (label < classes), label, classes).astype(jnp.int32)
  return lax.platform_dependent(label.reshape(len(label), -1), cpu=add, default=compare)


def _scattered(index, size):
  """How often each of 0..size - 1 is in `index`, where `size` itself stands for nothing."""
  return jnp.zeros(size + 1, jnp.int32).at[index.ravel()].add(1, mode='promise_in_bounds')[:size]


def shares(part, whole) -> np.ndarray:
  """part / whole (k,), nan for classes of which there is nothing: an absent class has no score."""
  part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
  return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def mean_there(values: np.ndarray) -> float:
  """The mean of those that are not nan; 0 where all are.

  >>> mean_there(shares([1, 0, 0], [2, 4, 0]))
  0.25
  """
  there = values[~np.isnan(values)]
  return float(there.mean()) if len(there) else 0.


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
