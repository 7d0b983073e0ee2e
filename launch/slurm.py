"""A SLURM cluster: the settings of a sweep as a job array, or one run as a job.

python -m launch.sweep --config=... --workdir=... --on=slurm --slurm.gpus_per_node=1
python -m launch.slurm --config=... --workdir=... --slurm.nodes=4 --slurm.gpus_per_node=8

Jobs are submitted by submitit (pip install -e '.[slurm]'). A job is a command line of
`visionlab.train` and nothing else. Before its time limit, and when it is preempted, it saves, is
queued again and goes on from its workdir, which all nodes must see. With several nodes there is one
process for each GPU (or node, without GPUs), as `jax.distributed` expects of SLURM, and
--distributed is added. --dry_run prints the batch file and what each job of the array runs, and
submits nothing.

Not tried on a real cluster: tested with submitit's local and debug executors, and against programs
that play sbatch, srun, sacct and scontrol.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from launch import options, processes
from launch.processes import Job
from visionlab import commandline
from visionlab.config import ConfigError, TrainingError
from visionlab.paths import local
from visionlab.storage.workdir import outcome, write_atomically
from visionlab.training.interrupt import told_to_stop

SUBMITTED = 'jobs.json'            # name -> SLURM's number of the job
GRACE_SECONDS = 120                # from the warning to the time limit: to save in
PATIENCE_SECONDS = 600             # how long a job that has saved waits for SLURM to end it


class Options(NamedTuple):
  """--slurm.<key>, in sbatch's words; '' and 0: as the cluster is set up."""
  partition: str = ''
  account: str = ''
  qos: str = ''
  constraint: str = ''
  time: str = '4:00:00'
  nodes: int = 1
  gpus_per_node: int = 0
  cpus_per_task: int = 0
  mem: str = ''
  requeues: int = 20
  setup: str = ''
  more: str = ''


MEANINGS = dict(
    partition='As for sbatch.', account='As for sbatch.', qos='As for sbatch.',
    constraint='As for sbatch.', nodes='As for sbatch.', gpus_per_node='As for sbatch.',
    cpus_per_task='As for sbatch.', mem='As for sbatch: 32G.',
    time='As for sbatch: minutes, hours:minutes:seconds, days-hours.',
    requeues='How often a job that ran into its time limit is queued again.',
    setup='A line of shell before the command, e.g. "module load cuda".',
    more='Any other options of sbatch: reservation=x,exclusive.')


class Task:
  """What a submitted job does: its command line in a process of its own, again if that dies."""

  def __init__(self, job: Job, retries: int):
    self.job, self.retries = job, retries

  def __call__(self) -> Mapping[str, Any]:
    for _ in range(self.retries + 1):
      with _blocked(signal.SIGUSR2):
        self.process = processes.start(self.job, 0, ())
      # Not wait(): a signal that another thread receives does not end that.
      while (code := self.process.poll()) is None:
        time.sleep(processes.POLL_SECONDS)
      if code == 0:
        self.wait_for_the_end()
      if outcome(self.job.workdir):
        return outcome(self.job.workdir)
    raise TrainingError(f'{self.job.name}: {processes.how(code)}: {processes.last_line(self.job)}')

  def wait_for_the_end(self):
    """A run that neither failed nor ended was told to stop, or has ended on another node whose
    files are yet to be seen. In the first case SLURM will end this job too; one that ended by
    itself would be taken for done, and not queued again."""
    stop = time.monotonic() + PATIENCE_SECONDS
    while not outcome(self.job.workdir) and time.monotonic() < stop:
      time.sleep(processes.POLL_SECONDS)

  def checkpoint(self):
    """submitit calls this in the handler of its signal; what is returned is queued again."""
    from submitit.core.utils import DelayedSubmission  # noqa: PLC0415 - submitit is optional
    # The run may have had SIGTERM from SLURM, and a second one would kill it while it saves.
    self.process.send_signal(signal.SIGINT)
    with contextlib.suppress(ChildProcessError):             # it has been waited for
      os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
    return DelayedSubmission(Task(self.job, self.retries))


@contextlib.contextmanager
def _blocked(number: signal.Signals):
  """Processes started within never see the signal: SLURM sends it to all that is in a job."""
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(jobs: Sequence[Job], executor, *, retries: int = 2, watch: bool = True, poll: float = 5.,
        say: Callable[[str], None] = print) -> dict[str, str] | None:
  """Submits the jobs that have neither ended nor been submitted, and watches all of them.

  Args:
    executor: submitit's; its folder remembers what was submitted.
    retries: how often a process that died is started again, within its job.

  Returns:
    Those that failed: name -> why. None if they are still at it.

  Raises:
    TrainingError: SLURM did not take the jobs.
  """
  jobs = [job for job in jobs if not outcome(job.workdir)]
  before = submitted(executor)
  handles = {name: executor.job_class(executor.folder, number) for name, number in before.items()}
  waiting = {job.name: handles[job.name] for job in jobs
             if job.name in handles and not handles[job.name].done()}
  fresh = [job for job in jobs if job.name not in waiting]
  if fresh:
    waiting |= _submit(fresh, executor, retries)
    numbers = {name: handle.job_id for name, handle in waiting.items()}
    executor.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(executor.folder / SUBMITTED, json.dumps({**before, **numbers}, indent=2))
  say(f'{len(fresh)} submitted, {len(waiting) - len(fresh)} had been before; logs in '
      f'{executor.folder}')
  return _watched({job.name: job for job in jobs}, waiting, poll, say) if watch else None


def submitted(executor) -> dict[str, str]:
  """SLURM's numbers of the jobs, by name."""
  record = executor.folder / SUBMITTED
  return json.loads(record.read_text()) if record.exists() else {}


def _submit(jobs: Sequence[Job], executor, retries: int) -> dict[str, Any]:
  from submitit.core.utils import FailedJobError  # noqa: PLC0415 - submitit is optional
  try:
    with executor.batch():
      handles = [executor.submit(Task(job, retries)) for job in jobs]
  except FailedJobError as e:
    raise TrainingError(f'SLURM took no job: {str(e).strip()}') from e
  return dict(zip((job.name for job in jobs), handles, strict=True))


def _watched(jobs: Mapping[str, Job], waiting: dict[str, Any], poll: float,
             say: Callable[[str], None]) -> dict[str, str] | None:
  failed: dict[str, str] = {}
  ended, total = 0, len(waiting)
  with told_to_stop() as stopping:
    while waiting and not stopping():
      for name, handle in list(waiting.items()):
        job = jobs[name]
        if not handle.done():
          continue
        del waiting[name]
        if outcome(job.workdir):
          ended += 1
          say(f'{ended}/{total}  {name}: {outcome(job.workdir)["status"]}')
        else:
          failed[name] = _why(job, handle)
          say(f'{name}: failed, {failed[name]}')
      time.sleep(poll if waiting else 0)
  if waiting:
    numbers = ' '.join(sorted({handle.job_id.split('_')[0] for handle in waiting.values()}))
    say(f'{len(waiting)} jobs go on; to end them: scancel {numbers}')
    return None
  return failed


def _why(job: Job, handle) -> str:
  log = processes.log_of(job)
  return f'{handle.state.lower()}: ' + (
      processes.last_line(job) if log.exists() else f'it never began; see {handle.paths.stderr}')


def executor_of(folder: Path, given: Options, *, name: str, at_once: int = 0):
  """submitit's executor for SLURM.

  Raises:
    ConfigError: submitit or SLURM is not installed here, or an option is wrong.
  """
  submitit = imported()
  if not shutil.which('sbatch'):
    raise ConfigError('SLURM: there is no sbatch here; run this where jobs are submitted, or add '
                      '--dry_run to see what would be')
  executor = submitit.SlurmExecutor(folder, max_num_timeout=given.requeues)
  executor.update_parameters(**parameters(given, name, at_once))
  return executor


def parameters(given: Options, name: str, at_once: int = 0) -> dict[str, Any]:
  """--slurm's options as submitit's.

  Args:
    name: of the job, for squeue.
    at_once: jobs of an array that run at a time; 0: as many as SLURM lets.
  """
  asked = given._asdict()
  same = ('partition', 'account', 'qos', 'constraint', 'gpus_per_node', 'cpus_per_task', 'mem')
  more = dict(option.partition('=')[::2] for option in filter(None, given.more.split(',')))
  return dict(
      {key: asked[key] for key in same if asked[key]}, job_name=name, nodes=given.nodes,
      time=minutes(given.time), signal_delay_s=GRACE_SECONDS, array_parallelism=at_once or 100_000,
      ntasks_per_node=max(1, given.gpus_per_node) if given.nodes > 1 else 1,
      setup=[given.setup] if given.setup else None, stderr_to_stdout=True,
      additional_parameters={'requeue': True, **{k: v or True for k, v in more.items()}})


def minutes(text: str) -> int:
  """A time as sbatch takes it, in minutes, rounded up.

  https://slurm.schedmd.com/sbatch.html, --time: minutes, minutes:seconds, hours:minutes:seconds,
  days-hours, days-hours:minutes, days-hours:minutes:seconds.

  >>> minutes('90'), minutes('4:00:00'), minutes('1-12'), minutes('1-0:30'), minutes('2:30')
  (90, 240, 2160, 1470, 3)
  """
  found = re.fullmatch(r'(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?', text)
  if not found or not any(int(part or 0) for part in found.groups()):
    raise ConfigError(f'--slurm.time={text}: expected minutes, hours:minutes:seconds or '
                      'days-hours:minutes')
  days, *rest = found.groups()
  numbers = [int(part) for part in rest if part is not None]
  if days is None and len(numbers) < 3:                       # minutes[:seconds]
    numbers = [0, *numbers]
  hours, mins, seconds = (*numbers, 0, 0)[:3]
  return 24 * 60 * int(days or 0) + 60 * hours + mins + (seconds > 0)


def distributed(job: Job, given: Options) -> Job:
  """The job with its processes made one run, where it has several nodes."""
  return job._replace(command=[*job.command, '--distributed']) if given.nodes > 1 else job


def description(jobs: Sequence[Job], folder: Path, given: Options, *, name: str,
                at_once: int = 0) -> str:
  """What would be submitted: the batch file, letter by letter, and each job's command."""
  imported()
  from submitit.slurm import slurm  # noqa: PLC0415 - submitit is optional
  folder = folder.expanduser().absolute()
  command = shlex.join([sys.executable, '-u', '-m', 'submitit.core._submit', str(folder)])
  array = dict(map_count=len(jobs)) if len(jobs) > 1 else {}
  text = slurm._make_sbatch_string(command=command, folder=folder, **array,
                                   **parameters(given, name, at_once))
  lines = [f'# {i}: {shlex.join(["python", *job.command])}' for i, job in enumerate(jobs)]
  return '\n'.join([text, '# what the jobs run', *lines])


def imported():
  try:
    import submitit  # noqa: PLC0415 - optional
  except ImportError:
    raise ConfigError('SLURM: needs submitit: pip install "visionlab[slurm]"') from None
  return submitit


def main(_):
  given, workdir = options.read('slurm', Options), local(flags.FLAGS.workdir, '--workdir')
  job = distributed(options.run(), given)
  folder = workdir / 'slurm'
  if flags.FLAGS.dry_run:
    print(description([job], folder, given, name=job.name))
    return
  failed = run([job], executor_of(folder, given, name=job.name), retries=flags.FLAGS.retries,
               watch=flags.FLAGS.watch)
  if failed:
    raise TrainingError(f'{job.name}: {failed[job.name]}')


def define_flags():
  options.define('slurm', Options(), MEANINGS)
  flags.DEFINE_bool('watch', True, 'Wait for the jobs; ctrl-C leaves them alone, and the same '
                    'command watches them again. --nowatch: submit and leave.')


if __name__ == '__main__':
  options.define_run()
  options.define_retries()
  define_flags()
  commandline.run(main)
