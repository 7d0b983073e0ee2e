"""The checkpoints of runs that are trained in one program: written stacked, read row by row."""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from visionlab.config import ConfigError
from visionlab.paths import local
from visionlab.state import State, Tally
from visionlab.storage import checkpoint, workdir as workdirs
from visionlab.storage.checkpoint import (
  ITEMS,
  MEMBER,
  USED,
  home,
  read_newest,
  read_tally,
  steps_of,
  to_use,
)
from visionlab.storage.saving import Checkpoints, improves, value_of
from visionlab.sweeps.stacked import choose, placed, resized, row, rows, stacked
from visionlab.training.resume import resume, tally_of


class SharedCheckpoints(Checkpoints):
  """The checkpoints of a program: the newest states, stacked, and each member's best one.

  best/<step>/ holds the best states of all members; their `step` says when that was.

  Args:
    members: their `paths`, and which are `alive` (see `visionlab.sweeps.together.Members`).
  """

  def __init__(self, members, program: Path, options: Mapping, schedule, mesh: Mesh):
    super().__init__(program, {**options, 'best': ''}, schedule.save, schedule.patience)
    self.members, self.folder, self.count = members, program, len(members.paths)
    self.everywhere = NamedSharding(mesh, P())
    self.metric = options['best']
    if self.metric:
      self.best = checkpoint.manager(program / 'best', 1, best=True)
    self.rows = jax.jit(partial(rows, count=self.count), out_shardings=self.everywhere)
    self.choose = jax.jit(choose, out_shardings=self.everywhere)
    self.values, self.best_state = [], None      # of each member's best; its step is when that was

  def take_over(self, state: State, step: int, tally: Tally):
    """Makes this program's checkpoints the members': what they were before is saved here first."""
    places = [home(path) for path in self.members.paths]
    now = to_use(self.rows(state))
    if self.best is not None:
      like = dataclasses.replace(now, step=self._shared(np.zeros(self.count, np.int32)))
      bests = _bests(places, like)
      self.values = [best[1] if best else None for best in bests]
      self.best_state = like if not any(bests) else self._shared(stacked(
          [best[0] if best else row(like, k) for k, best in enumerate(bests)]))
    if step and any(place.folder != self.folder for place in places):
      self.save(state, step, tally)
      if self.best is not None:
        self._keep_best(step)
      self.last.wait_until_finished()
    for k, path in enumerate(self.members.paths):
      workdirs.write_atomically(path / MEMBER, json.dumps(dict(
          program=os.path.relpath(self.folder, path), row=k, rows=self.count)))

  def save(self, state: State, step: int, tally: Tally):
    own = {name: jax.tree.map(lambda x: x[:self.count], jax.device_get(v))
           for name, v in tally.metrics.items()}
    super().save(self.rows(state), step, dataclasses.replace(tally, metrics=own))

  def consider(self, state: State, step: int, name: str, results: Sequence[Mapping]):
    if self.best is None:
      return
    values = [value_of(self.metric, name, own) for own in results]
    better = np.zeros(self.count, bool)
    for k in self.members.alive if step > 0 else ():
      if improves(values[k], self.values[k]):
        better[k], self.values[k] = True, values[k]
    if better.any():
      now = to_use(self.rows(state))
      now = dataclasses.replace(now, step=self._shared(np.full(self.count, step, np.int32)))
      self.best_state = self.choose(better, now, self.best_state)
      self._keep_best(step)

  def _keep_best(self, step: int):
    # By the step as its value, the newest is kept.
    self.keep(self.best_state, step, dict(value=step, values=self.values))

  def _shared(self, tree):
    return jax.device_put(tree, self.everywhere)

  def deadline(self) -> float:
    """The first of the members' own: one that ends leaves the others to another program."""
    return min(self._deadlines().values(), default=math.inf)

  def _deadlines(self) -> dict[int, int]:
    """member -> the step at which its best is too old; of those that are trained and have one."""
    bests = np.asarray(self.best_state.step) if self.patience else np.zeros(self.count, int)
    return {k: int(bests[k]) + self.patience for k in self.members.alive if bests[k]}

  def ended(self, step: int) -> list[int]:
    """The members that are not to be trained on: their best is too old."""
    return [k for k, end in self._deadlines().items() if step >= end]


def resume_together(program: Path, paths, configs, job) -> tuple[State, str]:
  """As `visionlab.training.resume.resume`, for all members: a stacked state, and a line that says
  whence."""
  def together(rows):
    return dataclasses.replace(stacked(rows), step=rows[0].step)
  fresh, count = job.init(), len(paths)
  everywhere = NamedSharding(job.mesh, P())
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype,
                                                     sharding=everywhere), fresh)
  like = dataclasses.replace(like, step=fresh.step)
  own = read_newest(program, tuple(ITEMS), like, set_aside=True)
  if own:
    return placed(State(**own[1]), job.mesh), f'resumed from step {own[0]}'
  steps = {reached(path) for path in paths}
  if len(steps) > 1:
    raise ConfigError(f'members of one program stand at different steps: {sorted(steps)}')
  if steps == {0} and not (configs[0].resume or configs[0].init_from):
    return fresh, 'started from scratch'
  if steps == {0}:
    rows, origins = zip(*[resume(path, config, row(fresh, k), job.task) for k, (path, config) in
                          enumerate(zip(paths, configs, strict=True))])
    return placed(together(rows), job.mesh), origins[0]
  found = cache(lambda folder, rows: State(**read_newest(folder, tuple(ITEMS), resized(
      like, rows))[1]))
  rows = [row(found(place.folder, place.rows), place.row) for place in map(home, paths)]
  return placed(together(rows), job.mesh), f'resumed from step {min(steps)}, in another program'


def tally_together(program: Path, paths: Sequence[Path], configs, step: int, empty: Tally) -> Tally:
  """As `visionlab.training.resume.resume_tally`, for all members."""
  if step in steps_of(program / 'checkpoints'):
    return tally_of(read_tally(program, step), empty)
  folders = paths if any(map(reached, paths)) else [config.resume for config in configs]
  found = [read_tally(local(folder, 'config.resume'), step) if folder else {} for folder in folders]
  if any(set(own) != set(found[0]) for own in found):
    return empty
  return tally_of({name: np.transpose([own[name] for own in found]) for name in found[0]}, empty)


def _bests(places, like: State) -> list:
  """Each member's best state and its value, or None."""
  @cache
  def read(folder, rows):
    there = steps_of(folder / 'best')
    if not there:
      return None
    with contextlib.closing(checkpoint.manager(folder / 'best', None, best=True)) as files:
      values = files.metrics(there[-1])['values']
    return State(opt_state=(), **checkpoint.read(folder / 'best', there[-1], USED, resized(
        like, rows))), values
  found = [read(place.folder, place.rows) if place.row is not None else None for place in places]
  return [best and (row(best[0], place.row), best[1][place.row])
          for best, place in zip(found, places, strict=True)]


def reached(workdir: Path) -> int:
  """The step of a run's newest checkpoint, its own or its program's; 0 where there is none."""
  return max(steps_of(home(workdir).folder / 'checkpoints'), default=0)
