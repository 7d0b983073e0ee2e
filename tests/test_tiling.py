"""Tiles: they cover, their weights add up to one, and what they say together is exact."""

from functools import partial

import jax
import numpy as np
import pytest
from scipy.ndimage import correlate

from visionlab.config import ConfigError
from visionlab.models.unet import UNet, margin
from visionlab.ops.tiling import plan, segment_images, tiled


@pytest.mark.parametrize('align', [1, 4, 16])
@pytest.mark.parametrize('tile, overlap', [(16, 0), (32, 8), (33, 13), (32, 16), (48, 31)])
def test_plans(tile, overlap, align):
  for length in (1, 5, tile - 1, tile, tile + 1, 2 * tile, 97, 250):
    axis = plan(length, tile, min(overlap, tile - align), align)
    starts = np.array(axis.starts)
    assert starts[0] == 0 and axis.length == starts[-1] + tile
    assert length <= axis.length < max(length + align, tile + 1)
    assert (starts % align == 0).all()
    apart = np.diff(starts)
    assert ((apart > 0) & (apart <= tile - min(overlap, tile - align))).all()
    total = np.zeros(axis.length)
    for start, weight in zip(axis.starts, axis.weights, strict=True):
      total[start:start + tile] += weight
      assert weight.min() >= 0
    np.testing.assert_allclose(total, 1, rtol=1e-6)


@pytest.mark.parametrize('length', [40, 65, 200])
def test_no_plan_with_fewer_tiles(length):
  tile, overlap = 32, 8
  count = len(plan(length, tile, overlap).starts)
  assert (count - 1) * (tile - overlap) + overlap < length   # one tile less would not reach


def test_weights_are_a_ramp_between_what_counts_nothing():
  first, second = plan(28, 16, 4).weights
  np.testing.assert_allclose(first, [1] * 13 + [.75, .25, 0], atol=1e-6)
  np.testing.assert_allclose(second, first[::-1], atol=1e-6)


def blur(radius, tiles):
  """A network whose receptive field reaches `radius` pixels, padded with zeros."""
  kernel = np.random.default_rng(0).random((1, 2 * radius + 1, 2 * radius + 1, 1))
  return correlate(tiles.astype(np.float64), kernel, mode='constant').repeat(2, -1) * [1, -2]


@pytest.mark.parametrize('size', [(20, 24), (20, 61), (53, 38), (131, 70)])
@pytest.mark.parametrize('batch', [1, 5])
def test_tiles_say_what_the_whole_image_would(size, batch):
  """At every pixel, borders too, where tile and image end together."""
  image = np.random.default_rng(1).integers(0, 256, (*size, 1)).astype(np.uint8)
  (said,) = tiled(partial(blur, 3), [image], (20, 24), overlap=12, batch=batch, align=1)
  np.testing.assert_allclose(said, blur(3, image[None])[0], rtol=1e-5)


def test_tiles_of_a_network_that_sees_further_differ():
  image = np.random.default_rng(1).integers(0, 256, (60, 60, 1)).astype(np.uint8)
  (said,) = tiled(partial(blur, 5), [image], (20, 20), overlap=12, align=1)
  assert not np.allclose(said, blur(5, image[None])[0], rtol=1e-2)


def test_a_network_with_strides_is_exact_on_its_grid():
  """U-Net of depth 1 pools over 2 x 2 pixels and sees 8 pixels around."""
  model = UNet(2, width=2, depth=1)
  rng = np.random.default_rng(0)
  image = rng.random((70, 84, 3), np.float32)
  variables = jax.jit(model.init)(jax.random.key(0), image[None])
  predict = jax.jit(partial(model.apply, variables))
  (said,) = tiled(predict, [image], (48, 48), overlap=36, align=2)
  whole = predict(image[None])[0]
  np.testing.assert_allclose(said, whole, rtol=1e-4, atol=1e-6)
  (askew,) = tiled(predict, [image[:, :83]], (48, 48), overlap=36, align=1)
  assert not np.allclose(askew[:, :60], whole[:, :60], atol=1e-6)


def test_answers_smaller_than_the_tile():
  """A 'valid' network sees the mirrored surroundings; then tiles say what one large tile would."""
  model, m = UNet(2, width=2, depth=1, padding='valid'), margin(1)
  rng = np.random.default_rng(0)
  image = rng.random((40, 52, 3), np.float32)
  variables = jax.jit(model.init)(jax.random.key(0), np.zeros((1, 36, 36, 3), np.float32))
  predict = jax.jit(partial(model.apply, variables))
  (said,) = tiled(predict, [image], (36, 36), answer=(20, 20), overlap=0, align=2)
  want = predict(np.pad(image, ((m, m), (m, m), (0, 0)), mode='reflect')[None])[0]
  np.testing.assert_allclose(said, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('size', [(1, 1), (1, 50), (7, 9), (16, 16), (40, 5)])
def test_small_images_are_mirrored(size):
  image = np.random.default_rng(0).random((*size, 3)).astype(np.float32)
  (said,) = tiled(lambda x: x, [image], (16, 16))
  np.testing.assert_allclose(said, image, rtol=1e-5)


def test_one_shape_serves_all():
  shapes = set()

  def predict(tiles):
    shapes.add(tiles.shape)
    return tiles
  rng = np.random.default_rng(0)
  images = [rng.random((h, w, 2)).astype(np.float32) for h, w in ((5, 5), (70, 30), (16, 16))]
  for said, image in zip(tiled(predict, images, (16, 16), batch=4), images, strict=True):
    np.testing.assert_allclose(said, image, rtol=1e-5)
  assert shapes == {(4, 16, 16, 2)}


def test_few_tiles_make_a_small_batch():
  shapes = []
  list(tiled(lambda x: shapes.append(x.shape) or x, [np.zeros((16, 16, 1))] * 2, (16, 16)))
  assert shapes == [(2, 16, 16, 1)]


def halves(tiles):
  """Class 1 where it is bright."""
  bright = tiles[..., :1] / 255
  return np.concatenate([1 - bright, bright], -1).astype(np.float32)


@pytest.mark.parametrize('scale', [1., .5, 2, 'fit'])
@pytest.mark.parametrize('channels', [1, 3])
def test_maps_have_their_images_size(scale, channels):
  images = [np.zeros((h, w, channels), np.uint8) for h, w in ((40, 64), (17, 90))]
  for image in images:
    image[:, 32:] = 200
  for image, said in zip(images, segment_images(halves, images, (20, 24), scale=scale),
                         strict=True):
    assert said['prediction'].shape == said['confidence'].shape == image.shape[:2]
    assert said['prediction'].dtype == np.uint8 and said['confidence'].dtype == np.float32
    right = said['prediction'] == (image[..., 0] > 128)
    assert right[:, abs(np.arange(image.shape[1]) - 31.5) > 4].all()
    np.testing.assert_allclose(said['confidence'][:, 5], 1, atol=.01)
    np.testing.assert_allclose(said['confidence'][:, -5], 200 / 255, atol=.01)


def test_fit_shows_the_whole_image_at_the_size_of_the_tile():
  seen = []

  def predict(tiles):
    seen.append(tiles)
    return halves(tiles)
  image = np.arange(256, dtype=np.uint8).repeat(100).reshape(256, 100, 1)[:200]
  list(segment_images(predict, [image], (20, 10), scale='fit'))
  assert len(seen) == 1 and seen[0].shape == (1, 20, 10, 1)
  np.testing.assert_allclose(seen[0][0, :, 5, 0], image[5::10, 0, 0], atol=1.5)


@pytest.mark.parametrize('call, says', [
  (lambda: plan(100, 16, 16), 'can overlap by 0 to 15, not 16'),
  (lambda: plan(100, 16, 9, 8), 'multiples of 8 can overlap by 0 to 8, not 9'),
  (lambda: list(segment_images(halves, [], (8, 8))), 'no images'),
  (lambda: list(segment_images(halves, [np.zeros((8, 8, 1), np.uint8)], (8, 8), scale=0)),
   'scale must be above 0, or "fit", not 0'),
])
def test_errors(call, says):
  with pytest.raises(ConfigError, match=says):
    call()
