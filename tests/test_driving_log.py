"""Recorded driving: tables in all their forms, and which pictures and commands they give."""

import logging
import sys

import numpy as np
import pytest
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.sources.driving_log import driving_log
from visionlab.data.sources.driving_tables import last_commands
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
  found = driving_scores(target, target, np.zeros(3), np.full(3, .5), previous=previous,
                         age=np.array([np.nan, .2, .4]))
  assert found['last_age'] == pytest.approx(.3)
  assert found['rmse'] == 0 and found['rmse_constant'] == pytest.approx(target.std())
  assert found['rmse_last'] == pytest.approx(np.sqrt((.01 + .04 + .01) / 3))


def picture(path, level):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('RGB', (32, 16), (level,) * 3).save(path)


def test_rows_of_a_real_car_name_their_camera(tmp_path):
  rows = ['index,timestamp,width,height,frame_id,filename,angle,torque,speed']
  for i in range(N):                          # as recorded: left, centre and right take turns
    for j, camera in enumerate(('left', 'center', 'right')):
      time, file = 1479424214877959744 + i * 50_000_000 + j, f'{camera}/{i}.png'
      picture(tmp_path / file, i + 60 * j)
      rows.append(f'{3 * i + j},{time},640,480,{camera}_camera,{file},{i / 100 + j / 1000},0,9')
  (tmp_path / 'interpolated.csv').write_text('\n'.join(rows))
  level, steering, previous = opened(tmp_path, 'test', path='interpolated.csv')
  own = np.arange(17, 20)
  np.testing.assert_array_equal(level, own + 60)            # of the centre camera alone
  np.testing.assert_allclose(steering, own / 100 + .001, atol=1e-6)      # theirs is to the left
  np.testing.assert_allclose(previous, own / 100 - .009, atol=1e-6)
  level, steering, _ = opened(tmp_path, path='interpolated.csv')
  left, right = (level < 60).nonzero()[0][-1], (level >= 120).nonzero()[0][-1]
  assert steering[left] == pytest.approx(level[left] / 100 - .2)         # its own command
  assert steering[right] == pytest.approx((level[right] - 120.) / 100 + .002 + .2)


@pytest.mark.parametrize('form', [
    '{i}.png {d:.6f}', '{i}.png {d:.2f},2018-07-01 17:09:{i:02}:{i}'])
def test_lines_of_a_picture_and_an_angle(tmp_path, form):
  for i in range(N):
    picture(tmp_path / 'data' / f'{i}.png', i)
  (tmp_path / 'data.txt').write_text(
      '\n'.join(form.format(i=i, d=i / 2 - 5) for i in range(N)) + '\n')
  own = dict(path='data.txt', images='data')
  level, steering, _ = opened(tmp_path, 'all', **own)
  np.testing.assert_array_equal(level, np.arange(N))
  np.testing.assert_allclose(steering, 5 - np.arange(N) / 2)
  _, curvature, _ = opened(tmp_path, 'all', **own, unit='degrees', ratio=10., wheelbase=2.)
  np.testing.assert_allclose(curvature, np.tan(np.radians(steering / 10)) / 2, rtol=1e-5)
  if '2018' in form:                                        # a second apart, nearly
    _, _, previous = opened(tmp_path, 'all', **own, horizon=2.5)
    np.testing.assert_allclose(previous[3:], steering[:-3])
  else:
    with pytest.raises(ConfigError, match='says no times, which horizon=2.5 needs; time_column'):
      opened(tmp_path, 'all', **own, horizon=2.5)
    _, _, previous = opened(tmp_path, 'all', **own, horizon=2.5, rate=2.)
    np.testing.assert_allclose(previous[5:], steering[:-5])
    ages = driving_log('all', root=str(tmp_path), **own, horizon=2.5, rate=2.)[np.arange(6)]['age']
    assert np.isnan(ages[:5]).all() and ages[5] == 2.5


def test_names_without_a_suffix_and_columns_of_ones_own(tmp_path):
  picture(tmp_path / 'center' / '1479425441182877835.png', 7)
  (tmp_path / 'log.csv').write_text('frame_id,steering_angle,public\n1479425441182877835,.3,1\n')
  level, steering, _ = opened(tmp_path, 'all', path='log.csv', images='center')
  assert level.tolist() == [7] and steering.tolist() == [np.float32(.3)]
  (tmp_path / 'log.csv').write_text('Frame;Wheel Angle (deg)\ncenter/1479425441182877835;.3\n')
  named = dict(path='log.csv', steering_column='Wheel Angle (deg)')
  assert opened(tmp_path, 'all', **named)[1].tolist() == [np.float32(-.3)]
  with pytest.raises(ConfigError, match=r'"steering"; there are frame, .*steering_column names it'):
    opened(tmp_path, 'all', path='log.csv')
  with pytest.raises(ConfigError, match='no column "Picture", which image_column names'):
    opened(tmp_path, 'all', **named, image_column='Picture')


def test_the_last_command_is_never_another_recordings():
  times = np.array([0., .1, .2, .3, 60., 60.1, 5., 5.1])
  found, ages = last_commands(np.arange(1., 9.), times)
  np.testing.assert_array_equal(found, [0, 1, 2, 3, 0, 5, 0, 7])
  np.testing.assert_allclose(ages[1:4], .1)
  assert np.isnan(ages[[0, 4, 6]]).all()
  found, ages = last_commands(np.arange(1., 9.), times, .2)
  np.testing.assert_array_equal(found, [0, 0, 1, 2, 0, 0, 0, 0])
  slow = last_commands(np.arange(1., 4.), np.array([0., 5., 10.]))[0]     # all steps are long
  np.testing.assert_array_equal(slow, [0, 1, 2])


def test_frames_and_commands_in_one_file(tmp_path):
  frames = np.arange(N, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 64, 3), np.uint8)
  steering = np.arange(N) / 10
  np.savez(tmp_path / 'a.npz', image=frames, steering=steering, time=np.arange(N) / 5)
  level, own, previous = opened(tmp_path, 'test', path='a.npz', scale=2.)
  np.testing.assert_array_equal(level, [17, 18, 19])
  np.testing.assert_allclose(own, 2 * steering[17:])
  np.testing.assert_allclose(previous, 2 * steering[16:19])
  assert len(opened(tmp_path, 'all', path='a.npz')[0]) == N
  np.savez(tmp_path / 'b.npz', x_train=frames[:15], y_train=steering[:15], x_test=frames[15:],
           y_test=steering[15:])
  np.testing.assert_allclose(opened(tmp_path, 'test', path='b.npz')[1], -steering[15:])
  np.savez(tmp_path / 'c.npz', image=frames, wheel=np.ones((N, 2)))
  with pytest.raises(ConfigError, match='driving_log.csv; there are a.npz, b.npz, c.npz, which'):
    opened(tmp_path, 'test')
  with pytest.raises(ConfigError, match='has no "steering"; there are image .*steering_column'):
    opened(tmp_path, 'test', path='c.npz')
  with pytest.raises(ConfigError, match=r'wheel is float64\(20, 2\); expected a number for'):
    opened(tmp_path, 'test', path='c.npz', steering_column='wheel')
  (tmp_path / 'a.mp4').write_bytes(b'film')
  with pytest.raises(ConfigError, match='a.mp4: is not read; expected a table'):
    opened(tmp_path, 'test', path='a.mp4')


def test_a_camera_and_a_log_in_hdf5(tmp_path):
  h5py = pytest.importorskip('h5py')
  for folder in ('camera', 'log'):
    (tmp_path / folder).mkdir()
  frames = np.arange(N, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 32, 64), np.uint8)
  rows = np.arange(5 * N)                          # of a log, five at each frame but the sixth
  with h5py.File(tmp_path / 'camera' / 'a.h5', 'w') as file:
    file['X'] = frames
  with h5py.File(tmp_path / 'log' / 'a.h5', 'w') as file:
    file['steering_angle'], file['times'] = rows / 10, rows / 100
    file['cam1_ptr'] = np.where(rows // 5 == 5, 4, rows // 5).astype(np.float32)
  level, steering, previous = opened(tmp_path, 'all', path='camera/a.h5')
  np.testing.assert_array_equal(level, np.arange(N))
  expected = -(np.arange(N) * .5 + .2)
  kept = np.delete(np.arange(N), [4, 5])
  np.testing.assert_allclose(steering[kept], expected[kept], rtol=1e-6)
  assert steering[4] == pytest.approx(-2.45)       # of ten rows
  np.testing.assert_allclose(previous[1:], steering[:-1])
  ages = driving_log('test', root=str(tmp_path), path='camera/a.h5', horizon=.1)[np.arange(3)]
  np.testing.assert_allclose(ages['age'], .1, rtol=1e-5)
  (tmp_path / 'log' / 'a.h5').unlink()
  with pytest.raises(ConfigError, match='has no steering .*there are X'):
    opened(tmp_path, 'all', path='camera/a.h5')


def test_hdf5_needs_its_package(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'h5py', None)
  (tmp_path / 'a.h5').write_bytes(b'HDF')
  with pytest.raises(ConfigError, match=r"needs an extra: pip install 'visionlab\[hdf5\]'"):
    opened(tmp_path, 'test', path='a.h5')
