"""Landmarks that one file lists, of many photographs."""

import json

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.faces.faces import faces
from visionlab.data.sources.landmark_lists import landmark_json, landmark_list
from visionlab.ops.landmarks import FIVE

FACE = np.array([[20, 30], [40, 30], [30, 40], [22, 50], [38, 50]])
NAMES = 'lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y left_x left_y right_x right_y'


def put(folder, name, points, size=(80, 70)):
  """A dark photograph with a bright pixel at each landmark."""
  (folder / name).parent.mkdir(parents=True, exist_ok=True)
  pixels = np.full((*size[::-1], 3), 20, np.uint8)
  for x, y in points:
    pixels[y, x] = 255
  Image.fromarray(pixels).save(folder / name)


def line(name, points, *more):
  return ' '.join(map(str, (name, *np.ravel(points), *more)))


@pytest.fixture
def celeba(tmp_path):
  """Three photographs as CelebA lists them, moved by some pixels from one to the next."""
  points = {f'00000{i}.png': FACE + [3 * i, i] for i in range(1, 4)}
  for name, own in points.items():
    put(tmp_path / 'img', name, own)
  (tmp_path / 'points.txt').write_text('\n'.join(
      ['3', NAMES, *(line(name, own) for name, own in points.items())]))
  (tmp_path / 'attributes.txt').write_text(
      '3\nEyeglasses Smiling \n000001.png -1  1\n000002.png  1 -1\n000003.png  0  1\n')
  (tmp_path / 'parts.txt').write_text('000001.png 0\n000002.png 0\n000003.png 2\n')
  return dict(root=str(tmp_path), landmarks='points.txt', images='img',
              attributes='attributes.txt', parts='parts.txt')


def test_a_list_with_attributes_and_parts(celeba):
  found = landmark_list('train', size=60, margin=.5, **celeba)
  assert found.arrays['image'].shape == (2, 60, 60, 3) and found.info.joints == FIVE
  for image, points in zip(found.arrays['image'], found.arrays['landmarks'], strict=True):
    assert (points[:, 2] == 2).all()
    for x, y in (points[:, :2] + .75).astype(int):      # a pixel's middle, at 1.5 times the scale
      assert image[y, x, 0] > 80
  assert found.arrays['eyeglasses'].tolist() == [0, 1]
  assert found.arrays['smiling'].tolist() == [1, 0]
  assert found.info.attributes['smiling'] == ('no smiling', 'smiling')
  last = landmark_list('test', chosen=('Eyeglasses',), **celeba)
  assert last.arrays['eyeglasses'].tolist() == [-1] and 'smiling' not in last.arrays
  with pytest.raises(ConfigError, match='none of its photographs are of "validation"'):
    landmark_list('validation', **celeba)


def test_parts_may_be_lists_of_names(celeba, tmp_path):
  (tmp_path / 'training.txt').write_text('000003.png\n000001.png\n')
  found = landmark_list('training', **celeba | dict(parts='{split}.txt'))
  assert found.arrays['smiling'].tolist() == [1, 1] and len(found) == 2
  with pytest.raises(ConfigError, match='did you mean "training"'):
    landmark_list('trainin', **celeba | dict(parts='{split}.txt'))
  (tmp_path / 'training.txt').write_text('000003.png\n000009.png\n')
  with pytest.raises(ConfigError, match=r'training.txt, line 2: 000009.png has no landmarks'):
    landmark_list('training', **celeba | dict(parts='{split}.txt'))


def test_all_x_and_then_all_y_and_labels(tmp_path):
  put(tmp_path, 'net/a.png', FACE)
  (tmp_path / 'training.txt').write_text(line('net\\a.png', FACE.T, 2, 1, 1, 5) + '\n')
  options = dict(root=str(tmp_path), landmarks='{split}.txt', order='x then y',
                 labels=('male', 'smile', 'glasses', 'pose'))
  found = landmark_list('training', size=40, margin=.5, **options).arrays
  assert [found[k].tolist() for k in options['labels']] == [[1], [0], [0], [4]]
  five = found['landmarks'][0, :, :2]
  np.testing.assert_allclose(five, (FACE - [10, 20]) * 40 / 40)     # the square about it, doubled


@pytest.mark.parametrize('old, new, message', [
  (' 25 51', ' 25', 'points.txt, line 3: expected a name and 10 numbers, and there are 9'),
  ('23 31', '23 x', "points.txt, line 3: could not convert string to float: 'x'"),
  ('23 31', 'nan 31', 'line 3: expected a name and 10 numbers'),
  ('000002.png', '000001.png', 'line 4: 000001.png is listed again, after .*line 3'),
  ('000002.png', '000004.png', 'parts.txt, line 2: 000002.png has no landmarks'),
  ('23 31', '-9e9 31', r'line 3: a landmark lies at \(-9e\+09, 31\), far outside .* 80 x 70'),
])
def test_lines_that_are_wrong(celeba, tmp_path, old, new, message):
  file = tmp_path / 'points.txt'
  before = file.read_text()
  assert old in before
  file.write_text(before.replace(old, new, 1))
  with pytest.raises(ConfigError, match=message):
    landmark_list('train', **celeba)


def test_what_does_not_belong_together(celeba, tmp_path):
  with pytest.raises(ConfigError, match='did you mean "Smiling"'):
    landmark_list('train', chosen=('Smilin',), **celeba)
  with pytest.raises(ConfigError, match='count must be at least 2'):
    landmark_list('train', count=1, **celeba)
  with pytest.raises(ConfigError, match='there is no file .*none.txt'):
    landmark_list('train', **celeba | dict(landmarks='none.txt'))
  attributes = (tmp_path / 'attributes.txt').read_text()
  (tmp_path / 'attributes.txt').write_text(attributes.replace('000001.png -1', '000001.png 7'))
  with pytest.raises(ConfigError, match='line 3: Eyeglasses is 7; expected 1 or -1'):
    landmark_list('train', **celeba)
  (tmp_path / 'attributes.txt').write_text(attributes.replace('000001.png', 'other.png'))
  with pytest.raises(ConfigError, match='000001.png, which has landmarks, is not in it'):
    landmark_list('train', **celeba)
  (tmp_path / 'img' / '000001.png').unlink()
  (tmp_path / 'attributes.txt').write_text(attributes)
  with pytest.raises(ConfigError, match=r'points.txt, line 3: there is no photograph .*000001.png'):
    landmark_list('train', **celeba)


def test_keypoints_of_json(tmp_path):
  put(tmp_path / 'train', 'a.png', [*FACE, *(FACE + [30, 10])])
  seen, hidden = np.full(5, 2), np.array([2, 1, 0, 2, 2])
  annotations = [dict(id=i, image_id=1, category_id=1, bbox=[10, 20, 40, 40], keypoints=np.c_[
      points, flags].ravel().tolist()) for i, (points, flags) in enumerate(
          [(FACE, seen), (FACE + [30, 10], hidden), (FACE, 0 * seen)])]
  (tmp_path / 'annotations').mkdir()
  file = tmp_path / 'annotations' / 'train.json'
  names = ['left', 'right', 'nose', 'mouth', 'corner']
  content = dict(images=[dict(id=1, file_name='a.png', width=80, height=70)],
                 categories=[dict(id=1, name='face', keypoints=names)], annotations=annotations)
  file.write_text(json.dumps(content))
  found = landmark_json('train', root=str(tmp_path), size=60, margin=.5, channels=1)
  points = found.arrays['landmarks']
  assert points[..., 2].tolist() == [seen.tolist(), hidden.tolist()]        # the third has none
  assert (points[1, 2] == 0).all() and found.info.joints == tuple(names)
  for image, own in zip(found.arrays['image'], points, strict=True):
    for x, y, flag in own.astype(int):
      assert not flag or image[y, x, 0] > 80
  file.write_text(json.dumps(content | dict(annotations=annotations[2:])))
  with pytest.raises(ConfigError, match='no annotation has a keypoint that is known'):
    landmark_json('train', root=str(tmp_path))


def test_names_may_stand_last_and_commas_between(tmp_path):
  put(tmp_path, 'img/a.png', FACE)
  (tmp_path / 'wflw.txt').write_text(' '.join(map(str, (*FACE.ravel(), 10, 20, 0, 1))) + ' a.png\n')
  (tmp_path / 'kaggle.csv').write_text('image_id,' + NAMES.replace(' ', ',') + '\n'
                                       + line('a.png', FACE).replace(' ', ',') + '\n')
  options = dict(root=str(tmp_path), images='img')
  last = landmark_list('train', landmarks='wflw.txt', unread=4, **options).arrays
  between = landmark_list('train', landmarks='kaggle.csv', **options).arrays
  np.testing.assert_array_equal(last['landmarks'], between['landmarks'])
  with pytest.raises(ConfigError, match='line 1: expected a name and 10 numbers, and there are 14'):
    landmark_list('train', landmarks='wflw.txt', **options)


def test_a_face_fills_the_image_as_in_the_drawn_world(tmp_path):
  put(tmp_path, 'a.png', FACE)
  (tmp_path / 'a.txt').write_text(line('a.png', FACE) + '\n')
  found = landmark_list('train', root=str(tmp_path), landmarks='a.txt').arrays['landmarks']
  found = found[0, :, :2]
  drawn = faces('test', people=12, each=2).arrays['landmarks'][..., :2]
  side = np.median((drawn.max(1) - drawn.min(1)).max(1))
  assert (found.max(0) - found.min(0)).max() == pytest.approx(side, rel=.12)


def test_values_say_what_numbers_mean(tmp_path):
  put(tmp_path, 'a.png', FACE)
  (tmp_path / 'a.txt').write_text(line('a.png', FACE, 2) + '\n')
  options = dict(root=str(tmp_path), landmarks='a.txt', labels=('male',))
  found = landmark_list('train', **options, values=dict(male='male,female'))
  assert found.info.attributes['male'] == ('male', 'female')
  with pytest.raises(ConfigError, match='values.male has 1 names, and its numbers go up to 2'):
    landmark_list('train', **options, values=dict(male=('male',)))
  with pytest.raises(ConfigError, match="values: 'sex' is not one of 'male'"):
    landmark_list('train', **options, values=dict(sex=('male',)))
