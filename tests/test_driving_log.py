"""Recorded driving: tables in all their forms, and which pictures and commands they give."""

import logging

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.sources.driving_log import driving_log
from visionlab.measures.driving import driving_scores

N = 20
STALE = 'C:\\Users\\me\\IMG\\'
NAMES = 'center,left,right,steering,throttle,brake,speed'


@pytest.fixture
def record(tmp_path):
  """(header, prefix of names) -> the folder of a recording, of which a picture's grey level is its
  row, and 60 more for the left camera, 120 for the right one."""
  def make(header=NAMES, prefix='IMG/', rows=N):
    (tmp_path / 'IMG').mkdir()
    lines = [header] if header else []
    for i in range(rows):
      names = []
      for camera, level in (('center', i), ('left', i + 60), ('right', i + 120)):
        file = f'{camera}_2016_12_01_13_30_{i:02}_287.png'
        Image.new('RGB', (32, 16), (level,) * 3).save(tmp_path / 'IMG' / file)
        names.append(prefix + file)
      lines.append(', '.join([*names, str(i / 100 - .05), '.9', '0', '30.1']))
    (tmp_path / 'driving_log.csv').write_text('\n'.join(lines) + '\n')
    return tmp_path
  return make


def opened(root, split='train', **options):
  source = driving_log(split, root=str(root), size=(16, 32), **options)
  batch = source[np.arange(len(source))]
  return batch['image'][:, 0, 0, 0], batch['steering'], batch['previous']


@pytest.mark.parametrize('header, prefix', [(NAMES, 'IMG/'), ('', '/home/me/IMG/'), ('', STALE)])
def test_the_simulators_tables(record, header, prefix):
  root = record(header, prefix)
  level, steering, previous = opened(root)
  command = .05 - np.arange(N) / 100                        # ours is to the left
  own = np.arange(14)
  np.testing.assert_array_equal(level, [*own, *own + 60, *own + 120])
  # The left camera is where a car would have to steer to the right from.
  np.testing.assert_allclose(steering, [*command[:14], *command[:14] - .2, *command[:14] + .2],
                             atol=1e-6)
  np.testing.assert_allclose(previous[:14], [0, *command[:13]], atol=1e-6)
  for split, part in dict(validation=np.arange(14, 17), test=np.arange(17, 20)).items():
    level, steering, previous = opened(root, split)         # the centre alone, in order
    np.testing.assert_array_equal(level, part)
    np.testing.assert_allclose(steering, command[part], atol=1e-6)
    np.testing.assert_allclose(previous, command[part - 1], atol=1e-6)
  assert len(opened(root, correction=0.)[0]) == 14


def test_pictures_and_commands_alone(record):
  root = record()
  (root / 'train.csv').write_text('frame.png,.5\n')
  (root / 'test.csv').write_text('Image,Angle\nframe.png,.5\n')
  Image.new('L', (32, 16), 9).save(root / 'frame.png')
  for split in ('train', 'test'):
    level, steering, _ = opened(root, split, path='{split}.csv', scale=2.)
    assert level.tolist() == [9] and steering.tolist() == [1.]


def test_missing_pictures_are_named(record, caplog):
  root = record()
  (root / 'IMG' / 'center_2016_12_01_13_30_03_287.png').unlink()
  with caplog.at_level(logging.WARNING, 'absl'):
    assert 3 not in opened(root)[0]
  assert '1 of 42 pictures are missing: center_2016_12_01_13_30_03_287.png (line 5)' in caplog.text
  with pytest.raises(ConfigError, match=r'30_03_287.png \(line 5\); neither where .* images names'):
    opened(root, on_broken='stop')
  with pytest.raises(ConfigError, match='42 of 42 pictures are missing'):
    (root / 'IMG').rename(root / 'moved')
    opened(root)


@pytest.mark.parametrize('change, said', [
    (lambda text: text.replace('steering', 'throttle2'), 'has no column "steering"'),
    (lambda text: text.replace('0.03,', 'fast,'), "line 10: the command is 'fast'; expected a num"),
    (lambda text: NAMES, 'has no rows'),
    (lambda text: 'a.png,b.png,c.png,.1,.2,.3,.4,.5', '8 columns without names; expected center,')])
def test_tables_that_are_none(record, change, said):
  root = record()
  path = root / 'driving_log.csv'
  path.write_text(change(path.read_text()))
  with pytest.raises(ConfigError, match=said):
    opened(root)


def test_a_split_that_there_is_not(record):
  with pytest.raises(ConfigError, match='there are train, validation, test'):
    opened(record(), 'val')


def test_baselines_of_a_recording():
  target, previous = np.array([.1, .3, .2]), np.array([0., .1, .3])
  found = driving_scores(target, target, np.zeros(3), np.full(3, .5), previous=previous)
  assert found['rmse'] == 0 and found['rmse_constant'] == pytest.approx(target.std())
  assert found['rmse_last'] == pytest.approx(np.sqrt((.01 + .04 + .01) / 3))
