"""The one training loop, for every task.

python -m visionlab.train --config=configs/digits_cnn.py --workdir=runs/digits [--config.hp.lr=...]
"""

import contextlib
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from visionlab import build, commandline
from visionlab.data.balance import count_line
from visionlab.data.box_sizes import anchor_line
from visionlab.figures import charts
from visionlab.parallel.sharding import devices_line, share
from visionlab.paths import local
from visionlab.state import State, Tally
from visionlab.storage import workdir as workdirs
from visionlab.storage.lock import one_writer
from visionlab.storage.saving import Checkpoints
from visionlab.training.console import Console
from visionlab.training.divergence import stop_if_bad, unless_ignored
from visionlab.training.due import Schedule, next_size, next_stop
from visionlab.training.ending import last_line, stopping_line
from visionlab.training.evaluation import Evaluations
from visionlab.training.hooks import open_hooks
from visionlab.training.interrupt import interruptible
from visionlab.training.log import Log, read_metrics
from visionlab.training.meanings import loss_of_training
from visionlab.training.parameters import cost_line, parameter_table, settings_of
from visionlab.training.pictures import drawn, saved, write_film_of
from visionlab.training.plan import Plan
from visionlab.training.preview import preview
from visionlab.training.profiler import profiler
from visionlab.training.resume import resume, resume_tally, schedule_line
from visionlab.training.waiting import Waits


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
  workdir = local(workdir, '--workdir')
  with Console(quiet=jax.process_index() > 0).doing('opening the data'):
    config, job, evaluations, schedule = Plan.of(config, workdir)
  if not change_config:
    workdirs.check_config(workdir, config)
  workdirs.check_words(job.facts.info.words, workdir, config.resume, config.init_from)
  with one_writer(workdir):
    return _train(config, workdir, job, evaluations, schedule)


def _train(config, workdir: Path, job: build.Job, evaluations: Evaluations,
           schedule: Schedule) -> State:
  state, origin = resume(workdir, config, job.init(), job.task)
  extended = schedule_line(workdir, config, job, int(state.step))
  tally = resume_tally(workdir, config, int(state.step), job.empty(state))
  evaluations.check_metric(config.checkpoint.best, state)
  workdirs.prepare(workdir, config, job.facts)     # only now: a config that fails leaves no trace
  log = Log(workdir, step=int(state.step), total=job.total, examples=config.batch,
            epoch=job.facts.examples, tensorboard=config.log.tensorboard,
            hooks=open_hooks(workdir, config), loss=loss_of_training(config))
  log.settings(config)
  log.say(parameter_table(state.params, settings_of(job.optimizer, state.params, state.hp)))
  log.say(f'{origin}; {devices_line(job.mesh)}{share(state)}; {job.facts.examples:,} examples, '
          f'{"resident" if job.batches.resident else "streamed"}')
  for line in filter(None, (extended, count_line(job.facts.counts, job.facts.info.classes),
                            anchor_line(job.batches.sources, getattr(job.task, 'model', None)))):
    log.say(line)
  checkpoints = Checkpoints(workdir, config.checkpoint, schedule.save, schedule.patience)
  records = Records(log, checkpoints, unless_ignored(partial(stop_if_bad, workdir=workdir), config),
                    partial(log.aside, partial(cost_line, job, evaluations, state)))
  with (contextlib.closing(log), contextlib.closing(checkpoints), interruptible() as interrupted,
        profiler(workdir, config.profile) as profile):
    state, step, stale = loop(job, evaluations, state, tally, records, schedule, interrupted,
                              profile)
    if stale:
      log.say(stopping_line(config.checkpoint.best, checkpoints))
    if step < job.total and not stale:
      log.say(f'interrupted; {workdir} holds step {step}, the same command goes on from there')
      return state
    pictures = evaluations.figures(state) | drawn('the learning curves', lambda: {
        'learning_curves': charts.curves(read_metrics(workdir), loss_of_training(config))})
    log.pictures(step, saved(pictures, workdir))
    drawn('the film of training', lambda: write_film_of(workdir))
    log.say(last_line(config.checkpoint, checkpoints, step, workdir))
  workdirs.conclude(workdir, 'done', step, early=stale)
  return state


class Records(NamedTuple):
  """Who is told of what training gives: of one run (a `Log`, `Checkpoints`), or of many in one
  program (visionlab.sweeps.together); state, tally and results are then those of every member."""
  log: Any
  checkpoints: Any
  check: Callable[[Tally], None]         # raises where training must not go on
  aside: Callable[[], None] = lambda: None     # called once, while the second chunk is computed


def loop(job: build.Job, evaluations: Evaluations, state: State, tally: Tally, records: Records,
         schedule: Schedule, interrupted: Callable[[], bool],
         profile: Callable) -> tuple[State, int, bool]:
  """Trains from `state` and `tally` on: the last state, its step, and whether it was stopped early.
  """
  log, checkpoints, check, aside = records
  step = int(state.step)
  stream = job.batches.start(step, job.total)
  empty = job.empty(state)
  waits = Waits()
  flight, size = None, 1                 # the chunk that is being computed; steps in the next one
  for chunk in itertools.count():
    done = step >= schedule.until or interrupted()
    due = evaluations.due(step, schedule.until)
    save = done or checkpoints.due(step)              # asked once: clocks go on
    if due or save or checkpoints.stale(step):
      flight = land(flight, log, check)               # nothing bad is ever measured or saved
    for name in due:                     # the state before this step: step 0 is measured too
      with log.doing(f'measuring {name}', lasting=False):
        results = evaluations.evaluate(name, state)
      log.evaluation(step, name, results)
      checkpoints.consider(state, step, name, results)
    stale = checkpoints.stale(step)
    log.frame(step, evaluations.frame(state) if due else None)
    if save or stale:
      checkpoints.save(state, step, tally)
    profile(step, state)
    if done or stale:
      return state, step, stale
    stop = min(next_stop(step, schedule, checkpoints.deadline()), step + size)
    begun, first = time.perf_counter(), step
    with log.doing('compiling the training step') if chunk == 0 else contextlib.nullcontext():
      for data, n in waits.over(stream.take(stop - step)):
        state, tally = job.run(state, tally, data, n)   # dispatched, not awaited, ...
        step += n
    land(flight, log, check)                          # ... while the chunk before is looked at
    if chunk == 1:
      charts.preload()
      aside()
    logged = step % schedule.log == 0 or step == schedule.until
    waited = 0. if job.batches.resident else waits.taken()
    flight = Chunk(first, step, tally, begun, waited, logged)
    tally = tally.cleared(empty) if logged else tally
    size = next_size(step - first, log.rate)


class Chunk(NamedTuple):
  """Steps that were dispatched together."""
  first: int
  stop: int
  tally: Tally           # since the last log line
  begun: float           # when it was dispatched
  waited: float          # seconds, for data
  logged: bool           # whether a log line is due at its end


def land(chunk: Chunk | None, log: Log, check: Callable) -> None:
  """Waits for a chunk, has it checked, and logs it if that is due."""
  if chunk is None:
    return
  check(chunk.tally)
  log.tick(chunk.first, chunk.stop, chunk.begun, chunk.waited)
  if chunk.logged:
    metrics = jax.device_get(chunk.tally.metrics)
    log.train(chunk.stop, {k: np.asarray(v.value) for k, v in metrics.items()})


def main(_):
  with commandline.joined():
    if flags.FLAGS.dry_run:
      print(preview(flags.FLAGS.config, local(flags.FLAGS.workdir, '--workdir')))
      return
    train(flags.FLAGS.config, flags.FLAGS.workdir, change_config=flags.FLAGS.change_config)


if __name__ == '__main__':
  commandline.config_flag()
  commandline.distributed_flags()
  flags.DEFINE_string('workdir', None, 'Folder for checkpoints, metrics and figures; one that '
                      'holds some goes on from there.', required=True)
  flags.DEFINE_bool('dry_run', False, 'Print what would be trained, and stop.')
  flags.DEFINE_bool('change_config', False, 'Go on in a workdir that was started with another '
                    'config.')
  commandline.run(main)
