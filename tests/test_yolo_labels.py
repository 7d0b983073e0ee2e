"""YOLO's text files and yaml as others write them: keypoints, names, folders, encodings."""

import tarfile

import numpy as np
import pytest
from pictured import everything, picture, write

from visionlab.config import ConfigError
from visionlab.data.sources.annotation_files import Faults
from visionlab.data.sources.yolo import yolo
from visionlab.data.sources.yolo_labels import keypoint_shape, read_lines

POSE = '0 .5 .5 .2 .2 .45 .45 2 .55 .45 1 .45 .55 0 .55 .55 2'
BOX = [24, 16, 36, 24]


@pytest.fixture
def root(tmp_path):
  picture(tmp_path / 'images' / 'train' / 'a.png', [BOX])
  write(tmp_path / 'labels' / 'train' / 'a.txt', '0 .5 .5 .2 .2')
  return tmp_path


def opened(root, text=None, yaml=None, **options):
  if text is not None:
    write(root / 'labels' / 'train' / 'a.txt', text)
  if yaml is not None:
    write(root / 'data.yaml', yaml)
  classes = ('cat', 'dog') if yaml is None else 'data.yaml'
  return yolo('train', **dict(root=str(root), size=(40, 60), classes=classes) | options)


def first(source):
  return {k: v[0] for k, v in everything(source)['objects'].items()}


# --- keypoints ---


def test_keypoints_with_flags(root, warned):
  yaml = 'kpt_shape: [4, 3]\nnames: [cat]'
  source = opened(root, f'{POSE}\n0 .5 .5 .2 .2\n', yaml, keypoints=True)
  read = first(source)
  np.testing.assert_allclose(read['boxes'], [BOX, BOX], rtol=1e-6)
  np.testing.assert_allclose(read['keypoints'], [
      [[27, 18, 2], [33, 18, 1], [0, 0, 0], [33, 22, 2]], np.zeros((4, 3))], rtol=1e-6)
  assert source.info.joints == ('1', '2', '3', '4') and not warned
  assert 'keypoints' not in first(opened(root, POSE))
  named = opened(root, yaml=f'{yaml}\nkpt_names: {{0: [a, b, c, d]}}', keypoints=True)
  assert named.info.joints == ('a', 'b', 'c', 'd')


@pytest.mark.parametrize('count', [3, 7, 8])
def test_keypoints_without_flags(root, count):
  text = '0 .5 .5 .2 .2' + ' .45 .55' * (count - 1) + ' 0 0'
  read = first(opened(root, text, f'kpt_shape: [{count}, 2]\nnames: [cat]', keypoints=True))
  np.testing.assert_allclose(read['boxes'], [BOX], rtol=1e-6)
  expected = [[27, 22, 2]] * (count - 1) + [[0, 0, 0]]
  np.testing.assert_allclose(read['keypoints'][0], expected, rtol=1e-6)
  read = first(opened(root, kpt_shape=(count, 2)))               # said by the option
  np.testing.assert_allclose(read['boxes'], [BOX], rtol=1e-6)


@pytest.mark.parametrize('count', [1, 4, 5, 17])
def test_keypoints_with_flags_are_known_by_their_look(root, count):
  text = '0 .5 .5 .2 .2 ' + '.45 .45 2 ' * (count - 1) + '.55 .55 1\n'
  read = first(opened(root, text * 3, keypoints=True))
  np.testing.assert_allclose(read['boxes'], [BOX] * 3, rtol=1e-6)
  assert read['keypoints'].shape == (3, count, 3)


@pytest.mark.parametrize('points', [' .4 .4 .6 .4 .6 .6', ' .45 .45' * 7])
def test_pairs_that_may_be_keypoints_are_asked_for(root, points):
  text, count = f'0 .5 .5 .2 .2{points}', len(points.split()) // 2
  with pytest.raises(ConfigError, match=rf'may be polygons, or .* kpt_shape=\({count}, 2\)'):
    opened(root, text)
  np.testing.assert_allclose(first(opened(root, kpt_shape=(count, 2)))['boxes'], [BOX], rtol=1e-6)
  polygon = first(opened(root, kpt_shape=()))['boxes'][0]
  assert polygon[:2].tolist() == [12, 8]
  assert opened(root, masks=True).most == 1                      # who wants masks has polygons


@pytest.mark.parametrize('polygon', [
    '.1 .1 .4 .1 .4 .4 .1 .4', '.25 .3 .3 .25 .35 .25 .35 .35 .3 .4 .25 .35',
    '0 0 .5 0 1 0 1 1 0 1', '.5 .1 .8 .3 .8 .7 .5 .9 .2 .7 .2 .3', '.2 .2 .4 .3 .3 .5'])
def test_polygons_are_no_keypoints(root, polygon):
  points = np.array(polygon.split(), float).reshape(-1, 2) * (60, 40)
  read = first(opened(root, f'0 {polygon}'))
  np.testing.assert_allclose(read['boxes'], [[*points.min(0), *points.max(0)]], rtol=1e-5)


def test_no_real_polygon_looks_like_keypoints(shared_data, tmp_path):
  """Each by itself, so that there is least to tell it by."""
  with tarfile.open(shared_data / 'coco128.tar.gz') as archive:
    members = [member for member in archive.getmembers()
               if '/instance_segmentation/labels/train2017/' in member.name]
    archive.extractall(tmp_path, members, filter='data')
  names, faults = {i: str(i) for i in range(91)}, Faults('yolo', 'stop')
  lines = [line for path in sorted(tmp_path.rglob('*.txt'))
           for line in read_lines(path, 0, names, faults)]
  assert len(lines) == 746
  assert not any(keypoint_shape([line], 'yolo', masks=False) for line in lines)


@pytest.mark.parametrize('line, words', [
    ('0 .5 .5 .2 .2 .4 .4 2', 'line 1 has 8 numbers; expected 17: a class, a box, and 4 keypoints'),
    ('0 .1 .1 .4 .1 .4 .4', 'line 1 has 7 numbers; expected 17'),
    (POSE + '1', 'line 1 has keypoints with the flags .*21.*; expected 0, 1 or 2'),
    (POSE.replace('.45 .45', 'nan .45'), 'line 1 is "0 .5 .5 .2 .2 nan')])
def test_lines_of_other_keypoints_are_named(root, warned, line, words):
  with pytest.raises(ConfigError, match=words):
    opened(root, f'{line}\n{POSE}', kpt_shape=(4, 3), on_broken='stop')
  assert first(opened(root, kpt_shape=(4, 3)))['valid'].sum() == 1 and '1 objects' in warned[0]


@pytest.mark.parametrize('shape', [
    (4,), (4, 4), (0, 3), (4, 1), (-4, 3), ('x', 3), (4.5, 3), (True, 3), 4, (4, 3, 2)])
def test_shapes_of_keypoints_that_are_none(root, shape):
  with pytest.raises(ConfigError, match='kpt_shape is .*expected the number of keypoints'):
    opened(root, kpt_shape=shape)
  if not isinstance(shape, tuple) or len(shape) != 2:
    with pytest.raises(ConfigError, match='data.yaml: kpt_shape is'):
      opened(root, yaml=f'names: [cat]\nkpt_shape: {list(np.atleast_1d(shape))}')


def test_keypoints_need_a_shape(root):
  with pytest.raises(ConfigError, match='has no keypoints that are known; kpt_shape says'):
    opened(root, keypoints=True)


# --- names ---


@pytest.mark.parametrize('yaml, names', [
    ('nc: 2\nnames: cat, dog', ('cat', 'dog')), ('names: cat', ('cat',)),
    ('names: [yes, no, 1, null]', ('yes', 'no', '1', 'null')),
    ('names: {cat: 0, dog: 1}', ('cat', 'dog')),
    ('names:\n  1: on\n  0: off', ('off', 'on')), ('\ufeffnames: [cat]', ('cat',)),
    ("names: {'1': dog, '0': cat}", ('cat', 'dog')), ('names: [" cat ", 猫]', ('cat', '猫'))])
def test_names_in_yaml(root, yaml, names):
  assert opened(root, yaml=yaml).info.classes == names


@pytest.mark.parametrize('yaml, words', [
    ('names:', 'names is'), ('names: []', 'must name'), ('names: [cat, ""]', "number 1 is ''"),
    ('names: [cat, [dog]]', r"number 1 is \['dog'\]"), ('names: {a: b}', "names is {'a': 'b'}"),
    ('names: {a: 0, b: 0}', 'names is'), ('names: {0: [cat]}', 'names is'),
    ('names: {}', 'must name'),
    ('names: [cat, cat]', '"cat" is number 0 and number 1'), ('names: {-1: cat}', 'names is'),
    ('nc: 3\nnames: [cat, dog]', 'nc is 3, but there are 2 names'),
    ('nc: 3\nnames: cat, dog', 'nc is 3, but there are 2 names')])
def test_names_in_yaml_that_are_none(root, yaml, words):
  with pytest.raises(ConfigError, match=f'data.yaml.*{words}'):
    opened(root, yaml=yaml)


@pytest.mark.parametrize('content, names', [
    ('\ufeffcat\r\ndog\r\n'.encode(), ('cat', 'dog')),
    ('cat\ndog\n\n'.encode('utf-16'), ('cat', 'dog')),
    ('traffic light\n猫'.encode(), ('traffic light', '猫'))])
def test_names_in_lines(root, content, names):
  (root / 'classes.txt').write_bytes(content)
  assert opened(root, classes='classes.txt').info.classes == names


def test_names_in_lines_that_are_none(root):
  for content, words in (
      (b'cat\n\ndog', 'line 2 is empty'), (b'', 'line 1 is empty'), (b'cat\ncat', '"cat" is'),
      (b'dog\ncaf\xe9', 'line 2 is not UTF-8')):
    (root / 'classes.txt').write_bytes(content)
    with pytest.raises(ConfigError, match=f'classes.txt: .*{words}'):
      opened(root, classes='classes.txt')
  with pytest.raises(ConfigError, match=r"classes is the text 'red,white'; .*\('red', 'white'\)"):
    opened(root, classes='red,white')
  (root / 'dataset.yaml').touch()
  with pytest.raises(ConfigError, match="classes='dataset.yaml'"):
    opened(root, classes=())


# --- files and folders ---


def test_folders_inside_those_of_images(root, warned):
  for folder in ('day/one', 'night'):
    picture(root / 'images' / 'train' / folder / 'b c.PNG', [BOX])
    write(root / 'labels' / 'train' / folder / 'b c.TXT', '1 .5 .5 .2 .2')
  picture(root / 'images' / 'train' / 'background' / 'd.png')
  source = opened(root)
  batch = everything(source)
  assert [name.decode() for name in source.annotations.files.tolist()] == [
      f'images/train/{name}' for name in
      ('a.png', 'background/d.png', 'day/one/b c.PNG', 'night/b c.PNG')]
  assert batch['objects']['classes'][:, 0].tolist() == [0, 0, 1, 1]
  assert batch['objects']['valid'][:, 0].tolist() == [True, False, True, True] and not warned


def test_stray_folders_beside_texts_are_no_images_without_objects(root):
  picture(root / 'data' / 'b.png')
  write(root / 'data' / 'b.txt', '0 .5 .5 .2 .2')
  write(root / 'data' / 'classes.txt', 'cat\ndog')
  picture(root / 'data' / 'runs' / 'exp1' / 'curve.png')
  source = opened(root, images='data', labels='data', classes='data/classes.txt', on_broken='stop')
  assert source.annotations.files.tolist() == [b'data/b.png']


def test_folders_of_splits_need_the_split_in_the_options(root):
  with pytest.raises(ConfigError, match='images holds a folder train; expected .* {split}'):
    opened(root, images='images', labels='labels')


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_texts_of_other_editors(root, warned, encoding):
  (root / 'labels' / 'train' / 'a.txt').write_text('1 .5 .5 .2 .2\r\n', encoding=encoding)
  assert first(opened(root))['classes'].tolist() == [1] and not warned


def test_a_text_that_is_none_leaves_its_image_out(root, warned):
  picture(root / 'images' / 'train' / 'b.png')
  (root / 'labels' / 'train' / 'a.txt').write_bytes(b'0 .5 .5 .2 .2\n\xff\xd8')
  assert opened(root).annotations.files.tolist() == [b'images/train/b.png']
  assert '1 images whose text cannot be read' in warned[0] and 'a.txt: line 2' in warned[0]
  with pytest.raises(ConfigError, match='a.txt: line 2 is not UTF-8'):
    opened(root, on_broken='stop')


def test_numbers_that_are_no_shares(root, recwarn):
  for word in ('1e308', '-1e308', 'inf', '1e30'):
    for line in (f'0 {word} .5 .2 .2', f'0 .1 .1 .4 .1 .4 {word}'):
      with pytest.raises(ConfigError, match='a.txt: line 1 '):
        opened(root, line, masks=len(line.split()) > 5, on_broken='stop')
  assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
