"""What label maps are judged by: regions, from a confusion matrix of pixels, and outlines."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.measures.classification import class_counts, mean_there, shares


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
  accuracy, iou = shares(right, true), shares(right, union)
  total = max(true.sum(), 1)
  return dict(pixel_accuracy=float(right.sum() / total), mean_accuracy=mean_there(accuracy),
              mean_iou=mean_there(iou),
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
