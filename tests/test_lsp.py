"""Leeds Sports Pose: joints of a MATLAB file beside images."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.sources.lsp import lsp

N, W, H = 4, 40, 50


@pytest.fixture
def folder(tmp_path):
  """Four people, the i-th's j-th joint at (4 + 2 j, 6 + 3 j - i)."""
  (tmp_path / 'images').mkdir()
  j = np.arange(14)
  joints = np.zeros((3, 14, N))
  for i in range(N):
    Image.new('RGB', (W, H), (60 * i, 0, 0)).save(tmp_path / 'images' / f'im{i + 1:04}.png')
    joints[:, :, i] = 4 + 2 * j, 6 + 3 * j - i, j == 6
  joints = joints.round()

  def write(change=lambda joints: joints):
    scipy.io.savemat(tmp_path / 'joints.mat', dict(joints=change(joints.copy())))
    return str(tmp_path)
  write()
  return write


def test_the_first_half_is_learnt_from(folder):
  train, test = (lsp(split, root=folder(), size=100) for split in ('train', 'test'))
  assert len(train) == len(test) == 2
  one = test[np.array([0])]
  assert one['image'][0, 0, 0].tolist() == [120, 0, 0] and one['extent'].tolist() == [[100, 80]]
  points = one['objects']['keypoints'][0, 0]
  np.testing.assert_allclose(points[3], [2 * 10, 2 * (6 + 9 - 2), 2])
  assert points[6, 2] == 1 and (np.delete(points[:, 2], 6) == 2).all()
  np.testing.assert_allclose(one['objects']['boxes'][0, 0], [8, 8, 60, 86])
  assert train.info.joints[6] == 'right wrist'


def test_the_extended_set_says_what_is_known(folder):
  def extended(joints):
    joints = joints.transpose(1, 0, 2)
    joints[:, 2] = 1
    joints[0, :, :] = 0                        # as it marks what nobody has seen
    return joints
  source = lsp('train', root=folder(extended), size=50)
  assert len(source) == N
  objects = source[np.array([1])]['objects']
  assert objects['keypoints'][0, 0, 0].tolist() == [0, 0, 0]
  np.testing.assert_allclose(objects['boxes'][0, 0], [6, 8, 30, 44])      # of the others
  with pytest.raises(ConfigError, match='no split "test"'):
    lsp('test', root=folder(extended))


def test_joints_outside_the_image_are_not_known(folder, caplog):
  def outside(joints):
    joints[:2, 0, 1] = -3, 10
    joints[:2, 5, 0] = 20, H + 9
    return joints
  source = lsp('train', root=folder(outside), size=50)
  flags = source[np.arange(2)]['objects']['keypoints'][:, 0, :, 2]
  assert flags[1, 0] == flags[0, 5] == 0 and (flags > 0).sum() == 26
  assert '2 joints outside their images (not known)' in caplog.text
  assert 'im0001.png: its left ankle lies at (20, 59) in an image of 40x50' in caplog.text
  with pytest.raises(ConfigError, match='its left ankle lies at'):
    lsp('train', root=folder(outside), on_broken='stop')


def test_what_cannot_be_read(folder, tmp_path):
  with pytest.raises(ConfigError, match=r'joints are \(3 14 n\) or \(14 3 n\), not \(3, 13, 4\)'):
    lsp('train', root=folder(lambda joints: joints[:, :13]))
  with pytest.raises(ConfigError, match='joints of 3 people, and images holds 4 images'):
    lsp('train', root=folder(lambda joints: joints[..., :3]))
  (tmp_path / 'joints.mat').write_bytes(b'none')
  with pytest.raises(ConfigError, match='cannot be read as a MATLAB file'):
    lsp('train', root=str(tmp_path))
  (tmp_path / 'joints.mat').unlink()
  with pytest.raises(ConfigError, match='joints.mat does not exist'):
    lsp('train', root=str(tmp_path))
