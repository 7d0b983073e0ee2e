"""Sums and counts: the only form in which a number leaves a step.

Devices, microbatches, padded examples and streamed evaluation are then the same addition, and a
mean is exact however the examples were cut up.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


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


def region_scores(counts) -> dict[str, float | np.ndarray]:
  """The metrics of FCN (Long et al. 2015, section 5) from a confusion matrix (k k) of pixels.

  With n_ij pixels of class i that are called j, and t_i of class i:

    pixel_accuracy           sum_i n_ii / sum_i t_i
    mean_accuracy            mean of n_ii / t_i, over the classes that there are (t_i > 0)
    mean_iou                 mean of n_ii / (t_i + sum_j n_ji - n_ii), over the classes that there
                             are or that were predicted: a class that is wrongly seen scores 0
    frequency_weighted_iou   the same with weights t_i
    class_iou, class_accuracy  (k,), nan for the classes left out above

  Without any pixel all are 0.

  >>> scores = region_scores([[6, 2, 0], [0, 2, 0], [0, 0, 0]])
  >>> scores['pixel_accuracy'], scores['mean_iou'], scores['class_iou'].tolist()
  (0.8, 0.625, [0.75, 0.5, nan])
  """
  counts = np.asarray(counts, np.float64)
  right, true, said = np.diag(counts), counts.sum(1), counts.sum(0)
  union = true + said - right
  accuracy = np.where(true > 0, right / np.maximum(true, 1), np.nan)
  iou = np.where(union > 0, right / np.maximum(union, 1), np.nan)
  total = max(true.sum(), 1)

  def mean(values, counted):
    return float(values[counted].mean()) if counted.any() else 0.
  return dict(pixel_accuracy=float(right.sum() / total), mean_accuracy=mean(accuracy, true > 0),
              mean_iou=mean(iou, union > 0),
              frequency_weighted_iou=float((true * np.nan_to_num(iou)).sum() / total),
              class_iou=iou, class_accuracy=accuracy)


def boundary_f1(label: jax.Array, prediction: jax.Array, classes: int, valid: jax.Array,
                tolerance: float) -> tuple[jax.Array, jax.Array]:
  """How well outlines agree, by image and class (Csurka et al. 2013, BMVC).

  A pixel is on its class's boundary if one of its four neighbours is of another class. Precision is
  the share of the predicted boundary that lies nearer than `tolerance` to the true one, recall the
  reverse. Pixels that do not count are on no boundary and make none: where outlines themselves are
  unlabelled, as in Pascal VOC, little is left to measure.

  Args:
    label, prediction: (b h w) int.
    valid: (b h w) bool; labels that are no class, such as 255, do not count either.
    tolerance: between centres of pixels, in pixels; the paper takes .0075 of the diagonal.

  Returns:
    F1 (b k) float32, and whether that class has a boundary in the image, true or predicted: (b k)
    bool. F1 is 0 without one. The paper's score is the mean over these classes, then over images.
  """
  valid = valid & (label >= 0) & (label < classes)
  label, prediction = (jnp.where(valid, x, 0).astype(jnp.int32) for x in (label, prediction))
  edges = [_edge(x, valid) for x in (label, prediction)]
  near = [_near(x, edge, classes, tolerance) for x, edge in zip((label, prediction), edges)]
  n_true, n_said, found, right = (class_counts(x, classes, on) for x, on in (
      (label, edges[0]), (prediction, edges[1]),
      (label, edges[0] & _at(near[1], label)), (prediction, edges[1] & _at(near[0], prediction))))
  precision, recall = right / jnp.maximum(n_said, 1), found / jnp.maximum(n_true, 1)
  f1 = 2 * precision * recall / jnp.maximum(precision + recall, 1e-12)
  return f1, n_true + n_said > 0


def _edge(label, valid):
  """Whether a valid neighbour above, below, left or right is of another class: (b h w) bool."""
  def differ(a, b, i, j):
    return (a != b) & i & j
  down = differ(label[:, 1:], label[:, :-1], valid[:, 1:], valid[:, :-1])
  right = differ(label[:, :, 1:], label[:, :, :-1], valid[:, :, 1:], valid[:, :, :-1])
  down, up = (jnp.pad(down, ((0, 0), pad, (0, 0))) for pad in ((0, 1), (1, 0)))
  right, left = (jnp.pad(right, ((0, 0), (0, 0), pad)) for pad in ((0, 1), (1, 0)))
  return down | up | right | left


def _near(label, edge, classes, tolerance):
  """For every pixel, the classes with an edge nearer than `tolerance`, as bits: (k/32 b h w).

  A disc is a stack of rows. Bits let all classes grow at once.
  """
  h, w = label.shape[1:]
  word = jnp.arange(-(-classes // 32))[:, None, None, None]
  bits = jnp.where(edge & (label >> 5 == word), jnp.uint32(1) << (label & 31).astype(jnp.uint32), 0)
  reach = max(0, math.ceil(tolerance) - 1)
  bits = jnp.pad(bits, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
  grown = jnp.zeros((*bits.shape[:2], h, w), jnp.uint32)
  row = bits[..., reach:reach + w]
  for wide in range(reach + 1):
    if wide:
      row |= bits[..., reach - wide:reach - wide + w] | bits[..., reach + wide:reach + wide + w]
    for down in range(-reach, reach + 1):
      inside = [x for x in range(reach + 1) if x * x + down * down < tolerance ** 2]
      if inside and inside[-1] == wide:
        grown |= row[:, :, reach + down:reach + down + h]
  return grown


def _at(near, label):
  """Whether the bit of each pixel's own class is set: (k/32 b h w), (b h w) -> (b h w)."""
  word = jnp.arange(len(near))[:, None, None, None]
  set_ = (near >> (label & 31).astype(jnp.uint32)) & 1
  return (jnp.where(label >> 5 == word, set_, 0) > 0).any(0)


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
