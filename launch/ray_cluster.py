"""A Ray cluster: the settings of a sweep as remote tasks.

python -m launch.sweep --config=... --workdir=... --on=ray --ray.gpus=1 [--ray.address=auto]

A task runs the setting's command line of `visionlab.train`. One that dies, or whose node is lost,
is run again and goes on from its workdir, which all nodes must see. Without an address Ray starts
on this machine alone. Needs Ray (pip install -e '.[ray]').
"""

import shlex
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from launch import options, processes
from launch.processes import Job
from visionlab.config import ConfigError
from visionlab.storage.workdir import outcome
from visionlab.training.interrupt import told_to_stop

POLL_SECONDS = 1.


class Options(NamedTuple):
  address: str = ''
  cpus: int = 1
  gpus: int = 0


MEANINGS = dict(address='Of a running cluster: auto, or ray://host:port; default: this machine.',
                cpus='Of one task.', gpus='Of one task.')


def attempt(job: Job) -> str:
  """Runs a job once, where it is called: how it ended. Raises RuntimeError, with the last line of
  its log, if it died."""
  # Ray cancels by SIGINT, which is ignored where the sweep was begun in the background.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  process = processes.start(job, 0, ())
  try:
    while (code := process.poll()) is None:
      time.sleep(processes.POLL_SECONDS)
  finally:
    process.terminate()                # if it was cancelled: save, and end
    process.wait()
  if not outcome(job.workdir):
    raise RuntimeError(processes.last_line(job) if code else 'interrupted')
  return outcome(job.workdir)['status']


def run(jobs: Sequence[Job], given: Options, *, at_once: int = 0, retries: int = 2,
        say: Callable[[str], None] = print) -> dict[str, str] | None:
  """Runs the jobs that have not ended, as `launch.processes.run` does.

  Raises:
    ConfigError: ray is not installed, or there is no cluster at the address.
  """
  ray = imported()
  jobs = [job for job in jobs if not outcome(job.workdir)]
  try:
    ray.init(address=given.address or 'local', log_to_driver=False)
  except (ConnectionError, ValueError) as e:
    raise ConfigError(f'--ray.address={given.address}: {e}') from e
  # A process that dies is an exception of its task.
  remote = ray.remote(num_cpus=given.cpus, num_gpus=given.gpus, max_retries=retries,
                      retry_exceptions=True)(attempt)
  queue, running, failed = list(jobs), {}, {}
  try:
    with told_to_stop() as stopping:
      while (queue or running) and not stopping():
        while queue and (not at_once or len(running) < at_once):
          job = queue.pop(0)
          running[remote.remote(job)] = job
        for task in ray.wait(list(running), timeout=POLL_SECONDS)[0]:
          job = running.pop(task)
          try:
            ray.get(task)
          except ray.exceptions.RayError as e:
            failed[job.name] = _why(e)
            say(f'{job.name}: failed: {failed[job.name]}')
          else:
            done = len(jobs) - len(queue) - len(running) - len(failed)
            say(f'{done}/{len(jobs)}  {job.name}: {outcome(job.workdir)["status"]}')
      for task in running:
        ray.cancel(task)               # KeyboardInterrupt in the task
      if running:
        ray.wait(list(running), num_returns=len(running))
      return None if stopping() else failed
  finally:
    ray.shutdown()


def _why(error: Exception) -> str:
  return str(error).strip().splitlines()[-1].removeprefix('RuntimeError: ')


def description(jobs: Sequence[Job], given: Options) -> str:
  return '\n'.join([f'# {len(jobs)} tasks with {given.cpus} CPUs and {given.gpus} GPUs each, on '
                    f'{given.address or "this machine"}',
                    *(shlex.join(['python', *job.command]) for job in jobs)])


def imported():
  try:
    import ray  # noqa: PLC0415 - optional
  except ImportError:
    raise ConfigError('--on=ray: needs Ray: pip install "visionlab[ray]"') from None
  return ray


def define_flags():
  options.define('ray', Options(), MEANINGS)
