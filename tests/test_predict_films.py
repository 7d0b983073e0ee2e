"""`predict` of films: windows over time, a table, files and a picture."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from filmed import film, folder, gif

from visionlab import predict
from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas
from visionlab.runs import records, watch

CLASSES = ('dark', 'bright')


class Brightness:
  """In place of a run: a clip of four frames is as bright as it is bright."""
  facts, canvas, classes, task = SimpleNamespace(frames=4), Canvas(16), CLASSES, object()

  def predict(self, clips, batch=0):
    bright = clips.mean((1, 2, 3, 4)) / 255
    p = np.stack([1 - bright, bright], -1)
    return dict(probabilities=p, prediction=p.argmax(-1))


LEVELS = [*range(20, 30), *range(230, 240)]       # equal frames of a .gif would be one


def said(parts, k=1):
  return np.concatenate([answer['probabilities'][:, k] for *_, answer, _ in parts])


@pytest.mark.parametrize('make, name', [(film, 'a.mp4'), (gif, 'a.gif'), (film, 'a.avi')])
def test_windows_follow_one_another(tmp_path, make, name):
  path = str(make(tmp_path / name, LEVELS))
  (part,) = watch.answers(Brightness(), [path], window=.5)
  clips, stretches, answer, bad = part
  np.testing.assert_allclose([(s.begin, s.end) for s in stretches],
                             [(0, .5), (.5, 1.), (1., 1.5), (1.5, 2.)], atol=.02)
  np.testing.assert_allclose(said([part]) * 255, [22, 27, 232, 237], atol=4)
  assert clips[0].shape == (4, 16, 16, 3) and not bad


def test_by_default_a_window_has_as_many_frames_as_the_network(tmp_path):
  path = str(gif(tmp_path / 'a.gif', LEVELS))
  (part,) = watch.answers(Brightness(), [path])
  assert len(part[1]) == 5                      # 20 frames, 4 in each
  np.testing.assert_allclose(said([part]) * 255, [21.5, 25.5, 130, 233.5, 237.5], atol=3)
  short = str(gif(tmp_path / 'b.gif', [20, 230]))
  ((_, stretches, _, _),) = watch.answers(Brightness(), [short])
  assert len(stretches) == 1 and stretches[0].end == pytest.approx(.2)


def test_a_long_film_is_seen_some_at_a_time(tmp_path, monkeypatch):
  monkeypatch.setattr(watch, 'AT_ONCE', 2)
  path = str(gif(tmp_path / 'a.gif', LEVELS))
  parts = list(watch.answers(Brightness(), [path]))
  assert [len(stretches) for _, stretches, *_ in parts] == [2, 2, 1]
  np.testing.assert_allclose(said(parts) * 255, [21.5, 25.5, 130, 233.5, 237.5], atol=3)


def test_broken_films_are_named_and_the_others_seen(tmp_path):
  pytest.importorskip('av')
  (tmp_path / 'bad.mp4').write_bytes(b'none')
  good = str(gif(tmp_path / 'a.gif', LEVELS))
  parts = list(watch.answers(Brightness(), [str(tmp_path / 'bad.mp4'), str(tmp_path / 'no.gif'),
                                            good]))
  assert 'bad.mp4: cannot be read as a film' in parts[0][3][0]
  assert 'no.gif: cannot be read as a film: no such file' in parts[1][3][0]
  assert len(parts[2][1]) == 5


def test_files_have_the_seconds(tmp_path):
  path = str(gif(tmp_path / 'a.gif', LEVELS))
  run = Brightness()
  ((_, stretches, answer, _),) = watch.answers(run, [path], window=1.)
  names = list(map(str, stretches))
  lines = predict.table(run, names, answer, top=1)
  assert [line.split()[1:4] for line in lines] == [['0.00', 's', 'dark'], ['1.00', 's', 'bright']]
  rows = watch.timed(records.records_of(run, names, answer), stretches)
  assert json.loads(records.as_json(rows))[1]['begin'] == 1.
  read = list(csv.DictReader(io.StringIO(records.as_csv(rows))))
  assert read[1]['file'] == path and (read[1]['begin'], read[1]['end']) == ('1.0', '2.0')
  assert read[1]['prediction'] == 'bright'
  assert float(read[1]['bright']) == pytest.approx(235 / 255, abs=.02)
  picture = predict.film_picture(run, path, [(stretches, answer['probabilities'])])
  assert picture.shape[1] > 400 and picture.shape[0] > 250 and picture.dtype == np.uint8


def test_films_are_found_in_folders(tmp_path):
  gif(tmp_path / 'x' / 'a.gif', LEVELS[:2])
  gif(tmp_path / 'x' / 'y' / 'b.GIF', LEVELS[:2])
  frames = folder(tmp_path / 'z', LEVELS[:2])
  found = watch.find_films([str(tmp_path / 'x'), str(frames), 'absent.mp4'])
  assert [name.rpartition('/')[2] for name in found] == ['a.gif', 'b.GIF', 'z', 'absent.mp4']
  (tmp_path / 'empty').mkdir()
  with pytest.raises(ConfigError, match='empty holds no films'):
    watch.find_films([str(tmp_path / 'empty')])
