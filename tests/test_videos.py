"""Films in folders of classes, and by the lists of UCF-101 and HMDB-51."""

import pickle

import numpy as np
import pytest
from filmed import film, folder, gif
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.images.crop import RandomCrop
from visionlab.data.pipeline import Loader
from visionlab.data.sources import videos as source
from visionlab.data.sources.video_lists import listed
from visionlab.data.sources.videos import Sampling, videos

DARK, BRIGHT = 20 + np.arange(8), 200 + np.arange(8)


@pytest.fixture(scope='module')
def top(tmp_path_factory):
  """Two classes of a file, an animation and a folder of frames each, none of one length."""
  top = tmp_path_factory.mktemp('films')
  for name, levels in dict(dark=DARK, bright=BRIGHT).items():
    film(top / 'train' / name / 'a.avi', levels)
    gif(top / 'train' / name / 'b.gif', levels[:6])
    folder(top / 'train' / name / 'c', levels[:5])
  film(top / 'test' / 'dark' / 'd.mp4', DARK)
  return top


def opened(top, split='train', **options):
  return videos(split, root=str(top), size=16, **{'frames': 4, 'rate': 10., **options})


def test_classes_are_folders_and_splits_too(top):
  found = opened(top)
  batch = found[np.arange(6)]
  assert found.info.classes == ('bright', 'dark') and len(found) == 6
  assert batch['video'].shape == (6, 4, 16, 16, 3) and batch['video'].dtype == np.uint8
  assert batch['label'].tolist() == [0, 0, 0, 1, 1, 1] and batch['valid'].all()
  assert (batch['video'][:3] > 150).all() and (batch['video'][3:] < 60).all()
  assert opened(top, 'test')[np.arange(1)]['label'].tolist() == [1]
  assert len(videos('train', root=str(top / 'train'), size=16)) == 6         # no folder of splits
  with pytest.raises(ConfigError, match='did you mean "test"'):
    opened(top, 'tset')


def test_examples_are_a_function_of_seed_and_index(top):
  one, again = opened(top, seed=1), opened(top, seed=1)
  order = np.array([5, 0, 3])
  np.testing.assert_array_equal(one[order]['video'], again[np.arange(6)]['video'][order])
  moments = [Sampling(4, 'segments', 10., 1, True, seed).moments(i, 8.)
             for seed in (0, 1) for i in (0, 1)]
  assert len({tuple(m) for m in moments}) == 4


@pytest.mark.parametrize('how', source.SAMPLINGS)
@pytest.mark.parametrize('random', [True, False])
def test_moments_rise_and_lie_where_they_should(how, random):
  for index in range(50):
    moments = Sampling(4, how, 10., 2, random, 0).moments(index, 8.)
    assert (np.diff(moments) > 0).all() and moments[0] >= 0 and moments[-1] < 8
    if how == 'dense':
      np.testing.assert_allclose(np.diff(moments), .1)
      assert (moments[0] < 3.8) == (index % 2 == 0)
    else:                                        # one of each eighth, the second clip's later
      assert (moments // 1).tolist() == [4 * (index % 2) + i for i in range(4)]
  short = Sampling(4, 'dense', 10., 1, random, 0).moments(0, .2)
  np.testing.assert_allclose(short, [0, .1, .2, .3])


def test_middles_by_hand():
  assert Sampling(4, 'uniform', 10., 1, True, 0).moments(3, 8.).tolist() == [1, 3, 5, 7]
  assert Sampling(2, 'dense', 1., 1, False, 0).moments(0, 8.).tolist() == [3, 4]


def test_each_film_gives_several_clips(top):
  found = opened(top, clips=3, sampling='uniform', frames=1)
  assert len(found) == 18 and found.labels.tolist() == [0] * 9 + [1] * 9
  levels = found[np.arange(3)]['video'].mean((1, 2, 3, 4))
  np.testing.assert_allclose(levels, BRIGHT[[1, 4, 6]], atol=2)


def test_all_frames_are_cut_alike(tmp_path):
  path = film(tmp_path / 'a' / 'x.avi', [100] * 4, size=(64, 64))
  assert path.exists()
  for i in range(1, 5):                          # a gradient, the same in all frames
    (tmp_path / 'a' / 'y').mkdir(exist_ok=True)
    Image.fromarray(
        np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))).save(tmp_path / f'a/y/{i}.png')
  found = videos('train', root=str(tmp_path), size=16, frames=4)
  loader = Loader(found, 2, 0, np.arange(2), RandomCrop(16, scale=(.1, .3)))
  video = loader(0)['video']
  assert video.shape == (2, 4, 16, 16, 3)
  gradient = max(video, key=lambda one: np.ptp(one))
  assert (gradient == gradient[:1]).all()
  assert not np.array_equal(gradient, max(loader(1)['video'], key=lambda one: np.ptp(one)))


def test_broken_films_are_named_and_left_out(tmp_path, caplog):
  film(tmp_path / 'a' / 'good.avi', DARK)
  (tmp_path / 'a' / 'bad.avi').write_bytes(b'none')
  found = videos('train', root=str(tmp_path), size=16)
  assert len(found) == 1 and 'bad.avi' in caplog.text
  unchecked = videos('train', root=str(tmp_path), size=16, check=False)
  batch = unchecked[np.arange(2)]
  assert batch['valid'].tolist() == [False, True] and not batch['video'][0].any()
  with pytest.raises(ConfigError, match='bad.avi cannot be read as a film'):
    videos('train', root=str(tmp_path), size=16, on_broken='stop')
  (tmp_path / 'a' / 'good.avi').unlink()
  with pytest.raises(ConfigError, match='bad.avi cannot be read as a film'):
    videos('train', root=str(tmp_path), size=16)


@pytest.mark.parametrize('options, said', [
    (dict(sampling='dens'), '.*did you mean "dense"'), (dict(frames=0), 'frames must be'),
    (dict(clips=True), 'clips must be'), (dict(rate=0.), 'rate must be'),
    (dict(seed=-1), 'seed must be'), (dict(lists='nowhere'), 'lists: there is no folder')])
def test_options_that_are_none(top, options, said):
  with pytest.raises(ConfigError, match=f'videos: {said}'):
    opened(top, **options)


def test_workers_are_sent_the_source(top):
  found = opened(top)
  again = pickle.loads(pickle.dumps(found))
  for a, b in zip(*(one[np.arange(2)].values() for one in (found, again)), strict=True):
    np.testing.assert_array_equal(a, b)


def test_a_folder_without_films(tmp_path):
  (tmp_path / 'a').mkdir()
  (tmp_path / 'a' / 'notes.txt').write_text('x')
  with pytest.raises(ConfigError, match='holds no films; expected <split>/<class>/<film>'):
    opened(tmp_path)


@pytest.fixture
def archery(tmp_path):
  for name in ('Archery/v_Archery_g01_c01.avi', 'Archery/v_Archery_g08_c01.avi',
               'Biking/v_Biking_g08_c01.avi'):
    film(tmp_path / name, DARK)
  return tmp_path


def test_ucfs_lists(archery):
  (archery / 'lists').mkdir()
  (archery / 'lists/trainlist02.txt').write_text(
      'Archery/v_Archery_g08_c01.avi 1\r\nBiking/v_Biking_g08_c01.avi 2\r\n')
  (archery / 'lists/testlist02.txt').write_text('Archery/v_Archery_g01_c01.avi\n')
  train, test = (opened(archery, split, lists='lists', fold=2) for split in ('train', 'test'))
  assert train.info.classes == test.info.classes == ('Archery', 'Biking')
  assert train.labels.tolist() == [0, 1] and test.labels.tolist() == [0]
  with pytest.raises(ConfigError, match='has neither trainlist01.txt'):
    opened(archery, lists='lists')
  (archery / 'lists/testlist02.txt').write_text('Archery/v_Archery_g77_c01.avi\n')
  with pytest.raises(ConfigError, match='1 of the 1 films .* the first is Archery/v_Archery_g77'):
    opened(archery, 'test', lists='lists', fold=2)
  (archery / 'lists/testlist02.txt').write_text('v_Archery_g77_c01.avi\n')
  with pytest.raises(ConfigError, match='testlist02.txt, line 1: expected <class>/<film>'):
    opened(archery, 'test', lists='lists', fold=2)


def test_hmdbs_lists(tmp_path):
  (tmp_path / 'brush_hair_test_split1.txt').write_text('a b_0.avi 1 \nc.avi 2\nd.avi 0\n')
  (tmp_path / 'cartwheel_test_split1.txt').write_text('e.avi 2 \n')
  assert listed(tmp_path, 'train', 1) == [('brush_hair/a b_0.avi', 'brush_hair')]
  assert listed(tmp_path, 'test', 1) == [('brush_hair/c.avi', 'brush_hair'),
                                         ('cartwheel/e.avi', 'cartwheel')]
  (tmp_path / 'cartwheel_test_split1.txt').write_text('e.avi 3\n')
  with pytest.raises(ConfigError, match=r'cartwheel_test_split1.txt, line 1: expected <film>.avi'):
    listed(tmp_path, 'test', 1)


def test_frames_taken_out_of_listed_films(tmp_path):
  folder(tmp_path / 'Archery/v_Archery_g01_c01', DARK)
  for name in ('trainlist01.txt', 'testlist01.txt'):
    (tmp_path / name).write_text('Archery/v_Archery_g01_c01.avi 1\n')
  batch = opened(tmp_path, lists='.')[np.arange(1)]
  assert batch['valid'].all() and (batch['video'] < 60).all()
