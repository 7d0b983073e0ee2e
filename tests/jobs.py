"""Jobs for the queues of sweeps: a few lines of Python each."""

from launch import processes
from visionlab.storage.workdir import conclude

DONE = "conclude(w, 'done', 1)\n"


def job(folder, name, program):
  """A job whose program finds its workdir in `w`, and in `tries` how often it was begun before."""
  start = f"""
import os, pathlib, signal, sys, time
from visionlab.storage.workdir import conclude
w = pathlib.Path({str(folder / name)!r})
tries = len((w / 'tries').read_text()) if (w / 'tries').exists() else 0
(w / 'tries').write_text('x' * (tries + 1))
"""
  return processes.Job(name, ['-c', start + program], folder / name)


def mixed(folder, flaky, failing):
  """A job that ends well; one called `flaky`, which does so unless `failing`, a line, stops it the
  first time; one that never does; and one that has ended before."""
  made = [job(folder, 'good', DONE), job(folder, flaky, f'if not tries: {failing}\n{DONE}'),
          job(folder, 'bad', 'sys.exit("error: no such thing")'),
          job(folder, 'before', 'raise AssertionError')]
  made[3].workdir.mkdir()
  conclude(made[3].workdir, 'pruned', 3)
  return made
