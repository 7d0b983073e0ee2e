"""Sums and counts against scikit-learn and NumPy; padding changes nothing."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import (
  balanced_accuracy_score,
  confusion_matrix,
  jaccard_score,
  top_k_accuracy_score,
)

from visionlab.measures import classification
from visionlab.measures.classification import calibration_error
from visionlab.measures.segmentation import boundary_f1, region_scores
from visionlab.metrics import Ratio

# One program each; what is compiled operation by operation takes a hundred times as long.
confusion = jax.jit(classification.confusion, static_argnums=2)
class_counts = jax.jit(classification.class_counts, static_argnums=1)
topk_correct = jax.jit(classification.topk_correct, static_argnums=2)
calibration_bins = jax.jit(classification.calibration_bins, static_argnums=3)
ratio_of = jax.jit(Ratio.of)

# --- Ratio ---

def test_ratio_is_the_same_mean_however_it_is_cut_up():
  rng = np.random.default_rng(0)
  values, valid = rng.standard_normal(60), rng.random(60) < .7
  for order in itertools.permutations([slice(0, 1), slice(1, 20), slice(20, 57), slice(57, 60)]):
    total = Ratio(0., 0.)
    for part in order:
      total = total + ratio_of(values[part], valid[part])
    np.testing.assert_allclose(total.value, values[valid].mean(), rtol=1e-5)
    assert float(total.count) == valid.sum()


def test_ratio_addition_is_associative_and_commutative():
  a, b, c = Ratio(1., 2.), Ratio(3., 4.), Ratio(-5., 8.)
  assert (a + b) + c == a + (b + c) == c + (b + a) == Ratio(-1., 14.)


def test_ratio_is_a_tree_of_two_leaves():
  a, b = Ratio(jnp.float32(1), jnp.float32(2)), Ratio(jnp.float32(3), jnp.float32(5))
  total = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b))(a, b)
  assert isinstance(total, Ratio) and (float(total.sum), float(total.count)) == (4., 7.)
  stacked = jax.jit(jax.vmap(Ratio.of))(np.arange(6, dtype=np.float32).reshape(2, 3))
  np.testing.assert_array_equal(stacked.value, [1., 4.])


def test_ratio_without_a_mask_counts_every_value():
  ratio = Ratio.of(jnp.arange(12, dtype=jnp.int32).reshape(3, 4))
  assert (float(ratio.sum), float(ratio.count)) == (66., 12.)
  assert ratio.sum.dtype == ratio.count.dtype == jnp.float32


def test_ratio_mask_is_broadcast_from_the_leading_axes():
  values, valid = jnp.arange(24.).reshape(2, 3, 4), jnp.array([True, False])
  ratio = Ratio.of(values, valid)
  assert (float(ratio.sum), float(ratio.count)) == (66., 12.)
  finer = Ratio.of(values, jnp.array([[True, False, True], [False, False, True]]))
  assert float(finer.count) == 12 and float(finer.sum) == 6 + 38 + 86


def test_ratio_sums_half_precision_in_single():
  assert float(Ratio.of(jnp.ones(5000, jnp.bfloat16)).value) == 1


def test_ratio_of_nothing_is_zero_and_pulls_nowhere():
  def value(w):
    return Ratio.of(w * jnp.ones(3), jnp.zeros(3, bool)).value
  assert float(value(2.)) == 0 and float(jax.grad(value)(2.)) == 0
  assert float(Ratio(0., 0.).value) == 0


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_ratio_ignores_what_is_masked_out(bad):
  valid = jnp.array([True, False, True])

  def value(x):
    return Ratio.of(x, valid).value
  values = jnp.array([1., bad, 5.])
  assert float(value(values)) == 3
  np.testing.assert_array_equal(jax.grad(value)(values), [.5, 0, .5])


def test_ratio_shows_a_nan_that_counts():
  assert np.isnan(Ratio.of(jnp.array([1., np.nan])).value)


# --- confusion ---

@pytest.mark.parametrize('shape', [(50,), (4, 5, 6)])
def test_confusion_equals_sklearn(shape):
  rng = np.random.default_rng(0)
  label, said = rng.integers(0, 5, shape), rng.integers(0, 5, shape)
  valid = rng.random(shape) < .6
  got = confusion(label, said, 5, valid)
  np.testing.assert_array_equal(
      got, confusion_matrix(label[valid], said[valid], labels=range(5)))


def test_confusion_leaves_out_labels_that_are_no_class():
  label, said = jnp.array([0, 255, -1, 1]), jnp.array([0, 1, 1, 0])
  got = confusion(label, said, 2, jnp.ones(4, bool))
  np.testing.assert_array_equal(got, [[1, 0], [1, 0]])


# --- top k ---

@pytest.mark.parametrize('k', [1, 2, 5, 6])
def test_topk_equals_sklearn(k):
  rng = np.random.default_rng(k)
  scores, label = rng.standard_normal((80, 7)).astype(np.float32), rng.integers(0, 7, 80)
  got = np.asarray(topk_correct(scores, label, k))
  np.testing.assert_allclose(got.mean(), top_k_accuracy_score(label, scores, k=k, labels=range(7)),
                             rtol=1e-6)
  finer = topk_correct(scores.reshape(8, 10, 7), label.reshape(8, 10), k)
  np.testing.assert_array_equal(np.ravel(finer), got)


@pytest.mark.parametrize('logits', [np.zeros(4), np.full(4, np.nan), np.full(4, np.inf)])
def test_topk_gives_a_network_that_says_nothing_no_credit(logits):
  logits = np.broadcast_to(np.float32(logits), (4, 4))
  assert not np.any(topk_correct(logits, np.arange(4), 1))
  assert not np.any(topk_correct(logits, np.arange(4), 3))


def test_topk_counts_a_tie_as_wrong():
  logits = jnp.array([[1., 1., 0.]] * 3)
  assert topk_correct(logits, jnp.arange(3), 1).tolist() == [False, False, False]
  assert topk_correct(logits, jnp.arange(3), 2).tolist() == [True, True, False]


# --- calibration ---

def reference_calibration(confidence, correct, bins):
  """Guo et al. 2017, eq. 2 and 3: bins are half open, ((m - 1) / M, m / M]."""
  error = 0.
  for m in range(1, bins + 1):
    inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
    if inside.any():
      error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
  return error


@pytest.mark.parametrize('bins', [1, 10, 15])
def test_calibration_equals_its_definition(bins):
  rng = np.random.default_rng(bins)
  confidence = rng.uniform(.05, 1, 500).astype(np.float32)
  correct = rng.random(500) < confidence ** 2
  sums = calibration_bins(confidence, correct, np.ones(500, bool), bins)
  assert sums.shape == (bins, 3)
  np.testing.assert_allclose(calibration_error(sums),
                             reference_calibration(confidence, correct, bins), rtol=1e-4)


def test_calibration_of_known_cases():
  def error(confidence, correct):
    n = len(confidence)
    return calibration_error(calibration_bins(np.float32(confidence), correct, np.ones(n, bool)))
  np.testing.assert_allclose(error(np.full(10, .9), np.arange(10) < 5), .4, rtol=1e-5)
  np.testing.assert_allclose(error(np.ones(4), np.ones(4, bool)), 0, atol=1e-6)
  np.testing.assert_allclose(error(np.zeros(4), np.ones(4, bool)), 1, rtol=1e-6)
  assert calibration_error(np.zeros((15, 3))) == 0


def test_a_calibration_bin_holds_its_upper_edge():
  confidence = jnp.array([0., .25, .5, .75, 1.])
  sums = calibration_bins(confidence, jnp.ones(5, bool), jnp.ones(5, bool), 4)
  np.testing.assert_array_equal(sums[:, 0], [2, 1, 1, 1])


def test_calibration_of_parts_adds_up_to_the_whole():
  rng = np.random.default_rng(0)
  confidence, correct = rng.random(90).astype(np.float32), rng.random(90) < .5
  whole = calibration_bins(confidence, correct, np.ones(90, bool))
  parts = sum(calibration_bins(confidence[i:i + 30], correct[i:i + 30], np.ones(30, bool))
              for i in (0, 30, 60))
  np.testing.assert_allclose(parts, whole, rtol=1e-5)


# --- padding ---

@pytest.mark.parametrize('bad', [0., 1e9, np.nan])
def test_padding_changes_no_metric(bad):
  rng = np.random.default_rng(0)
  scores, label = rng.standard_normal((20, 4)).astype(np.float32), rng.integers(0, 4, 20)

  @jax.jit
  def measure(scores, label, valid):
    correct = topk_correct(scores, label, 1)
    return dict(top1=Ratio.of(correct, valid), loss=Ratio.of(scores[:, 0], valid),
                confusion=confusion(label, scores.argmax(-1), 4, valid),
                bins=calibration_bins(jax.nn.softmax(scores).max(-1), correct, valid))
  alone = measure(scores, label, np.ones(20, bool))
  padded = measure(np.concatenate([scores, np.full((12, 4), bad, np.float32)]),
                   np.concatenate([label, rng.integers(0, 4, 12)]), np.arange(32) < 20)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), alone, padded)

# --- maps ---

BOUNDARY = jax.jit(boundary_f1, static_argnums=(2, 4))


def draw_maps(n=3, size=(24, 32), classes=4, seed=0):
  """Truth and a prediction that is nearly it, in blocks; some pixels do not count."""
  rng = np.random.default_rng(seed)
  label = rng.integers(0, classes, (n, size[0] // 4, size[1] // 4)).repeat(4, 1).repeat(4, 2)
  other = rng.integers(0, classes, label.shape)
  said = np.where(rng.random(label.shape) < .95, np.roll(label, 1, 2), other)
  return np.where(rng.random(label.shape) < .03, 255, label), said, rng.random(label.shape) < .97


@pytest.mark.parametrize('classes', [2, 40])
def test_accelerators_count_the_same(classes, monkeypatch):
  """They multiply and compare where a CPU scatters."""
  label, said, valid = draw_maps(classes=classes)

  def measure():
    def both(label, said, valid):        # another function each time: it is traced anew
      return (classification.confusion(label, said, classes, valid),
              classification.class_counts(label, classes, valid))
    return jax.jit(both)(label, said, valid)
  want = measure()
  monkeypatch.setattr('jax.lax.platform_dependent', lambda *args, cpu, default: default(*args))
  jax.tree.map(np.testing.assert_array_equal, measure(), want)


def test_class_counts_equal_bincount():
  label, _, valid = draw_maps(classes=7)
  got = class_counts(label, 7, valid)
  want = [np.bincount(row[on], minlength=256)[:7] for row, on in zip(label, valid, strict=True)]
  np.testing.assert_array_equal(got, want)


def test_region_scores_of_a_case_done_by_hand():
  """FCN, section 5: classes a, b are there, c is only predicted, d is neither."""
  scores = region_scores([[5, 1, 2, 0], [0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
  assert scores['pixel_accuracy'] == 7 / 10
  assert scores['mean_accuracy'] == (5 / 8 + 1) / 2
  np.testing.assert_allclose(scores['class_iou'], [5 / 8, 2 / 3, 0, np.nan])
  np.testing.assert_allclose(scores['mean_iou'], (5 / 8 + 2 / 3) / 3)
  np.testing.assert_allclose(scores['frequency_weighted_iou'], (8 * 5 / 8 + 2 * 2 / 3) / 10)


@pytest.mark.parametrize('average, name', [('macro', 'mean_iou'),
                                           ('weighted', 'frequency_weighted_iou')])
def test_region_scores_equal_sklearn(average, name):
  label, said, _ = (x.ravel() for x in draw_maps())
  label = np.where(label == 255, 0, label)
  scores = region_scores(confusion_matrix(label, said))
  np.testing.assert_allclose(scores[name], jaccard_score(label, said, average=average))
  np.testing.assert_allclose(scores['mean_accuracy'], balanced_accuracy_score(label, said))


def boundary_by_distances(label, said, classes, valid, tolerance):
  """Csurka et al. 2013 with distance transforms, image by image and class by class."""
  def edge(x, counts):
    padded = np.pad(np.where(counts, x, -1), 1, constant_values=-1)
    around = np.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    return counts & ((around != x) & (around >= 0)).any(0)
  f1, there = np.zeros((2, len(label), classes))
  for i, k in itertools.product(range(len(label)), range(classes)):
    counts = valid[i] & (label[i] < classes)
    true, mine = (edge(x[i], counts) & (x[i] == k) for x in (label, said))
    there[i, k] = true.any() or mine.any()
    if true.any() and mine.any():
      precision = (distance_transform_edt(~true)[mine] < tolerance).mean()
      recall = (distance_transform_edt(~mine)[true] < tolerance).mean()
      f1[i, k] = 2 * precision * recall / max(precision + recall, 1e-9)
  return f1, there


@pytest.mark.parametrize('classes', [4, 40])
@pytest.mark.parametrize('tolerance', [.5, 1., 1.01, 2.5, 5.])
def test_boundary_f1_equals_distance_transforms(classes, tolerance):
  label, said, valid = draw_maps(classes=classes)
  got, there = BOUNDARY(label, said, classes, valid, tolerance)
  want, present = boundary_by_distances(label, said, classes, valid, tolerance)
  np.testing.assert_array_equal(there, present)
  np.testing.assert_allclose(got, want, atol=1e-6)


def test_boundary_f1_of_known_cases():
  half = np.zeros((1, 8, 8), int)
  half[:, :, 4:] = 1
  for moved, tolerance, want in ((0, .5, 1.), (1, 1.01, 1.), (2, 1.01, 0.), (2, 2.01, 1.)):
    other = np.roll(half, moved, 2)
    other[:, :, :moved] = 0
    f1, there = BOUNDARY(half, other, 2, np.ones(half.shape, bool), tolerance)
    np.testing.assert_allclose(f1, [[want, want]], atol=1e-6)
    assert there.all()
  f1, there = BOUNDARY(half, np.zeros_like(half), 3, np.ones(half.shape, bool), 1.5)
  assert f1.tolist() == [[0, 0, 0]] and there.tolist() == [[True, True, False]]
