"""Datasets of one's own: one class of ten lines is enough, and what is missing is said."""

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.own import adapted
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Arrays, Info


class Pairs:
  """As people write them for PyTorch."""
  classes = ['cat', 'dog']

  def __init__(self, split='train', size=8):
    self.size = size

  def __len__(self):
    return 5

  def __getitem__(self, i):
    return np.full((self.size, self.size), 10 * i, np.uint8), i % 2


class Dicts(Pairs):
  info = Info(classes=('cat', 'dog'))
  classes = ()

  def __getitem__(self, i):
    image, label = super().__getitem__(i)
    return dict(image=np.dstack([image] * 3) / 255, label=label, weight=.5)


def test_pairs_are_stacked_and_grey_images_get_a_channel():
  source = adapted(Pairs(), 'config.data')
  batch = source[np.array([3, 1, 4])]
  assert batch['image'].shape == (3, 8, 8, 1)
  assert batch['image'][:, 0, 0, 0].tolist() == [30, 10, 40]
  assert batch['label'].dtype == np.int32 and batch['label'].tolist() == [1, 1, 0]
  assert source.info.classes == ('cat', 'dog') and len(source) == 5


def test_dicts_keep_their_entries():
  batch = adapted(Dicts(), 'config.data')[np.array([0, 2])]
  assert batch['image'].dtype == np.float32 and batch['weight'].tolist() == [.5, .5]


def test_a_source_stays_as_it_is():
  source = Arrays({'image': np.zeros((3, 4, 4, 1), np.uint8), 'label': np.zeros(3, np.int32)},
                  Info(classes=('a',)))
  assert adapted(source, 'config.data') is source


def variant(**members):
  return type('Mine', (Pairs,), members)()


@pytest.mark.parametrize('dataset, said', [
    (variant(classes=()), 'does not say what its labels stand for.*(?s:.*class Mine)'),
    (variant(__len__=lambda self: 0), 'holds no example'),
    (variant(__getitem__=lambda self, i: 'cat.jpg'), 'example 0 is str; expected a dict'),
    (variant(__getitem__=lambda self, i: (np.zeros((8, 8, 3)), 'cat')),
     '"label" of example 0 is \'cat\'; expected numbers'),
    (variant(__getitem__=lambda self, i: (np.zeros((8, 8, 3), np.int64), 0)),
     'image of example 0 is int64; expected uint8'),
    (variant(__getitem__=lambda self, i: (np.zeros((1, 3, 8, 8), np.uint8), 0)),
     r'image of example 0 is \(1, 3, 8, 8\)'),
    (object(), 'has no __len__ and __getitem__')])
def test_what_is_missing_is_said(dataset, said):
  with pytest.raises(ConfigError, match=f'config.data: .*{said}'):
    adapted(dataset, 'config.data')


def test_images_of_different_sizes_name_the_example():
  source = adapted(variant(__getitem__=lambda self, i: (np.zeros((8, 8 + i, 3), np.uint8), 0)),
                   'config.data')
  with pytest.raises(ConfigError, match=r'"image" of example 2 is \(8, 10, 3\), of example 0'):
    source[np.array([0, 0, 2])]


class NoSplit(Pairs):
  def __init__(self):
    super().__init__()


def test_a_config_names_it_with_its_options_and_slices_it():
  mine = open_sources(dict(name='test_own_data:Pairs', size=4), 'train[:60%]')
  assert len(mine) == 3 and mine[np.arange(3)]['image'].shape == (3, 4, 4, 1)
  with pytest.raises(ConfigError, match='config.data.sise: no such key.*"size"'):
    open_sources(dict(name='test_own_data:Pairs', sise=4), 'train')


def test_without_a_split_there_is_no_test_set():
  assert len(open_sources(dict(name='test_own_data:NoSplit'), 'train')) == 5
  with pytest.raises(ConfigError, match='NoSplit takes no `split`, so it has no "test"'):
    open_sources(dict(name='test_own_data:NoSplit'), 'test')
