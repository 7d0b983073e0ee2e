"""A queue of local processes, each of which trains one setting of a sweep."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from visionlab.storage.workdir import outcome
from visionlab.sweeps.settings import arguments
from visionlab.training.interrupt import told_to_stop

POLL_SECONDS = .2


class Job(NamedTuple):
  name: str
  command: Sequence[str]         # what follows `python`
  workdir: Path                  # done once `visionlab.storage.workdir.outcome` says how it ended
  tries: int = 0

  @classmethod
  def train(cls, config: str, changes: Mapping[str, Any], workdir: Path) -> 'Job':
    """A run of its own: a config file, what is changed of it, and where it goes."""
    return cls(workdir.name, ['-m', 'visionlab.train', f'--config={config}', *arguments(changes),
                              f'--workdir={workdir}'], workdir)


def run(jobs: Sequence[Job], *, workers: int, devices: Sequence[str] = (), retries: int = 2,
        say: Callable[[str], None] = print) -> dict[str, str] | None:
  """Runs the jobs that have not ended, `workers` at a time; what they print goes to
  <workdir>/log.txt.

  One that dies is started again, at the end of the queue, up to `retries` times; it goes on from
  its checkpoint. SIGTERM and ctrl-C are passed on: the jobs save and end.

  Args:
    devices: a worker's CUDA_VISIBLE_DEVICES each, in turn; none: all are seen by all.

  Returns:
    Those that failed for good: name -> the last line of the log. None if it was interrupted.
  """
  queue = deque(job for job in jobs if not outcome(job.workdir))
  if len(queue) < len(jobs):
    say(f'{len(jobs) - len(queue)} of {len(jobs)} have ended before and are skipped')
  running: dict[int, tuple[Job, subprocess.Popen]] = {}
  failed: dict[str, str] = {}
  ended, total = 0, len(queue)
  with told_to_stop() as stopping:
    try:
      while queue or running:
        while queue and len(running) < workers and not stopping():
          place = min(set(range(workers)) - set(running))
          running[place] = queue[0], start(queue.popleft(), place, devices)
        for place, (job, process) in list(running.items()):
          if process.poll() is None:
            continue
          del running[place]
          if outcome(job.workdir):
            ended += 1
            say(f'{ended}/{total}  {job.name}: {outcome(job.workdir)["status"]}')
          elif stopping():
            continue
          elif job.tries < retries:
            say(f'{job.name}: {how(process.returncode)}, tried again; {log_of(job)}')
            queue.append(job._replace(tries=job.tries + 1))
          else:
            failed[job.name] = last_line(job)
            say(f'{job.name}: failed, {how(process.returncode)}: {failed[job.name]}')
        if stopping():
          queue.clear()
          for _, process in running.values():
            process.terminate()
          for _, process in running.values():
            process.wait()
        else:
          time.sleep(POLL_SECONDS if running else 0)
    finally:                       # a second signal, or whatever else ends this: leave none behind
      for _, process in running.values():
        process.kill()
    return None if stopping() else failed


def start(job: Job, place: int, devices: Sequence[str]) -> subprocess.Popen:
  env = dict(os.environ)
  if devices:
    env['CUDA_VISIBLE_DEVICES'] = devices[place % len(devices)]
  job.workdir.mkdir(parents=True, exist_ok=True)
  with log_of(job).open('a') as log:
    # In a session of its own, so that ctrl-C reaches it through us alone, and once.
    return subprocess.Popen([sys.executable, *job.command], stdout=log, stderr=subprocess.STDOUT,
                            stdin=subprocess.DEVNULL, env=env, start_new_session=True)


def log_of(job: Job) -> Path:
  return job.workdir / 'log.txt'


def last_line(job: Job) -> str:
  lines = [line for line in log_of(job).read_text(errors='replace').splitlines() if line.strip()]
  errors = [line for line in lines if line.startswith('error: ')]
  return (errors or lines or ['it said nothing'])[-1]


def how(code: int) -> str:
  """
  >>> how(1), how(-9)
  ('exit code 1', 'killed by SIGKILL')
  """
  return f'killed by {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'


def gpus() -> list[str]:
  """Those of NVIDIA there are, without starting JAX here: it would keep their memory."""
  visible = os.environ.get('CUDA_VISIBLE_DEVICES')
  if visible is not None:
    return [d for d in visible.split(',') if d]
  return [str(i) for i in range(len(list(Path('/dev').glob('nvidia[0-9]*'))))]
