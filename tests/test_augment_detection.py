"""Augmentation of what detectors train on: pictures in a corner, masks as crops, scale jitter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from visionlab.augmentation import augment as A
from visionlab.config import ConfigError
from visionlab.ops.host_masks import paste_bitmaps
from visionlab.ops.masks import mask_targets

B, H, W = 12, 48, 64
EXTENT = 40, 52


@pytest.fixture(scope='module')
def batch():
  """Two ellipses, each without a quarter, on a grey picture of 40 x 52 pixels, and padding."""
  rng = np.random.default_rng(0)
  rows, columns = np.mgrid[:H, :W] + .5
  centre = np.stack([rng.uniform((left, 12), (left + 5, 28), (B, 2)) for left in (12, 34)], axis=1)
  radius = rng.uniform(7, 11, (B, 2, 2))
  x, y = ((axis - centre[..., i, None, None]) / radius[..., i, None, None]
          for i, axis in enumerate((columns, rows)))
  masks = (x ** 2 + y ** 2 < 1) & ((x < 0) | (y < 0))
  masks = np.concatenate([masks, np.zeros((B, 1, H, W), bool)], axis=1)
  boxes = np.concatenate([centre - radius, centre + radius], -1)
  boxes = np.pad(boxes, ((0, 0), (0, 1), (0, 0))).astype(np.float32)
  image = np.where((rows < EXTENT[0]) & (columns < EXTENT[1]), 120 + 120 * masks.any(1), 0)
  objects = dict(boxes=boxes, masks=masks, valid=np.array([[True, True, False]] * B))
  return dict(image=image[..., None].astype(np.uint8), extent=np.float32([EXTENT] * B),
              objects=objects)


@pytest.fixture(scope='module')
def crops(batch):
  objects = batch['objects']
  masks = jax.vmap(lambda m, b: mask_targets(m, b, size=112))(objects['masks'], objects['boxes'])
  masks = np.round(255 * np.asarray(masks)).astype(np.uint8)
  return batch | dict(objects=objects | dict(masks=masks, frames=objects['boxes']))


CHAINS = {
    'flip': dict(flip=dict(p=.5, vertical=True)),
    'pad_crop': dict(pad_crop=12),
    'zoom in': dict(scale_jitter=dict(scale=(1.2, 2.), visible=0.)),
    'zoom out': dict(scale_jitter=dict(scale=(.5, .9))),
    'all': dict(flip=True, pad_crop=4, affine=dict(degrees=0.), scale_jitter=True,
                resized_crop=dict(scale=(.5, 1.), size=(56, 40))),
}


@pytest.mark.parametrize('name', CHAINS)
def test_proposals_move_as_objects_do(batch, name):
  same = {k: batch['objects'][k] for k in ('boxes', 'valid')}
  moved = jax.jit(A.make_augment(CHAINS[name]))(jax.random.key(1), batch | dict(proposals=same))
  for key in same:
    np.testing.assert_array_equal(moved['proposals'][key], moved['objects'][key])
  assert np.any(moved['proposals']['boxes'] != same['boxes'])


@pytest.mark.usefixtures('optimised')
@pytest.mark.parametrize('name', CHAINS)
def test_crops_move_as_bitmaps_do(batch, crops, name):
  augment = jax.jit(A.make_augment(CHAINS[name]))
  drawn, cropped = (augment(jax.random.key(1), one) for one in (batch, crops))
  size = drawn['image'].shape[1:3]
  for key in ('image', 'extent'):
    np.testing.assert_array_equal(drawn[key], cropped[key])
  a, b = (jax.tree.map(np.asarray, out['objects']) for out in (drawn, cropped))
  np.testing.assert_array_equal(a['boxes'], b['boxes'])
  np.testing.assert_array_equal(a['valid'], b['valid'])
  assert b['masks'].dtype == np.uint8 and not b['valid'][:, 2].any()
  assert not b['frames'][~b['valid']].any()
  shown = np.stack([paste_bitmaps(masks, frames, size)
                    for masks, frames in zip(b['masks'], b['frames'], strict=True)])
  overlaps = [(shown[at] & a['masks'][at]).sum() / (shown[at] | a['masks'][at]).sum()
              for at in zip(*b['valid'].nonzero(), strict=True) if a['masks'][at].sum() > 60]
  assert len(overlaps) > 8 and np.mean(overlaps) > .93 and np.min(overlaps) > .8
  # Frames keep what boxes lose at the edges.
  frames, boxes = b['frames'][b['valid']], b['boxes'][b['valid']]
  np.testing.assert_allclose(np.clip(frames, 0, np.tile(size[::-1], 2)), boxes, atol=1e-4)
  assert (name in ('flip', 'zoom out')) == (abs(frames - boxes).max() < 1e-3)
  check_extent(np.asarray(drawn['image'][..., 0]) > .2, drawn['extent'], name)


def check_extent(light, extent, name):
  """The extent is where the picture ends, which is light on black."""
  for axis in (1, 2):
    profile = light.any(3 - axis)
    ends = profile.shape[1] - np.argmax(profile[:, ::-1], axis=1)
    np.testing.assert_allclose(extent[:, axis - 1], ends, atol=1)
  if name in ('flip', 'zoom in', 'zoom out'):    # the picture stays in its corner
    assert light[:, 0, 0].all()


def test_a_flip_mirrors_the_picture_inside_its_canvas(crops):
  one = jax.tree.map(lambda a: jnp.asarray(a[0]), crops)
  key, (h, w) = jax.random.key(0), EXTENT
  once = A.flip(key, one, p=1.)
  np.testing.assert_array_equal(once['image'][:h, :w], one['image'][:h, :w][:, ::-1])
  assert not once['image'][h:].any() and not once['image'][:, w:].any()
  x1, y1, x2, y2 = one['objects']['boxes'][0].tolist()
  np.testing.assert_allclose(once['objects']['boxes'][0], [w - x2, y1, w - x1, y2], rtol=1e-6)
  np.testing.assert_array_equal(once['objects']['masks'][0], one['objects']['masks'][0, :, ::-1])
  np.testing.assert_array_equal(once['extent'], EXTENT)
  twice = A.flip(key, A.flip(key, one, p=1., vertical=True), p=1., vertical=True)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), twice, one)


def test_scale_jitter_draws_as_torchvision_does():
  """Factors are uniform; so is the place, along sides that become longer than the image's."""
  def draw(key):
    return A.scale_jitter(key, (H, W), jnp.float32(EXTENT), scale=(.5, 2.))
  matrices = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), 2000)))
  assert (matrices[:, 0, 0] == matrices[:, 1, 1]).all() and not matrices[:, 0, 1].any()
  zoom = 1 / matrices[:, 0, 0]
  assert stats.kstest(zoom, stats.uniform(.5, 1.5).cdf).pvalue > .001
  shares = []
  for axis, (side, whole) in enumerate(((EXTENT[1], W), (EXTENT[0], H))):
    offset, room = matrices[:, axis, 2] * zoom, zoom * side - whole
    np.testing.assert_allclose(offset[room <= 0], 0, atol=1e-6)
    shares.append((offset / room)[room > 1])
    assert stats.kstest(shares[-1], 'uniform').pvalue > .001
  both = (zoom * EXTENT[1] > W + 1) & (zoom * EXTENT[0] > H + 1)
  across, down = (matrices[both, i, 2] * zoom[both] for i in (0, 1))
  assert abs(np.corrcoef(across, down)[0, 1]) < .5               # the factor is all they share
  never = A.scale_jitter(jax.random.key(0), (H, W), EXTENT, p=0.)
  np.testing.assert_array_equal(never, np.eye(3))


def test_objects_of_which_little_remains_are_gone():
  boxes = jnp.array([[0, 0, 10, 10], [0, 4, 10, 14], [-10, 5, 10, 15.]])
  one = dict(image=jnp.zeros((20, 20, 1)), objects=dict(
      boxes=boxes, valid=jnp.ones(3, bool), crowd=jnp.array([True, False, False])))
  up = A.warp.translation(0., 7.)      # 7 rows leave at the top: 30 %, 70 % and 40 % remain
  for visible, kept in ((0., [1, 1, 1]), (.25, [1, 1, 1]), (.35, [0, 1, 1]), (.45, [0, 1, 0])):
    objects = A.look(one, up, (20, 20), visible=visible)['objects']
    assert objects['valid'].tolist() == [bool(k) for k in kept], visible
    assert not objects['boxes'][~objects['valid']].any()
  assert objects['crowd'].tolist() == [True, False, False]


def test_scale_jitter_keeps_what_is_visible(batch):
  out = {}
  for visible in (0., .6):
    options = dict(scale_jitter=dict(scale=(1.9, 1.9), visible=visible))
    out[visible] = jax.jit(A.make_augment(options))(jax.random.key(5), batch)['objects']
  def areas(boxes):
    return np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
  share = areas(np.asarray(out[0.]['boxes'])) / (areas(batch['objects']['boxes']) * 1.9 ** 2 + 1e-9)
  np.testing.assert_array_equal(out[.6]['valid'], share >= .6)
  assert 0 < out[.6]['valid'].sum() < out[0.]['valid'].sum()


@pytest.mark.parametrize('options, words', [
    (dict(rotate=5.), 'augment.rotate.degrees: masks that are crops'),
    (dict(affine=True), 'augment.affine.degrees: masks that are crops'),
    (dict(affine=dict(degrees=0., shear=3.)), 'augment.affine.shear'),
    (dict(elastic=True), 'augment.elastic.alpha'),
    (dict(scale_jitter=dict(visible=2.)), r'visible: expected a value in \[0, 1\]'),
    (dict(scale_jiter=True), 'did you mean "scale_jitter"'),
])
def test_what_crops_cannot_follow_is_an_error(batch, crops, options, words):
  with pytest.raises(ConfigError, match=words):
    jax.eval_shape(A.make_augment(options), jax.random.key(0), crops)
  if 'jit' not in str(options):
    assert jax.eval_shape(A.make_augment(options), jax.random.key(0), batch)


def test_every_augmentation_draws_by_a_place_that_never_changes():
  names = [f if isinstance(f, str) else f.__name__ for f in A.DRAWS]
  assert names[:13] == ['flip', 'pad_crop', 'rotate', 'affine', 'resized_crop', 'elastic', 'colour',
                        'grey', 'noise', 'cutout', 'mixup', 'cutmix', 'mixup or cutmix']
  assert {*names} == {*A.ORDER, 'mixup or cutmix'}
