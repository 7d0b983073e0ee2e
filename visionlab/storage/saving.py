"""Which states of a run are saved: by the step, by the clock, and because they are the best."""

import math
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from visionlab.config import ConfigError, Duration, bind, nearest
from visionlab.parallel.distributed import agreed
from visionlab.state import State, Tally
from visionlab.storage.checkpoint import USED, manager, to_save, to_use, writing


class Checkpoints:
  """The checkpoints of a workdir, as config.checkpoint wants them.

  `every` (a duration) and `minutes` say when; the last `keep` stay, and in another folder the best
  by the metric `best`: 'test/accuracy', or '-test/loss' where smaller is better; '' for none.
  Training ends early once the best is `patience`, a duration, old; 0 for never.
  """

  def __init__(self, workdir: Path, options: Mapping, every: int, patience: int):
    self.every, self.patience = every, patience
    self.seconds, self.metric = options['minutes'] * 60, options['best']
    self.last = manager(workdir / 'checkpoints', options['keep'])
    self.best = manager(workdir / 'best', 1, best=True) if self.metric else None
    self.clock = time.monotonic()
    self.best_step = self.record = None
    if self.best and self.best.latest_step():
      self.best_step, self.record = self._read_best(self.best.latest_step())

  def _read_best(self, step: int) -> tuple[int | None, float | None]:
    """The best step and its value; none where another metric chose it, or one that is no number,
    as older versions could: whatever comes is better."""
    kept = self.best.metrics(step)
    if math.isnan(kept['value']) or kept.get('metric', self.metric) != self.metric:
      return None, None
    return step, kept['value']

  def due(self, step: int) -> bool:
    """Whether a checkpoint of this step is wanted, by the schedule or by the clock."""
    late = agreed(time.monotonic() - self.clock > self.seconds)   # saved together or not at all
    return step > 0 and (step % self.every == 0 or late)

  def save(self, state: State, step: int, tally: Tally | None = None):
    """Starts writing; returns once the arrays are copied. Does nothing if the step is there.

    Args:
      tally: since the last line of the log, so that a resumed run's next line covers those steps.
    """
    self.clock = time.monotonic()
    if step not in self.last.all_steps():
      with writing(self.last, state):
        self.last.save(step, args=to_save(state, tally))

  def consider(self, state: State, step: int, name: str, results: Mapping[str, Any]):
    """Keeps `state` as the best if the results of evaluation `name` say so."""
    value = value_of(self.metric, name, results)
    if step > 0 and improves(value, self.record):     # an untrained network is the best of nothing
      self.keep(state, step, dict(value=value, metric=self.metric), alone=self.record is None)
      self.record, self.best_step = value, step

  def keep(self, state: State, step: int, metrics: Mapping[str, Any], *, alone: bool = False):
    """Writes `state`, but for the optimiser's, to the folder of the best, from which the one before
    then goes.

    orbax declines what is not newer than all that is there, as after a resume from before the best
    step; and between two it keeps the larger value, be it of another metric. Such go first.

    Args:
      alone: nothing that is there can be compared.
    """
    with writing(self.best, to_use(state)):
      for old in self.best.all_steps():
        if old >= step or alone:
          self.best.delete(old)
      self.best.save(step, args=to_save(state, names=USED), metrics=metrics)

  def deadline(self) -> float:
    """The step at which training ends unless a better state is seen before; infinite without."""
    return self.best_step + self.patience if self.patience and self.best_step else math.inf

  def stale(self, step: int) -> bool:
    """Whether to stop early: no better state than the best has been seen for too long. It follows
    from what is on disk, so a resumed run decides as an unbroken one."""
    return step >= self.deadline()

  def close(self):
    """Waits for what is being written; raises what went wrong in the background."""
    for files in (self.last, self.best):
      if files is not None:
        with writing(files):
          files.wait_until_finished()
          files.close()


def saving_intervals(options: Mapping, steps: Callable) -> tuple[int, int]:
  """config.checkpoint's `every` and `patience` in steps, once all of it is found to make sense."""
  where = 'config.checkpoint'

  def intervals(every: Duration, minutes: float, keep: int, best: str, patience: Duration):
    if keep < 1:
      raise ConfigError(f'{where}.keep: must be at least 1, not {keep}')
    if not minutes > 0:
      raise ConfigError(f'{where}.minutes: must be more than 0, not {minutes}; inf is never')
    age = steps(patience, f'{where}.patience')
    if age and not best:
      raise ConfigError(f'{where}.patience: needs a metric, {where}.best')
    return at_least_one(steps, every, f'{where}.every'), age
  return bind(intervals, options, where)


def at_least_one(steps: Callable, every: Duration, where: str) -> int:
  """A duration between two of something, in steps.

  Raises:
    ConfigError: it is zero, which is neither always nor never.
  """
  found = steps(every, where)
  if not found:
    raise ConfigError(f'{where}: {every!r} is no time between two; "1" is every step')
  return found


def improves(value: float | None, record: float | None) -> bool:
  """Whether a value is better than the best so far, if there is one. None and NaN never are."""
  return value is not None and not math.isnan(value) and (record is None or value > record)


def value_of(metric: str, name: str, results: Mapping[str, Any]) -> float | None:
  """What the best is chosen by, larger is better, if it is among these results.

  >>> value_of('-test/loss', 'test', {'loss': .5}), value_of('-test/loss', 'train', {'loss': .5})
  (-0.5, None)
  """
  evaluation, _, key = metric.removeprefix('-').partition('/')
  if not metric or evaluation != name:
    return None
  check_metric(metric, {name: [k for k, v in results.items() if isinstance(v, float)]})
  return -results[key] if metric.startswith('-') else results[key]


def check_metric(metric: str, known: Mapping[str, Collection[str] | None]):
  """Raises `ConfigError` unless config.checkpoint.best is one of the numbers that are measured.

  Args:
    known: the names of each evaluation's numbers; None where they are not known yet.
  """
  where = 'config.checkpoint.best'
  evaluation, _, key = metric.removeprefix('-').partition('/')
  if not known:
    raise ConfigError(f'{where}: {metric!r}, but there are no evaluations (config.evals)')
  if evaluation not in known:
    raise ConfigError(f'{where}: {metric!r} is of no evaluation{nearest(evaluation, known)}; '
                      f'there are: {", ".join(known)}; write e.g. "-{next(iter(known))}/loss"')
  names = known[evaluation]
  if names is not None and key not in names or not key:
    names = [f'{evaluation}/{name}' for name in names or ['loss']]
    raise ConfigError(f'{where}: {metric!r} is not measured{nearest(metric.lstrip("-"), names)}; '
                      f'there are: {", ".join(sorted(names))}')
