"""Drawn faces: pure functions of their index, whose truth is what is to be seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.faces import shape, skin
from visionlab.data.faces.faces import Faces, _draw, faces
from visionlab.data.faces.strokes import line, padded, polygon
from visionlab.data.images import photographs
from visionlab.data.scenes import assets
from visionlab.facts import Facts
from visionlab.ops.landmarks import five_of
from visionlab.ops.similarity import TEMPLATE
from visionlab.runs.aligned import aligned, moved

SIZE = 64
CALM = dict.fromkeys(('smile', 'open', 'blink', 'brow'), np.float32(0))


@pytest.fixture(scope='module')
def drawn():
  """The source, and the first 8 photographs of 8 people, with 68 landmarks."""
  source = faces('train', size=SIZE, people=8, each=8, points=68, keep=False)
  return source, source[np.arange(len(source))]


# --- a function of (seed, split, index) ---

def test_a_face_depends_on_its_index_alone(drawn):
  source, whole = drawn
  some = source[np.array([40, 3, -1])]
  jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[[40, 3, -1]]), some, whole)
  more = Faces(SIZE, 68, False, source.arrays, 1000)[np.array([40])]
  np.testing.assert_array_equal(more['image'][0], whole['image'][40])
  with pytest.raises(IndexError, match='64 examples'):
    source[np.array([64])]


def test_photographs_of_a_person_are_the_same_however_many_there_are(drawn):
  source, whole = drawn
  fewer = Faces(SIZE, 68, False, {**source.arrays, 'each': np.int32(5)}, 8)[np.array([0, 4, 5, 9])]
  np.testing.assert_array_equal(fewer['image'], whole['image'][[0, 4, 8, 12]])
  assert fewer['label'].tolist() == [0, 0, 1, 1]


def test_everything_else_makes_other_faces_by_one_program(drawn):
  source, whole = drawn
  before = _draw._cache_size()
  others = [{'split': np.int32(1)}, {'seed': np.uint32(1)}, {'yaw': np.float32(0)},
            {'smiling': np.float32(1)}, {'light': np.float32(0)}]
  images = [whole['image']] + [
      Faces(SIZE, 68, False, {**source.arrays, **own}, 8)[np.arange(64)]['image'] for own in others]
  for i in range(len(images)):
    for j in range(i):
      assert (images[i][:64] != images[j][:64]).mean() > .005
  assert _draw._cache_size() == before


def test_splits_share_no_photograph():
  bands = {split: photographs.cut_out([assets.BANDS[split]], 1.) for split in assets.SPLITS}
  assert len({x.tobytes() for parts in bands.values() for x in parts}) == 6


# --- what is said of them ---

def test_people_differ_and_stay_what_they_are(drawn):
  _, whole = drawn
  by = whole['label'].reshape(8, 8)
  assert (by == np.arange(8)[:, None]).all()
  for fixed in ('beard', 'male'):
    assert (whole[fixed].reshape(8, 8) == whole[fixed].reshape(8, 8)[:, :1]).all()
  assert not (whole['beard'] & (1 - whole['male'])).any()
  for free in ('smile', 'glasses', 'pose'):
    assert len(np.unique(whole[free])) == (5 if free == 'pose' else 2)


def test_shares_are_those_asked_for():
  source = faces('test', size=16, people=40, each=4, smiling=.8, glasses=0., occluded=1.,
                 grey=True, keep=False)
  some = source[np.arange(160)]
  assert .7 < some['smile'].mean() < .9 and not some['glasses'].any()
  assert (some['landmarks'][..., 2] == 1).any() and set(np.unique(some['landmarks'][..., 2])) <= {
      0, 1, 2}


def test_landmarks_lie_where_things_are_painted(drawn):
  """The whites of eyes are brighter than the skin below them, lips redder than cheeks."""
  source, _ = drawn
  even = Faces(SIZE, 68, False, {**source.arrays, **{k: np.float32(0) for k in (
      'yaw', 'pitch', 'roll', 'glasses', 'occluded', 'light')}}, 60)
  some = even[np.arange(0, 480, 8)]
  place = some['landmarks'][..., :2]

  def at(points):
    column, row = np.floor(points).astype(int).T
    return some['image'][np.arange(60), row, column].astype(float) + 1
  white = place[:, 36] + .25 * (place[:, 37:42].mean(1) - place[:, 36])
  cheek, lip = place[:, 36:42].mean(1) + [0, 8], place[:, [57, 66]].mean(1)
  assert (at(white) - at(cheek)).mean() > 15                         # though some eyes are shut
  red = [at(points)[:, 0] / at(points)[:, 1] for points in (lip, cheek)]
  assert (red[0] > red[1]).mean() > .8
  np.testing.assert_allclose(place[:, 36, 1], place[:, 45, 1], atol=.5)        # upright heads


def test_skin_lies_on_the_head_however_it_is_seen():
  angle, scale, centre = .5, 40., np.array([30., 28.])
  turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
  solid = np.asarray(jax.jit(shape.head)(np.zeros(16, np.float32), CALM))[:, :2]
  points = centre + scale * solid @ turn
  found = np.stack(jax.jit(skin.places, static_argnums=1)(points, SIZE), -1)
  for part, place in ((slice(36, 42), (-.36, 0)), (slice(42, 48), (.36, 0)),
                      (shape.LIPS, (0, .7))):
    column, row = np.floor(points[part].mean(0)).astype(int)
    np.testing.assert_allclose(found[row, column], place, atol=.03)      # a pixel is .025


def test_each_person_has_spots_of_their_own():
  x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40))
  u = np.random.default_rng(0).random((40, skin.WAVES, 4)).astype(np.float32)
  fields = np.asarray(jax.jit(jax.vmap(lambda u: skin.complexion(u, x, y)))(u))
  assert .8 < (fields ** 2).mean() < 1.2 and abs(fields.mean()) < .1
  likeness = np.corrcoef(fields.reshape(40, -1))
  assert abs(likeness[~np.eye(40, dtype=bool)]).mean() < .3


def test_hair_falls_over_foreheads_and_leaves_the_rest(drawn):
  _, plain = drawn
  some = faces('train', size=SIZE, people=8, each=8, points=68, complexion=.3, keep=False)[
      np.arange(64)]
  for same in ('label', 'smile', 'pose'):
    np.testing.assert_array_equal(some[same], plain[same])
  np.testing.assert_allclose(some['landmarks'], plain['landmarks'], atol=1e-4)
  x, y = np.meshgrid(np.linspace(-.5, .5, 9), np.linspace(-1, 1, 41), indexing='ij')
  hair = np.asarray(jax.jit(skin.above_hairline)(np.full(5, .5, np.float32), x, y, 100.))
  assert (np.diff(hair, axis=1) <= 0).all() and (hair[:, -1] < .01).all()
  changed = abs(some['image'].astype(float) - plain['image']).mean(-1)
  column, row = plain['landmarks'][:, 30, :2].astype(int).T               # noses
  inside = (column >= 0) & (row >= 0)
  of_nose = changed[np.arange(64), row, column][inside].mean()
  assert of_nose > 5 * changed[:, :4, :4].mean()                      # than of backgrounds


def test_the_head_mirrors_and_moves_as_it_should():
  person = np.zeros(16, np.float32)
  head = jax.jit(shape.head)
  calm = np.asarray(head(person, CALM))
  pairs = [(0, 16), (7, 9), (17, 26), (36, 45), (39, 42), (31, 35), (48, 54), (60, 64)]
  for a, b in pairs:
    np.testing.assert_allclose(calm[a] * [-1, 1, 1], calm[b], atol=1e-6)
  for part, chain in ((shape.JAW, 17), (shape.LIPS, 12), (shape.MOUTH, 8)):
    assert len(np.unique(calm[part], axis=0)) == chain
  smiling = np.asarray(head(person, {**CALM, 'smile': np.float32(1)}))
  assert (smiling[[48, 54], 1] < calm[[48, 54], 1]).all()              # corners rise
  assert smiling[54, 0] - smiling[48, 0] > calm[54, 0] - calm[48, 0]
  asleep = np.asarray(head(person, {**CALM, 'blink': np.float32(1)}))
  assert np.ptp(asleep[36:42, 1]) < .3 * np.ptp(calm[36:42, 1])
  for i in range(shape.PROPORTIONS):                     # every number changes something
    assert abs(head(np.eye(16, dtype=np.float32)[i], CALM) - calm).max() > .005
  five = np.asarray(five_of(jnp.asarray(calm)))
  np.testing.assert_allclose(five[0] * [-1, 1, 1], five[1], atol=1e-6)
  np.testing.assert_allclose(five[2:], calm[[30, 48, 54]])


def test_turned_heads_show_their_pose(drawn):
  _, whole = drawn
  place = whole['landmarks'][..., :2]
  middle = place[:, [36, 45]].mean(1)
  across = place[:, 45] - place[:, 36]
  along = across / np.linalg.norm(across, axis=1, keepdims=True)
  turn = ((place[:, 30] - middle) * along).sum(1)        # where the nose points
  means = [turn[whole['pose'] == k].mean() for k in range(5)]
  assert np.all(np.diff(means) > 0) and means[0] < -1 and means[4] > 1


# --- strokes ---

def test_distances_to_polygons_against_sampling():
  points = np.array([[2, 3], [14, 1], [9, 8], [15, 14], [4, 12]], np.float32)
  found = np.asarray(jax.jit(lambda points: polygon(padded(points, 9), 16))(points))
  closed = np.concatenate([points, points[:1]])
  t = np.linspace(0, 1, 400)[:, None]
  outline = np.concatenate([a + t * (b - a) for a, b in zip(closed[:-1], closed[1:])])
  y, x = np.mgrid[:16, :16] + .5
  grid = np.stack([x, y], -1)
  apart = np.linalg.norm(grid[:, :, None] - outline, axis=-1).min(-1)
  np.testing.assert_allclose(abs(found), apart, atol=.03)
  from matplotlib.path import Path
  inside = Path(points).contains_points(grid.reshape(-1, 2)).reshape(16, 16)
  assert ((found < 0) == inside)[abs(found) > .01].all()
  np.testing.assert_allclose(jax.jit(line, static_argnums=1)(closed, 16), apart, atol=.03)


# --- as a source ---

def test_as_a_source():
  kept = faces('test', size=16, people=3, each=2, grey=True)
  assert kept.arrays['image'].shape == (6, 16, 16, 1)
  assert kept.arrays['landmarks'].shape == (6, 5, 3)
  facts = Facts.from_json(Facts.of(kept).to_json())
  assert facts.info == kept.info and facts.counts == (2, 2, 2)
  assert facts.info.attributes['pose'][2] == 'frontal'
  drawn = faces('test', size=16, people=3, each=2, grey=True, keep=False)
  np.testing.assert_array_equal(drawn.labels, kept.arrays['label'])
  loop = jax.jit(drawn.gather)(drawn.arrays, jnp.arange(6))
  np.testing.assert_array_equal(loop['image'], kept.arrays['image'])


@pytest.mark.parametrize('options, message', [
  (dict(size=8), 'size must lie between 16'), (dict(points=20), 'points must be 5 or 68'),
  (dict(complexion=2.), 'complexion must lie'),
  (dict(yaw=120.), 'yaw must lie between 0 and 80'), (dict(glasses=1.5), 'glasses must lie'),
  (dict(people=-1), 'people must lie'), (dict(seed=-1), 'seed must be 0 or more'),
])
def test_options_out_of_range(options, message):
  with pytest.raises(ConfigError, match=message):
    faces('train', **options)
  with pytest.raises(ConfigError, match='no split "val"'):
    faces('val')


# --- aligned ---

def test_aligned_faces_have_their_eyes_where_all_have(drawn):
  of = dict(name='faces', size=SIZE, people=8, each=16, occluded=0., glasses=0.)
  source = aligned('train', of=of, size=48)
  assert source.arrays['image'].shape == (128, 48, 48, 3) and 'landmarks' not in source.arrays
  assert source.arrays['label'].tolist() == np.repeat(np.arange(8), 16).tolist()
  plain = faces('train', **{k: v for k, v in of.items() if k != 'name'}).arrays['image']
  # What all faces have in common is sharp in the mean of aligned ones.
  mean, other = (x.astype(float).mean((0, -1)) for x in (source.arrays['image'], plain))
  left, top, right, bottom = np.round(48 * np.concatenate([TEMPLATE.min(0), TEMPLATE.max(0)])
                                      ).astype(int)
  among = mean[top - 6:bottom, left:right]
  assert among.std() > 1.5 * other[20:44, 20:44].std()


def test_what_cannot_be_aligned():
  with pytest.raises(ConfigError, match='these have no landmarks'):
    aligned('train', of=dict(name='digits'))
  with pytest.raises(ConfigError, match='these have 68 landmarks'):
    moved(np.zeros((2, 8, 8, 1), np.uint8), np.zeros((2, 68, 3)), 8)


def test_an_image_without_a_face_and_one_with_a_hidden_eye(drawn, caplog):
  """Of the first nothing can be aligned, which is said; of the second the rest is."""
  image = drawn[1]['image'][:3]
  place = np.asarray(five_of(drawn[1]['landmarks'][:3, :, :2]))
  landmarks = np.concatenate([place, np.full((3, 5, 1), 2)], -1).astype(np.float32)
  whole = moved(image, landmarks, 32)
  assert not caplog.text
  landmarks[0, 1] = 0                              # an eye that is hidden, nobody knows where
  landmarks[1, :, 2] = 1                           # all are hidden, and yet known
  landmarks[2] = 0
  found = moved(image, landmarks, 32)
  assert '1 of 3 images have fewer than two known landmarks' in caplog.text
  np.testing.assert_array_equal(found[1], whole[1])
  off = abs(found[0].astype(float) - whole[0]).mean()
  assert 0 < off < .5 * abs(found[2].astype(float) - whole[2]).mean()
