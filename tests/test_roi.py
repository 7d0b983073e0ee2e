"""RoIAlign, RoIPool and crops against torchvision, torch, and the loops that define them."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from visionlab.config import ConfigError
from visionlab.ops.crop import crop_and_resize
from visionlab.ops.roi_align import pyramid_level, roi_align_levels
from visionlab.ops.roi_pool import roi_pool, spatial_pyramid_pool
from visionlab.parallel.sharding import data_mesh

GOLDEN = np.load(Path(__file__).parent / 'golden' / 'detection.npz')
ALIGN = dict(aligned=dict(samples=2, aligned=True), legacy=dict(samples=2, aligned=False),
             three=dict(samples=3, aligned=True))


def roi_align(features, boxes, *, size, stride, **options):
  """Of a single map."""
  return roi_align_levels([features], boxes, jnp.zeros(len(boxes), int), size=size,
                          strides=[stride], **options)


ALIGN_ANY = jax.jit(roi_align, static_argnames=('size', 'stride', 'samples', 'aligned'))
CROP = jax.jit(crop_and_resize, static_argnames=('size', 'context', 'fill'))
WILD = np.array([[-40, -9, 30, 20], [10, 10, 10, 10], [20, 20, 4, 4], [50, 30, 90, 80],
                 [-30, -30, -20, -20], [100, 3, 120, 9], [0, 0, 64, 48], [7.3, 1.1, 8.2, 40]],
                np.float32)  # half outside, empty, inverted, outside, all of it, thin


def test_align_of_a_ramp():
  ramp = np.arange(25, dtype=np.float32).reshape(5, 5, 1)
  box = np.array([[1, 1, 3, 3]], np.float32)
  for aligned, first in ((True, 4.5), (False, 7.5)):
    expected = first + 2.5 * np.arange(4)[:, None] + .5 * np.arange(4)
    pooled = ALIGN_ANY(ramp, box, size=4, stride=1, aligned=aligned)[0, :, :, 0]
    np.testing.assert_allclose(pooled, expected, atol=1e-5)
  ramp = np.arange(64, dtype=np.float32).reshape(8, 8, 1)
  pooled = ALIGN_ANY(ramp, np.array([[0., 0, 7, 7]]), size=2, stride=1, aligned=True)
  np.testing.assert_allclose(pooled.ravel(), [11.25, 14.75, 39.25, 42.75], atol=1e-5)


@pytest.mark.parametrize('name', ALIGN)
def test_align_and_its_gradient_are_torchvisions(name):
  features, boxes, cotangent = (GOLDEN[f'align.{k}'] for k in ('features', 'boxes', 'cotangent'))
  @jax.jit
  def run(features, boxes):
    pooled, pull = jax.vjp(lambda f: roi_align(f, boxes, size=(3, 4), stride=4, **ALIGN[name]),
                           features)
    return pooled, pull(cotangent)[0]
  pooled, gradient = run(features[0], boxes)
  np.testing.assert_allclose(pooled, GOLDEN[f'align_{name}.pooled'], atol=2e-5)
  np.testing.assert_allclose(gradient, GOLDEN[f'align_{name}.gradient'][0], atol=2e-5)


def align_by_hand(features, box, size, stride, samples, aligned):
  """The definition: one bilinear sample after another."""
  h, w, _ = features.shape
  x1, y1, x2, y2 = box / stride - (.5 if aligned else 0)
  high, wide = (y2 - y1, x2 - x1) if aligned else (max(y2 - y1, 1), max(x2 - x1, 1))
  def at(y, x):
    if not (-1 <= y <= h and -1 <= x <= w):
      return 0 * features[0, 0]
    y, x = np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)
    i, j = int(y), int(x)
    below, right = min(i + 1, h - 1), min(j + 1, w - 1)
    return ((i + 1 - y) * ((j + 1 - x) * features[i, j] + (x - j) * features[i, right])
            + (y - i) * ((j + 1 - x) * features[below, j] + (x - j) * features[below, right]))
  steps = (np.arange(size * samples) + .5) / (size * samples)
  values = np.array([[at(y1 + high * v, x1 + wide * u) for u in steps] for v in steps])
  return values.reshape(size, samples, size, samples, -1).mean((1, 3))


@pytest.mark.parametrize('aligned', [True, False])
def test_align_of_boxes_that_leave_the_image(aligned):
  features = GOLDEN['align.features'][0]
  pooled = ALIGN_ANY(features, WILD, size=3, stride=4, aligned=aligned)
  expected = [align_by_hand(features, box.astype(float), 3, 4, 2, aligned) for box in WILD]
  np.testing.assert_allclose(pooled, expected, atol=2e-5)


def test_align_on_a_pyramid_is_torchvisions():
  features = [jnp.asarray(GOLDEN[f'pyramid.level{i}']) for i in range(3)]
  boxes = GOLDEN['pyramid.boxes']
  levels = pyramid_level(boxes, lowest=2, highest=4, canonical_side=16, canonical_level=3)
  assert set(levels.tolist()) == {0, 1, 2}
  align = partial(roi_align_levels, size=3, strides=(4, 8, 16))
  batched = jax.jit(jax.vmap(align))  # of one
  np.testing.assert_allclose(batched(features, boxes[None], levels[None])[0],
                             GOLDEN['pyramid.pooled'], atol=2e-5)
  with pytest.raises(ConfigError, match='3 strides for 2 feature maps'):
    align(features[:2], boxes, levels)


def test_bfloat16_is_pooled_in_float32():
  features = jnp.asarray(GOLDEN['align.features'][0], jnp.bfloat16)
  @jax.jit
  def run(features):
    pooled, pull = jax.vjp(
      lambda f: roi_align(f, GOLDEN['align.boxes'], size=3, stride=4), features)
    return pooled, pull(jnp.ones_like(pooled))[0]
  for value, exact in zip(run(features), run(features.astype(jnp.float32))):
    assert value.dtype == jnp.bfloat16
    # Compiled apart, the last bit of a sum may differ before it is rounded.
    np.testing.assert_allclose(value.astype(jnp.float32), exact, rtol=2 ** -8, atol=1e-6)


def test_no_gradient_reaches_boxes():
  gradient = jax.jit(jax.grad(lambda b: roi_align(
    GOLDEN['align.features'][0], b, size=2, stride=4).sum()))(WILD)
  np.testing.assert_array_equal(gradient, np.zeros_like(WILD))


def test_levels_are_torchvisions():
  levels = pyramid_level(GOLDEN['levels.boxes'], lowest=2, highest=5)
  np.testing.assert_array_equal(levels, GOLDEN['levels.index'])
  assert len(set(levels.tolist())) == 4
  assert pyramid_level(WILD[1:3], lowest=2, highest=5).tolist() == [0, 0]
  almost = np.array([[0, 0, 111.99997, 111.99997]])  # is forgiven, as there
  assert pyramid_level(almost, lowest=2, highest=5).tolist() == [1]


def pool_by_hand(features, box, size, stride):
  """The definition, with torchvision's floats; also the gradient of the sum."""
  h, w, c = features.shape
  round_ = lambda v: int(np.copysign(np.floor(abs(v) + .5), v))
  x1, y1, x2, y2 = (round_(v * np.float32(1 / stride)) for v in box)
  bin_h, bin_w = (np.float32(max(n, 1)) / np.float32(size) for n in (y2 - y1 + 1, x2 - x1 + 1))
  out, gradient = np.zeros((size, size, c), np.float32), np.zeros_like(features)
  for p in range(size):
    for q in range(size):
      top, bottom = (np.clip(int(f(np.float32(i) * bin_h)) + y1, 0, h)
                     for f, i in ((np.floor, p), (np.ceil, p + 1)))
      left, right = (np.clip(int(f(np.float32(i) * bin_w)) + x1, 0, w)
                     for f, i in ((np.floor, q), (np.ceil, q + 1)))
      if top < bottom and left < right:
        cells = features[top:bottom, left:right].reshape(-1, c)
        out[p, q] = cells.max(0)
        i, j = np.divmod(cells.argmax(0), right - left)
        gradient[top + i, left + j, np.arange(c)] += 1
  return out, gradient


@pytest.mark.parametrize('size, stride', [(7, 1), (3, 4)])
def test_pool_is_exact_and_so_is_its_gradient(size, stride):
  rng = np.random.default_rng(0)
  features = rng.integers(-3, 4, (12, 16, 2)).astype(np.float32)  # many cells tie
  low = rng.uniform(-3, 12, (40, 2))
  boxes = np.concatenate([low, low + rng.exponential(5, (40, 2))], 1)
  boxes[:20] = np.floor(boxes[:20]) + .5  # halves are rounded away from zero
  boxes = np.concatenate([boxes * stride, WILD]).astype(np.float32)
  @jax.jit
  def run(features, boxes):
    pooled, pull = jax.vjp(lambda f: roi_pool(f, boxes, size=size, stride=stride), features)
    return pooled, pull(jnp.ones_like(pooled))[0]
  pooled, gradient = run(features, boxes)
  expected, expected_gradient = zip(*(pool_by_hand(features, b, size, stride) for b in boxes))
  np.testing.assert_array_equal(pooled, expected)
  np.testing.assert_array_equal(gradient, sum(expected_gradient))


def test_pool_in_a_batch_in_bfloat16():
  rng = np.random.default_rng(1)
  features = jnp.asarray(rng.standard_normal((2, 6, 7, 2)), jnp.bfloat16)
  boxes = np.array([[[0, 0, 6, 5], [2, 1, 3, 3]], [[1, 1, 2, 2], [4, 0, 4, 5]]], np.float32)
  @jax.jit
  def run(features):
    pool = jax.vmap(partial(roi_pool, size=2, stride=1))
    pooled, pull = jax.vjp(lambda f: pool(f, boxes), features)
    return pooled, pull(jnp.ones_like(pooled))[0]
  pooled, gradient = run(features)
  assert pooled.dtype == gradient.dtype == jnp.bfloat16
  for i in range(2):
    by_hand = [pool_by_hand(np.asarray(features[i], np.float32), b, 2, 1) for b in boxes[i]]
    np.testing.assert_array_equal(pooled[i].astype(jnp.float32), [p for p, _ in by_hand])
    np.testing.assert_array_equal(gradient[i].astype(jnp.float32), sum(g for _, g in by_hand))


@pytest.mark.parametrize('size', [7, 6])
def test_pool_follows_torchvisions_rounding_errors(size):
  """7 * (57 / 7) is 57.000004 in single precision: the last bin has a row more than the box."""
  rows = np.arange(130, dtype=np.float32).reshape(130, 1, 1)
  boxes = np.array([[0, 0, 0, n - 1] for n in range(1, 128)], np.float32)
  pooled = np.asarray(jax.jit(partial(roi_pool, size=size, stride=1))(rows, boxes))
  np.testing.assert_array_equal(pooled, [pool_by_hand(rows, b, size, 1)[0] for b in boxes])
  assert pooled[56, -1, 0, 0] == (57 if size == 7 else 56)


@pytest.mark.parametrize('pool', [roi_align, roi_pool])
def test_in_a_shard_map(pool):
  rng = np.random.default_rng(2)
  features = rng.standard_normal((2, 6, 7, 2)).astype(np.float32)
  boxes = np.array([[[0, 0, 6, 5], [2, 1, 3, 3]], [[1, 1, 2, 2], [4, 0, 4, 5]]], np.float32)
  gradient = jax.grad(lambda f, b: jnp.sum(jax.vmap(partial(pool, size=2, stride=1))(f, b) ** 2))
  mesh = data_mesh(jax.devices()[:2])
  spec = PartitionSpec(mesh.axis_names[0])
  split = jax.jit(jax.shard_map(gradient, mesh=mesh, in_specs=spec, out_specs=spec))
  np.testing.assert_allclose(split(features, boxes), jax.jit(gradient)(features, boxes), rtol=1e-5)


def test_spatial_pyramid_of_the_whole_image_is_torchs():
  torch = pytest.importorskip('torch')
  features = np.random.default_rng(0).standard_normal((9, 13, 3)).astype(np.float32)
  pyramid = jax.jit(partial(spatial_pyramid_pool, sizes=(1, 2, 6), stride=16))
  boxes = np.array([[0, 0, 13 * 16, 9 * 16], [16, 32, 100, 100], [500, 500, 600, 600]], np.float32)
  pooled = pyramid(features, boxes)
  assert pooled.shape == (3, 41, 3)
  for row, part in ((0, features), (1, features[2:7, 1:7])):
    x = torch.tensor(part.transpose(2, 0, 1))
    expected = [torch.nn.functional.adaptive_max_pool2d(x, s).numpy().reshape(3, -1).T
                for s in (1, 2, 6)]
    np.testing.assert_array_equal(pooled[row], np.concatenate(expected))
  np.testing.assert_array_equal(pooled[2], np.tile(features[-1, -1], (41, 1)))


def test_a_crop_with_context():
  image = np.arange(20 * 30, dtype=np.float32).reshape(20, 30, 1)
  boxes = np.array([[8, 6, 14, 12], [0, 0, 6, 6]], np.float32)
  crops = CROP(image, boxes, size=10, context=2, fill=-1.)[..., 0]
  np.testing.assert_allclose(crops[0], image[4:14, 6:16, 0], atol=1e-4)
  np.testing.assert_allclose(crops[1, 2:, 2:], image[:8, :8, 0], atol=1e-4)
  assert (crops[1, :2] == -1).all() and (crops[1, :, :2] == -1).all()
  with pytest.raises(ConfigError, match='less than half of 10x10 pixels, got 5'):
    crop_and_resize(image, boxes, size=10, context=5)


def test_a_crop_that_is_not_square():
  image = np.arange(20 * 30, dtype=np.float32).reshape(20, 30, 1)
  wide = CROP(image, np.tile([10., 8, 18, 10], (3, 1)), size=(4, 10), context=1)
  np.testing.assert_allclose(wide[2], image[7:11, 9:19], atol=1e-4)


def test_gradient_of_a_map_too_large_for_matrix_products():
  boxes = jnp.array([[5., 5, 30, 21], [8, 3, 11, 30]])
  pull = jnp.asarray(np.random.default_rng(0).standard_normal((2, 7, 7, 3)), jnp.float32)

  def gradient(cells):
    def total(features):
      return (pull * roi_align(features, boxes, size=7, stride=1, aligned=True)).sum()
    return jax.grad(total)(jnp.zeros((cells, cells, 3)))
  small, large = gradient(40), gradient(400)
  np.testing.assert_allclose(large[:40, :40], small, atol=1e-5)
  assert not large[40:].any() and not large[:, 40:].any() and small.any()
