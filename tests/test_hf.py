"""Datasets of the Hugging Face hub, without a network; golden/hf was written by `datasets`."""

import io
import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import logging
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.balance import class_counts
from visionlab.data.pipeline import open_sources
from visionlab.data.sources.hf import hf
from visionlab.data.sources.hf_shards import shards

pa = pytest.importorskip('pyarrow', reason='Hugging Face datasets need the extra "parquet"')
pq = pytest.importorskip('pyarrow.parquet')

GOLDEN = Path(__file__).parent / 'golden' / 'hf'


def opened(root, split='train', **options):
  return hf(split, root=str(root), size=4, **options)


def seen(source):
  """(shade, class) of each example."""
  batch = source[np.arange(len(source))]
  return [(int(image[0, 0, 0]), source.info.classes[label])
          for image, label in zip(batch['image'], batch['label'], strict=True)]


def png(shade):
  file = io.BytesIO()
  Image.new('RGB', (6, 4), (shade,) * 3).save(file, 'PNG')
  return file.getvalue()


TRAIN = [(10, 'cat'), (20, 'dog'), (30, 'dog')]


# --- as `datasets` writes them ---


@pytest.mark.parametrize('name', ['splits', 'one', 'hub'])
def test_what_datasets_wrote(name):
  train = opened(GOLDEN / name)
  assert seen(train) == TRAIN and class_counts(train) == (1, 2)
  again = pickle.loads(pickle.dumps(train))                      # as a worker process gets it
  assert again[np.array([2, 0])]['image'][:, 0, 0, 0].tolist() == [30, 10]
  if name == 'one':
    with pytest.raises(ConfigError, match='no split "test"; there are train'):
      opened(GOLDEN / name, 'test')
  else:
    assert seen(opened(GOLDEN / name, 'test')) == [(40, 'dog'), (50, 'cat')]


@pytest.mark.parametrize('name', ['splits', 'hub'])
def test_numbers_are_predicted(name):
  batch = opened(GOLDEN / name, target_columns=('age',))[np.arange(3)]
  assert batch['target'].tolist() == [[2.5], [5], [7.5]] and 'label' not in batch


def test_a_config_names_it_and_slices_it():
  data = dict(name='hf', root=str(GOLDEN / 'hub'), size=4)
  assert sorted(seen(open_sources(data, 'train[:1]')) + seen(open_sources(data, 'train[1:]'))) == (
      TRAIN)
  assert len(open_sources(data, 'train+test')) == 5


# --- other columns ---


def saved(folder, rows, name='train-00000-of-00001.parquet', said=None):
  """A parquet file of rows, with what `datasets` would say of its columns."""
  folder.mkdir(parents=True, exist_ok=True)
  table = pa.Table.from_pylist(rows)
  if said:
    table = table.replace_schema_metadata({'huggingface': json.dumps(dict(info=dict(
        features=said)))})
  pq.write_table(table, folder / name)


ROWS = [dict(img=dict(bytes=png(10), path=None), fine='b', coarse=0),
        dict(img=dict(bytes=png(20), path=None), fine='a', coarse=1)]
SAID = dict(img=dict(_type='Image'), coarse=dict(_type='ClassLabel', names=['x', 'y']))


def test_names_as_labels_have_the_classes_of_all_splits(tmp_path):
  saved(tmp_path, ROWS, said=SAID)
  saved(tmp_path, [dict(row, fine='c') for row in ROWS], 'test.parquet', SAID)
  source = opened(tmp_path, label_column='fine')
  assert seen(source) == [(10, 'b'), (20, 'a')] and source.info.classes == ('a', 'b', 'c')
  assert seen(opened(tmp_path)) == [(10, 'x'), (20, 'y')]         # the one that is said to be
  with pytest.raises(ConfigError, match="label_column: 'fin' is not one of .*mean \"fine\""):
    opened(tmp_path, label_column='fin')


def test_two_labels_ask_which(tmp_path):
  both = SAID | dict(fine=dict(_type='ClassLabel', names=['a', 'b']))
  rows = [row | dict(fine=1) for row in ROWS]
  saved(tmp_path, rows, said=both)
  with pytest.raises(ConfigError, match='2 columns of labels, fine, coarse; label_column names'):
    opened(tmp_path)
  assert seen(opened(tmp_path, label_column='fine')) == [(10, 'b'), (20, 'b')]


def test_without_what_datasets_says_usual_names_are_taken(tmp_path):
  saved(tmp_path, [dict(image=png(10), label=7), dict(image=png(20), label=12)])
  assert seen(opened(tmp_path)) == [(10, '7'), (20, '12')]
  saved(tmp_path, [dict(picture=png(10), label=7)])
  with pytest.raises(ConfigError, match='no column that is known to hold images; it has picture, '
                                        'label; image_column names one'):
    opened(tmp_path)
  assert seen(opened(tmp_path, image_column='picture')) == [(10, '7')]


@pytest.mark.parametrize('hidden', [-1, None])
def test_hidden_labels(tmp_path, hidden):
  saved(tmp_path, [ROWS[0], ROWS[1] | dict(coarse=hidden)], said=SAID)
  with pytest.raises(ConfigError, match=f'row 1 of train is {hidden}, as where labels are hidden'):
    opened(tmp_path)


def test_images_that_are_named_lie_beside(tmp_path):
  (tmp_path / 'a.png').write_bytes(png(70))
  saved(tmp_path, [dict(image=dict(bytes=None, path='a.png'), label='x')])
  assert seen(opened(tmp_path)) == [(70, 'x')]


def test_an_image_that_is_none(tmp_path, monkeypatch):
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *args: said.append(text % args))
  saved(tmp_path, [ROWS[0], ROWS[1] | dict(img=dict(bytes=None, path=None))], said=SAID)
  assert opened(tmp_path)[np.arange(2)]['valid'].tolist() == [True, False]
  assert 'img of train 1 is left out, it cannot be decoded: there is no image' in said[0]
  with pytest.raises(ConfigError, match='img of train 1 cannot be read as an image'):
    opened(tmp_path, on_broken='stop')[np.array([1])]


# --- folders ---


@pytest.mark.parametrize('name, split', [
    ('data/train-00000-of-00001.parquet', 'train'), ('train.parquet', 'train'),
    ('data/test-00000-of-00001-0123456789abcdef.parquet', 'test'),
    ('default/validation/0000.parquet', 'validation'), ('mnist/test_0.parquet', 'test')])
def test_which_split_a_file_is_of(tmp_path, name, split):
  (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
  (tmp_path / name).touch()
  (tmp_path / '.cache').mkdir()
  (tmp_path / '.cache/other-00000-of-00001.parquet').touch()
  assert shards(tmp_path) == {split: [tmp_path / name]}


def test_several_configurations(tmp_path):
  for name in ('small/train-00000-of-00001.parquet', 'large/train-00000-of-00001.parquet'):
    saved((tmp_path / name).parent, ROWS, said=SAID)
  with pytest.raises(ConfigError, match='several configurations: large, small; root must name'):
    opened(tmp_path)
  assert len(opened(tmp_path / 'small')) == 2


def test_folders_that_are_none(tmp_path):
  with pytest.raises(ConfigError, match='no such files; expected a dataset of save_to_disk'):
    opened(tmp_path)
  shutil.copytree(GOLDEN / 'one', tmp_path / 'one')
  (tmp_path / 'one/data-00001-of-00002.arrow').unlink()
  with pytest.raises(ConfigError, match='state.json lists data-00001-of-00002.arrow, but there is'):
    opened(tmp_path / 'one')
  saved(tmp_path / 'two', ROWS, 'train-0.parquet')
  saved(tmp_path / 'two', [dict(img=png(1))], 'train-1.parquet')
  with pytest.raises(ConfigError, match='train-1.parquet has the columns img, train-0.parquet img, '
                                        'fine, coarse'):
    opened(tmp_path / 'two')


def test_pyarrow_is_an_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'pyarrow', None)
  with pytest.raises(ConfigError, match=r"pip install 'visionlab\[parquet\]'"):
    opened(GOLDEN / 'one')


@pytest.mark.parametrize('name', ['data-00000-of-00002.arrow', 'state.json', 'dataset_info.json'])
def test_damaged_files_end_in_an_error_for_the_user(tmp_path, name, monkeypatch):
  monkeypatch.setattr(logging, 'warning', lambda *_: None)
  shutil.copytree(GOLDEN / 'one', tmp_path / 'one')
  path = tmp_path / 'one' / name
  content, rng = path.read_bytes(), np.random.default_rng(0)
  for at in rng.choice(len(content), 30, replace=False):
    damaged = bytearray(content)
    damaged[at] ^= rng.integers(1, 256)
    for text in (bytes(damaged), content[:at]):
      path.write_bytes(text)
      try:
        source = opened(tmp_path / 'one')
        assert source[np.arange(len(source))]['image'].shape[1:] == (4, 4, 3)
      except ConfigError as error:
        assert str(error)
