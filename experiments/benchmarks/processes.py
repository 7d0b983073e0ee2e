"""Whole commands: how long they take and how much memory they need."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Finished(NamedTuple):
  seconds: float
  peak: int                  # bytes resident at most, of the largest of its processes
  output: str


def run(*command: str, **env: str) -> Finished:
  """Runs this Python with `command` in the repository's root, with `env` beside its environment.

  Raises:
    RuntimeError: it fails; the text is the end of what it wrote to stderr.
  """
  with tempfile.TemporaryDirectory() as folder:
    report = Path(folder) / 'report.json'
    # A child counts the memory of the process it was forked off as its own, so what forks it off
    # is a fresh process that holds next to nothing.
    done = subprocess.run([sys.executable, '-I', '-S', __file__, str(report), sys.executable,
                           *command], cwd=ROOT, env={**os.environ, **env}, capture_output=True,
                          text=True)
    if done.returncode:
      raise RuntimeError(f'{" ".join(command)} failed:\n{done.stderr[-2000:]}')
    return Finished(**json.loads(report.read_text()), output=done.stdout)


def wait_for(path: Path, text: str, *command: str, **env: str) -> float:
  """Seconds from the start of `command` (as for `run`) to `text` being in the file at `path`; then
  it is told to end."""
  begun = time.perf_counter()
  process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env={**os.environ, **env},
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  while not (path.exists() and text in path.read_text()):
    if process.poll() is not None:
      raise RuntimeError(f'{" ".join(command)} ended before {text!r} was in {path}')
    time.sleep(.005)
  seconds = time.perf_counter() - begun
  process.terminate()
  process.wait()
  return seconds


def _report(path: str, *command: str) -> int:
  begun = time.perf_counter()
  code = subprocess.call(command)
  seconds = time.perf_counter() - begun
  unit = 1 if sys.platform == 'darwin' else 1024
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
  Path(path).write_text(json.dumps(dict(seconds=seconds, peak=peak)))
  return code


if __name__ == '__main__':
  sys.exit(_report(*sys.argv[1:]))
