"""COCO's json as others write it: what is meant is read, and what is meant by nobody is named."""

import json

import numpy as np
import pytest
from annotated import coco_json, one
from pictured import everything, picture

from visionlab.config import ConfigError
from visionlab.data.sources.coco import coco

BOX = [6, 8, 36, 28]


@pytest.fixture
def root(tmp_path):
  for i in range(2):
    picture(tmp_path / 'train' / f'{i}.png', [BOX])
  return tmp_path


def objects(root, **options):
  batch = everything(coco('train', root=str(root), size=(40, 60), **options))
  return {k: v[0] for k, v in batch['objects'].items()}


def opened(root, annotations, sizes=((40, 60),), options=(), **entries):
  coco_json(root, annotations, sizes, **entries)
  return objects(root, **dict(options))


@pytest.mark.parametrize('value, crowd', [
    (0, False), (1, True), ('0', False), ('1', True), (False, False), (True, True), (None, False),
    ('', False), (0., False), (1., True), ('false', False), ('True', True), ('no', False)])
def test_iscrowd(root, value, crowd):
  assert opened(root, [one(iscrowd=value)])['crowd'].tolist() == [crowd]


@pytest.mark.parametrize('value', [2, -1, 3.7, float('nan'), 'x', [], {}, [0]])
def test_what_is_no_iscrowd_is_named(root, warned, value):
  assert opened(root, [one(), one(iscrowd=value)])['valid'].tolist() == [True]
  assert '1 objects whose iscrowd is no flag' in warned[0] and 'annotation 101' in warned[0]


@pytest.mark.parametrize('value, area, faults', [
    ([100], 100, 0), ('100', 100, 0), (None, 600, 0), ('', 600, 0), ([], 600, 0), (77.5, 77.5, 0),
    (0, 600, 1), (-1, 600, 1), ('x', 600, 1), ({}, 600, 1), (True, 600, 1), (float('nan'), 600, 1),
    (1e308, 600, 1),
    ([1, 2], 600, 1)])
def test_area_is_the_boxs_where_there_is_none(root, warned, value, area, faults):
  assert opened(root, [one(area=value)])['area'].tolist() == [area]
  assert len(warned) == faults and all('area' in text for text in warned)


@pytest.mark.parametrize('image, category', [
    (11, 7), (11., 7.), ('11', '7'), ('11', 7)])
def test_numbers_of_images_and_categories_may_be_text(root, image, category):
  assert opened(root, [one(image=image, category=category)])['classes'].tolist() == [1]
  read = opened(root, [one(image=image, category=category)], images=[
      dict(id='11', file_name='0.png', height=40, width=60)], categories=[
      dict(id=7., name='dog'), dict(id='10', name='bird'), dict(id=3, name='cat')])
  assert read['classes'].tolist() == [1]      # in the order of numbers, not of text


def test_words_and_numbers_with_zeros_are_ids_as_they_stand(root):
  images = [dict(id=key, file_name=f'{i}.png') for i, key in enumerate(('007', '7'))]
  coco_json(root, [one(image='7'), one(image='007'), one(image=7)], images=images)
  source = coco('train', root=str(root))
  assert everything(source)['objects']['valid'].sum(1).tolist() == [1, 2]


@pytest.mark.parametrize('size', [
    dict(height=40., width='60'), dict(height=0, width=0), dict(height=-1, width=60),
    dict(height=None, width=None), {}, dict(height='tall', width=[]), dict(height=40, width=60.5),
    dict(height=float('nan'), width=1e99)])
@pytest.mark.parametrize('check', [True, False])
def test_an_image_of_no_known_size_has_its_own(root, warned, size, check):
  column = dict(size=[40, 60], counts=[486, 20, 1894])
  read = opened(root, [one(segmentation=column)], options=dict(check=check, masks=True),
                images=[dict(id=11, file_name='0.png') | size])
  np.testing.assert_array_equal(read['boxes'], [BOX])
  np.testing.assert_array_equal(read['frames'], [[12, 6, 13, 26]])
  assert not warned


def test_an_image_of_another_size_is_left_out(root, warned):
  images = [dict(id=11, file_name='0.png', height=64., width=60), dict(id=12, file_name='1.png')]
  coco_json(root, [one(), one(image=12)], images=images)
  assert everything(coco('train', root=str(root)))['image_id'].tolist() == [12]
  assert '60x40 pixels; expected 60x64' in warned[0]


SQUARE = [6, 8, 36, 8, 36, 28, 6, 28]
POINTS = [[6, 8], [36, 8], [36, 28], [6, 28]]


@pytest.mark.parametrize('segmentation', [
    [SQUARE], SQUARE, [POINTS], POINTS, [list(map(str, SQUARE))], [SQUARE, [6, 8, 7, 9]],
    [dict(size=[40, 60], counts=[248, 20, *[20, 20] * 29, 972])],
    dict(size=[40., '60'], counts=[248., 20, *[20, 20] * 29, 972])])
def test_shapes_of_one_square(root, segmentation):
  read = opened(root, [one(segmentation=segmentation)], options=dict(masks=True))
  assert (read['masks'] == 255).all()
  np.testing.assert_array_equal(read['frames'], [BOX])


@pytest.mark.parametrize('segmentation, words', [
    ('none', "segmentation is 'none'; expected polygons, or size and counts"),
    (3.7, 'segmentation is 3.7; expected polygons'), (True, 'segmentation is True'),
    ([['x', '1', '4', '1', '4', '4']], 'segmentation is .*expected a list of numbers'),
    ([[None] * 6], 'segmentation is .*expected a list of numbers'),
    ([[1, 2, 3, 4, 5, float('nan')]], 'segmentation is .*nan'),
    ([[1, 2, 3, 4, 5, 1e300]], r'segmentation is .*1e\+300'),
    ([[[1, 2, 3], [4, 5, 6]]], 'expected a list of numbers'), ([{}, {}], 'expected a list of num'),
    (dict(counts=[2400]), 'segmentation.size is None'), (dict(size=[40, 60]), 'counts is None'),
    (dict(size='40x60', counts=[2400]), "segmentation.size is '40x60'"),
    (dict(size=[40, 60], counts=[2399.5, .5]), 'counts add up to 2400; expected .* runs'),
    (dict(size=[40, 60], counts=[[2400]]), 'counts is .*expected a list of numbers'),
    (dict(size=[40, 60], counts='ü'), 'damaged'), (dict(size=[40, 60], counts={}), 'counts is {}')])
def test_shapes_that_are_none_are_named(root, segmentation, words):
  coco_json(root, [one(segmentation=segmentation)], ((40, 60),))
  with pytest.raises(ConfigError, match=f'annotation 100: .*{words}'):
    coco('train', root=str(root), masks=True)
  assert objects(root)['valid'].tolist() == [True]          # where nobody asks for masks


@pytest.mark.parametrize('box', [None, []])
@pytest.mark.parametrize('segmentation', [
    [SQUARE], dict(size=[40, 60], counts=[248, 20, *[20, 20] * 29, 972])])
def test_without_a_box_it_is_the_masks(root, box, segmentation):
  read = opened(root, [one(segmentation=segmentation) | dict(bbox=box)])
  np.testing.assert_array_equal(read['boxes'], [BOX])
  assert 'masks' not in read


@pytest.mark.parametrize('box, words', [
    (None, 'bbox is None'), ('x', "bbox is 'x'"), (3.7, 'bbox is 3.7'), ({}, 'bbox is {}'),
    ([6, 8, 30], r'bbox is \[6, 8, 30\]'), ([6, 8, None, 20], 'bbox is .*None'),
    ([6, 8, 'x', 20], 'bbox is .*x'), ([6, 8, True, 20], 'bbox is .*True'),
    ([6, 8, 1e308, 20], r'bbox is .*1e\+308'), ([-float('inf'), 8, 30, 20], 'bbox is .*inf')])
def test_boxes_that_are_none_are_named(root, box, words, recwarn):
  coco_json(root, [one() | dict(bbox=box)], ((40, 60),))
  with pytest.raises(ConfigError, match=f'annotation 100: .*{words}'):
    coco('train', root=str(root), on_broken='stop')
  assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_a_box_of_text(root):
  np.testing.assert_array_equal(opened(root, [one(list('68') + ['30', '20.0'])])['boxes'], [BOX])


@pytest.mark.parametrize('entry', [None, 'x', 3, [], [one()]])
def test_entries_that_are_no_objects_are_left_out(root, warned, entry):
  path = coco_json(root, [one()], ((40, 60),))
  content = json.loads(path.read_text())
  content['annotations'].append(entry)
  content['images'].append(entry)
  path.write_text(json.dumps(content))
  assert objects(root)['valid'].tolist() == [True]
  assert '1 images without a name or an id, 1 objects that are no entries' in warned[0]
  content['categories'].append(entry)
  path.write_text(json.dumps(content))
  with pytest.raises(ConfigError, match=r'categories\[2\] is .*expected an object with "id"'):
    coco('train', root=str(root))


@pytest.mark.parametrize('wrong, words', [
    (dict(id=None), r'images\[1\].id is None; expected a number'),
    (dict(id=True), r'images\[1\].id is True'), (dict(id={}), r'images\[1\].id is {}'),
    (dict(file_name=None), r'images\[1\].file_name is None; expected the name of a file'),
    (dict(file_name=3), 'file_name is 3'), (dict(file_name=''), "file_name is ''"),
    (dict(file_name='\ud800'), 'file_name is'), (dict(file_name='\0'), 'cannot be used'),
    (dict(file_name='../train'), 'cannot be used'), (dict(file_name='x'), 'no such file')])
def test_images_that_are_none_are_named(root, warned, wrong, words):
  images = [dict(id=11, file_name='0.png'), dict(id=12, file_name='1.png') | wrong]
  coco_json(root, [one()], images=images)
  with pytest.raises(ConfigError, match=words):
    coco('train', root=str(root), on_broken='stop')
  assert len(coco('train', root=str(root))) == 1 and '1 images' in warned[0]


@pytest.mark.parametrize('wrong, words', [
    (dict(id=None), r'categories\[1\].id is None; expected a number'),
    (dict(id=[]), r'categories\[1\].id is \[\]'), (dict(name={}), 'name is {}'),
    (dict(name=' '), "name is ' '"), (dict(name=True), 'name is True'),
    (dict(name=None), 'name is None; expected a word'),
    (dict(id='7'), r'categories\[1\], "cat", has the id 7 of "dog"; expected an id for each')])
def test_categories_that_are_none_are_named(root, wrong, words):
  coco_json(root, [one()], categories=[dict(id=7, name='dog'), dict(id=3, name='cat') | wrong])
  with pytest.raises(ConfigError, match=words):
    coco('train', root=str(root))


def test_categories_of_one_name(root):
  """Roboflow lists the group before its classes; a project of one class has both of its name."""
  categories = [dict(id=0, name='dog'), dict(id=1, name='cat'), dict(id=2, name='dog')]
  for used in (0, 2):
    read = opened(root, [one(category=used), one(category=1)], categories=categories)
    assert read['classes'].tolist() == [1, 0]
  assert coco('train', root=str(root)).info.classes == ('cat', 'dog')
  coco_json(root, [one(category=0), one(category=2)], categories=categories)
  with pytest.raises(ConfigError, match='"dog" is the name of the categories 0 and 2; expected a'):
    coco('train', root=str(root))
  same = [dict(id=7, name='dog')] * 2
  assert opened(root, [one()], categories=same)['classes'].tolist() == [0]


def test_an_id_of_two_images_is_of_neither(root, warned):
  picture(root / 'train' / '2.png')
  images = [dict(id=key, file_name=f'{i}.png') for i, key in enumerate((11, 12, '11'))]
  coco_json(root, [one(), one(image=12), one()], images=images)
  batch = everything(coco('train', root=str(root)))
  assert batch['image_id'].tolist() == [12] and batch['objects']['valid'].tolist() == [[True]]
  assert '2 images that share an id' in warned[0]
  with pytest.raises(ConfigError, match=r"images\[2\], train/2.png, has the id 11 of train/0.png"):
    coco('train', root=str(root), on_broken='stop')
  coco_json(root, [one()], images=[images[0], images[2]])
  with pytest.raises(ConfigError, match='all 2 images are left out; the first: .*id 11 of train/0'):
    coco('train', root=str(root))


def test_an_image_that_is_listed_twice_has_the_objects_of_both(root, warned):
  again = dict(id=11, file_name='0.png', height=40, width=60)
  boxes = [one(), one((1, 2, 3, 4))]
  assert opened(root, boxes, images=[again, again])['valid'].tolist() == [True, True]
  assert not warned
  boxes[1]['image_id'] = 12
  assert opened(root, boxes, images=[again, again | dict(id=12)])['valid'].tolist() == [True, True]
  assert '1 entries (joined to the first) that list an image again' in warned[0]
  with pytest.raises(ConfigError, match=r'images\[1\] lists 0.png again'):
    coco('train', root=str(root), on_broken='stop')


@pytest.mark.parametrize('name', [
    'a b/é.PNG', r'a b\é.PNG', 'a%20b%2F%C3%A9.PNG', r'.\a b\é.png', 'A B/É.png',
    'a b/e\u0301.png', r'train\a b\é.PNG'])
def test_names_of_files_as_others_write_them(root, name):
  picture(root / 'train' / 'a b' / 'é.PNG', [BOX])
  coco_json(root, [one()], images=[dict(id=11, file_name=name, height=40, width=60)])
  source = coco('train', root=str(root), on_broken='stop')
  assert source.annotations.files.tolist() == ['train/a b/é.PNG'.encode()]


def test_the_file_of_the_very_name_comes_first(root):
  for name in ('a%20b.png', 'a b.png', 'A B.png'):
    picture(root / 'train' / name)
  names = ('a%20b.png', 'A B.png', 'a b.png')
  coco_json(root, [], images=[dict(id=i, file_name=name) for i, name in enumerate(names)])
  names = coco('train', root=str(root)).annotations.files.tolist()
  assert names == [b'train/a%20b.png', b'train/A B.png', b'train/a b.png']
  coco_json(root, [], images=[dict(id=1, file_name='a B.png')])
  with pytest.raises(ConfigError, match='no such file'):        # of two that are as near
    coco('train', root=str(root))


def test_keypoints_as_others_write_them(root, warned):
  flat, points = [9, 9, 2, 0, 0, 0], [[9, 9, 2], [0, 0, 0]]
  coco_json(root, [one(keypoints=value) for value in (flat, points, list(map(str, flat)), None)],
            ((40, 60),))
  read = objects(root, keypoints=True)['keypoints']
  np.testing.assert_array_equal(read[:3], [[[9.5, 9.5, 2], [0, 0, 0]]] * 3)
  assert not read[3].any() and not warned
  # One list that is too long is not what all others are measured by.
  coco_json(root, [one(keypoints=flat), one(keypoints=flat * 2), one(keypoints='x')], ((40, 60),))
  assert objects(root, keypoints=True)['valid'].tolist() == [True]
  assert '2 objects with damaged points' in warned[0]
  coco_json(root, [one(keypoints=[9, 9, 2, 0, 0, -1])], ((40, 60),))
  with pytest.raises(ConfigError, match=r'has the flags \[2.0, -1.0\]; expected 0, 1 or 2'):
    objects(root, keypoints=True)


@pytest.mark.parametrize('named, joints', [
    (['nose', 'tail'], ('nose', 'tail')), (None, ('1', '2')), ('x', ('1', '2')),
    (['nose'], ('1', '2'))])
def test_names_of_keypoints(root, named, joints):
  categories = [dict(id=7, name='dog', keypoints=named, skeleton=[[1, 2]])]
  coco_json(root, [one(keypoints=[9, 9, 2, 0, 0, 0])], ((40, 60),), categories=categories)
  info = coco('train', root=str(root), keypoints=True).info
  assert info.joints == joints and info.limbs == ((0, 1),)
  for wrong in ([[0, 1]], [[1, 3]], [1, 2], 'xy', [['a', 'b']], 3):
    categories[0]['skeleton'] = wrong
    coco_json(root, [one(keypoints=[9, 9, 2, 0, 0, 0])], ((40, 60),), categories=categories)
    with pytest.raises(ConfigError, match='the skeleton of dog is .*; expected pairs'):
      coco('train', root=str(root), keypoints=True)
    coco('train', root=str(root))


def test_a_split_of_crowds_alone_is_told(root, warned):
  opened(root, [one(iscrowd=1)])
  assert 'all 1 objects are crowds' in warned[0]
