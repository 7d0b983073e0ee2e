"""Many settings trained in one program, by the one loop.

A member's folder is that of any run (config.json, metrics.jsonl, events, outcome.json), but that
its checkpoints are kept with the others': <folder>/programs/<name>/checkpoints, stacked.
"""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from visionlab import build
from visionlab.config import ConfigError, Duration, TrainingError, whole
from visionlab.parallel.sharding import devices_line
from visionlab.paths import local
from visionlab.state import Tally
from visionlab.storage import workdir as workdirs
from visionlab.storage.lock import one_writer
from visionlab.sweeps.checkpoints import SharedCheckpoints, resume_together, tally_together
from visionlab.sweeps.stacked import row
from visionlab.train import Records, loop
from visionlab.training.divergence import unless_ignored
from visionlab.training.due import Schedule
from visionlab.training.evaluation import Evaluations
from visionlab.training.hooks import open_hooks
from visionlab.training.interrupt import interruptible
from visionlab.training.log import Log, scalars
from visionlab.training.parameters import parameter_table, settings_of
from visionlab.training.profiler import profiler
from visionlab.weights.fit import adopt_options

PROGRAMS = 'programs'


def train_together(configs: Mapping[str, Mapping], folder: str | Path, *,
                   until: Duration = '100%') -> 'Stopped':
  """Trains runs that differ in hp, seed and data_seed alone, each in folder/<name>.

  Every member is trained as it would be alone, to rounding. One that diverges is marked so, and
  the others go on. Called again, it goes on where it stood; members that stand at the same step
  may be called together in any company.

  Args:
    configs: by name.
    until: a duration after which to measure, save and return.

  Returns:
    Where it stopped: before `until` if it was interrupted, or if a member has ended early (see
    config.checkpoint.patience); the others are then to be called again, without it.

  Raises:
    ConfigError, OSError: as from `train`.
  """
  folder = local(folder, 'folder')
  if jax.process_count() > 1:
    raise ConfigError('several settings in one program: for one process')
  paths = [folder / name for name in configs]
  configs = [adopt_options(whole(config), path)
             for config, path in zip(configs.values(), paths, strict=True)]
  config = configs[0]
  job = build.assemble(config, configs)
  evaluations = Evaluations(config, job.task, job.mesh, job.total, job.steps, swept=True)
  evaluations.check_facts(job.facts)
  schedule = Schedule.of(config, job, evaluations)
  schedule = schedule._replace(until=min(job.steps(until, 'until'), job.total))
  for path, own in zip(paths, configs, strict=True):
    workdirs.check_config(path, own)
  with one_writer(*paths):
    return _train(paths, configs, folder, job, evaluations, schedule)


def _train(paths: Sequence[Path], configs: Sequence[Mapping], folder: Path, job: build.Job,
           evaluations: Evaluations, schedule: Schedule) -> 'Stopped':
  config, names = configs[0], ' '.join(path.name for path in paths)
  program = folder / PROGRAMS / hashlib.sha256(names.encode()).hexdigest()[:12]
  state, origin = resume_together(program, paths, configs, job)
  step = int(state.step)
  tally = tally_together(program, paths, configs, step, job.empty(state))
  evaluations.check_metric(config.checkpoint.best, state)
  for path, own in zip(paths, configs, strict=True):
    workdirs.prepare(path, own, job.facts)
  program.mkdir(parents=True, exist_ok=True)
  workdirs.write_members(program, paths)
  members = Members(paths)
  log = MembersLog(members, program, step, job.total, job.facts.examples, configs)
  params = jax.eval_shape(lambda: row(state, 0)).params
  log.say(parameter_table(params, settings_of(job.optimizer, params, state.hp)))
  log.say(f'{len(paths)} settings in one program: {origin}; {devices_line(job.mesh)}; '
          f'{job.facts.examples:,} examples, '
          f'{"resident" if job.batches.resident else "streamed"}')
  checkpoints = SharedCheckpoints(members, program, config.checkpoint, schedule, job.mesh)
  with (contextlib.closing(log), contextlib.closing(checkpoints), interruptible() as interrupted,
        profiler(program, config.profile) as profile):
    checkpoints.take_over(state, step, tally)
    retire = partial(members.retire_diverged, log=log)
    records = Records(log, checkpoints, unless_ignored(retire, config))
    state, step, _ = loop(job, evaluations, state, tally, records, schedule, interrupted, profile)
    told = interrupted()
  ended = checkpoints.ended(step)
  for k in members.alive:
    if step == job.total or k in ended:
      workdirs.conclude(paths[k], 'done', step, early=k in ended)
  return Stopped(step, schedule.until, told)


class Stopped(NamedTuple):
  step: int
  until: int
  interrupted: bool


class Members:
  """Which of a program's runs are still being trained."""

  def __init__(self, paths: Sequence[Path]):
    self.paths, self.alive = paths, list(range(len(paths)))

  def retire_diverged(self, tally: Tally, log: 'MembersLog'):
    """Marks those that have diverged.

    Raises:
      TrainingError: all have.
    """
    bad = np.asarray(tally.bad_step)
    for k in [k for k in self.alive if bad[k] >= 0]:
      values = {name: str(v[k]) for name, v in jax.device_get(tally.bad_values).items()}
      workdirs.conclude(self.paths[k], 'diverged', int(bad[k]), **values)
      log.say(f'{self.paths[k].name} diverged at step {bad[k]}: loss {values["loss"]}')
      self.alive.remove(k)
    if not self.alive:
      raise TrainingError('every setting has diverged; try a lower hp.lr')


class MembersLog:
  """A `Log` for each member, and one of the program that says how their median fares."""

  def __init__(self, members: Members, program: Path, step: int, total: int, epoch: int,
               configs: Sequence[Mapping]):
    self.members = members
    config = configs[0]
    options = dict(step=step, total=total, epoch=epoch)
    self.program = Log(program, examples=config['batch'] * len(members.paths), tensorboard=False,
                       **options)
    self.logs = [Log(path, examples=config['batch'], quiet=True,
                     tensorboard=config['log']['tensorboard'], hooks=open_hooks(path, own),
                     **options)
                 for path, own in zip(members.paths, configs, strict=True)]
    for log, own in zip(self.logs, configs, strict=True):
      log.settings(own)
    self.say, self.tick, self.doing = self.program.say, self.program.tick, self.program.doing

  @property
  def rate(self):
    return self.program.rate

  def train(self, step: int, metrics: Mapping[str, np.ndarray]):
    for k in self.members.alive:
      self.logs[k].train(step, {name: v[k] for name, v in metrics.items()})
    self.program.train(step, {name: np.median(v[self.members.alive])
                              for name, v in metrics.items()})

  def evaluation(self, step: int, name: str, results: Sequence[Mapping]):
    shown = [scalars(results[k]) for k in self.members.alive]
    for k, own in zip(self.members.alive, shown, strict=True):
      self.logs[k].evaluation(step, name, own)
    self.program.evaluation(step, name, {key: float(np.median([own[key] for own in shown]))
                                         for key in shown[0]})

  def frame(self, step: int, images: None):
    """Members have no films."""

  def close(self):
    for log in (*self.logs, self.program):
      log.close()
