"""Augmentation: what moves together stays together, the draws have the stated distributions."""

import colorsys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats
from tiny import config

from visionlab.augmentation import augment as A
from visionlab.build import assemble
from visionlab.config import ConfigError
from visionlab.ops import geometry
from visionlab.ops.colour import turn_hue
from visionlab.ops.image import to_float
from visionlab.ops.landmarks import MIRRORED

B, H, W = 24, 40, 48
GEOMETRY = {
    'flip': dict(flip=dict(vertical=True)),
    'pad_crop': dict(pad_crop=6),
    'pad_crop_reflect': dict(pad_crop=dict(pad=6, mode='reflect')),
    'rotate': dict(rotate=30.),
    'affine': dict(affine=dict(degrees=20., translate=.2, scale=(.7, 1.4), shear=15.)),
    'resized_crop': dict(resized_crop=dict(scale=(.4, 1.))),
    'resized_to': dict(resized_crop=dict(scale=(.5, 1.), size=(56, 36))),
    'elastic': dict(elastic=dict(alpha=60., sigma=6.)),
    'everything': dict(flip=True, pad_crop=4, rotate=15., affine=True, elastic=True,
                       resized_crop=dict(scale=(.5, 1.))),
}


def scene(rng):
  """Two discs: their picture, label map, masks, boxes and centres; the third object is padding."""
  y, x = np.mgrid[:H, :W] + .5
  discs = [(rng.uniform(10, 18), rng.uniform(10, H - 10), rng.uniform(5, 8)),
           (rng.uniform(32, 38), rng.uniform(10, H - 10), rng.uniform(5, 8))]
  masks = np.stack([(x - a) ** 2 + (y - b) ** 2 < r * r for a, b, r in discs] + [x < 0])
  boxes = np.array([(a - r, b - r, a + r, b + r) for a, b, r in discs] + [(0, 0, 0, 0)], np.float32)
  points = np.array([[(a, b, 2)] for a, b, _ in discs] + [[(0, 0, 0)]], np.float32)
  labels = masks[0] + 2 * masks[1].astype(np.int32)
  image = (255 * masks[:2].any(0)).astype(np.uint8)[..., None]
  return dict(image=image, label_map=labels, objects=dict(
      boxes=boxes, masks=masks, keypoints=points, valid=np.array([True, True, False])))


@pytest.fixture(scope='module')
def batch():
  rng = np.random.default_rng(0)
  scenes = [scene(rng) for _ in range(B)]
  return jax.tree.map(lambda *a: jnp.stack(a), *scenes)


@pytest.fixture
def photos():
  return np.random.default_rng(1).random((6, 12, 14, 3), dtype=np.float32)


@pytest.mark.parametrize('name', GEOMETRY)
def test_what_an_image_shows_and_what_is_said_of_it_move_together(batch, name):
  out = jax.jit(A.make_augment(GEOMETRY[name]))(jax.random.key(3), batch)
  if name != 'resized_to':
    assert np.abs(out['image'] - to_float(batch['image'])).mean() > .01
  out = jax.tree.map(np.asarray, out)
  h, w = out['image'].shape[1:3]
  # half a pixel of the mask, half one of the picture, which is up to twice as large when zoomed
  slack = 2.5 if 'elastic' in GEOMETRY[name] else 1.5
  checked = 0
  for i in range(B):
    objects, labels = (jax.tree.map(lambda a, i=i: a[i], out[k]) for k in ('objects', 'label_map'))
    if name != 'pad_crop_reflect':
      # the picture is white where a label is, but for the blurred rim between the two
      inner = ndimage.binary_erosion(disc := (labels > 0) & (labels != 255), iterations=2)
      clear = inner | ~ndimage.binary_dilation(disc, iterations=2)
      np.testing.assert_array_equal((out['image'][i, ..., 0] > .5)[clear], disc[clear])
    assert not objects['valid'][2] and not objects['boxes'][2].any()
    for n in (0, 1):
      mask, (x1, y1, x2, y2) = objects['masks'][n], objects['boxes'][n]
      np.testing.assert_array_equal(mask, labels == n + 1)
      if not objects['valid'][n]:
        assert not mask.any()
        continue
      assert 0 <= x1 < x2 <= w and 0 <= y1 < y2 <= h
      x, y, seen = objects['keypoints'][n, 0]
      if mask.sum() < 30:
        continue
      rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
      gap = np.array([columns[0] - x1, rows[0] - y1, x2 - columns[-1] - 1, y2 - rows[-1] - 1])
      assert (gap > -slack).all(), 'the box must hold its mask'
      if name in ('flip', 'pad_crop', 'resized_crop', 'resized_to'):  # no turn: the box is tight
        scale = max(h, w) / 20 if 'resize' in name else 1
        assert (gap < scale + 1).all()
      whole = columns[0] > 0 and columns[-1] < w - 1 and rows[0] > 0 and rows[-1] < h - 1
      if whole:
        assert seen == 2
        np.testing.assert_allclose([y - .5, x - .5], ndimage.center_of_mass(mask), atol=slack)
        checked += 1
  assert checked > 5


def test_keypoints_and_boxes_outside_are_gone():
  example = dict(image=np.zeros((10, 10, 1)), objects=dict(
      boxes=np.array([[0, 0, 3, 3], [4, 4, 8, 8.]], 'f4'), valid=np.array([True, True]),
      keypoints=np.array([[[1, 1, 2]], [[6, 6, 1]]], 'f4')))
  right = A.warp.translation(5, 5)  # the output at (0, 0) shows the input at (5, 5)
  objects = A.look(jax.tree.map(jnp.asarray, example), right, (10, 10))['objects']
  assert objects['valid'].tolist() == [False, True]
  assert objects['boxes'].tolist() == [[0, 0, 0, 0], [0, 0, 3, 3]]
  assert objects['keypoints'].tolist() == [[[0, 0, 0]], [[1, 1, 1]]]


def test_flipping_twice_is_the_identity(batch):
  example = jax.tree.map(lambda a: a[0], batch)
  once = A.flip(jax.random.key(0), example, p=1., vertical=True)
  np.testing.assert_array_equal(once['image'], example['image'][::-1, ::-1])
  twice = A.flip(jax.random.key(1), once, p=1., vertical=True)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), twice, example)


def test_a_mirror_swaps_left_and_right_keypoints():
  points = np.array([[[1, 2, 2], [8, 2, 2], [5, 5, 1]]], 'f4')
  example = jax.tree.map(jnp.asarray, dict(image=np.zeros((10, 10, 1)), objects=dict(
      boxes=np.array([[0, 0, 9, 9.]], 'f4'), valid=np.array([True]), keypoints=points)))
  once = A.flip(jax.random.key(0), example, p=1., keypoint_pairs=((0, 1),))
  assert once['objects']['keypoints'].tolist() == [[[2, 2, 2], [9, 2, 2], [5, 5, 1]]]
  both = A.flip(jax.random.key(0), example, p=1., vertical=True, keypoint_pairs=((0, 1),))
  assert both['objects']['keypoints'].tolist() == [[[9, 8, 2], [2, 8, 2], [5, 5, 1]]]


@pytest.mark.parametrize('count', MIRRORED)
def test_a_mirror_swaps_left_and_right_landmarks(count):
  pairs = np.array(MIRRORED[count])
  assert len(np.unique(pairs)) == pairs.size and pairs.max() < count
  points = np.c_[np.random.default_rng(0).uniform(1, 9, (count, 2)), np.full(count, 2)]
  points[0] = 0
  example = jax.tree.map(jnp.asarray, dict(image=np.zeros((10, 10, 1)),
                                           landmarks=points.astype('f4')))
  once = np.asarray(A.flip(jax.random.key(0), example, p=1.)['landmarks'])
  mirrored = np.where(points[:, 2:] > 0, points * [-1, 1, 1] + [10, 0, 0], 0)
  for a, b in [*pairs, *pairs[:, ::-1]]:
    np.testing.assert_allclose(once[a], mirrored[b], rtol=1e-6)
  alone = np.setdiff1d(np.arange(count), pairs)
  np.testing.assert_allclose(once[alone], mirrored[alone], rtol=1e-6)


def test_landmarks_move_with_their_image_and_a_mirror_must_know_them():
  image = np.zeros((1, 12, 12, 1), np.uint8)
  image[0, 3, 8] = 255
  batch = dict(image=image, landmarks=np.float32([[[8.5, 3.5, 2], [0, 0, 0], [11.9, 11.9, 1]]]))
  seen = A.make_augment(dict(affine=dict(degrees=20., translate=.1)))(jax.random.key(3), batch)
  y, x = np.unravel_index(np.asarray(seen['image'][0, :, :, 0]).argmax(), (12, 12))
  assert np.abs(seen['landmarks'][0, 0, :2] - np.array([x + .5, y + .5])).max() < .75
  assert (seen['landmarks'][0, 1] == 0).all()
  with pytest.raises(ConfigError, match='must name those of the 3 landmarks that change places'):
    A.make_augment(dict(flip=True))(jax.random.key(0), batch)
  with pytest.raises(ConfigError, match='moves the pixels and not "landmarks"'):
    A.make_augment(dict(rand_augment=True))(jax.random.key(0), batch)


def test_flip_happens_half_the_time():
  image = jnp.zeros((2000, 1, 2, 1)).at[:, 0, 0].set(1)
  flipped = jax.jit(A.make_augment(dict(flip=True)))(jax.random.key(0), dict(image=image))
  assert stats.binomtest(int(flipped['image'][:, 0, 1, 0].sum()), 2000).pvalue > .001


def test_pad_crop_shifts_are_uniform_and_exact():
  n, pad = 5000, 2
  ramp = np.arange(1, 31, dtype=np.uint8).reshape(5, 6)
  images = np.tile(ramp[None, ..., None], (n, 1, 1, 1))
  out = jax.jit(A.make_augment(dict(pad_crop=pad)))(jax.random.key(0), dict(image=images))
  out = np.round(255 * np.asarray(out['image'][..., 0])).astype(np.uint8)
  padded = np.pad(ramp, pad)
  counts = [(out == padded[dy:dy + 5, dx:dx + 6]).all((1, 2)).sum()
            for dy in range(5) for dx in range(5)]
  assert sum(counts) == n
  assert stats.chisquare(counts).pvalue > .001


def test_pad_crop_reflects_as_numpy_pads():
  image = np.random.default_rng(0).random((7, 6, 2)).astype('f4')
  padded = np.pad(image, ((5, 5), (5, 5), (0, 0)), mode='reflect')
  windows = [padded[dy:dy + 7, dx:dx + 6] for dy in range(11) for dx in range(11)]
  for seed in range(5):
    out = A.pad_crop(jax.random.key(seed), dict(image=jnp.asarray(image)), 5, 'reflect')['image']
    assert any((out == window).all() for window in windows)


def test_several_warps_are_one_interpolation(monkeypatch):
  calls = []
  sample = geometry.warp.sample
  monkeypatch.setattr(geometry.warp, 'sample', lambda *a, **k: calls.append(1) or sample(*a, **k))
  options = dict(rotate=True, affine=True, resized_crop=True, elastic=True)
  jax.eval_shape(A.make_augment(options), jax.random.key(0), dict(image=jnp.zeros((2, 9, 9, 1))))
  assert len(calls) == 1


def test_resized_crop_keeps_to_its_bounds():
  crop = partial(A.resized_crop, shape=(30, 40), scale=(.2, .6), ratio=(.5, 2.))
  matrices = jax.jit(jax.vmap(crop))(jax.random.split(jax.random.key(0), 2000))
  wide, high = np.asarray(40 * matrices[:, 0, 0]), np.asarray(30 * matrices[:, 1, 1])
  share, ratio = wide * high / 1200, wide / high
  assert share.min() + 1e-5 >= .2 and share.max() <= .6 + 1e-5 and share.std() > .1
  assert ratio.min() + 1e-5 >= .5 and ratio.max() <= 2 + 1e-5 and ratio.std() > .2
  left, top = matrices[:, 0, 2], matrices[:, 1, 2]
  assert min(left.min(), top.min()) >= 0
  assert (left + wide).max() <= 40.001 and (top + high).max() <= 30.001


def test_rotation_by_a_quarter_turn_is_exact():
  image = np.random.default_rng(0).random((8, 8, 3)).astype('f4')
  centre = A.warp.translation(4, 4)
  turn = A.warp.compose(centre, A.warp.rotation(np.pi / 2), A.warp.translation(-4, -4))
  out = A.look(dict(image=jnp.asarray(image)), turn, (8, 8))['image']
  # the matrix leads from output to input, so the picture turns the other way: anticlockwise
  np.testing.assert_allclose(out, np.rot90(image), atol=1e-5)


def test_colour_agrees_with_torchvisions_formulas(photos):
  weights = np.array([.2989, .587, .114])
  grey = (photos.astype('f8') @ weights)[..., None]
  for name, other in (('brightness', 0), ('contrast', grey.mean((1, 2, 3), keepdims=True)),
                      ('saturation', grey)):
    options = {**dict(brightness=0., contrast=0., saturation=0., hue=0.), name: .5}
    out = np.asarray(jax.jit(A.make_augment(dict(colour=options)))(
        jax.random.key(0), dict(image=photos))['image'])
    factors = []
    for i in range(len(photos)):  # recover the factor where nothing was clipped, then predict
      base = np.broadcast_to(other if np.isscalar(other) else other[i], photos[i].shape)
      inside = (out[i] > 0) & (out[i] < 1) & (abs(photos[i] - base) > .1)
      factor = np.median((out[i] - base)[inside] / (photos[i] - base)[inside])
      expected = np.clip(factor * photos[i] + (1 - factor) * base, 0, 1)
      np.testing.assert_allclose(out[i], expected, atol=2e-5)
      factors.append(factor)
    assert min(factors) >= .5 and max(factors) <= 1.5 and np.std(factors) > .05


def test_hue_agrees_with_the_standard_library(photos):
  photos = np.concatenate([photos[0].reshape(-1, 3), np.eye(3), np.ones((1, 3)), np.zeros((1, 3))])
  for turn in (-.5, -.1, 0., .3):
    theirs = [colorsys.hsv_to_rgb((h + turn) % 1, s, v)
              for h, s, v in (colorsys.rgb_to_hsv(*p) for p in photos.tolist())]
    ours = turn_hue(jnp.asarray(photos, jnp.float32), turn)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_grey_and_one_channel(photos):
  grey = A.make_augment(dict(grey=1.))(jax.random.key(0), dict(image=photos))['image']
  np.testing.assert_allclose(grey[..., 1], photos @ np.array([.2989, .587, .114], 'f4'), atol=1e-6)
  np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
  single = photos[..., :1]
  out = A.make_augment(dict(grey=1., colour=dict(brightness=0., contrast=0.)))(
      jax.random.key(0), dict(image=single))['image']
  np.testing.assert_array_equal(out, single)


def test_noise_has_its_deviation():
  out = A.make_augment(dict(noise=.1))(jax.random.key(0), dict(image=jnp.full((4, 50, 50, 1), .5)))
  assert stats.kstest((np.asarray(out['image']).ravel() - .5) / .1, 'norm').pvalue > .001


@pytest.mark.parametrize('size', [4, 5])
def test_cutout_blackens_a_square_anywhere(size):
  ones = jnp.ones((3000, 10, 12, 1))
  out = np.asarray(A.make_augment(dict(cutout=size))(jax.random.key(0), dict(image=ones))['image'])
  holes = 1 - out[..., 0]
  rows, columns = holes.max(2), holes.max(1)
  np.testing.assert_array_equal(holes, rows[:, :, None] * columns[:, None])
  assert holes.sum((1, 2)).max() == size ** 2 and rows.sum(1).min() >= size // 2
  # its first row is as likely anywhere: a centre in row c blackens rows c - size // 2 and on
  expected = np.zeros(10)
  for centre in range(10):
    start = centre - size // 2
    expected[max(0, start):start + size] += 300
  assert abs(rows.sum(0) - expected).max() < 5 * np.sqrt(3000 / 4)


@pytest.mark.parametrize('alpha', [.2, 1., 3.])
def test_mixup_weights_follow_the_beta_distribution(alpha):
  b = 4000
  image = jnp.arange(b, dtype=jnp.float32).reshape(b, 1, 1, 1) / b
  out = jax.jit(A.make_augment(dict(mixup=alpha)))(
      jax.random.key(0), dict(image=image, label=jnp.arange(b)))
  weight = np.asarray(out['mix_weight'])
  assert np.isfinite(weight).all()
  assert stats.kstest(weight, stats.beta(alpha, alpha).cdf).pvalue > .001
  partner = np.arange(b) ^ 1
  np.testing.assert_array_equal(out['label_mixed'], partner)
  mixed = weight * image[:, 0, 0, 0] + (1 - weight) * image[partner, 0, 0, 0]
  np.testing.assert_allclose(out['image'][:, 0, 0, 0], mixed, atol=1e-6)


def test_cutmix_weight_is_the_share_of_own_pixels():
  b = 400
  image = jnp.broadcast_to((jnp.arange(b) % 2.).reshape(b, 1, 1, 1), (b, 9, 13, 2))
  augment = jax.jit(A.make_augment(dict(cutmix=True)))
  out = augment(jax.random.key(0), dict(image=image, label=jnp.arange(b)))
  own = np.asarray(out['image'] == image)[..., 0]
  np.testing.assert_allclose(out['mix_weight'], own.mean((1, 2)), rtol=1e-6)
  assert .5 < own.mean() < .8 and own.mean((1, 2)).std() > .15
  pasted = ~own
  np.testing.assert_array_equal(pasted, pasted.any(2)[:, :, None] & pasted.any(1)[:, None])


def test_mixing_pairs():
  batch = dict(image=jnp.zeros((5, 4, 4, 1)), label=jnp.arange(5),
               valid=jnp.array([True, True, True, False, True]))
  out = jax.jit(A.make_augment(dict(mixup=1., cutmix=1.)))(jax.random.key(0), batch)
  assert out['label_mixed'].tolist() == [1, 0, 2, 2, 4]  # odd one out and padding stay alone
  assert out['mix_weight'].shape == (5,)


def test_mixup_and_cutmix_take_turns():
  image = jnp.broadcast_to((jnp.arange(200) % 2.).reshape(-1, 1, 1, 1), (200, 8, 8, 1))
  augment = jax.jit(A.make_augment(dict(mixup=1., cutmix=1.)))
  out = augment(jax.random.key(0), dict(image=image))
  blended = ((out['image'] > 0) & (out['image'] < 1)).any((1, 2, 3))
  assert 60 < blended.sum() < 140
  own = jnp.where(image == 1, out['image'], 1 - out['image']).mean((1, 2, 3))
  np.testing.assert_allclose(own, out['mix_weight'], atol=1e-5)
  assert 'label_mixed' not in out


@pytest.mark.parametrize('how', ['mixup', 'cutmix'])
def test_mixing_is_refused_before_training_where_targets_stay_as_they_are(how):
  measured = dict(name='digit_measures', of=dict(name='digits'))
  task = dict(name='regress', target='ink', model=dict(name='tiny:TinyNet'))
  with pytest.raises(ConfigError, match=f'config.augment.{how}: .*the targets of this task'):
    assemble(config(data=measured, task=task, augment={how: True}, evals={}))
  assemble(config(data=measured, augment={how: True}, evals={}))        # classify


def test_splitting_a_batch_changes_nothing(photos):
  batch = dict(image=photos, label=jnp.arange(6))
  augment = jax.jit(A.make_augment(dict(
      flip=True, pad_crop=2, rotate=True, colour=dict(hue=0.), noise=True, mixup=True)))
  key = jax.random.key(7)
  whole = augment(key, batch, 0)
  later = augment(key, jax.tree.map(lambda a: jnp.roll(a, -2, axis=0), batch), 2)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a[2:], b[:4], atol=1e-6), whole, later)
  augment = jax.jit(A.make_augment(dict(pad_crop=2, cutmix=True)))  # and parts of another size
  whole = augment(key, batch, 0)
  part = augment(key, jax.tree.map(lambda a: a[4:], batch), 4)
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[4:], b), whole, part)


def test_order_in_the_config_and_jit_do_not_matter(photos):
  key, batch = jax.random.key(0), dict(image=photos)
  options = dict(pad_crop=2, grey=.5, cutout=3)
  augment = jax.jit(A.make_augment(options))
  there = augment(key, batch)['image']
  np.testing.assert_array_equal(there, augment(key, batch)['image'])
  again = jax.jit(A.make_augment(dict(reversed(options.items()))))(key, batch)['image']
  np.testing.assert_array_equal(there, again)
  loose = A.make_augment(dict(cutout=3))
  np.testing.assert_array_equal(jax.jit(loose)(key, batch)['image'], loose(key, batch)['image'])
  other = augment(jax.random.key(1), batch)['image']
  assert np.abs(there - other).mean() > .05
  assert there.min() >= 0 and there.max() <= 1 and there.dtype == jnp.float32


def test_switching_one_on_leaves_the_draws_of_the_others(photos):
  key, batch = jax.random.key(0), dict(image=photos)
  cut = jax.jit(A.make_augment(dict(cutout=5)))(key, batch)['image'] == 0
  both = jax.jit(A.make_augment(dict(cutout=5, flip=True, grey=True)))(key, batch)['image'] == 0
  assert (both | ~cut).all()


def test_uint8_becomes_float_correctly_rounded():
  image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  out = jax.jit(A.make_augment({}))(jax.random.key(0), dict(image=image))['image']
  np.testing.assert_array_equal(out, image.astype(np.float32) / np.float32(255))
  half = A.make_augment({})(jax.random.key(0), dict(image=jnp.full((1, 2, 2, 1), .5, jnp.bfloat16)))
  assert half['image'].dtype == jnp.float32


def test_everything_else_passes(batch):
  valid, extra = jnp.arange(B) < 20, jnp.arange(B)
  objects = {**batch['objects'], 'labels': jnp.ones((B, 3), jnp.int32)}
  out = A.make_augment({})(
      jax.random.key(0), {**batch, 'objects': objects, 'valid': valid, 'extra': extra})
  assert out['valid'] is valid and out['extra'] is extra
  np.testing.assert_array_equal(out['objects']['labels'], 1)
  assert out['objects']['masks'].dtype == bool and out['label_map'].dtype == jnp.int32


def test_two_domains_have_randomness_of_their_own(photos):
  both = dict(target=dict(image=photos), source=dict(image=photos))
  augment, key = A.make_augment(dict(noise=.1)), jax.random.key(0)
  out = augment(key, both)
  assert (out['source']['image'] != out['target']['image']).any()
  jitted = jax.jit(augment)(key, both)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), out, jitted)


def test_off_is_off(photos):
  out = A.make_augment(dict(flip=False, pad_crop=0, rotate=None, noise=0.))(
      jax.random.key(0), dict(image=photos))
  np.testing.assert_array_equal(out['image'], photos)


def test_ml_collections_options():
  ml_collections = pytest.importorskip('ml_collections')
  options = ml_collections.FrozenConfigDict(dict(flip=True, colour=dict(brightness=.2)))
  batch = dict(image=jnp.zeros((2, 4, 4, 3)))
  assert jax.eval_shape(A.make_augment(options), jax.random.key(0), batch)


@pytest.mark.parametrize('options, words', [
    (dict(flp=True), 'augment.flp.*did you mean "flip"'),
    (dict(color=True), 'augment.color.*did you mean "colour"'),
    (dict(colour=dict(brightnes=.4)), 'augment.colour.brightnes.*did you mean "brightness"'),
    (dict(pad_crop=2.5), 'augment.pad_crop.pad: expected int'),
    (dict(pad_crop=dict(pad=True)), 'expected int'),
    (dict(flip=dict(vertical=1)), 'augment.flip.vertical: expected bool'),
    (dict(rotate='15'), 'augment.rotate.degrees: expected float'),
    (dict(resized_crop=dict(scale=(.5,))), 'augment.resized_crop.scale: expected tuple'),
    (dict(flip=1.5), r'augment.flip.p: expected a value in \[0, 1\]'),
    (dict(mixup=-1.), 'augment.mixup.alpha'),
])
def test_wrong_options_are_explained(options, words):
  with pytest.raises(ConfigError, match=words):
    A.make_augment(options)


@pytest.mark.parametrize('options, batch, words', [
    ({}, dict(label=np.zeros(3)), 'expected a batch with "image"'),
    ({}, dict(image=np.zeros((2, 4, 4, 3), np.int32)), 'uint8'),
    ({}, dict(image=np.zeros((4, 4, 3), np.float32)), r'\(b h w c\)'),
    (dict(mixup=True), dict(image=np.zeros((2, 4, 4, 3), 'f4'), label_map=np.zeros((2, 4, 4), int)),
     'label_map'),
    (dict(pad_crop=dict(mode='wrap')), dict(image=np.zeros((2, 4, 4, 3), 'f4')), 'pad_crop.mode'),
    (dict(pad_crop=dict(pad=4, mode='reflect')), dict(image=np.zeros((2, 4, 4, 3), 'f4')), '4x4'),
])
def test_wrong_batches_are_explained(options, batch, words):
  with pytest.raises(ConfigError, match=words):
    A.make_augment(options)(jax.random.key(0), batch)
