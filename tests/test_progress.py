"""How far long work has come: on a terminal with its rate and what is left, elsewhere not."""

import io
import sys
import time

import pytest
from test_console import shown

from visionlab.training import console as module
from visionlab.training.console import Console
from visionlab.training.progress import Progress


class Terminal(io.StringIO):
  def isatty(self):
    return True


@pytest.fixture
def clock(monkeypatch):
  now = [100.]
  monkeypatch.setattr(time, 'perf_counter', lambda: now[0])
  monkeypatch.setattr(module, 'width', lambda stream: 80)
  return now


def last_row(stream):
  return shown(stream.getvalue(), 80)[-1]


def test_the_rate_leaves_out_what_comes_before_the_first(clock, capsys):
  """10 s of compiling, then 8 images in each second."""
  stream = Terminal()
  progress = Progress(1000, Console(stream=stream))
  clock[0] += 10
  progress.add(8)
  assert last_row(stream) == '8/1,000 images'
  for _ in range(5):
    clock[0] += 1
    progress.add(8)
  assert last_row(stream) == '48/1,000 images  8.0 images/s  0:01:59 left'
  before = stream.getvalue()
  clock[0] += .1
  progress.add(8)                                         # too soon for another line
  assert stream.getvalue() == before
  progress.close()
  assert last_row(stream) == '' and capsys.readouterr().out == ''


def test_lines_that_stay_are_above_it(clock):
  stream = Terminal()
  console = Console(stream=stream)
  progress = Progress(10, console)
  for i in range(3):
    clock[0] += 1
    progress.add()
    console.say(f'image {i}')
  progress.close()
  assert shown(stream.getvalue(), 80) == ['image 0', 'image 1', 'image 2', '']


def test_where_stdout_is_a_file_it_goes_to_a_terminal_on_stderr(clock, monkeypatch, capsys):
  stderr = Terminal()
  monkeypatch.setattr(sys, 'stderr', stderr)
  progress = Progress(10)
  assert list(progress.over(range(4), lambda i: 2)) == [0, 1, 2, 3]
  assert progress.done == 8 and last_row(stderr) == '2/10 images'
  assert capsys.readouterr().out == ''
  monkeypatch.setattr(sys, 'stderr', io.StringIO())
  Progress(10).add(3)
  assert sys.stderr.getvalue() == ''
