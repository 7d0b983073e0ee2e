"""The one training loop, for every task.

python -m visionlab.train --config=configs/digits_cnn.py --workdir=runs/digits [--config.hp.lr=...]
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags
from jax.experimental import multihost_utils

from visionlab import build, checkpoint, commandline, figures, workdir as workdirs
from visionlab.config import TrainingError
from visionlab.evals import Evaluations, scalars
from visionlab.log import Log, parameter_table, read_metrics
from visionlab.profiler import profiler
from visionlab.resume import resume
from visionlab.step import State, Tally
from visionlab.weights.fit import adopt

CHUNK_SECONDS = 1.       # of work in one dispatch: how long a signal or a bad loss may go unnoticed


def train(config, workdir: str | Path, *, change_config: bool = False) -> State:
  """Trains as `config` says, from wherever `workdir` stands, and returns the last state.

  SIGTERM and ctrl-C save and return early. The same call then goes on, bit for bit as if nothing
  had happened, as it does after SIGKILL from the newest checkpoint.

  Args:
    change_config: lets a workdir go on with another config than the one it was started with.

  Raises:
    ConfigError: a mistake in the config.
    TrainingError: the loss is not finite (see config.on_nan).
    OSError: the workdir cannot be written.
  """
  workdir = Path(workdir)
  config = adopt(config, workdir)
  job = build.assemble(config)
  evaluations = Evaluations(config, job.task, job.mesh, job.total, job.steps)
  log_every = max(1, job.steps(config.log.every, 'config.log.every'))
  save_every, patience = checkpoint.check(config.checkpoint, job.steps)
  marks = [log_every, save_every, *evaluations.every.values()]

  if not change_config:
    workdirs.check_config(workdir, config)
  state, origin = resume(workdir, config, job.init())
  workdirs.prepare(workdir, config, job.facts)     # only now: a config that fails leaves no trace
  step = start = int(state.step)
  log = Log(workdir, step=step, total=job.total, examples=config.batch,
            tensorboard=config.log.tensorboard)
  log.say(parameter_table(state.params, build.flops(job.task, state.variables, job.facts.example)))
  log.say(f'{origin}; {job.mesh.size} x {jax.devices()[0].device_kind}; {job.facts.examples:,} '
          f'examples, {"resident" if job.batches.resident else "streamed"}')
  checkpoints = checkpoint.Checkpoints(workdir, config.checkpoint, save_every, patience)
  stream = job.batches.start(step, job.total)
  tally = empty = job.empty(state)
  flight, size = None, 1                 # the chunk that is being computed; steps in the next one

  with (contextlib.closing(log), contextlib.closing(checkpoints), interruptible() as interrupted,
        profiler(workdir, config.profile) as profile):
    while True:
      done = step >= job.total or interrupted()
      due, save = evaluations.due(step), done or checkpoints.due(step)    # asked once: clocks go on
      if due or save:
        flight = land(flight, log, workdir)             # nothing bad is ever measured or saved
      for name in due:                     # the state before this step: step 0 is measured too
        results = evaluations.evaluate(name, state)
        log.evaluation(step, name, scalars(results))
        checkpoints.consider(state, step, {f'{name}/{k}': v for k, v in results.items()})
      stale = checkpoints.stale(step)
      if save or stale:
        checkpoints.save(state, step)
      profile(step, state)
      if done or stale:
        break
      stop = min(next_stop(step, job.total, marks, config.profile), step + size)
      begun, first = time.perf_counter(), step
      for data, n in stream.take(stop - step):
        state, tally = job.run(state, tally, data, n)   # dispatched, not awaited, ...
        step += n
      if first == start:
        figures.preload()
      land(flight, log, workdir)                        # ... while the chunk before is looked at
      logged = step % log_every == 0 or step == job.total
      flight = Chunk(first, step, tally, begun, logged)
      tally = empty if logged else tally
      size = next_size(step - first, log.rate)
    if stale:
      log.say(f'stopped early: {config.checkpoint.best} has not improved since step '
              f'{checkpoints.best_step}; load(..., step="best") gives that one')
    if step < job.total and not stale:
      log.say(f'interrupted; {workdir} holds step {step}, the same command goes on from there')
    else:
      pictures = {**evaluations.figures(state), 'learning_curves': figures.curves(
          read_metrics(workdir))}
      workdirs.save_figures(workdir, pictures)
      log.pictures(step, pictures)
  return state


class Chunk(NamedTuple):
  """Steps that were dispatched together."""
  first: int
  stop: int
  tally: Tally           # since the last log line
  begun: float           # when it was dispatched
  logged: bool           # whether a log line is due at its end


def land(chunk: Chunk | None, log: Log, workdir: Path) -> None:
  """Waits for a chunk, checks it, and logs it if that is due."""
  if chunk is None:
    return
  bad = int(chunk.tally.bad_step)
  if bad >= 0:
    kept = checkpoint.steps_of(workdir / 'checkpoints')
    values = ', '.join(f'{k} {float(v):.4g}' for k, v in chunk.tally.bad_values.items())
    raise TrainingError(
        f'the loss or its gradient is not finite at step {bad}: {values}\n'
        f'good checkpoints in {workdir}: {", ".join(map(str, kept)) or "none"}; try a lower hp.lr, '
        'or config.on_nan="skip" to leave such steps out')
  log.tick(chunk.first, chunk.stop, chunk.begun)
  if chunk.logged:
    log.train(chunk.stop, {k: float(v.value) for k, v in jax.device_get(
        chunk.tally.metrics).items()})


def next_stop(step: int, total: int, every: list[int], profile: tuple) -> int:
  """The first step after `step` at which something other than training is due."""
  return min([total, *((step // n + 1) * n for n in every), *(p for p in profile if p > step)])


def next_size(last: int, rate: float | None) -> int:
  """Steps in the next dispatch: about a second of them, approached from below."""
  if jax.process_count() > 1:       # processes measure different rates, and must do the same
    return 20
  return max(1, min(4 * last, int((rate or 1) * CHUNK_SECONDS)))


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
  """Within, SIGTERM and ctrl-C only make the function that is yielded return True (on every
  process, if any was told); a second one acts as ever."""
  told = threading.Event()
  before = {}

  def handler(number, frame):
    told.set()
    signal.signal(number, before[number])
  if threading.current_thread() is threading.main_thread():
    before = {s: signal.signal(s, handler) for s in (signal.SIGTERM, signal.SIGINT)}

  def interrupted() -> bool:
    if jax.process_count() == 1:
      return told.is_set()
    return bool(multihost_utils.process_allgather(told.is_set()).any())
  try:
    yield interrupted
  finally:
    for number, previous in before.items():
      signal.signal(number, previous)


def main(_):
  train(flags.FLAGS.config, flags.FLAGS.workdir, change_config=flags.FLAGS.change_config)


if __name__ == '__main__':
  commandline.config_flag()
  flags.DEFINE_string('workdir', None, 'Folder for checkpoints, metrics and figures; one that '
                      'holds some goes on from there.', required=True)
  flags.DEFINE_bool('change_config', False, 'Go on in a workdir that was started with another '
                    'config.')
  commandline.run(main)
