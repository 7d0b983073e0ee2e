"""The command that says whether photographs are of one person."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tiny import config

from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.runs.load import load
from visionlab.train import train
from visionlab.verify import faces_of, threshold_of

OTHERS = dict(name='open_set', of=dict(name='digits'))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """Digits told apart by an embedding, as if they were people."""
  workdir = tmp_path_factory.mktemp('run')
  task = dict(name='verify', embedding=8, model=dict(name='cnn', widths=(8,), hidden=16))
  train(config(data=OTHERS, task=task, augment={}, steps=40, hp=dict(lr=.05, momentum=.9),
               checkpoint=dict(every='20', keep=3)), workdir)
  return load(workdir)


def test_the_threshold_is_that_of_the_step(run):
  lines = [line for line in run.metrics if 'test/threshold' in line]
  assert threshold_of(run) == (lines[-1]['test/threshold'], f'test at step {run.step}')
  earlier = load(run.workdir, step=20)
  assert threshold_of(earlier)[1] == 'test at step 20'


def test_faces_are_shown_as_the_run_has_seen_them(run):
  image = np.zeros((9, 9), np.uint8)
  faces, hidden = faces_of(run, [image])
  assert faces.shape == (1, 8, 8, 1) and not hidden.any()
  with pytest.raises(ConfigError, match='trained on faces as they are'):
    faces_of(run, [image], 'runs/landmarks')


def test_the_command(run, tmp_path):
  digits = open_sources(OTHERS, 'test')
  label = digits.arrays['label']
  one, other = np.unique(label)[:2]
  chosen = [*np.flatnonzero(label == one)[:2], np.flatnonzero(label == other)[0]]
  for name, i in zip('abc', chosen, strict=True):
    Image.fromarray(digits.arrays['image'][i, ..., 0]).save(tmp_path / f'{name}.png')

  def said(*arguments):
    return subprocess.run([sys.executable, '-m', 'visionlab.verify', f'--workdir={run.workdir}',
                           *map(str, arguments)], capture_output=True, text=True)
  found = said(tmp_path, f'--output={tmp_path}/pairs.jpg')
  lines = found.stdout.splitlines()
  assert found.returncode == 0 and len(lines) == 5 and 'threshold' in lines[0]
  embedding = run.predict([tmp_path / f'{name}.png' for name in 'abc'])['embedding']
  for line, (i, j) in zip(lines[1:4], [(0, 1), (0, 2), (1, 2)], strict=True):
    score = embedding[i] @ embedding[j]
    assert f'{score:6.3f}' in line
    assert line.endswith('one person' if score >= threshold_of(run)[0] else 'two people')
  assert (tmp_path / 'pairs.jpg').stat().st_size > 1000
  wrong = said(tmp_path / 'a.png')
  assert wrong.returncode == 2 and wrong.stderr.startswith('error: name two photographs or more')
  assert 'Traceback' not in wrong.stderr
