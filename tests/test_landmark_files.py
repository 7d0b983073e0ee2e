"""Landmarks in files beside photographs."""

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.sources.landmark_files import landmark_files, read_points
from visionlab.ops.landmarks import FIVE

SQUARE = np.array([[20, 30], [40, 30], [40, 50], [20, 50], [30, 40]], float)


def put(folder, name, points, size=(80, 70), marked=True):
  """A dark photograph with a bright pixel at each landmark, and its file."""
  folder.mkdir(parents=True, exist_ok=True)
  pixels = np.full((*size[::-1], 3), 20, np.uint8)
  for x, y in points.astype(int):
    if marked and 0 <= x < size[0] and 0 <= y < size[1]:
      pixels[y, x] = 255
  Image.fromarray(pixels).save(folder / f'{name}.png')
  lines = '\n'.join(f'{x + .5:.3f} {y + .5:.3f}' for x, y in points + .5)      # counted from 1
  (folder / f'{name}.pts').write_text(f'version: 1\nn_points:  {len(points)}\n{{\n{lines}\n}}\n')


def test_landmarks_lie_on_what_they_mark(tmp_path):
  put(tmp_path / 'a', 'one', SQUARE)
  put(tmp_path / 'a', 'two', SQUARE + [35, 15])              # the square goes beyond the picture
  found = landmark_files('train', root=str(tmp_path), size=60, margin=.5, channels=1).arrays
  assert found['image'].shape == (2, 60, 60, 1) and (found['landmarks'][..., 2] == 2).all()
  for points in found['landmarks'][..., :2]:
    np.testing.assert_allclose(np.ptp(points, axis=0), 30, atol=1e-3)      # half of 60
    np.testing.assert_allclose(points.mean(0), 30, atol=1e-3)
  first = found['image'][0, ..., 0]
  for x, y in found['landmarks'][0, :, :2].astype(int):
    assert first[y, x] > 100
  assert np.median(first) == 20 == np.median(found['image'][1])


def test_splits_are_folders(tmp_path):
  put(tmp_path / 'train', 'a', SQUARE)
  put(tmp_path / 'test' / 'indoor', 'b', SQUARE)
  put(tmp_path / 'test', 'c', SQUARE)
  assert len(landmark_files('train', root=str(tmp_path))) == 1
  assert len(landmark_files('test', root=str(tmp_path))) == 2
  with pytest.raises(ConfigError, match='did you mean "test"'):
    landmark_files('tset', root=str(tmp_path))


def test_five_of_68(tmp_path):
  points = np.random.default_rng(0).uniform(10, 60, (68, 2))
  put(tmp_path, 'a', points)
  found = landmark_files('train', root=str(tmp_path), points=5)
  whole = landmark_files('train', root=str(tmp_path)).arrays['landmarks'][0]
  assert found.info.joints == FIVE
  five = found.arrays['landmarks'][0]
  np.testing.assert_allclose(five[0], whole[36:42].mean(0), rtol=1e-5)
  np.testing.assert_allclose(five[2:], whole[[30, 48, 54]], rtol=1e-5)


@pytest.mark.parametrize('text, message', [
  ('', 'expected "n_points: 68"'), ('n_points: 2\n{\n1 2\n}', r'n_points is 2, and .* \(1, 2\)'),
  ('n_points: 1\n{\n1 x\n}', "could not convert string to float: 'x'"),
  ('n_points: 1\n{\nnan 2\n}', 'n_points is 1'),
  ('n_points: 2\n{\n1 2\n3\n}', 'a.pts: .*expected x and y in each line'),
])
def test_files_that_are_none(tmp_path, text, message):
  (tmp_path / 'a.pts').write_text(text)
  with pytest.raises(ConfigError, match=message):
    read_points(tmp_path / 'a.pts')


def test_what_does_not_belong_together(tmp_path):
  put(tmp_path, 'a', SQUARE)
  put(tmp_path, 'b', SQUARE[:3])
  with pytest.raises(ConfigError, match=r'b\.pts: has 3 landmarks, and those of a\.png are 5'):
    landmark_files('train', root=str(tmp_path))
  (tmp_path / 'b.pts').unlink()
  with pytest.raises(ConfigError, match=r'b\.pts does not exist'):
    landmark_files('train', root=str(tmp_path))
  put(tmp_path, 'b', SQUARE + 500)
  with pytest.raises(ConfigError, match='outside the image, which is 80 x 70'):
    landmark_files('train', root=str(tmp_path))
  (tmp_path / 'b.png').write_bytes(b'none')
  with pytest.raises(ConfigError, match=r'b\.png cannot be read'):
    landmark_files('train', root=str(tmp_path))
  with pytest.raises(ConfigError, match='points=5 are taken of 68, 51, 49, 98, 29 landmarks'):
    (tmp_path / 'b.png').unlink()
    put(tmp_path, 'a', SQUARE[:3])
    landmark_files('train', root=str(tmp_path), points=5)


def test_folders_anywhere_may_be_a_split(tmp_path):
  for i, folder in enumerate(('afw', 'helen/trainset', 'helen/testset', 'lfpw/testset', 'ibug')):
    (tmp_path / folder).mkdir(parents=True)
    put(tmp_path / folder, f'image _{i}', SQUARE)

  def count(split, top=tmp_path):
    return len(landmark_files(split, root=str(top)))
  assert [count(s) for s in ('testset', 'trainset', 'helen', 'ibug')] == [2, 1, 2, 1]
  with pytest.raises(ConfigError, match='no split "train"; there are afw, helen, ibug, lfpw'):
    count('train')                                          # of which a part is for tests
  assert count('train', tmp_path / 'afw') == 1
  (tmp_path / 'afw' / 'image _0.pts').rename(tmp_path / 'afw' / 'image _0.PTS')
  assert count('afw') == 1
