"""ops/boxes.py against torchvision's numbers, and where boxes are empty or inverted."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.ops import boxes as ops

GOLDEN = np.load(Path(__file__).parent / 'golden' / 'detection.npz')
WEIGHTS = (10., 10., 5., 5.)
ODD = np.array([[3, 3, 3, 3], [0, 0, 5, 0], [4, 4, 1, 1], [2, 2, 2 + 1e-6, 9], [-1e6, 0, 1e6, 1],
                [1, 1, 2, 2]], np.float32)  # empty, flat, inverted, thin, huge, ordinary


@pytest.mark.parametrize('dtype, rtol', [(np.float32, 1e-5), (jnp.bfloat16, 0)])
def test_overlaps_are_torchvisions(dtype, rtol):
  a, b = (GOLDEN[f'boxes.{k}'].astype(dtype) for k in 'ab')
  iou = jax.jit(ops.iou_matrix)(a, b)
  assert iou.dtype == jnp.float32
  if rtol:
    np.testing.assert_allclose(iou, GOLDEN['boxes.iou'], rtol=rtol, atol=1e-6)
  else:  # the boxes are rounded, the arithmetic is not
    exact = jax.jit(ops.iou_matrix)(a.astype(np.float32), b.astype(np.float32))
    np.testing.assert_array_equal(iou, exact)


def test_iou_counts_pixels():
  """Of boxes with whole corners, the pixels in both over those in either."""
  rng = np.random.default_rng(1)
  a, b = (np.concatenate([low, low + rng.integers(1, 8, (6, 2))], 1)
          for low in rng.integers(0, 8, (2, 6, 2)))
  def covered(box):
    grid = np.zeros((16, 16), bool)
    grid[box[1]:box[3], box[0]:box[2]] = True
    return grid
  expected = [[(covered(p) & covered(q)).sum() / (covered(p) | covered(q)).sum() for q in b]
              for p in a]
  np.testing.assert_allclose(jax.jit(ops.iou_matrix)(a, b), expected, rtol=1e-6)
  np.testing.assert_array_equal(ops.area(a), [covered(p).sum() for p in a])


def test_clipping_and_sizes_are_torchvisions():
  a = jnp.asarray(GOLDEN['boxes.a'])
  np.testing.assert_allclose(ops.clip(a * 2 - 30, (40, 50)), GOLDEN['boxes.clipped'], atol=1e-5)
  np.testing.assert_array_equal(ops.clip(a, jnp.array([40, 50])), ops.clip(a, (40, 50)))
  np.testing.assert_array_equal(np.flatnonzero(ops.at_least(a, 8.)), GOLDEN['boxes.large'])


def test_scaling_keeps_the_centre():
  boxes = np.array([[0, 0, 4, 2], [2, 2, 4, 8]], np.float32)
  assert ops.scale(boxes, 2).tolist() == [[-2, -1, 6, 3], [1, -1, 5, 11]]
  assert ops.scale(boxes, np.array([[2], [1]])).tolist() == [[-2, -1, 6, 3], [2, 2, 4, 8]]
  assert ops.scale(boxes, np.array([2, 1])).tolist() == [[-2, 0, 6, 2], [1, 2, 5, 8]]
  assert ops.scale(boxes, np.array([[2, 1], [1, 2]])).tolist() == [[-2, 0, 6, 2], [2, -1, 4, 11]]


def test_coding_is_torchvisions():
  anchors, targets, deltas = (GOLDEN[f'coder.{k}'] for k in ('anchors', 'targets', 'deltas'))
  encode, decode = (jax.jit(f, static_argnums=2) for f in (ops.encode, ops.decode))
  encoded = encode(targets, anchors, WEIGHTS)
  np.testing.assert_allclose(encoded, GOLDEN['coder.encoded'], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(decode(encoded, anchors, WEIGHTS), targets, rtol=1e-5, atol=1e-4)
  # Some of these are beyond the limit of 1000 / 16.
  decoded = decode(deltas * 10, anchors[:, None], WEIGHTS)
  np.testing.assert_allclose(decoded, GOLDEN['coder.decoded'], rtol=2e-5, atol=1e-3)


def test_a_mirror_changes_only_the_sign_of_x():
  anchors, targets = jnp.asarray(GOLDEN['boxes.a'][:9]), jnp.asarray(GOLDEN['boxes.b'])
  mirror = lambda boxes: jnp.array([60., 0, 60, 0]) + boxes[:, jnp.array([2, 1, 0, 3])] * jnp.array(
    [-1., 1, -1, 1])
  np.testing.assert_allclose(
    ops.encode(mirror(targets), mirror(anchors)),
    ops.encode(targets, anchors) * jnp.array([-1., 1, 1, 1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('f', [
  ops.iou, lambda a, b: ops.encode(a, b).sum(-1),
  lambda a, b: ops.decode(a, b).sum(-1)], ids=['iou', 'encode', 'decode'])
def test_values_and_gradients_are_finite_for_any_box(f):
  a, b = (x.reshape(-1, 4) for x in np.broadcast_arrays(ODD[:, None], ODD))
  value, gradients = jax.jit(jax.value_and_grad(lambda *x: f(*x).sum(), argnums=(0, 1)))(a, b)
  assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)


def test_of_empty_boxes():
  iou = ops.iou_matrix(ODD[:3], ODD)
  np.testing.assert_array_equal(iou, np.zeros((3, 6)))
