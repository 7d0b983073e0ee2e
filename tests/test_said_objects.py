"""Boxes in tables, Hugging Face datasets and tar shards: alike in all, and hard cases of each."""

import io
import json
import pickle
import re

import numpy as np
import pytest
from absl import logging
from PIL import Image
from test_webdataset import shard

from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.data.sources.hf import hf
from visionlab.data.sources.said_objects import objects_in
from visionlab.data.sources.table import table
from visionlab.data.sources.webdataset import webdataset

pa = pytest.importorskip('pyarrow', reason='parquet needs the extra "parquet"')
pq = pytest.importorskip('pyarrow.parquet')

# Pictures of 40 x 20 pixels: corners and classes.
OBJECTS = {'a.png': [((4, 2, 24, 12), 'dog'), ((0, 0, 8, 8), 'cat')], 'b.png': [],
           'c.png': [((30, 10, 40, 20), 'dog')]}
WRONG = [  # of c.png: a box, a class, what is said of it
    ((30, 10, 20, 5), 'dog', 'objects whose box has no area'),             # corners the wrong way
    ((50, 2, 60, 12), 'dog', 'objects whose box is outside the image'),
    ((20, 2, 60, 12), 'dog', r'boxes \(clipped\) that stick out of the image'),
    ((1, 2, 3, 4), 'dgo', 'objects of no class'),
    ((1, 2, 3, 4), '', 'objects of no class'),
    ((1, 2, 'wide', 4), 'dog', 'objects without a box'),
    ((1, 2, float('inf'), 4), 'dog', 'objects without a box')]


def png(name):
  file = io.BytesIO()
  Image.new('RGB', (40, 20), (10 * (1 + 'abc'.index(name[0])),) * 3).save(file, 'PNG')
  return file.getvalue()


def xywh(box):
  a, b, c, d = box
  return [a, b, c - a if not isinstance(c, str) else c, d - b]


def in_table(root, objects):
  """As Roboflow writes them for TensorFlow."""
  lines = ['filename,width,height,class,xmin,ymin,xmax,ymax']
  for name, own in objects.items():
    (root / name).write_bytes(png(name))
    lines += [','.join(map(str, (name, 40, 20, kind, *box))) for box, kind in own]
    lines += [] if own else [f'{name},40,20,,,,,']
  (root / 'boxes.csv').write_text('\n'.join(lines))
  return dict(name='table', path='boxes.csv', boxes=True)


def in_table_without_names(root, objects):
  """As Keras-RetinaNet reads them."""
  in_table(root, objects)
  lines = [line.split(',') for line in (root / 'boxes.csv').read_text().split('\n')[1:]]
  (root / 'boxes.csv').write_text('\n'.join(
      ','.join((name, *box, kind)) for name, _, _, kind, *box in lines))
  return dict(name='table', path='boxes.csv', boxes=True)


def in_via(root, objects):
  """As the VGG Image Annotator writes them, in three of its shapes."""
  lines = ['filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,'
           'region_attributes']
  in_table(root, objects)
  for name, own in objects.items():
    fields = [({}, {})] if not own else [
        (via_shape(box, i), dict(kind={kind: True} if i == 1 else kind))
        for i, (box, kind) in enumerate(own)]
    for i, pair in enumerate(fields):
      shape, said = ('"' + json.dumps(one).replace('"', '""') + '"' for one in pair)
      lines.append(f'{name},1,"{{}}",{len(own)},{i},{shape},{said}')
  (root / 'boxes.csv').write_text('\n'.join(lines))
  return dict(name='table', path='boxes.csv', boxes=True)


def via_shape(box, i):
  x, y, w, h = xywh(box)
  if i == 1 and not isinstance(w, str) and w == h and w < 9:
    return dict(name='circle', cx=x + w / 2, cy=y + w / 2, r=w / 2)
  if (x, y) == (30, 10) and w > 0:
    return dict(name='polygon', all_points_x=[x, x + w, x], all_points_y=[y, y, y + h])
  return dict(name='rect', x=x, y=y, width=w, height=h)


def in_columns(root, objects):
  """As `datasets` has them: lists side by side, of one type in all of a column."""
  every = [v for own in objects.values() for box, _ in own for v in box]
  kind = str if any(isinstance(v, str) for v in every) else float
  rows = [dict(image=dict(bytes=png(name), path=None), objects=dict(
      bbox=[[kind(v) for v in xywh(box)] for box, _ in own], category=[name for _, name in own]))
          for name, own in objects.items()]
  pq.write_table(pa.Table.from_pylist(rows), root / 'train-00000-of-00001.parquet',
                 compression='none', use_dictionary=False)
  return dict(name='hf')


def in_shards(root, objects):
  """A list of objects in json."""
  shard(root / 'train-0.tar', [(name[0], dict(png=png(name), json=json.dumps(dict(objects=[
      dict(bbox=xywh(box), label=kind) for box, kind in own])).encode()))
      for name, own in objects.items()])
  return dict(name='webdataset', objects_key='objects')


KINDS = (in_table, in_table_without_names, in_via, in_columns, in_shards)


@pytest.fixture
def warned(monkeypatch):
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *args: said.append(text % args))
  return said


def opened(root, written, split='train', **options):
  return open_sources(dict(root=str(root), size=(10, 20), **written, **options), split)


@pytest.mark.parametrize('kind', KINDS)
def test_boxes_are_the_same_from_wherever(kind, tmp_path, warned):
  source = opened(tmp_path, kind(tmp_path, OBJECTS))
  source = pickle.loads(pickle.dumps(source))                    # as a worker process gets it
  batch = source[np.array([2, 0, 1])]
  assert source.info.classes == ('cat', 'dog') and not warned and batch['valid'].all()
  assert batch['image'][:, 5, 5, 0].tolist() == [30, 10, 20]     # shades, half as large as they are
  assert batch['original'].tolist() == [[20, 40]] * 3
  objects = batch['objects']
  assert objects['valid'].tolist() == [[True, False], [True, True], [False, False]]
  assert objects['boxes'][0, 0].tolist() == [15, 5, 20, 10] and objects['classes'][0, 0] == 1
  assert objects['boxes'][1].tolist() == [[2, 1, 12, 6], [0, 0, 4, 4]]
  assert objects['classes'][1].tolist() == [1, 0]
  assert len(opened(tmp_path, kind(tmp_path, OBJECTS), 'train[:2]')) == 2


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('box, name, said', WRONG)
def test_what_is_wrong_is_left_out_or_stops(kind, box, name, said, tmp_path, warned):
  objects = {**OBJECTS, 'c.png': [*OBJECTS['c.png'], (box, name)]}
  if kind is in_table_without_names and name == '':
    return                                   # the same as with names
  written = kind(tmp_path, objects)
  source = opened(tmp_path, written, classes=('cat', 'dog'))
  left = source[np.arange(3)]['objects']['valid'].sum(1).tolist()
  assert left == [2, 0, 1 + ('clipped' in said)] and len(warned) == 1
  assert re.search(f'left out are 1 {said}; the first: .*expected', warned[0])
  with pytest.raises(ConfigError, match=r'\(on_broken="skip" leaves it out\)'):
    opened(tmp_path, written, classes=('cat', 'dog'), on_broken='stop')


@pytest.mark.parametrize('kind', KINDS)
def test_pictures_that_are_none(kind, tmp_path, warned):
  written = kind(tmp_path, OBJECTS)
  for path in tmp_path.iterdir():
    content = path.read_bytes()
    if path.name == 'c.png' or path.suffix in ('.tar', '.parquet'):
      path.write_bytes(content.replace(png('c.png'), bytes(len(png('c.png')))))
  source = opened(tmp_path, written)
  assert len(source) == 2 and 'left out are 1 images that cannot be used' in warned[0]


def test_numbers_of_classes_that_datasets_names(tmp_path):
  """In either form that it has had for lists of objects, with classes that one split lacks."""
  rows = [dict(image=png('a.png'), objects=[dict(bbox=[0., 0, 9, 9], category=2)])]
  features = dict(objects={'_type': 'List', 'feature': dict(
      bbox={'_type': 'List'}, category={'_type': 'ClassLabel', 'names': ['a', 'b', 'c']})})
  for form in (features, dict(objects=[features['objects']['feature']])):
    said = {'huggingface': json.dumps(dict(info=dict(features=form)))}
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(said),
                   tmp_path / 'train.parquet')
    source = hf('train', root=str(tmp_path))
    assert source.info.classes == ('a', 'b', 'c')
    assert source[np.arange(1)]['objects']['classes'].tolist() == [[2]]


def test_classes_are_those_of_all_splits(tmp_path):
  (tmp_path / 'a.png').write_bytes(png('a.png'))
  (tmp_path / 'boxes.csv').write_text('image,x1,y1,x2,y2,label,split\na.png,0,0,5,5,dog,train\n'
                                      'a.png,0,0,5,5,cat,val\n')
  source = table('train', root=str(tmp_path), path='boxes.csv', boxes=True)
  assert source.info.classes == ('cat', 'dog')
  assert source[np.arange(1)]['objects']['classes'].tolist() == [[1]]
  written = dict(name='table', path='boxes.csv', box_columns=('x1', 'y1', 'x2', 'y2'))
  box = opened(tmp_path, written, box_format='xywh')[np.arange(1)]['objects']['boxes']
  assert box.tolist() == [[[0, 0, 2.5, 2.5]]]


def test_json_that_is_the_objects_and_other_corners(tmp_path):
  """And two samples of one key."""
  said = json.dumps(dict(boxes=[[4, 2, 24, 12]], labels=['dog'])).encode()
  shard(tmp_path / 'train-0.tar', [('a', dict(png=png(name), json=said)) for name in 'ab'])
  source = webdataset('train', root=str(tmp_path), objects_key='.', box_format='xyxy', size=40)
  batch = source[np.arange(2)]
  assert batch['objects']['boxes'].tolist() == [[[4, 2, 24, 12]]] * 2
  assert batch['image'][:, 5, 5, 0].tolist() == [10, 20]


def test_a_text_column_that_is_called_objects(tmp_path):
  rows = [dict(image=png('a.png'), objects='a cat', label='cat')]
  pq.write_table(pa.Table.from_pylist(rows), tmp_path / 'train.parquet')
  assert hf('train', root=str(tmp_path))[np.arange(1)]['label'].tolist() == [0]


@pytest.mark.parametrize('shape, said, left', [
    ('{"name":"point","cx":3,"cy":4}', '{"kind":"cat"}', 'objects without a box'),
    ('{"name":"rect","x":3}', '{"kind":"cat"}', 'objects without a box'),
    ('{"name":"rect"', '{"kind":"cat"}', 'objects without a box'),
    ('{"name":"rect","x":3,"y":4,"width":5,"height":5}', '{"kind":"cat","sex":"f"}',
     'objects of no class'),
    ('{"name":"rect","x":3,"y":4,"width":5,"height":5}', '{"kind":{"cat":true,"dog":true}}',
     'objects of no class')])
def test_regions_that_are_no_boxes_or_of_no_class(shape, said, left, tmp_path, warned):
  written = in_via(tmp_path, OBJECTS)
  shape, said = (one.replace('"', '""') for one in (shape, said))
  with open(tmp_path / 'boxes.csv', 'a') as file:
    file.write(f'\nc.png,1,"{{}}",2,1,"{shape}","{said}"')
  opened(tmp_path, written, classes=('cat', 'dog'))
  assert f'left out are 1 {left}' in warned[0]
  opened(tmp_path, written, classes=('cat', 'dog'), label_column='kind')
  assert ('sex' in said) == (len(warned) == 1)


@pytest.mark.parametrize('value, said', [
    (dict(bbox=[[1, 2, 3, 4]], category=[]), 'expected as many boxes as classes'),
    (dict(bbox=[[1, 2, 3, 4]]), 'there is no "label" or the like among bbox'),
    ([dict(bbx=[1, 2, 3, 4], label=1)], 'no "bbox" or the like.*did you mean "bbx"'),
    ([[1, 2, 3, 4]], r'or a list of such objects')])
def test_objects_that_are_none(value, said):
  with pytest.raises(ValueError, match=said):
    list(objects_in(value, 0, 'x'))


@pytest.mark.parametrize('options, said', [
    (dict(resize='stretch'), 'table: resize is for classes'),
    (dict(channels=1), 'table: channels is for classes'),
    (dict(box_columns=('x1', 'y1')), 'table: box_columns names four columns'),
    (dict(box_columns=('x0', 'ymin', 'xmax', 'ymax')),
     'has no column "xmin".*box_columns names all four'),
    (dict(box_format='yxyx'), "table: box_format: 'yxyx' is not one of"),
    (dict(classes=('cow', 'emu')), 'all 3 objects are left out.*expected one of cow, emu')])
def test_options_that_are_wrong(options, said, tmp_path):
  written = in_table(tmp_path, OBJECTS) | options
  with pytest.raises(ConfigError, match=said):
    opened(tmp_path, written)
