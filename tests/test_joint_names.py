"""Joints, landmarks and labels of other data, by name, as a run knows them."""

import jax
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Info
from visionlab.facts import Facts
from visionlab.ops.joints import JOINTS
from visionlab.ops.landmarks import FIVE, PLACES
from visionlab.runs.attribute_names import attributes_as_known
from visionlab.runs.joint_names import in_order, joints_as_known

COCO = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder',
        'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip',
        'right_hip', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle')
IMAGE = np.zeros((3, 8, 8, 1), np.uint8)


def faces(landmarks, joints):
  return Arrays(dict(image=IMAGE, landmarks=np.asarray(landmarks, np.float32)), Info(joints=joints))


def people(count, joints):
  points = np.arange(3 * count * 3, dtype=np.float32).reshape(3, 1, count, 3) + 1
  return Arrays(dict(image=IMAGE, objects=dict(keypoints=points)), Info(joints=joints))


def test_cocos_joints_are_found_by_name_and_what_is_missing_is_said(caplog):
  source = people(17, COCO)
  found = joints_as_known(Facts.of(people(14, JOINTS)), source)
  own, points = (s.arrays['objects']['keypoints'] for s in (source, found))
  assert points.shape == (3, 1, 14, 3) and found.info.joints == JOINTS
  np.testing.assert_array_equal(points[:, :, 0], own[:, :, 16])          # right ankle
  np.testing.assert_array_equal(points[:, :, 9], own[:, :, 5])           # left shoulder
  assert (points[:, :, 12:] == 0).all() and 'no neck, head top' in caplog.text


def test_what_no_name_tells(caplog):
  plain = tuple(map(str, range(1, 15)))
  assert in_order(JOINTS, plain, 'data') == list(range(14))
  assert 'from right ankle to head top' in caplog.text
  with pytest.raises(ConfigError, match='knows 14 .*, these data have 13, and names are missing'):
    in_order(JOINTS, plain[:13], 'data')
  with pytest.raises(ConfigError, match='none of them, but paw, tail'):
    in_order(JOINTS, ('paw', 'tail'), 'data')
  with pytest.raises(ConfigError, match='right hip and r_hip of these data are one name'):
    in_order(JOINTS, ('r_hip', 'right hip'), 'data')


@pytest.mark.parametrize('count', PLACES)
def test_five_are_taken_of_more(count):
  rng = np.random.default_rng(0)
  points = np.concatenate([rng.uniform(0, 40, (3, count, 2)), np.full((3, count, 1), 2)], -1)
  points[0, PLACES[count][0][0], 2] = 0
  found = joints_as_known(Facts.of(faces(points[:, :5], FIVE)), faces(points, ()))
  five = found.arrays['landmarks']
  assert five.shape == (3, 5, 3) and found.info.joints == FIVE
  assert five[:, 0, 2].tolist() == [0, 2, 2]
  np.testing.assert_allclose(five[1:, 1], points[1:, list(PLACES[count][1])].mean(1), rtol=1e-5)


def test_left_and_right_are_the_viewers(caplog):
  run = Facts.of(faces(np.ones((3, 5, 3)), FIVE))
  seen = np.array([[10, 10], [30, 10], [20, 20], [12, 30], [28, 30]], np.float32)
  seen = np.tile(np.concatenate([seen, np.full((5, 1), 2, np.float32)], 1), (3, 1, 1))
  own = faces(seen[:, [2, 1, 0, 4, 3]], ('nose', 'left_eye', 'right_eye', 'mouth_left',
                                         'mouth_right'))            # the person's
  np.testing.assert_array_equal(joints_as_known(run, own).arrays['landmarks'], seen)
  assert "the person's own, and are turned round" in caplog.text
  theirs = faces(seen[:, [2, 0, 1, 3, 4]], own.info.joints)
  np.testing.assert_array_equal(joints_as_known(run, theirs).arrays['landmarks'], seen)
  assert joints_as_known(run, faces(seen, FIVE)).arrays['landmarks'] is seen


def test_labels_are_numbered_by_name(caplog):
  mine = Info(attributes=dict(male=('female', 'male'), smile=('no smile', 'smile')))
  source = Arrays(dict(image=IMAGE, male=np.int32([0, 1, -1]), smile=np.int32([0, 1, 1])),
                  Info(attributes=dict(male=('male', 'female'), smile=('1', '2'))))
  found = attributes_as_known(mine, source, ('male', 'smile'))
  assert found.arrays['male'].tolist() == [1, 0, -1] and 'smile' not in found.arrays
  assert '"smile" is 1 or 2 in these data and no smile or smile for the run' in caplog.text
  jax.tree.map(np.testing.assert_array_equal, source.arrays,
               attributes_as_known(mine, source, ()).arrays)
