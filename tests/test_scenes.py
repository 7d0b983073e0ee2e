"""Scenes: pure functions of their index whose annotations agree with each other."""

import json
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from PIL import Image
from scipy import ndimage

from visionlab.augmentation.augment import make_augment
from visionlab.config import ConfigError
from visionlab.data.images import photographs
from visionlab.data.scenes import assets
from visionlab.data.scenes.captions import caption, caption_facts
from visionlab.data.scenes.figures import JOINTS, LIMBS, MIRRORED
from visionlab.data.scenes.render import bounce, coloured, scene
from visionlab.data.scenes.scenes import Scenes, _draw, scenes
from visionlab.data.sources.digits import digits
from visionlab.facts import Facts

SOME = np.arange(64)
KINDS = ('digits', 'figures')


@pytest.fixture(scope='module')
def batches():
  """64 scenes of each kind, with the source they come from."""
  sources = {kind: scenes('train', kind=kind) for kind in KINDS}
  return {kind: (source, source[SOME]) for kind, source in sources.items()}


def assert_same(a, b, pixels=0):
  """Equal, but for rounding in a share `pixels` of the pixels."""
  jax.tree.map(lambda x, y: np.testing.assert_array_equal(np.shape(x), np.shape(y)), a, b)
  for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
    off = abs(np.asarray(x, np.float64) - np.asarray(y)) > (1e-3 if x.dtype == np.float32 else 0)
    assert off.mean() <= pixels


# --- a function of (seed, split, index) ---

@pytest.mark.parametrize('kind', KINDS)
def test_a_scene_depends_on_its_index_alone(batches, kind):
  source, whole = batches[kind]
  indices = np.array([40, 3, 3, 9999, 17, -1])
  some = source[indices]
  for i, index in enumerate(indices[:3]):
    assert_same(jax.tree.map(lambda x, i=i: x[i], some),
                jax.tree.map(lambda x, i=index: x[i], whole))
  assert_same(jax.tree.map(lambda x: x[3], some), jax.tree.map(lambda x: x[5], some))
  fewer = scenes('train', kind=kind, examples=50)
  assert len(fewer) == 50
  assert_same(fewer[np.array([40])], source[np.array([40])])


def test_compiling_changes_no_more_than_rounding(batches):
  source, whole = batches['digits']
  one = scene(source.recipe, source.arrays, 40)                 # neither batched nor compiled
  assert_same(one, jax.tree.map(lambda x: x[40], whole), pixels=2e-3)


def test_everything_else_makes_other_scenes(batches):
  source, whole = batches['digits']
  other_split = Scenes(source.recipe, {**source.arrays, 'split': np.int32(1)}, len(source))
  others = [scenes('train', seed=1)[SOME], other_split[SOME], source[SOME + 64]]
  images = [x['image'].astype(int) for x in (whole, *others)]
  for i in range(4):
    for j in range(i):
      assert abs(images[i] - images[j]).mean((1, 2, 3)).min() > 1
  assert len(np.unique(whole['image'].reshape(64, -1), axis=0)) == 64


def test_chunks_and_options_do_not_show():
  source = scenes('train', size=16, objects=(0, 2), masks=False)
  whole = source[np.arange(70)]
  assert sorted(whole['objects']) == ['boxes', 'classes', 'valid']
  assert set(whole['objects']['valid'].sum(1)) == {0, 1, 2}
  assert_same(jax.tree.map(lambda x: x[65:], whole), source[np.arange(65, 70)])
  assert {len(x) for x in jax.tree.leaves(source[np.arange(0)])} == {0}
  assert_same(pickle.loads(pickle.dumps(source))[np.arange(70)], whole)
  with pytest.raises(IndexError, match='10000'):
    source[np.array([10_000])]


def test_numbers_do_not_recompile(batches):
  source, _ = batches['digits']
  before = _draw._cache_size()
  other = scenes('train', seed=5, objects=(3, 5), scale=(.3, .4), degrees=5., visible=.1,
                 contrast=.1, speed=.2)
  assert other.recipe == source.recipe
  other[np.arange(2)]
  assert _draw._cache_size() == before


def test_gather_inside_a_compiled_loop(batches):
  source, whole = batches['figures']
  order = jnp.arange(32).reshape(4, 8)[::-1]
  loop = jax.jit(lambda arrays: lax.scan(
      lambda _, indices: (None, source.gather(arrays, indices)), None, order)[1])
  looped = jax.tree.map(lambda x: np.concatenate(np.asarray(x)[::-1]), loop(source.arrays))
  assert_same(looped, jax.tree.map(lambda x: x[:32], whole))


# --- splits ---

def test_splits_share_no_glyph():
  tables = {split: assets.glyphs(split, 'digits', '') for split in assets.SPLITS}
  for table in tables.values():
    assert not any(table[name][int(table['count']):].any() for name in ('glyph', 'label', 'reach'))
  tables = {split: {name: table[name][:int(table['count'])] for name in ('glyph', 'label')}
            for split, table in tables.items()}
  tiles = {split: {tile.tobytes() for tile in table['glyph']} for split, table in tables.items()}
  assert not tiles['train'] & tiles['test'] and not tiles['train'] & tiles['validation']
  assert not tiles['validation'] & tiles['test']
  labels = np.concatenate([table['label'] for table in tables.values()])
  whole = np.concatenate([digits(split).arrays['label'] for split in ('train', 'test')])
  np.testing.assert_array_equal(np.bincount(labels), np.bincount(whole))
  for split, share in zip(assets.SPLITS, (.7, .15, .15), strict=True):
    np.testing.assert_allclose(np.bincount(tables[split]['label']) / np.bincount(whole), share,
                               atol=.01)


def test_splits_share_no_region_of_a_photograph(monkeypatch, tmp_path):
  columns = np.arange(640)        # a photograph that says where each of its pixels is
  ruler = np.stack([columns % 256, columns // 256 * 100, 0 * columns], -1).astype(np.uint8)
  for name in ('china', 'flower'):
    Image.fromarray(np.repeat(ruler[None], 427, 0)).save(tmp_path / f'{name}.jpg', format='png')
  monkeypatch.setattr(photographs, '_folder', lambda: tmp_path)
  seen = {}
  for split in assets.SPLITS:     # size 104: the photographs keep their size
    photo = assets.photographs(split, 104)
    assert photo.shape[1] == 427
    seen[split] = set((photo[..., 0] + 256. * np.round(photo[..., 1] / 100)).ravel().tolist())
  assert seen['train'] == set(range(372))
  assert min(seen['validation']) - max(seen['train']) > 5
  assert min(seen['test']) - max(seen['validation']) > 5 and max(seen['test']) == 639


def test_all_splits_are_drawn_by_one_program():
  forms = {split: jax.tree.map(lambda x: (x.shape, x.dtype), scenes(split, size=20).arrays)
           for split in assets.SPLITS}
  assert forms['train'] == forms['validation'] == forms['test']
  for split in assets.SPLITS:
    arrays, own = assets.backgrounds(split, 20), assets.photographs(split, 20)
    width = int(arrays['photo_width'])
    np.testing.assert_array_equal(arrays['photo'][:, :, :width], own)
    assert not arrays['photo'][:, :, width:].any()


def test_mnist_glyphs(shared_data):
  tables = {split: assets.glyphs(split, 'mnist', str(shared_data)) for split in assets.SPLITS}
  assert {k: len(v['label']) for k, v in tables.items()} == dict(
      train=50_000, validation=10_000, test=10_000)
  source = scenes('test', glyphs='mnist', root=str(shared_data))
  check(source, source[np.arange(8)])


# --- the ground truth agrees with itself ---

def check(source, batch):
  """All that holds of every frame, whatever was drawn."""
  recipe = source.recipe
  flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[1 + (recipe.frames > 1):]), batch)
  image, label_map, objects = (flat[k] for k in ('image', 'label_map', 'objects'))
  n, k, size = len(image), recipe.most, recipe.size
  assert image.shape == (n, size, size, 3) and image.dtype == np.uint8
  assert label_map.shape == (n, size, size) and label_map.dtype == np.int32
  assert {key: (x.shape[1:], x.dtype) for key, x in objects.items() if key != 'keypoints'} == dict(
      boxes=((k, 4), np.float32), classes=((k,), np.int32), valid=((k,), np.bool_),
      masks=((k, size, size), np.bool_))
  masks, valid = objects['masks'], objects['valid']
  np.testing.assert_array_equal(masks.any((2, 3)), valid)
  assert masks.sum(1).max() <= 1                                       # a pixel shows one object
  assert masks.sum((2, 3))[valid].min() >= 8
  union = (masks * (1 + objects['classes'])[..., None, None]).sum(1)
  np.testing.assert_array_equal(union, label_map)
  assert label_map.max() < len(source.info.map_classes) == 1 + len(source.info.classes)
  for i, j in np.argwhere(valid):
    rows, cols = np.nonzero(masks[i, j])
    np.testing.assert_array_equal(objects['boxes'][i, j], [cols.min(), rows.min(), cols.max() + 1,
                                                           rows.max() + 1])
  for key in ('boxes', 'classes', 'keypoints'):
    assert not objects.get(key, np.zeros(valid.shape))[~valid].any()
  return flat


@pytest.mark.parametrize('kind', KINDS)
def test_annotations_agree(batches, kind):
  check(*batches[kind])


def test_digits_look_like_their_glyphs():
  """The mask of an upright digit is, at its own size, one of the glyphs of its class."""
  objects = scenes('train', degrees=0., scale=(.6, .6))[SOME]['objects']
  alone = np.flatnonzero(objects['valid'].sum(1) == 1)
  assert len(alone) > 5
  written = [digits(split).arrays for split in ('train', 'test')]
  written = {k: np.concatenate([part[k] for part in written]) for k in ('image', 'label')}
  smooth = ndimage.zoom(np.pad(written['image'][..., 0], ((0, 0), (2, 2), (2, 2))).astype(float),
                        (1, 6, 6), order=3, grid_mode=True, mode='grid-constant')

  def outline(mask):
    rows, cols = np.nonzero(mask)
    cut = mask[rows.min():rows.max() + 1, cols.min():cols.max() + 1]
    return np.asarray(Image.fromarray(cut).resize((32, 32))) > 0
  for i in alone:
    j = objects['valid'][i].argmax()
    seen = outline(objects['masks'][i, j])
    same = written['label'] == objects['classes'][i, j]
    shapes = np.stack([outline(tile > .42 * 255) for tile in smooth[same]])
    overlap = (shapes & seen).sum((1, 2)) / (shapes | seen).sum((1, 2))
    assert overlap.max() > .82 and overlap.max() > np.median(overlap) + .1


@pytest.mark.parametrize('kind', KINDS)
def test_objects_stand_out_from_the_photograph(batches, kind):
  _, batch = batches[kind]
  luma = batch['image'] @ np.array([.299, .587, .114]) / 255
  apart = []
  for i in np.flatnonzero(batch['objects']['valid'].sum(1) == 1):
    mask = batch['objects']['masks'][i].any(0)
    inside = ndimage.binary_erosion(mask)
    ring = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask)
    apart.append(abs(luma[i][inside].mean() - luma[i][ring].mean()))
  # The parts of a figure may lie on both sides of their ground, and cancel.
  assert len(apart) > 5 and np.median(apart) > .25
  assert kind == 'figures' or min(apart) > .1


def test_counts_and_classes_vary(batches):
  objects = batches['digits'][0][np.arange(320)]['objects']
  counts = objects['valid'].sum(1)
  assert set(counts) == {1, 2, 3, 4, 5}
  # Uniform would be 64 of each; some objects are hidden and therefore left out.
  assert np.bincount(counts)[1:].min() > 25 and counts.mean() > 2.6
  classes = np.bincount(objects['classes'][objects['valid']], minlength=10)
  assert classes.min() > .6 * classes.mean()


def test_hidden_objects_are_left_out():
  kept = {}
  for visible in (0., .4, 1.):
    objects = scenes('train', objects=(5, 5), scale=(.5, .6), visible=visible)[SOME]['objects']
    kept[visible] = objects['valid'].sum(1)
  assert kept[0.].mean() > kept[.4].mean() + .3 > kept[1.].mean() + 1
  assert kept[1.].min() >= 1                                    # the one in front is always whole


# --- figures ---

def test_keypoints_lie_on_their_figures(batches):
  objects = check(*batches['figures'])['objects']
  points, masks, boxes = objects['keypoints'], objects['masks'], objects['boxes']
  assert points.shape[2:] == (14, 3) and len(JOINTS) == 14
  assert set(np.unique(points[..., 2])) == {0, 1, 2}
  for i, j in np.argwhere(objects['valid']):
    for x, y, seen in points[i, j]:
      assert (x, y) == (0, 0) if not seen else 0 <= min(x, y) <= max(x, y) <= 64
      if seen:
        pixel = min(int(y), 63), min(int(x), 63)
        assert masks[i, j][pixel] == (seen == 2)
      if seen == 2:
        x1, y1, x2, y2 = boxes[i, j]
        assert x1 <= x <= x2 and y1 <= y <= y2
  seen = points[..., 2][objects['valid']]
  assert .5 < (seen == 2).mean() < .99 and (seen == 1).any() and (seen == 0).any()


def test_figures_have_the_anatomy_of_their_joints():
  source = scenes('train', kind='figures', degrees=0., scale=(.6, .6))
  points = source[SOME]['objects']['keypoints'].reshape(-1, 14, 3)
  points = points[(points[..., 2] > 0).all(1)]
  assert len(points) > 40
  joint = {name: points[:, i, :2] for i, name in enumerate(JOINTS)}
  # Facing us and upright: the person's right is at our left, heads are up.
  for part in ('hip', 'shoulder', 'ankle'):
    assert (joint[f'right {part}'][:, 0] < joint[f'left {part}'][:, 0]).mean() > .9
  assert (joint['head top'][:, 1] < joint['neck'][:, 1]).all()
  assert (joint['neck'][:, 1] < joint['right hip'][:, 1]).all()
  for a, b in (*LIMBS[:2], *LIMBS[3:7], *LIMBS[9:12]):          # limbs are stiff
    length = np.linalg.norm(points[:, a, :2] - points[:, b, :2], axis=-1)
    np.testing.assert_allclose(length, length[0], rtol=1e-3)
  for a, b in MIRRORED:
    assert JOINTS[a].replace('right', 'left') == JOINTS[b]


# --- clips ---

@pytest.mark.parametrize('kind', KINDS)
def test_clips_begin_with_the_scene_and_move_smoothly(batches, kind):
  source = scenes('train', kind=kind, frames=4, speed=.03)
  batch = source[np.arange(32)]
  assert batch['image'].shape == (32, 4, 64, 64, 3)
  check(source, batch)
  still = jax.tree.map(lambda x: x[:32], batches[kind][1])
  assert_same(jax.tree.map(lambda x: x[:, 0], batch), still, pixels=1e-3)
  objects = batch['objects']
  both = objects['valid'][:, 1:] & objects['valid'][:, :-1]
  assert both.mean() > .3
  np.testing.assert_array_equal(objects['classes'][:, 1:][both], objects['classes'][:, :-1][both])
  if kind == 'figures':
    step = np.diff(objects['keypoints'], axis=1)
    known = (objects['keypoints'][:, 1:, ..., 2] > 0) & (objects['keypoints'][:, :-1, ..., 2] > 0)
    step = np.linalg.norm(step[..., :2], axis=-1)[known]
    assert .2 < np.median(step) < 4 and step.max() < 12
  else:
    whole = both.all(1) & (objects['masks'].sum((3, 4)).std(1) < 6)     # nothing in front
    centre = (objects['boxes'][..., :2] + objects['boxes'][..., 2:]) / 2
    step = np.linalg.norm(np.diff(centre, axis=1), axis=-1).transpose(0, 2, 1)[whole]
    assert len(step) > 10 and .1 < step.mean() < .03 * 64 and step.max() < .03 * 64 + 2


def test_bounce_is_the_reflected_walk():
  low, high, x, v = -2., 3., 1., .7
  walked, at = [], x
  for _ in range(40):
    walked.append(at)
    at += v
    if not low <= at <= high:
      at, v = (2 * high if at > high else 2 * low) - at, -v
  np.testing.assert_allclose(bounce(x + .7 * jnp.arange(40), low, high), walked, atol=1e-4)


def test_colours_have_the_luminance_asked_for():
  hue, luma = np.meshgrid(np.linspace(0, 1, 13), np.linspace(.02, .98, 9))
  colour = np.asarray(coloured(jnp.asarray(hue), jnp.asarray(luma)))
  assert colour.min() >= -1e-6 and colour.max() <= 1 + 1e-6
  np.testing.assert_allclose(colour @ [.299, .587, .114], luma, atol=1e-5)


# --- captions ---

NUMBERS = ['no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']
GROUP = re.compile(rf'(?P<count>an?|{"|".join(NUMBERS)}) (?:(?P<size>small|large) )?(?P<name>\w+)')
RELATIONS = {'left of': (0, 1), 'right of': (0, -1), 'above': (1, 1), 'below': (1, -1)}


def parse(sentence):
  """(groups, relation or None) of a caption; groups as (count, size or None, singular)."""
  relation = next((r for r in RELATIONS if f' {r} ' in sentence), None)
  parts = re.split(rf' (?:{"|".join(RELATIONS)}|with|and) |, ', sentence)
  groups = []
  for part in parts:
    match = GROUP.fullmatch(part)
    assert match, sentence
    name = match['name']
    if match['count'] not in ('a', 'an'):
      name = {'people': 'person', 'sixes': 'six'}.get(name) or name.removesuffix('s')
      groups.append((NUMBERS.index(match['count']), match['size'], name))
    else:
      groups.append((1, match['size'], name))
  return groups, relation


@pytest.mark.parametrize('kind', KINDS)
def test_captions_are_true(batches, kind):
  source, batch = batches[kind]
  said = [source.captions(SOME, variant) for variant in range(3)]
  assert said[0] == source.captions(SOME) and said[0][5:9] == source.captions(SOME[5:9])
  relations, (low, high) = set(), source.arrays['scale']
  for sentence, i in zip(sum(said, []), np.tile(SOME, 3), strict=True):
    objects = jax.tree.map(lambda x, i=i: x[i], batch['objects'])
    groups, relation = parse(sentence)
    relations.add(relation)
    valid, centres = objects['valid'], (objects['boxes'][:, :2] + objects['boxes'][:, 2:]) / 2
    height = (objects['boxes'][:, 2:] - objects['boxes'][:, :2]).max(1) / 64
    members = [valid & (objects['classes'] == source.info.classes.index(name))
               for _, _, name in groups]
    np.testing.assert_array_equal([m.sum() for m in members], [count for count, _, _ in groups])
    assert sum(count for count, _, _ in groups) == valid.sum()          # nothing is left out
    for (_, size, _), member in zip(groups, members, strict=True):
      if size == 'small':
        assert (height[member] <= low + .31 * (high - low)).all()
      if size == 'large':
        assert (height[member] >= low + .69 * (high - low)).all()
    if relation:
      axis, sign = RELATIONS[relation]
      gap = sign * (centres[members[1], axis][None] - centres[members[0], axis][:, None])
      assert gap.min() >= 4
  assert relations == ({None, *RELATIONS} if kind == 'digits' else {None})


def test_caption_wording():
  names = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')

  def say(*things, variant=0):
    classes, boxes = zip(*things, strict=True)
    objects = dict(boxes=np.array(boxes, np.float32), classes=np.array(classes),
                   valid=np.ones(len(boxes), bool))
    return caption(caption_facts(objects, 64, (.25, .5), names), variant)
  seven, one_three, other_three = (7, (0, 10, 20, 42)), (3, (40, 4, 50, 20)), (3, (45, 40, 55, 56))
  assert say(seven, one_three, other_three) == 'a large seven left of two small threes'
  assert say(seven, one_three, other_three, variant=1) == (
      'two small threes right of a large seven')
  assert say((8, (0, 0, 10, 24)), (6, (1, 1, 11, 20)), (6, (2, 0, 12, 10))) == (
      'two small sixes and an eight')
  assert say(seven, (8, (40, 4, 52, 28)), one_three) == 'a large seven left of an eight with a ' \
                                                        'small three'
  assert caption(()) == 'nothing'


# --- in the pipeline ---

def test_objects_survive_augmentation(batches):
  batch = jax.tree.map(lambda x: x[:8], batches['digits'][1])
  augment = jax.jit(make_augment(dict(flip=True, pad_crop=2, resized_crop=dict(scale=(.5, 1.)))))
  out = jax.tree.map(np.asarray, augment(jax.random.key(0), batch))
  masks, valid = out['objects']['masks'], out['objects']['valid']
  assert valid.sum() > .7 * batch['objects']['valid'].sum()
  shown = out['label_map'] != 255
  union = (masks * (1 + out['objects']['classes'])[..., None, None]).sum(1)
  np.testing.assert_array_equal(np.where(shown, union, 0), np.where(shown, out['label_map'], 0))
  for i, j in np.argwhere(masks.sum((2, 3)) > 30):
    rows, cols = np.nonzero(masks[i, j])
    x1, y1, x2, y2 = out['objects']['boxes'][i, j]
    assert x1 - 1.5 <= cols.min() and cols.max() + 1 <= x2 + 1.5
    assert y1 - 1.5 <= rows.min() and rows.max() + 1 <= y2 + 1.5


def test_a_mirrored_figure_swaps_its_sides(batches):
  batch = jax.tree.map(lambda x: x[:8], batches['figures'][1])
  augment = make_augment(dict(flip=dict(p=1., keypoint_pairs=MIRRORED)))
  before, after = batch['objects'], augment(jax.random.key(0), batch)['objects']
  np.testing.assert_array_equal(after['masks'], before['masks'][..., ::-1])
  right, left = JOINTS.index('right wrist'), JOINTS.index('left wrist')
  seen = before['keypoints'][..., right, 2] > 0
  assert seen.any()
  np.testing.assert_allclose(np.asarray(after['keypoints'])[..., left, 0][seen],
                             64 - before['keypoints'][..., right, 0][seen], atol=1e-4)


def test_facts_keep_the_names_of_label_maps(batches):
  info = batches['digits'][0].info
  assert info.classes[7] == 'seven' and info.map_classes[:2] == ('background', 'zero')
  facts = Facts(info, {'image': jax.ShapeDtypeStruct((1, 16, 16, 3), 'uint8')}, 5)
  assert Facts.from_json(facts.to_json()) == facts
  old = {k: v for k, v in json.loads(facts.to_json()).items() if k != 'map_classes'}
  assert Facts.from_json(json.dumps(old)).info.map_classes == ()


@pytest.mark.parametrize('options, message', [
    (dict(split='dev'), 'no split "dev"'),
    (dict(kind='digit'), 'did you mean "digits"'),
    (dict(glyphs='minst'), 'did you mean "mnist"'),
    (dict(glyphs='mnist'), 'root must name the folder'),
    (dict(objects=(3, 2)), 'objects must be'),
    (dict(scale=(.5,)), 'scale must be'),
    (dict(contrast=.5), 'contrast must lie between 0 and 0.3'),
    (dict(visible=1.5), 'visible must lie'),
    (dict(size=0), 'size must be'),
    (dict(frames=0), 'frames must be'),
    (dict(examples=-1), 'examples must be')])
def test_mistakes_are_named(options, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    scenes(**{'split': 'train', **options})
