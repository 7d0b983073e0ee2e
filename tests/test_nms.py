"""ops/nms.py index for index against the greedy loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from visionlab.ops import nms as suppression
from visionlab.parallel.sharding import data_mesh

nms = jax.jit(suppression.nms, static_argnames=('k', 'tile'))
THRESHOLDS = np.arange(1, 10, dtype=np.float32) / 10


def greedy(boxes, scores, valid, threshold, classes=None):
  """The definition, in NumPy."""
  x1, y1, x2, y2 = boxes.T
  area = (x2 - x1) * (y2 - y1)
  w = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)
  h = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1)
  both = np.maximum(w, 0) * np.maximum(h, 0)
  close = both / (area[:, None] + area - both) > np.float32(threshold)
  if classes is not None:
    close &= classes[:, None] == classes
  alive, kept = valid.copy(), []
  for i in np.argsort(-scores, kind='stable'):
    if alive[i]:
      kept.append(i)
      alive &= ~close[i]
      alive[i] = False
  return kept


def crowd(rng, *shape, side=12, extent=40, levels=100):
  """Crowded boxes with whole corners, so that overlaps are exact and ratios like 1/2 occur."""
  low = rng.integers(0, extent, (*shape, 2))
  boxes = np.concatenate([low, low + rng.integers(1, side + 1, (*shape, 2))], -1)
  scores = rng.integers(0, levels, shape) / levels
  return boxes.astype(np.float32), scores.astype(np.float32), rng.random(shape) < .9


def check(result, expected, k):
  index, keep = (np.asarray(x) for x in result)
  assert index.shape == keep.shape == (k,)
  assert keep.tolist() == [True] * min(k, len(expected)) + [False] * max(0, k - len(expected))
  assert index[keep].tolist() == expected[:k]


def test_four_hundred_cases_at_every_threshold():
  rng = np.random.default_rng(0)
  boxes, scores, valid = crowd(rng, 400, 40, side=30, extent=16)
  run = jax.jit(jax.vmap(lambda b, s, v, t: nms(b, s, v, iou_threshold=t, k=24, tile=16),
                         in_axes=(0, 0, 0, None)))
  for threshold in THRESHOLDS:
    index, keep = run(boxes, scores, valid, threshold)
    for i in range(400):
      check((index[i], keep[i]), greedy(boxes[i], scores[i], valid[i], threshold), 24)


@pytest.mark.parametrize('n, tile, k', [(40, 256, 40), (40, 1, 12), (41, 8, 60), (600, 64, 300)])
def test_any_tile_and_any_number(n, tile, k):
  rng = np.random.default_rng(n + tile)
  boxes, scores, valid = crowd(rng, n, extent=60)
  result = jax.jit(partial(nms, iou_threshold=.3, k=k, tile=tile))(boxes, scores, valid)
  check(result, greedy(boxes, scores, valid, .3), k)


def test_each_class_by_itself():
  rng = np.random.default_rng(1)
  boxes, scores, valid = crowd(rng, 120, extent=16)
  boxes += 1e6  # where coordinates moved apart by class would have lost their digits
  classes = rng.integers(0, 3, 120)
  result = jax.jit(partial(nms, iou_threshold=.4, k=100, tile=32))(boxes, scores, valid,
                                                                   classes=classes)
  check(result, greedy(boxes, scores, valid, .4, classes), 100)


def test_long_chains():
  """Each box overlaps its neighbours only, so every second one stays: the most rounds there are."""
  left = np.arange(50, dtype=np.float32)
  boxes = np.stack([left, 0 * left, left + 1.9, 0 * left + 1], 1)
  index, keep = nms(boxes, -left, np.ones(50, bool), iou_threshold=.2, k=50, tile=20)
  assert index[keep].tolist() == list(range(0, 50, 2))


def test_the_threshold_itself_does_not_suppress():
  boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 1]], np.float32)  # half of it exactly
  run = lambda t: nms(boxes, np.array([.9, .8]), np.ones(2, bool), iou_threshold=t, k=2)[1].tolist()
  assert run(.5) == [True, True] and run(.49) == [True, False]


def test_no_box_no_valid_box_and_boxes_that_are_no_numbers():
  assert nms(jnp.zeros((0, 4)), jnp.zeros(0), jnp.zeros(0, bool), iou_threshold=.5,
             k=3)[1].tolist() == [False] * 3
  boxes = np.array([[0, 0, 1, np.nan], [0, 0, 1, 1], [5, 5, 6, 6], [8, 8, 9, 9], [0, 0, 1, 1]],
                   np.float32)
  scores = np.array([.9, np.nan, .5, -np.inf, -.3], np.float32)
  run = lambda valid: nms(boxes, scores, valid, iou_threshold=.5, k=5)
  assert not run(np.zeros(5, bool))[1].any()
  index, keep = run(np.ones(5, bool))
  assert index[keep].tolist() == [2, 4, 3]


def test_bfloat16_is_decided_in_float32():
  rng = np.random.default_rng(3)
  boxes, _, valid = crowd(rng, 60)
  scores = (rng.permutation(60) / 64).astype(np.float32)  # whole corners and 64ths are exact
  result = jax.jit(partial(nms, iou_threshold=.3, k=60, tile=32))(
    jnp.asarray(boxes, jnp.bfloat16), jnp.asarray(scores, jnp.bfloat16), valid)
  check(result, greedy(boxes, scores, valid, .3), 60)


def test_in_a_shard_map():
  boxes, scores, valid = crowd(np.random.default_rng(4), 2, 40)
  run = jax.vmap(partial(nms, iou_threshold=.3, k=40, tile=16))
  mesh = data_mesh(jax.devices()[:2])
  spec = PartitionSpec(mesh.axis_names[0])
  index, keep = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec))(
    boxes, scores, valid)
  for i in range(2):
    check((index[i], keep[i]), greedy(boxes[i], scores[i], valid[i], .3), 40)
