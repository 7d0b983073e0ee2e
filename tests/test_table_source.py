"""Tables of images: .csv, .tsv, lines of JSON, parquet."""

import io
import json
import os
import pickle
import sys

import numpy as np
import pytest
from absl import logging
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.balance import class_counts
from visionlab.data.pipeline import open_sources
from visionlab.data.sources.table import table

pa = pytest.importorskip('pyarrow', reason='parquet needs the extra "parquet"')
pq = pytest.importorskip('pyarrow.parquet')

ROWS = [dict(image='a.png', label='dog', split='train', age=3.5),
        dict(image='in/b.png', label='cat', split='train', age=1),
        dict(image='c.png', label='dog', split='val', age=-2),
        dict(image='d.png', label='emu', split='val', age=0)]
SHADES = {'a.png': 10, 'in/b.png': 20, 'c.png': 30, 'd.png': 40}
KINDS = ('csv', 'tsv', 'jsonl', 'json', 'parquet')


@pytest.fixture
def root(tmp_path):
  for name, shade in SHADES.items():
    (tmp_path / name).parent.mkdir(exist_ok=True)
    Image.new('RGB', (6, 4), (shade,) * 3).save(tmp_path / name)
  return tmp_path


def png(shade):
  file = io.BytesIO()
  Image.new('RGB', (6, 4), (shade,) * 3).save(file, 'PNG')
  return file.getvalue()


def written(root, kind, rows, name='table', **options):
  """The name of a table of rows, which is written."""
  path = root / f'{name}.{kind}'
  if kind == 'parquet':
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
  elif kind == 'json':
    path.write_text(json.dumps(rows))
  elif kind == 'jsonl':
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  else:
    mark = dict(csv=',', tsv='\t')[kind]
    lines = [rows[0].keys(), *(map(str, row.values()) for row in rows)]
    path.write_text('\n'.join(mark.join(line) for line in lines))
  return path.name


def seen(source):
  """(shade, class) of each example."""
  batch = source[np.arange(len(source))]
  return [(int(image[0, 0, 0]), source.info.classes[label])
          for image, label in zip(batch['image'], batch['label'], strict=True)]


def opened(root, path, split='train', **options):
  return table(split, root=str(root), path=path, size=4, **options)


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_says_the_same(root, kind):
  path = written(root, kind, ROWS)
  train, val = (opened(root, path, split) for split in ('train', 'val'))
  assert seen(train) == [(10, 'dog'), (20, 'cat')] and seen(val) == [(30, 'dog'), (40, 'emu')]
  assert train.info.classes == val.info.classes == ('cat', 'dog', 'emu')
  assert class_counts(train) == (1, 1, 0)
  with pytest.raises(ConfigError, match='no split "vla"; there are train, val.*mean "val"'):
    opened(root, path, 'vla')


@pytest.mark.parametrize('kind', KINDS)
def test_other_names_of_columns(root, kind):
  rows = [dict(photo=row['image'], path=5, kind=row['label'], fold=row['split']) for row in ROWS]
  path = written(root, kind, rows)
  source = opened(root, path, 'val', image_column='photo', label_column='kind', split_column='fold')
  assert seen(source) == [(30, 'dog'), (40, 'emu')]
  with pytest.raises(ConfigError, match='no column "label".*the option label_column names it'):
    opened(root, path, image_column='photo', split_column='fold')
  with pytest.raises(ConfigError, match='no column "split".*the option split_column names'):
    opened(root, path, image_column='photo', label_column='kind', split_column='part')


@pytest.mark.parametrize('kind', KINDS)
def test_columns_of_numbers_are_predicted(root, kind):
  path = written(root, kind, [row | dict(weight=i) for i, row in enumerate(ROWS)])
  source = opened(root, path, 'val', target_columns=('age', 'weight'))
  batch = source[np.arange(2)]
  assert batch['target'].tolist() == [[-2, 2], [0, 3]] and batch['target'].dtype == np.float32
  assert 'label' not in batch and source.info.classes == ()
  with pytest.raises(ConfigError, match='(line|row|number) [012]: label is .*expected a number'):
    opened(root, path, 'val', target_columns=('label',))


@pytest.mark.parametrize('kind', KINDS)
def test_labels_that_are_numbers(root, kind):
  path = written(root, kind, [dict(file=name, label=label) for name, label in zip(
      SHADES, (10, 9, 10, 2), strict=True)])
  source = opened(root, path)
  assert source.info.classes == ('2', '9', '10') and source.labels.tolist() == [2, 1, 2, 0]
  named = opened(root, path, classes=tuple('abcdefghijk'))
  assert named.labels.tolist() == [10, 9, 10, 2]
  with pytest.raises(ConfigError, match="the label '10' is none of the 3 classes"):
    opened(root, path, classes=('a', 'b', 'c'))


def test_without_a_column_of_splits_fractions_are_taken(root):
  path = written(root, 'csv', [dict(file=row['image'], label=row['label']) for row in ROWS])
  def part(split):
    return open_sources(dict(name='table', root=str(root), path=path, size=4), split)
  assert sorted(seen(part('train[:50%]')) + seen(part('train[50%:]'))) == [
      (10, 'dog'), (20, 'cat'), (30, 'dog'), (40, 'emu')]
  with pytest.raises(ConfigError, match='no split "test"; there are train'):
    part('test')


def test_a_table_for_each_split(root):
  for split in ('train', 'val'):
    written(root, 'jsonl', [row for row in ROWS if row['split'] == split], split)
  source = opened(root, '{split}.jsonl', 'val')
  assert seen(source) == [(30, 'dog'), (40, 'emu')]
  assert source.info.classes == ('cat', 'dog', 'emu')
  with pytest.raises(ConfigError, match='no split "test"; there are train, val'):
    opened(root, '{split}.jsonl', 'test')


def test_names_are_relative_to_the_table_or_absolute(root, tmp_path):
  (tmp_path / 'lists').mkdir()
  rows = [dict(image=os.path.join('..', 'a.png'), label='x'),
          dict(image=str(root / 'c.png'), label='y')]
  written(tmp_path / 'lists', 'csv', rows)
  assert seen(opened(tmp_path, 'lists/table.csv')) == [(10, 'x'), (30, 'y')]
  written(tmp_path / 'lists', 'csv', [dict(image='b', label='x'), dict(image='in\\b.png', label=1)])
  source = opened(tmp_path, 'lists/table.csv', images='..', on_broken='skip')
  assert seen(source) == [(20, '1')]                 # 'b' is in no folder but in/


@pytest.fixture
def warned(monkeypatch):
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *args: said.append(text % args))
  return said


@pytest.mark.parametrize('kind', KINDS)
def test_missing_files_are_named(root, kind, warned):
  (root / 'in/b.png').unlink()
  path = written(root, kind, ROWS)
  assert seen(opened(root, path)) == [(10, 'dog')]
  assert '1 of 2 files are missing' in warned[0] and 'in/b.png (' in warned[0]
  with pytest.raises(ConfigError, match=r'no file .*in/b.png \((line 3|line 2|number 1|row 1)\); '
                                        'the option images'):
    opened(root, path, on_broken='stop')
  for name in SHADES:
    (root / name).unlink(missing_ok=True)
  with pytest.raises(ConfigError, match='there is no file .*a.png'):
    opened(root, path)


def test_broken_files_are_named(root, warned):
  (root / 'a.png').write_bytes(b'no image')
  assert seen(opened(root, written(root, 'csv', ROWS))) == [(20, 'cat')]
  assert '1 of 2 files are left out' in warned[0] and 'a.png' in warned[0]


# --- images in parquet ---


def in_parquet(root, form=lambda row: png(SHADES[row['image']]), **options):
  rows = [row | dict(image=form(row)) for row in ROWS * 3]
  return written(root, 'parquet', rows, **options)


@pytest.mark.parametrize('form', [
    lambda row: png(SHADES[row['image']]),
    lambda row: dict(bytes=png(SHADES[row['image']]), path=row['image']),
    lambda row: dict(bytes=None if row['label'] == 'dog' else png(SHADES[row['image']]),
                     path=row['image'])], ids=['bytes', 'bytes and path', 'either'])
@pytest.mark.parametrize('most', [2**30, 0])
def test_images_are_bytes_in_parquet(root, form, most, monkeypatch):
  monkeypatch.setattr('visionlab.data.sources.arrow.MOST_BYTES', most)
  monkeypatch.chdir(root)                       # what a cell without bytes names is a path
  source = opened(root, in_parquet(root, form, row_group_size=5), 'val')
  order = [5, 0, 3, 1]
  assert [seen(source)[i] for i in order] == [(40, 'emu'), (30, 'dog'), (40, 'emu'), (40, 'emu')]
  again = pickle.loads(pickle.dumps(source))               # as a worker process gets it
  np.testing.assert_array_equal(again[np.array(order)]['image'], source[np.array(order)]['image'])


def test_memory_is_of_one_process(root):
  source = opened(root, in_parquet(root))
  before = len(pickle.dumps(source))
  source[np.arange(3)]
  assert len(pickle.dumps(source)) == before


def test_bytes_that_are_no_image(root, warned):
  path = in_parquet(root, lambda row: b'x' if row['label'] == 'cat' else png(50))
  batch = opened(root, path)[np.arange(2)]
  assert batch['valid'].tolist() == [True, False] and not batch['image'][1].any()
  assert 'image of row 1 is left out, it cannot be decoded' in warned[0]
  with pytest.raises(ConfigError, match='table.parquet: image of row 1 cannot be read'):
    opened(root, path, on_broken='stop')[np.array([1])]


# --- mistakes ---


@pytest.mark.parametrize('name, text, said', [
    ('t.csv', '', 'has no column "image"'),
    ('t.csv', 'image,label\n', 'has no rows'),
    ('t.csv', 'image,label\na.png,\n', 'line 2: the label is missing'),
    ('t.csv', 'image,label\n,dog\n', r"line 2: the image is ''; expected the name"),
    ('t.csv', 'image,file_name,label\na.png,a.png,dog', 'may be the image.*option image_column'),
    ('t.jsonl', '{"image": "a.png", "label": "dog"}\n{', 'line 2 is no JSON'),
    ('t.jsonl', '["a.png", "dog"]', 'line 1: expected an object'),
    ('t.jsonl', '{"image": "a.png", "label": ["dog"]}', r"line 1: the label is \['dog'\]"),
    ('t.jsonl', '{"image": "a.png", "label": 0.5}', 'label is 0.5; .*target_columns names'),
    ('t.jsonl', '{"image": "a.png"}', 'no column "label"'),
    ('t.jsonl', '{"image": "a.png", "label": "x"}\n{"image": "a.png"}', 'line 2: the label is mis'),
    ('t.jsonl', '{"image": 7, "label": "dog"}', 'line 1: the image is 7'),
    ('t.parquet', 'PAR1 and no more PAR1', 't.parquet cannot be read as parquet'),
    ('t.csv', 'image,label\na.png,x\na.png,y', "line 3: a.png is 'y' here, and 'x' before"),
    ('t.xlsx', 'x', 'expected a table, .csv'),
    ('u.csv', '', 'there is no file .*t.csv')])
def test_tables_that_are_none(root, name, text, said):
  (root / name).write_text(text)
  with pytest.raises(ConfigError, match=said):
    opened(root, name if name[0] == 't' else 't.csv')


def test_pyarrow_is_an_extra(root, monkeypatch):
  path = written(root, 'parquet', ROWS)
  monkeypatch.setitem(sys.modules, 'pyarrow', None)
  with pytest.raises(ConfigError, match=r"table.parquet: .*pip install 'visionlab\[parquet\]'"):
    opened(root, path)
  assert len(opened(root, written(root, 'csv', ROWS))) == 2


@pytest.mark.parametrize('kind', KINDS)
def test_damaged_tables_end_in_an_error_for_the_user(root, kind, warned):
  path = root / (in_parquet(root) if kind == 'parquet' else written(root, kind, ROWS))
  content = path.read_bytes()
  rng = np.random.default_rng(0)
  for at in rng.choice(len(content), 30, replace=False):
    damaged = bytearray(content)
    damaged[at] ^= rng.integers(1, 256)
    for text in (bytes(damaged), content[:at]):
      path.write_bytes(text)
      try:
        source = opened(root, path.name)
        assert source[np.arange(len(source))]['image'].shape[1:] == (4, 4, 3)
      except ConfigError as error:
        assert str(error)
