"""The command that names what is in image files: which files, how many at a time, what is drawn."""

from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image
from tiny import config

from visionlab import predict
from visionlab.config import ConfigError
from visionlab.runs.load import load
from visionlab.train import train


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'digits'
  train(config(steps=1, evals={}), folder)
  return load(folder)


@pytest.fixture
def images(tmp_path):
  rng = np.random.default_rng(0)
  (tmp_path / 'sub').mkdir()
  for name in ('b.png', 'a.PNG', 'sub/c.jpg', '.hidden.png', 'o.png'):
    Image.fromarray(rng.integers(0, 256, (8, 8)).astype(np.uint8)).save(tmp_path / name)
  (tmp_path / 'notes.txt').write_text('x')
  return tmp_path


def names(found):
  return [Path(file).name for file in found]


def test_a_folder_stands_for_its_images(images, monkeypatch):
  assert names(predict.find([str(images)])) == ['a.PNG', 'b.png', 'o.png', 'c.jpg']
  assert names(predict.find([str(images)], str(images / 'o.png'))) == ['a.PNG', 'b.png', 'c.jpg']
  monkeypatch.chdir(images)
  assert names(predict.find(['.'], 'o.png')) == ['a.PNG', 'b.png', 'c.jpg']


def test_files_and_patterns(images):
  assert predict.find([f'{images}/b.png', 'absent.png']) == [f'{images}/b.png', 'absent.png']
  assert names(predict.find([f'{images}/?.png'])) == ['b.png', 'o.png']
  assert names(predict.find([f'{images}/o.png', f'{images}/sub'])) == ['o.png', 'c.jpg']
  (images / 'x[1].png').write_bytes((images / 'b.png').read_bytes())
  assert names(predict.find([f'{images}/x[1].png'])) == ['x[1].png']
  assert names(predict.find([f'{images}/**/*.jpg'])) == ['c.jpg']
  assert names(predict.find([f'{images}/s*/c.*'])) == ['c.jpg']
  assert names(predict.find([f'{images}/*.p*'])) == ['b.png', 'o.png', 'x[1].png']
  with pytest.raises(ConfigError, match='no file matches'):
    predict.find([f'{images}/*.gif'])
  (images / 'empty').mkdir()
  with pytest.raises(ConfigError, match='empty holds no images'):
    predict.find([f'{images}/empty'])


@pytest.mark.parametrize('name, said', [
    ('a.xyz', '.xyz is no format of pictures'), ('a', 'a name without an ending'),
    ('a.pgn', 'did you mean'), ('no/a.png', 'there is no folder'), ('dir.png', 'cannot be written'),
    ('a.h5', 'no format')])
def test_outputs_that_cannot_be_written_are_found_at_once(tmp_path, name, said):
  (tmp_path / 'dir.png').mkdir()
  with pytest.raises(ConfigError, match=f'^--output=.*{said}'):
    predict.check_output(str(tmp_path / name))


@pytest.mark.parametrize('name', ['a.png', 'b.JPG', 'c.webp', 'd.tif', 'e.bmp'])
def test_outputs_that_can_be(tmp_path, name):
  predict.check_output(str(tmp_path / name))
  predict.charts.save(np.zeros((4, 4, 3), np.uint8), tmp_path / name)
  with Image.open(tmp_path / name) as picture:
    assert picture.size == (4, 4)


def test_many_files_are_read_some_at_a_time(run, images, monkeypatch):
  (images / 'bad.png').write_text('nonsense')
  files = predict.find([str(images)])
  (whole,) = predict.answers(run, files)
  monkeypatch.setattr(predict, 'AT_ONCE', 2)
  seen = []
  parts = list(predict.answers(run, files, 1, lambda: seen.append(0)))
  assert len(seen) == 5                                            # one of them cannot be read
  assert [len(good) for _, good, _, _ in parts] == [2, 1, 1] and len(whole[1]) == 4
  assert [file for _, good, _, _ in parts for file in good] == whole[1]
  (bad,) = [line for *_, bad in parts for line in bad]
  assert bad.startswith(f'{images}/bad.png: cannot be read as an image')
  together = predict.joined([said for _, _, said, _ in parts])
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), together, whole[2])


def test_no_picture_is_written_where_nobody_asked_for_one(tmp_path):
  run = SimpleNamespace(workdir=tmp_path)
  assert predict.output_of(run, '') == '' and predict.output_of(run, 'a.png') == 'a.png'
  (tmp_path / 'figures').mkdir()
  assert predict.output_of(run, '') == str(tmp_path / 'figures' / 'predictions.png')


def test_the_first_answers_of_arrays_and_of_lists():
  said = {'a': np.arange(4), 'b': [np.zeros(1), np.ones(2), np.ones(3)]}
  some = predict.first(said, 2)
  assert some['a'].tolist() == [0, 1] and len(some['b']) == 2
  both = predict.joined([some, said])
  assert both['a'].tolist() == [0, 1, 0, 1, 2, 3] and [len(x) for x in both['b']] == [1, 2, 1, 2, 3]
