"""Poses by a cascade: what each stage sees, what it learns from, and what is measured."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import TinyNet

from visionlab.augmentation.mirror_pairs import check_mirror
from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.measures.poses import (
  BOUNDS,
  PARTS,
  joints_found,
  limbs_found,
  parts_of,
  pose_scores,
)
from visionlab.ops.crop import squares
from visionlab.ops.displacements import displacement, moments
from visionlab.ops.geometry import flip
from visionlab.ops.joint_words import mirrored
from visionlab.ops.joints import JOINTS, LIMBS, MIRRORED, TORSO
from visionlab.ops.warp import sample
from visionlab.tasks.pose import Pose, frames, pose, torso_of

RNG = np.random.default_rng(0)
K = len(JOINTS)
INFO = Info(joints=JOINTS, limbs=LIMBS)
B, N = 4, 2
IMAGE = RNG.integers(0, 256, (B, 32, 32, 1), np.uint8)
POINTS = np.concatenate([RNG.uniform(4, 28, (B, N, K, 2)), np.full((B, N, K, 1), 2)], -1)
BOXES = np.concatenate([POINTS[..., :2].min(2), POINTS[..., :2].max(2)], -1)
BATCH = dict(image=IMAGE, valid=np.ones(B, bool), objects=dict(
    boxes=BOXES.astype(np.float32), keypoints=POINTS.astype(np.float32),
    valid=np.array([[1, 1], [1, 0], [1, 1], [0, 0]], bool)))

SQUARES = jax.jit(squares, static_argnums=3)


def task_of(**options) -> Pose:
  return pose(make_model=lambda classes: TinyNet(classes=classes, norm=False), info=INFO,
              example=BATCH, **dict(sizes=(8, 4)) | options)


# --- squares ---

def test_squares_are_bilinear_samples():
  image = RNG.normal(size=(20, 30, 3)).astype(np.float32)
  centres, sides = np.float32([[15, 10], [3, 18.3], [29, 1]]), np.float32([6, 7.5, 5])
  found = SQUARES(image, centres, sides, 8)                # pixels no larger than the image's
  along = (np.arange(8) + .5) / 8 - .5
  bilinear = jax.jit(partial(sample, mode='edge'))
  for i in range(3):
    x, y = (centres[i, k] + sides[i] * along for k in (0, 1))
    coords = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), -1)
    np.testing.assert_allclose(found[i], bilinear(image, coords), atol=1e-4)


def test_what_is_shrunk_is_averaged():
  image = RNG.normal(size=(24, 24, 1)).astype(np.float32)
  small = np.asarray(SQUARES(image, np.float32([[12, 12]]), np.float32([24]), 8))[0]
  # Hats three pixels to each side, as antialiasing by a triangle has them.
  inside = np.asarray(jax.image.resize(image, (8, 8, 1), 'linear'))[1:-1, 1:-1]
  np.testing.assert_allclose(small[1:-1, 1:-1], inside, atol=1e-5)
  assert small.std() < .6 * image.std()


# --- measures ---

def test_a_limb_is_found_if_both_ends_are():
  true = np.array([[[0, 0, 2], [10, 0, 2], [10, 20, 1], [5, 5, 0]]], float)
  at = [(0, 1), (1, 2), (2, 3)]
  found = true[..., :2] + [[[0, 5], [0, 5.1], [9.9, 0], [0, 0]]]
  assert [limbs_found(found, true, [one]) for one in at[:2]] == [0, 1]
  assert np.isnan(limbs_found(found, true, at[2:])) and limbs_found(found, true, at) == .5
  unit = np.array([25.])
  assert joints_found(found, true, unit) == pytest.approx(1 / 3)     # 5 of 25; 5.1; 9.9
  assert joints_found(found, true, unit, .21) == pytest.approx(2 / 3)
  assert np.isnan(joints_found(found, true, np.array([np.nan])))


def test_scores_of_poses():
  true = POINTS.reshape(-1, K, 3)
  scores = pose_scores(true[..., :2], true, BOXES.reshape(-1, 4), PARTS, (3, 8))
  assert all(scores[k] == 1 for k in ('pcp', 'pdj', 'pck', 'pcp_torso', 'pcp_lower_arm'))
  worse = pose_scores(true[..., :2] + RNG.normal(0, 3, (len(true), K, 2)), true,
                      BOXES.reshape(-1, 4), PARTS, (3, 8))
  assert 0 < worse['pcp'] < 1 and (np.diff(worse['pdj_curve']) >= 0).all()
  assert worse['pdj'] == worse['pdj_curve'][BOUNDS.tolist().index(.2)]
  assert worse['pcp'] == pytest.approx(np.mean([worse[f'pcp_{part}'] for part in PARTS]))
  assert parts_of(('a', 'left b'), ((0, 1),)) == {'a-left_b': ((0, 1),)}


def test_a_mirror_exchanges_left_and_right():
  """A figure whose right arm is raised is, mirrored, one whose left arm is."""
  example = dict(image=jnp.zeros((32, 32, 1)), objects=dict(
      boxes=BOXES[0], valid=np.ones(N, bool), keypoints=jnp.asarray(POINTS[0], jnp.float32)))
  found = flip(jax.random.key(0), example, p=1., keypoint_pairs=MIRRORED)['objects']['keypoints']
  expected = POINTS[0] * [-1, 1, 1] + [32, 0, 0]
  for a, b in MIRRORED:
    assert JOINTS[a].replace('right', 'left') == JOINTS[b]
    expected[:, [a, b]] = expected[:, [b, a]]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


# --- the cascade ---

class Knowing:
  """In place of a network's answer: where joints are, which `Pose.outputs` is asked for."""

  def __init__(self, task, gain=1.):
    self.task, self.gain = task, gain

  def __call__(self, variables, stage, image, centres, sides, key=None, *, train=False):
    true = jnp.asarray(BATCH['objects']['keypoints'][..., :2])
    who = jnp.repeat(true, centres.shape[1] // N, axis=1)          # of each square its person
    out = (who - centres[:, :, None]) / sides[..., None, None]
    return self.gain * out, {}


def knowing(task, gain):
  object.__setattr__(task, 'outputs', Knowing(task, gain))
  return task


def test_each_stage_goes_on_where_the_last_has_ended():
  """Who always says half of the way halves the error in each stage."""
  task = knowing(task_of(sizes=(8, 4, 4)), .5)
  stages = np.asarray(jax.jit(lambda batch: task.cascade({}, batch))(BATCH))
  true, (centre, _) = POINTS[..., :2], frames(BATCH)
  first = np.asarray(centre)[:, :, None] - true
  for i in range(3):
    np.testing.assert_allclose(stages[:, i] - true, first / 2 ** (i + 1), atol=1e-4)


def test_what_a_stage_learns_is_the_way_back():
  """Who knows where joints are has no loss, and leaves no errors; and nobody counts who is not
  there."""
  task = knowing(task_of(samples=5), 1.)
  object.__setattr__(task, 'preprocess', lambda x: x)
  errors = dict(means=np.broadcast_to(np.float32([0, 0, .04, 0, .04]), (1, K, 5)),
                count=np.ones((1, K), np.float32), new=np.zeros((1, K, 6), np.float32))
  terms, aux = jax.jit(partial(task.loss, train=True))(
      dict(errors=errors), BATCH, jax.random.key(0), task.hyperparameters())
  assert [float(t.count) for t in terms.values()] == [5 * K, 25]
  assert all(float(t.value) < 1e-9 for t in terms.values())
  after = aux.collections['errors']
  np.testing.assert_allclose(after['count'], .98 + 5, rtol=1e-5)
  np.testing.assert_allclose(after['means'][0, :, 2], .98 * .04 / 5.98, atol=1e-6)


@pytest.mark.parametrize('share', [0., 1.])
def test_a_later_stage_may_learn_from_where_the_one_before_has_got_to(share):
  """Who says half of the way gets there: each later square lies about such a place, or does not."""
  task = knowing(task_of(sizes=(8, 4, 4), samples=6), .5)
  answers, asked = task.outputs, []

  def noted(variables, stage, image, centres, sides, key=None, *, train=False):
    if train:
      asked.append(centres)
    return answers(variables, stage, image, centres, sides, key, train=train)
  object.__setattr__(task, 'outputs', noted)
  errors = dict(means=np.broadcast_to(np.float32([0, 0, .04, 0, .04]), (2, K, 5)),
                count=np.ones((2, K), np.float32), new=np.zeros((2, K, 6), np.float32))

  @jax.jit
  def squares_of(variables, batch, hp):
    task.loss(variables, batch, jax.random.key(0), hp, train=True)
    return tuple(asked)
  first, *later = map(np.asarray, squares_of(
      dict(errors=errors), BATCH, task.hyperparameters() | dict(reached=share)))
  true = BATCH['objects']['keypoints'][..., :2]
  reached = first[:, :, None]
  for starts in later:
    reached = (reached + true) / 2
    off = starts.reshape(B, N, 6, 1, 2) - reached[:, :, None]
    assert (np.linalg.norm(off, axis=-1).min(-1) < 1e-3).mean() == share


def test_displacements_have_the_moments_of_errors():
  error = RNG.multivariate_normal([.3, -.2], [[.5, .2], [.2, .3]], (50, 40)).astype(np.float32)
  sums = np.asarray(jax.jit(moments)(error[:, :, None], np.ones((50, 40, 1), bool),
                                     np.ones((1, 1), np.float32)))
  assert float(sums[0, 0]) == 2000
  drawn = jax.jit(displacement)(np.broadcast_to(sums[0, 1:] / 2000, (9000, 5)),
                                RNG.normal(size=(9000, 2)).astype(np.float32))
  np.testing.assert_allclose(np.mean(drawn, 0), error.reshape(-1, 2).mean(0), atol=.03)
  np.testing.assert_allclose(np.cov(drawn.T), np.cov(error.reshape(-1, 2).T), atol=.03)


def test_without_boxes_a_person_fills_the_image():
  centre, side = frames(dict(image=np.zeros((2, 20, 30, 1))))
  assert centre.tolist() == [[[15, 10]]] * 2 and side.tolist() == [[30]] * 2


@pytest.mark.parametrize('change, message', [
  (dict(torso=(3, 14)), r'config\.task\.torso: must name two of the 14 joints'),
  (dict(sizes=()), r'config\.task\.sizes'), (dict(samples=0), 'samples must be at least 1'),
  (dict(example=dict(image=IMAGE, label=0)), 'pose learns from people with `keypoints`'),
])
def test_what_is_no_pose(change, message):
  with pytest.raises(ConfigError, match=message):
    pose(**dict(make_model=None, info=INFO, example=BATCH) | change)


COCO = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder',
        'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip',
        'left_knee', 'right_knee', 'left_ankle', 'right_ankle')


def test_a_torso_is_found_by_name():
  assert torso_of(JOINTS) == TORSO
  assert [COCO[i] for i in torso_of(COCO)] == ['left_hip', 'right_shoulder']
  assert torso_of(tuple('abcdefghijklmn')) == TORSO


def test_a_mirror_must_exchange_what_is_left_and_right():
  example = dict(objects=dict(keypoints=np.zeros((1, 1, 17, 3))))
  assert mirrored(JOINTS) == tuple(sorted(MIRRORED))
  check_mirror(dict(flip=dict(keypoint_pairs=MIRRORED)), JOINTS, example)
  check_mirror(dict(flip=dict(keypoint_pairs=mirrored(COCO))), COCO, example)
  check_mirror(dict(flip=True), ('paw', 'tail'), example)
  check_mirror(dict(flip=True), COCO, dict(objects={}))
  check_mirror(dict(flip=False), COCO, example)
  with pytest.raises(ConfigError, match=r'\(0, 5\) are nose and left_shoulder, .*\(1, 2\)'):
    check_mirror(dict(flip=dict(keypoint_pairs=MIRRORED)), COCO, example)
  with pytest.raises(ConfigError, match='is empty, and a mirror turns left_eye into right_eye'):
    check_mirror(dict(flip=True), COCO, example)
