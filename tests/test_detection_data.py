"""Images with objects from VOC, YOLO text files and Penn-Fudan; of COCO see test_coco_data.py."""

import tarfile

import numpy as np
import pytest
from annotated import xml
from pictured import check_boxes_hold_what_is_bright, everything, picture, write
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.data.sources.pennfudan import pennfudan
from visionlab.data.sources.voc import voc_objects
from visionlab.data.sources.yolo import yolo

# --- VOC ---


@pytest.fixture
def year(tmp_path):
  """Two images; a box from the first pixel on is written as 1, 1, and its last pixel is inside."""
  root = tmp_path / 'VOC2007'
  picture(root / 'JPEGImages' / 'a.jpg', [(0, 0, 30, 20), (40, 30, 60, 40)], quality=95)
  picture(root / 'JPEGImages' / 'b.png', (), (30, 30))
  xml(root / 'Annotations' / 'a.xml', [('dog', 0, (1, 1, 30, 20)), ('person', 1, (41, 31, 60, 40))])
  xml(root / 'Annotations' / 'b.xml', [], (30, 30))
  lists = root / 'ImageSets' / 'Main'
  write(lists / 'train.txt', 'a\nb\n')
  write(lists / 'dog_train.txt', 'a  1\nb -1\n')
  return root


def test_voc_by_hand(year, warned):
  source = voc_objects('train', root=str(year.parent), size=(40, 60))
  assert len(source.info.classes) == 20 and source.info.classes[14] == 'person'
  batch = everything(source)
  objects = batch['objects']
  np.testing.assert_array_equal(objects['boxes'][0], [[0, 0, 30, 20], [40, 30, 60, 40]])
  assert objects['classes'][0].tolist() == [11, 14]
  assert objects['crowd'].tolist() == [[False, True], [False, False]]
  assert objects['valid'].sum(1).tolist() == [2, 0] and 'area' not in objects
  check_boxes_hold_what_is_bright(batch)
  assert len(voc_objects('dog_train', root=str(year))) == 1
  plain = everything(voc_objects('train', root=str(year), size=(40, 60), one_based=False))
  np.testing.assert_array_equal(plain['objects']['boxes'][0, 0], [1, 1, 30, 20])
  assert not warned


def test_voc_mistakes(year, warned):
  def fails(match, split='train', **options):
    with pytest.raises(ConfigError, match=match):
      voc_objects(split, **dict(root=str(year), on_broken='stop') | options)
  fails('no split "vall"; there are dog_train, train', 'vall')
  fails(r'a.xml: object 2: name is "person"; expected one of dog, persons .did you mean "persons"',
        classes=('dog', 'persons'))
  xml(year / 'Annotations' / 'a.xml', [('dog', 0, (1, 1, 30, 20)), ('cat', 0, (5, 5, 5, 5))])
  fails('a.xml: object 2: bndbox spans .*; expected x1 < x2')
  assert everything(voc_objects('train', root=str(year)))['objects']['valid'].sum() == 1
  xml(year / 'Annotations' / 'a.xml', [('dog', 0, (1, 1, 30))])
  fails('a.xml: object 1: bndbox is .*None.*; expected the numbers xmin, ymin, xmax, ymax')
  xml(year / 'Annotations' / 'a.xml', [], (60, 40))
  fails('a.jpg cannot be used: it is 60x40 .* expected 40x60')
  (year / 'Annotations' / 'a.xml').write_text('<annotation>')
  fails('a.xml is no sound xml: no element found: line 1')
  (year / 'Annotations' / 'a.xml').unlink()
  fails('a.xml cannot be read: No such file')
  warned.clear()
  assert len(voc_objects('train', root=str(year))) == 1
  assert '1 images without annotations' in warned[0]
  xml(year / 'Annotations' / 'a.xml', [], (0, 0))             # some tools write no size
  assert len(voc_objects('train', root=str(year), on_broken='stop', check=False)) == 2
  (year / 'JPEGImages' / 'b.png').unlink()
  fails('b.jpg cannot be used: there is no such file')
  assert everything(voc_objects('train', root=str(year)))['original'].tolist() == [[40, 60]]


# --- YOLO ---


@pytest.fixture
def texts(tmp_path):
  for name, boxes in (('a', [(6, 8, 36, 28)]), ('b', [(15, 10, 45, 30)]), ('c', [])):
    picture(tmp_path / 'images' / 'train' / f'{name}.png', boxes)
  labels = tmp_path / 'labels' / 'train'
  write(labels / 'a.txt', '1 .35 .45 .5 .5\n')
  write(labels / 'b.txt', '\n0 .25 .25 .75 .25 .75 .75 .25 .75\n')
  return tmp_path


def test_yolo_by_hand(texts, warned):
  source = yolo('train', root=str(texts), classes=('cat', 'dog'), size=(40, 60))
  batch = everything(source)
  np.testing.assert_allclose(batch['objects']['boxes'][:2, 0], [[6, 8, 36, 28], [15, 10, 45, 30]])
  assert batch['objects']['classes'][:, 0].tolist() == [1, 0, 0]
  assert batch['objects']['valid'][:, 0].tolist() == [True, True, False]
  check_boxes_hold_what_is_bright(batch)
  assert not warned
  masked = yolo('train', root=str(texts), classes=('cat', 'dog'), size=30, masks=True,
                unlabelled=False)
  objects = everything(masked)['objects']
  assert objects['valid'].tolist() == [[False], [True]] and '1 objects without a mask' in warned[0]
  assert (objects['masks'][1] == 255).all()
  np.testing.assert_allclose(objects['frames'][1, 0], [7.5, 5, 22.5, 15])


def test_yolo_names(texts):
  def classes(text, file='names.txt'):
    (texts / file).write_text(text)
    return yolo('train', root=str(texts), classes=file).info.classes
  assert classes('cat\n dog \n') == ('cat', 'dog')
  assert classes('train: x\nnames: [cat, dog]', 'data.yaml') == ('cat', 'dog')
  assert classes('names:\n  1: dog\n  0: cat\n  7: bird', 'data.yaml') == ('cat', 'dog', 'bird')
  # Numbers with gaps are closed up, in the text files as well.
  (texts / 'labels' / 'train' / 'a.txt').write_text('7 .35 .45 .5 .5')
  kinds = everything(yolo('train', root=str(texts), classes='data.yaml'))['objects']['classes']
  assert kinds[:2, 0].tolist() == [2, 0]
  for nameless, words in (((), 'classes must name'), ('no.txt', 'no.txt cannot be read')):
    with pytest.raises(ConfigError, match=words):
      yolo('train', root=str(texts), classes=nameless)
  for nameless in ('nc: 3', 'names', '[1, 2]', '{', 'a: *b'):
    with pytest.raises(ConfigError, match='data.yaml is no yaml with "names"'):
      classes(nameless, 'data.yaml')


@pytest.mark.parametrize('line, words', [
    ('2 .5 .5 .1 .1', 'a.txt: line 2: class is 2; expected 0 to 1 for 2 classes'),
    ('0.5 .5 .5 .1 .1', 'a.txt: line 2: class is 0.5'),
    ('0 .5 .5 .1', 'a.txt: line 2 is "0 .5 .5 .1"; expected "class cx cy w h"'),
    ('cat .5 .5 .1 .1', 'a.txt: line 2 is "cat'),
    ('0 .5 .5 .1 0', 'a.txt: line 2: the box spans .*; expected x1 < x2 and y1 < y2'),
    ('0 .5 .5 -.1 .1', 'a.txt: line 2: the box spans .*; expected x1 < x2 and y1 < y2'),
    ('0 2 .5 .1 .1', 'a.txt: line 2: the box spans .*; expected a box inside the image'),
    ('0 nan .5 .1 .1', 'a.txt: line 2 is "0 nan'),
])
def test_yolo_lines_that_are_wrong(texts, warned, line, words):
  (texts / 'labels' / 'train' / 'a.txt').write_text(f'1 .35 .45 .5 .5\n{line}')
  with pytest.raises(ConfigError, match=words):
    yolo('train', root=str(texts), classes=('cat', 'dog'), on_broken='stop')
  source = yolo('train', root=str(texts), classes=('cat', 'dog'))
  assert everything(source)['objects']['valid'].sum(1).tolist() == [1, 1, 0]
  assert len(warned) == 1 and '1 objects' in warned[0]


def test_yolo_files_that_are_wrong(texts, warned):
  (texts / 'images' / 'train' / 'a.png').unlink()
  with pytest.raises(ConfigError, match=r'labels/train/a.txt has no image; expected .*train/a.\*'):
    yolo('train', root=str(texts), classes=('cat', 'dog'), on_broken='stop')
  assert len(yolo('train', root=str(texts), classes=('cat', 'dog'))) == 2
  (texts / 'images' / 'train' / 'a.png').write_text('no image')
  assert len(yolo('train', root=str(texts), classes=('cat', 'dog'))) == 2
  assert 'images that are missing' in warned[0] and '1 images that cannot be used' in warned[1]
  with pytest.raises(ConfigError, match='has no split "val"; there are train$'):
    yolo('val', root=str(texts), classes=('cat',))


# --- Penn-Fudan ---


@pytest.fixture
def people(tmp_path):
  for name, boxes in (('a', [(6, 8, 36, 28), (40, 2, 52, 12)]), ('b', [(15, 10, 45, 30)])):
    picture(tmp_path / 'PNGImages' / f'{name}.png', boxes)
    mask = np.zeros((40, 60), np.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes, 1):
      mask[y1:y2, x1:x2] = i
    (tmp_path / 'PedMasks').mkdir(exist_ok=True)
    Image.fromarray(mask).save(tmp_path / 'PedMasks' / f'{name}_mask.png')
  return tmp_path


def test_pennfudan_by_hand(people, warned):
  batch = everything(pennfudan('all', root=str(people), size=(40, 60)))
  objects = batch['objects']
  np.testing.assert_array_equal(objects['boxes'][0], [[6, 8, 36, 28], [40, 2, 52, 12]])
  np.testing.assert_array_equal(objects['frames'], objects['boxes'])
  assert objects['valid'].tolist() == [[True, True], [True, False]]
  assert (objects['masks'][objects['valid']] == 255).all() and not objects['masks'][1, 1].any()
  check_boxes_hold_what_is_bright(batch)
  assert 'masks' not in everything(pennfudan('all', root=str(people), masks=False))['objects']
  halves = [open_sources(dict(name='pennfudan', root=str(people)), split)
            for split in ('all[:50%]', 'all[50%:]')]
  assert [len(half) for half in halves] == [1, 1] and not warned


def test_pennfudan_among_strays(people, warned):
  """Suffixes in capitals, and what a Mac leaves behind."""
  expected = everything(pennfudan('all', root=str(people)))
  for folder, name in (('PedMasks', 'a_mask'), ('PNGImages', 'a')):
    (people / folder / f'{name}.png').rename(people / folder / f'{name}.PNG')
    (people / folder / f'._{name}.png').write_bytes(bytes(64))
  found = everything(pennfudan('all', root=str(people)))
  np.testing.assert_array_equal(found['image'], expected['image'])
  np.testing.assert_array_equal(found['objects']['boxes'], expected['objects']['boxes'])
  assert found['valid'].all() and not warned


def test_pennfudan_mistakes(people, warned):
  def fails(match, split='all', **options):
    with pytest.raises(ConfigError, match=match):
      pennfudan(split, **dict(root=str(people), on_broken='stop') | options)
  fails('no split "train"; there are all', 'train')
  fails('classes must be one name', classes=('a', 'b'))
  Image.new('L', (50, 40)).save(people / 'PedMasks' / 'b_mask.png')
  fails('b.png cannot be used: it is 60x40 pixels; expected 50x40')
  Image.new('RGB', (60, 40)).save(people / 'PedMasks' / 'b_mask.png')
  fails(r'b_mask.png cannot be read as a mask: it holds colours \(RGB\)')
  (people / 'PedMasks' / 'b_mask.png').write_text('nothing')
  fails('b_mask.png cannot be read as a mask')
  assert len(pennfudan('all', root=str(people))) == 1
  (people / 'PedMasks' / 'b_mask.png').unlink()
  (people / 'PNGImages' / 'a.png').unlink()
  fails('PNGImages/a.png cannot be used: there is no such file')
  fails('expected images in PNGImages or JPEGImages', root=str(people / 'PNGImages'))


# --- real files ---


def unpacked(shared_data, name, tmp_path):
  with tarfile.open(shared_data / f'{name}.tar.gz') as archive:
    archive.extractall(tmp_path, filter='data')
  return tmp_path


def test_bccd(shared_data, tmp_path, warned):
  root = unpacked(shared_data, 'bccd', tmp_path)
  options = dict(root=str(root / 'bccd'), classes=('RBC', 'WBC', 'Platelets'), size=64)
  splits = [voc_objects(split, **options) for split in ('train', 'val', 'test')]
  assert [len(source) for source in splits] == [205, 87, 72]
  # Of 4888 boxes, two are single points.
  assert sum(len(source.annotations.owner) for source in splits) == 4886
  assert sum('1 objects whose box has no area' in message for message in warned) == len(warned) == 2
  everywhere = np.concatenate([source.annotations.boxes for source in splits])
  # Counted from 1, the first pixel is 0 here and the last one ends at the image's edge.
  assert everywhere.min() == 0 and everywhere[:, 2].max() == 640 and everywhere[:, 3].max() == 480


def test_pennfudans_people(shared_data, tmp_path, warned):
  root = unpacked(shared_data, 'pennfudan', tmp_path)
  source = pennfudan('all', root=str(root / 'PennFudanPed'), size=256)
  assert len(source) == 170 and len(source.annotations.owner) == 423 and not warned
  objects = {k: v[:1] for k, v in source[np.array([0])]['objects'].items()}
  # Boxes as the authors wrote them down, counted from 1, of an image of 559 x 536 pixels.
  scale = source.extents[0][::-1] / (559, 536)
  expected = np.array([[159, 181, 302, 431], [419, 170, 535, 486]]) * np.tile(scale, 2)
  np.testing.assert_allclose(objects['boxes'][0, :2], expected, rtol=1e-6)
  assert .3 < objects['masks'][0, :2].mean() / 255 < .7
