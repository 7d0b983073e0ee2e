"""COCO's json: by hand, geometry, padding, masks, keypoints, mistakes."""

import json
import pickle

import numpy as np
import pytest
from annotated import coco_json, one
from pictured import BRIGHT, DARK, check_boxes_hold_what_is_bright, everything, picture
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.pipeline import eval_batches, open_sources
from visionlab.data.sources.coco import coco
from visionlab.data.sources.objects import fitted
from visionlab.ops.host_masks import paste_bitmaps


@pytest.fixture
def two(tmp_path):
  picture(tmp_path / 'train' / '0.png', [(6, 8, 36, 28), (40, 2, 52, 12)])
  picture(tmp_path / 'train' / '1.png', [(3, 5, 23, 45)], (60, 30))
  coco_json(tmp_path, [one((3, 5, 20, 40), 12, 3), one(area=77.), one((40, 2, 12, 10), iscrowd=1)])
  return tmp_path


def test_coco_by_hand(two):
  source = coco('train', root=str(two), size=(40, 60))
  assert source.info.classes == ('cat', 'dog') and len(source) == 2 and source.most == 2
  batch = everything(source)
  objects = batch['objects']
  np.testing.assert_array_equal(objects['boxes'][0], [[6, 8, 36, 28], [40, 2, 52, 12]])
  np.testing.assert_allclose(objects['boxes'][1, 0], np.array([3, 5, 23, 45]) * 2 / 3, rtol=1e-6)
  assert objects['classes'].tolist() == [[1, 1], [0, 0]]
  assert objects['valid'].tolist() == [[True, True], [True, False]]
  assert objects['crowd'].tolist() == [[False, True], [False, False]]
  assert objects['area'].tolist() == [[77, 120], [800, 0]]     # in pixels of the file
  assert not objects['boxes'][1, 1].any()
  assert batch['image_id'].tolist() == [11, 12] and batch['valid'].all()
  assert batch['original'].tolist() == [[40, 60], [60, 30]]
  assert batch['extent'].tolist() == [[40, 60], [40, 20]]
  kinds = {k: v.dtype.name for k, v in (batch | objects).items() if k != 'objects'}
  assert kinds == dict(image='uint8', extent='float32', original='int32', image_id='int32',
                       valid='bool', boxes='float32', classes='int32', crowd='bool',
                       area='float32')
  check_boxes_hold_what_is_bright(batch)


@pytest.mark.parametrize('size', [100, (33, 90), (90, 33), 17])
def test_boxes_move_with_their_pictures(two, size):
  batch = everything(coco('train', root=str(two), size=size))
  check_boxes_hold_what_is_bright(batch)
  assert (batch['extent'].max(0) == batch['image'].shape[1:3]).any()
  ratio = batch['extent'] / batch['original']
  # Only one side is rounded, to a whole pixel.
  assert (abs(ratio.max(1) - ratio.min(1)) * batch['original'].min(1) <= .5 + 1e-5).all()
  assert fitted(np.array([[1, 999], [999, 1]]), (8, 8)).tolist() == [[1, 8], [8, 1]]


def test_sources_are_picklable_and_read_in_any_order(two):
  source = coco('train', root=str(two), size=40)
  order = np.array([-1, 0, 1, 0])
  for copy in (source, pickle.loads(pickle.dumps(source))):
    assert copy[order]['image_id'].tolist() == [12, 11, 12, 11]
  with pytest.raises(IndexError):
    source[np.array([2])]
  (batch,) = eval_batches(source, 3, workers=0)
  assert batch['valid'].tolist() == [True, True, False]
  assert batch['objects']['boxes'].shape == (3, 2, 4)


def test_configs_open_them_and_add_splits(two):
  picture(two / 'val' / '0.png', [(6, 8, 36, 28)])
  coco_json(two, [one()], sizes=((40, 60),), split='val')
  options = dict(name='coco', root=str(two), size=64, most=3)
  source = open_sources(options, 'train+val')
  batch = everything(source)
  assert batch['objects']['valid'].sum(1).tolist() == [2, 1, 1]
  check_boxes_hold_what_is_bright(batch)
  assert len(open_sources(options, 'train[:50%]')) == 1
  with pytest.raises(ConfigError, match='config.data.sizes: no such key.*"size"'):
    open_sources(options | dict(sizes=3), 'train')
  with pytest.raises(ConfigError, match='no split "vall"; there are train, val.*"val"'):
    open_sources(options, 'vall')


def test_masks_of_polygons_and_of_both_kinds_of_runs(tmp_path):
  """Three squares in an image of 4 x 6 pixels, whose runs are counted by hand, down the columns."""
  picture(tmp_path / 'train' / '0.png', size=(4, 6))
  runs = [5, 2, 2, 2, 13]                       # rows 1 and 2 of columns 1 and 2
  square = dict(bbox=[1, 1, 2, 2], image_id=11, category_id=7)
  path = coco_json(tmp_path, sizes=((4, 6),), annotations=[
      dict(square, segmentation=[[1, 1, 3, 1, 3, 3, 1, 3], [1, 1, 2, 2]]),
      dict(square, segmentation=dict(size=[4, 6], counts=runs)),
      dict(square, segmentation=dict(size=[4, 6], counts='5220;')),
      dict(square, segmentation=[[1, 1, 3, 3]]), dict(square)])
  source = coco('train', root=str(tmp_path), size=(8, 12), masks=True)
  objects = {k: v[0] for k, v in everything(source)['objects'].items()}
  assert objects['masks'].dtype == np.uint8 and objects['masks'].shape == (3, 112, 112)
  assert (objects['masks'] == 255).all()
  np.testing.assert_array_equal(objects['frames'], [[2, 2, 6, 6]] * 3)
  bitmaps = paste_bitmaps(objects['masks'], objects['frames'], (8, 12))
  expected = np.zeros((8, 12), bool)
  expected[2:6, 2:6] = True
  np.testing.assert_array_equal(bitmaps, [expected] * 3)
  assert coco('train', root=str(tmp_path), size=8).most == 5   # where nobody asks for masks
  with pytest.raises(ConfigError, match=f'{path}: annotation 103 has no mask.*three points'):
    coco('train', root=str(tmp_path), masks=True, on_broken='stop')


def test_keypoints_are_the_centres_of_pixels(tmp_path):
  picture(tmp_path / 'train' / '0.png')
  coco_json(tmp_path, [one(keypoints=[9, 9, 2, 0, 0, 0]), one(), one(keypoints=[1, 2, 1, 3, 4, 2])],
            sizes=((40, 60),))
  source = coco('train', root=str(tmp_path), size=(80, 120), keypoints=True)
  assert source.info.joints == ('nose', 'tail') and source.info.limbs == ((0, 1),)
  np.testing.assert_array_equal(everything(source)['objects']['keypoints'][0], [
      [[19, 19, 2], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]], [[3, 5, 1], [7, 9, 2]]])
  assert 'keypoints' not in everything(coco('train', root=str(tmp_path)))['objects']
  coco_json(tmp_path, [one(keypoints=[9, 9, 2, 0, 0, 0]), one(keypoints=[1, 2, 1])], ((40, 60),))
  with pytest.raises(ConfigError, match='annotation 101: keypoints has 3 numbers; expected 6'):
    coco('train', root=str(tmp_path), keypoints=True, on_broken='stop')
  coco_json(tmp_path, [one()], ((40, 60),))
  with pytest.raises(ConfigError, match='has no keypoints'):
    coco('train', root=str(tmp_path), keypoints=True)


@pytest.mark.parametrize('wrong, words', [
    (one((6, 8, 0, 20)), r'annotation 101: bbox spans .* = \[6.0, 8.0, 6.0, 28.0\] .* 60x40'),
    (one((36, 8, -30, 20)), 'annotation 101: bbox spans .*; expected x1 < x2 and y1 < y2'),
    (one((float('nan'), 8, 30, 20)), 'annotation 101: bbox is .*nan'),
    (one((70, 8, 30, 20)), 'annotation 101: bbox .*; expected a box inside the image'),
    (one((1, 2, 3)), r'annotation 101: bbox is \[1, 2, 3\]; expected \[x, y, width, height\]'),
    (one(category=5), 'annotation 101: category_id is 5; expected .* 3 to 7'),
    (one(image=99), 'annotation 101: image_id is 99; expected the id of an image'),
    (one(segmentation=dict(size=[9, 9], counts=[81])),
     r'annotation 101: segmentation.size is \[9, 9\]; expected \[40, 60\]'),
    (one(segmentation=dict(size=[40, 60], counts=[81])), 'counts add up to 81; expected 40 x 60'),
    (one(segmentation=dict(size=[40, 60], counts='o')), 'annotation 101: .* damaged'),
    (one(segmentation=[[1, 2, 3]]), 'annotation 101: .* odd number of coordinates'),
])
def test_coco_objects_that_are_wrong_are_named_or_left_out(tmp_path, warned, wrong, words):
  picture(tmp_path / 'train' / '0.png')
  masks = 'segmentation' in wrong
  polygon = dict(segmentation=[[6, 8, 36, 8, 36, 28, 6, 28]])
  path = coco_json(tmp_path, [one(**polygon), polygon | wrong, one(**polygon)], ((40, 60),))
  with pytest.raises(ConfigError, match=f'{path}.*{words}.*on_broken="skip"'):
    coco('train', root=str(tmp_path), masks=masks, on_broken='stop')
  assert not warned
  source = coco('train', root=str(tmp_path), masks=masks)
  assert everything(source)['objects']['valid'].sum() == source.most == 2
  assert len(warned) == 1 and '1 objects' in warned[0] and 'annotation 101' in warned[0]
  coco_json(tmp_path, [polygon | wrong], ((40, 60),))
  with pytest.raises(ConfigError, match='all 1 objects are left out; the first: .*annotation 100'):
    coco('train', root=str(tmp_path), masks=masks)


def test_boxes_that_stick_out_are_clipped_and_counted(tmp_path, warned):
  picture(tmp_path / 'train' / '0.png')
  coco_json(tmp_path, [one((-4, 8, 10, 40)), one((50.2, 8, 10, 20))], ((40, 60),))
  boxes = everything(coco('train', root=str(tmp_path), size=(40, 60)))['objects']['boxes'][0]
  np.testing.assert_allclose(boxes, [[0, 8, 6, 40], [50.2, 8, 60, 28]])
  assert len(warned) == 1 and '1 boxes (clipped)' in warned[0]   # .2 pixels are rounding
  with pytest.raises(ConfigError, match=r'annotation 100: bbox spans .* \[-4.0, 8.0, 6.0, 48.0\]'):
    coco('train', root=str(tmp_path), on_broken='stop')


def test_images_without_objects_are_fine(tmp_path, warned):
  picture(tmp_path / 'train' / '0.png')
  coco_json(tmp_path, [], ((40, 60),))
  for masks in (False, True):
    objects = everything(coco('train', root=str(tmp_path), masks=masks))['objects']
    assert objects['boxes'].shape == (1, 1, 4) and not objects['valid'].any()
  assert not warned


def test_most_keeps_the_largest_and_pads_the_rest(two, warned):
  one_each = everything(coco('train', root=str(two), size=(40, 60), most=1))['objects']
  np.testing.assert_array_equal(one_each['boxes'][0], [[6, 8, 36, 28]])
  assert 'most=1 leaves out 1 of 3 objects' in warned[0] and one_each['valid'].all()
  padded = everything(coco('train', root=str(two), most=5))['objects']
  assert padded['boxes'].shape == (2, 5, 4) and padded['valid'].sum() == 3 and len(warned) == 1
  with pytest.raises(ConfigError, match='coco: most must be 0 or more'):
    coco('train', root=str(two), most=-1)


def test_images_that_are_wrong(two, warned):
  picture(two / 'train' / '1.png', size=(30, 60))
  with pytest.raises(ConfigError, match='train/1.png .* 60x30 pixels .*turns it.*expected 30x60'):
    coco('train', root=str(two), on_broken='stop')
  (two / 'train' / '0.png').unlink()
  with pytest.raises(ConfigError, match='train/0.png cannot be used: there is no such file'):
    coco('train', root=str(two), on_broken='stop')
  with pytest.raises(ConfigError, match='all 2 images are left out; the first: .*0.png'):
    coco('train', root=str(two))
  picture(two / 'train' / '1.png', [(3, 5, 23, 45)], (60, 30))
  batch = everything(coco('train', root=str(two)))
  assert batch['image_id'].tolist() == [12] and batch['objects']['valid'].sum() == 1
  assert len(warned) == 1 and '1 images that are missing' in warned[0]
  # Found out only when it is read:
  late = everything(coco('train', root=str(two), check=False))
  assert late['valid'].tolist() == [False, True] and 'train/0.png is left out' in warned[1]
  assert not any(v[0].any() for v in (late | late['objects']).values() if hasattr(v, 'any'))
  with pytest.raises(ConfigError, match='train/0.png cannot be used'):
    everything(coco('train', root=str(two), check=False, on_broken='stop'))


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_annotations_are_of_upright_images(tmp_path, orientation):
  pixels = np.full((40, 60, 3), DARK, np.uint8)
  pixels[8:28, 6:36] = BRIGHT
  exif = Image.Exif()
  exif[0x0112] = orientation
  (tmp_path / 'train').mkdir()
  stored = np.rot90(pixels, {3: 2, 6: 1, 8: 3}[orientation])
  Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / 'train' / '0.png', exif=exif)
  coco_json(tmp_path, [one()], ((40, 60),))
  batch = everything(coco('train', root=str(tmp_path), size=(20, 40), on_broken='stop'))
  check_boxes_hold_what_is_bright(batch)
  assert batch['original'].tolist() == [[40, 60]]


def test_a_json_that_is_not_there_is_named_with_those_that_are(tmp_path):
  with pytest.raises(ConfigError, match=r'there is no file .*/annotations/instances_val.json, and '
                                        r'none like annotations/instances_\{split\}.json; the opt'):
    coco('val', root=str(tmp_path))
  (tmp_path / 'labels').mkdir()
  (tmp_path / 'labels' / 'val.json').write_text('{}')
  with pytest.raises(ConfigError, match='; there are labels/val.json; the option annotations'):
    coco('val', root=str(tmp_path))


def test_files_that_are_not_cocos(tmp_path):
  def fails(match, content=None, **options):
    if content is not None:
      (tmp_path / 'a.json').write_text(content)
    with pytest.raises(ConfigError, match=match):
      coco('train', **dict(root=str(tmp_path), annotations='a.json') | options)
  fails('root must name', root='')
  fails('no file .*a.json')
  fails('a.json is no JSON: .* line 1', '{')
  fails('a.json has no list "annotations"', '{"images": []}')
  fails('a.json has no list "images"', '[]')
  whole = dict(images=[dict(id=1, file_name='a', width=3, height=3)], annotations=[],
               categories=[dict(id=1, name='a')])
  fails('the list "categories" is empty', json.dumps(whole | dict(categories=[])))
  fails('size must be', json.dumps(whole), size=0)
  fails('on_broken.*"skip"', on_broken='skp')
