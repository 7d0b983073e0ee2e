"""Sources whose images come with proposals."""

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data import proposals
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Arrays, Info, subset

pytest.importorskip('skimage', reason='Selective Search needs scikit-image')
SCENES = dict(name='scenes', size=32, examples=12)
SEARCH = dict(name='selective_search', mode='single', most=20)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  return tmp_path / 'visionlab' / 'proposals'


def test_each_image_has_its_own(cache):
  source = open_sources(SCENES | dict(proposals=SEARCH), 'train')
  examples = source[np.array([5, 2])]
  search = proposals.proposer(SEARCH, 'here')
  for i in range(2):
    own = search(examples['image'][i])
    valid = examples['proposals']['valid'][i]
    assert valid.sum() == len(own) and not examples['proposals']['boxes'][i][~valid].any()
    np.testing.assert_array_equal(examples['proposals']['boxes'][i][valid], own)
  assert source.info.proposals == SEARCH


def test_on_the_device_as_on_the_host():
  source = open_sources(SCENES | dict(proposals=SEARCH), 'train[:6]')
  some = np.array([4, 0])
  here, there = source[some]['proposals'], source.gather(source.arrays, some)['proposals']
  for name in here:
    np.testing.assert_array_equal(here[name], there[name])


def test_they_are_computed_once(cache, monkeypatch, capfd):
  options = SCENES | dict(proposals=SEARCH)
  first = open_sources(options, 'train')[np.arange(12)]['proposals']
  assert len(list(cache.iterdir())) == 1 and '12/12 images' in capfd.readouterr().err
  monkeypatch.setattr(proposals, '_all_of', None)
  again = open_sources(options, 'train')[np.arange(12)]['proposals']
  np.testing.assert_array_equal(first['boxes'], again['boxes'])


@pytest.mark.parametrize('other', [
    dict(SCENES, seed=1, proposals=SEARCH), dict(SCENES, examples=11, proposals=SEARCH),
    dict(SCENES, proposals=dict(SEARCH, seed=1))])
def test_other_images_or_options_are_not_taken_for_these(cache, other):
  open_sources(SCENES | dict(proposals=SEARCH), 'train')
  open_sources(other, 'train')
  assert len(list(cache.iterdir())) == 2


def test_only_the_picture_on_its_canvas_is_searched():
  image = np.zeros((2, 40, 40, 3), np.uint8)
  image[:, 5:15, 5:15] = 200
  source = Arrays(dict(image=image, extent=np.array([[40, 40], [20, 30]], np.float32)), Info())
  boxes = proposals.with_proposals(source, SEARCH, 'here')[np.arange(2)]['proposals']['boxes']
  assert [0, 0, 40, 40] in boxes[0].tolist() and boxes[1].max() == 30


def test_many_images_are_shared_by_processes(monkeypatch):
  monkeypatch.setattr(proposals, 'CHUNK', 4)
  source = open_sources(SCENES, 'train')
  together = proposals.with_proposals(source, SEARCH, 'here')[np.arange(12)]['proposals']
  some = proposals.with_proposals(subset(source, np.array([9, 3])), SEARCH, 'here')
  few = some[np.arange(2)]['proposals']
  for i, at in enumerate((9, 3)):
    np.testing.assert_array_equal(few['boxes'][i][few['valid'][i]],
                                  together['boxes'][at][together['valid'][at]])


@pytest.mark.parametrize('options, message', [
    (dict(name='selective_serch'), 'config.data.proposals.name.*did you mean "selective_search"'),
    (dict(SEARCH, moda='fast'), 'config.data.proposals.moda.*did you mean "mode"'),
    (dict(SEARCH, mode='quick'), 'mode'), (dict(mode='fast'), 'config.data.proposals.name')])
def test_wrong_options(options, message):
  with pytest.raises(ConfigError, match=message):
    open_sources(SCENES | dict(proposals=options), 'train')
