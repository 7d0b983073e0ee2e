"""One writer for each workdir."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tiny import config

from visionlab.config import ConfigError
from visionlab.storage import lock
from visionlab.storage.checkpoint import steps_of
from visionlab.storage.lock import one_writer
from visionlab.sweeps.together import train_together
from visionlab.train import train

PROGRAM = """
import os, pathlib, sys, time
from visionlab.storage.lock import one_writer
with one_writer(pathlib.Path(sys.argv[1])):
  if len(sys.argv) > 2 and not os.fork():       # a worker, which outlives what killed its parent
    time.sleep(20)
    os._exit(0)
  print('here', flush=True)
  time.sleep(60)
"""


@pytest.fixture
def writer(request):
  """Starts a process that holds a folder; its process, once it does."""
  started = []

  def start(folder, *more):
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', PROGRAM, str(folder), *more],
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1])})
    started.append(process)
    assert process.stdout.readline() == 'here\n'
    return process
  yield start
  for process in started:
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_of_the_first_and_goes_on_when_it_is_dead(tmp_path, writer):
  settings, path = config(steps=1, evals={}), tmp_path / 'a'
  process = writer(path, 'fork')
  told = (f'{path}: process {process.pid} on {os.uname().nodename} writes here since 20.*'
          f'kill {process.pid}, there.*use another --workdir')
  for begin in (lambda: train(settings, path), lambda: train_together({'a': settings}, tmp_path)):
    with pytest.raises(ConfigError, match=told):
      begin()
  assert {p.name for p in path.iterdir()} == {lock.FILE}
  process.send_signal(signal.SIGKILL)
  process.wait()
  begun = time.monotonic()
  train(settings, path)
  assert steps_of(path / 'checkpoints') == [1] and time.monotonic() - begun < lock.PATIENCE
  assert not (path / lock.FILE).exists()


def test_one_member_that_is_held_leaves_the_others_as_they_were(tmp_path, writer):
  writer(tmp_path / 'b')
  settings = config(steps=1, evals={})
  with pytest.raises(ConfigError, match='b: process'):
    train_together(dict.fromkeys('abc', settings), tmp_path)
  assert [p.name for p in tmp_path.iterdir()] == ['b']


def left_by(folder, **about):
  folder.mkdir(exist_ok=True)
  (folder / lock.FILE).write_text(json.dumps(dict(
      host='node7', pid=12, machine='another', since='2026-01-02 03:04:05+00:00') | about))


@pytest.fixture
def quick(monkeypatch):
  monkeypatch.setattr(lock, 'PERIOD', .05)
  monkeypatch.setattr(lock, 'PATIENCE', .5)


def test_another_machine_that_is_silent_is_dead(tmp_path, quick, caplog):
  left_by(tmp_path)
  with one_writer(tmp_path):
    held = lock.read(tmp_path)
  assert (held['pid'], held['machine']) == (os.getpid(), lock.machine())
  assert 'process 12 on node7 has been writing here since 2026' in caplog.text


def test_another_machine_that_shows_signs_of_life_holds_the_folder(tmp_path, quick):
  left_by(tmp_path)
  beat = threading.Timer(.2, lambda: left_by(tmp_path, alive=1))
  beat.start()
  with pytest.raises(ConfigError, match='process 12 on node7 writes here since 2026'), \
      one_writer(tmp_path):
    pass
  beat.join()
  assert lock.read(tmp_path)['pid'] == 12


def test_a_writer_shows_signs_of_life(tmp_path, quick):
  with one_writer(tmp_path):
    time.sleep(.1)
    first = (tmp_path / lock.FILE).read_text()
    time.sleep(.2)
    assert json.loads((tmp_path / lock.FILE).read_text()) != json.loads(first)


def test_where_there_are_no_locks_the_process_is_looked_for(tmp_path, quick, monkeypatch):
  def lockf(*_):
    raise OSError(37, 'No locks available')
  monkeypatch.setattr(lock.fcntl, 'lockf', lockf)
  left_by(tmp_path, machine=lock.machine(), pid=os.getppid())
  with pytest.raises(ConfigError, match=f'process {os.getppid()} on node7'), one_writer(tmp_path):
    pass
  left_by(tmp_path, machine=lock.machine(), pid=2**22 + 1)            # beyond what Linux gives
  with one_writer(tmp_path):
    assert lock.read(tmp_path)['pid'] == os.getpid()


@pytest.mark.parametrize('damage', ['', '{', '[1]', '\0' * 400])
def test_a_file_that_says_nothing_holds_nothing(tmp_path, damage):
  (tmp_path / lock.FILE).write_text(damage)
  with one_writer(tmp_path):
    assert lock.read(tmp_path)['pid'] == os.getpid()
  assert not list(tmp_path.iterdir())


def test_folders_in_which_nothing_was_written_go(tmp_path):
  (tmp_path / 'there').mkdir()
  with pytest.raises(KeyError), one_writer(tmp_path / 'there', tmp_path / 'a' / 'b'):
    raise KeyError
  assert [p.name for p in tmp_path.iterdir()] == ['there']
