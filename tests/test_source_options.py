"""Options of sources that are nonsense: an error that says so, whatever they are set to."""

import inspect
import shutil
import tarfile
from pathlib import Path

import filmed
import numpy as np
import pytest
from absl import logging
from PIL import Image

from visionlab.config import ConfigError, bind
from visionlab.data.images.crop import RandomCrop
from visionlab.data.images.decode import Canvas
from visionlab.data.sources.captions import captions
from visionlab.data.sources.digits_m import digits_m
from visionlab.data.sources.folder import folder
from visionlab.data.sources.hf import hf
from visionlab.data.sources.pairs import pairs
from visionlab.data.sources.strips import strips
from visionlab.data.sources.synnumbers import synnumbers
from visionlab.data.sources.table import table
from visionlab.data.sources.videos import videos
from visionlab.data.sources.webdataset import webdataset

GOLDEN = Path(__file__).parent / 'golden/hf/hub'
NONSENSE = (0, -1, 3.7, float('nan'), float('inf'), '', 'nonsense', True, (), (1, 2), ('a', 'b'),
            (None, 1.5), None, {'a': 1}, [1], np.int64(5), np.float32(.5), '{split}', '/', 'a\0b',
            '../x', '/{split}.csv', '[a**', b'x')
SOURCES = dict(
    folder=(folder, {}), labels=(folder, dict(labels='labels.csv')),
    pairs=(pairs, dict(images='cat', masks='masks', classes=('a',))),
    captions=(captions, dict(least_count=1)), table=(table, dict(path='labels.csv')),
    webdataset=(webdataset, {}), hf=(hf, {}), videos=(videos, dict(frames=2)),
    listed_videos=(videos, dict(frames=2, lists='lists')))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  top = tmp_path_factory.mktemp('data')
  for name in ('cat/1.png', 'dog/1.png', 'masks/1.png'):
    (top / name).parent.mkdir()
    Image.new('L', (9, 7)).save(top / name)
  (top / 'labels.csv').write_text('file,label\ncat/1.png,a\n')
  (top / 'captions.csv').write_text('file,caption\ncat/1.png,a cat\n')
  (top / '1.cls').write_text('a')
  with tarfile.open(top / 'train-0.tar', 'w') as tar:
    tar.add(top / 'cat/1.png', '1.png')
    tar.add(top / '1.cls', '1.cls')
  return top


@pytest.fixture(scope='module')
def films(tmp_path_factory):
  top = tmp_path_factory.mktemp('films')
  filmed.gif(top / 'jump/1.gif', (0, 99))
  (top / 'lists').mkdir()
  for split in ('train', 'test'):
    (top / f'lists/{split}list01.txt').write_text('jump/1.gif 1\n')
  return top


def tried(target, options, **given):
  """How many settings are taken, of one option at a time."""
  names = [name for name in inspect.signature(target).parameters if name not in given]
  taken = 0
  for name in names:
    for value in NONSENSE:
      try:
        made = bind(target, {**options, name: value}, 'config.data', **given)
        made[np.array([0])] if given else made.box(made.draws(0, 0, 1)[0], 9, 7)
        taken += 1
      except ConfigError as error:
        assert str(error)
  return taken


@pytest.mark.parametrize('name', SOURCES)
def test_options_of_sources_of_files(root, films, name, monkeypatch):
  monkeypatch.setattr(logging, 'warning', lambda *_: None)
  target, options = SOURCES[name]
  if name == 'hf':
    pytest.importorskip('pyarrow', reason='it needs the extra "parquet"')
    root = shutil.copytree(GOLDEN, root / 'hf', dirs_exist_ok=True)
  place = films if target is videos else root
  assert tried(target, dict(options, root=str(place), size=4), split='train')


@pytest.mark.parametrize('source, option, wrong', [
    (strips, 'count', ((), (1, 2.5), ('a', 'b'), (None, 1), (2, 1))), (strips, 'seed', (-1,)),
    (synnumbers, 'fonts', ('nonsense', 'a\0b')), (synnumbers, 'seed', (-1,)),
    (digits_m, 'zoom', (0., float('nan'), float('inf'), 1e12)), (digits_m, 'seed', (-1,))])
def test_options_of_sources_that_are_drawn(source, option, wrong):
  for value in wrong:
    with pytest.raises(ConfigError, match=option if option != 'fonts' else 'no .ttf'):
      bind(source, {option: value}, 'config.data', split='test')


def test_options_of_crops():
  assert tried(RandomCrop, dict(size=4))


@pytest.mark.parametrize('size, shape', [
    (8, (8, 8, 3)), (np.int64(8), (8, 8, 3)), ([4, 6], (4, 6, 3)), ((4, np.int32(6)), (4, 6, 3))])
def test_sizes_that_notebooks_set(size, shape):
  canvas = Canvas(size)
  assert canvas.shape == shape and canvas(Image.new('RGB', (9, 7))).shape == shape
