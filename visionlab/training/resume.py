"""Where a run starts from."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from visionlab.build import Job, build_optimizer, durations
from visionlab.config import ConfigError
from visionlab.metrics import Ratio
from visionlab.paths import local
from visionlab.state import State, Tally, averageable
from visionlab.storage.checkpoint import ITEMS, home, read_newest, read_tally, steps_of
from visionlab.storage.workdir import saved_config
from visionlab.weights.files import read_weights
from visionlab.weights.fit import fit


def resume(workdir: Path, config, state: State, task=None) -> tuple[State, str]:
  """The state to start from, and a line that says which: the workdir's own newest checkpoint, else
  config.resume's, else the weights of config.init_from, else `state` as it is. `hp` is that of
  `state`, which is the config's: what was changed in it holds from here on. `task` may make kernels
  of the weights' see more channels.

  Raises:
    ConfigError: config.resume or config.init_from holds nothing that fits.
  """
  own = read_newest(workdir, tuple(ITEMS), state, set_aside=True)
  if own:
    return with_own_hp(State(**own[1]), state, f'resumed from step {own[0]}')
  if config.resume:
    found = read_newest(local(config.resume, 'config.resume'), tuple(ITEMS), state)
    if found is None:
      raise ConfigError(f'config.resume: no checkpoint in {config.resume}')
    return with_own_hp(State(**found[1]), state,
                       f'continued from {config.resume}, step {found[0]}')
  if config.init_from:
    try:
      widened = [task.widened] if hasattr(task, 'widened') else []
      variables, report = fit(read_weights(config.init_from),
                              {'params': state.params, **state.collections}, *widened)
    except ConfigError as e:
      raise ConfigError(f'config.init_from: {e}') from e
    collections = dict(variables)
    params = collections.pop('params')
    ema = None if state.ema is None else jax.tree.map(
        jnp.copy, averageable(params, collections))             # a copy: both are donated
    return (dataclasses.replace(state, params=params, collections=collections, ema=ema),
            str(report))
  return state, 'started from scratch'


def with_own_hp(restored: State, fresh: State, origin: str) -> tuple[State, str]:
  """The restored state with the hp of the fresh one, and the line, which says what has changed."""
  old, new = jax.device_get((restored.hp, fresh.hp))
  changes = [f'hp.{name}: {float(old[name]):.4g} -> {float(new[name]):.4g}' for name in new
             if old[name] != new[name]]
  since = f'; {", ".join(changes)} from step {int(restored.step)}' if changes else ''
  return dataclasses.replace(restored, hp=fresh.hp), origin + since


def schedule_line(workdir: Path, config, job: Job, step: int) -> str:
  """What another length of training does to the rate of the workdir's run, which goes on at `step`;
  '' where the length is what it was."""
  try:
    saved = saved_config(workdir)
    if saved is None or not step or saved.steps == config.steps:
      return ''
    before, steps = durations(saved, job.facts.examples)
    earlier = build_optimizer(saved, before, steps)
  except ConfigError:      # damaged, or with what is refused by now; it is about to be written anew
    return ''
  was, now = (float(optimizer.schedule(step)) for optimizer in (earlier, job.optimizer))
  line = (f'steps: {before:,} -> {job.total:,}; at step {step:,} the schedule now gives {now:.3g} '
          f'of hp.lr, and {was:.3g} before')
  rises = ('; for a rate that does not rise again: --config.optim.schedule.name=constant and a '
           'small --config.hp.lr')
  return line + (rises if now > was + 1e-3 else '')


def resume_tally(workdir: Path, config, step: int, empty: Tally) -> Tally:
  """What was added up since the last line of the log where `resume` gave the state of `step`, so
  that the next line is that of an unbroken run; `empty` where that is not known."""
  folders = [workdir, *([local(config.resume, 'config.resume')] if config.resume else [])]
  found = [read_tally(folder, step) for folder in folders
           if step in steps_of(home(folder).folder / 'checkpoints')]
  return tally_of(found[0], empty) if found else empty


def tally_of(saved: Mapping[str, Sequence], empty: Tally) -> Tally:
  """A tally in the form of `empty` from name -> [sum, count], of one run or of the rows of several;
  rows that are missing only fill the mesh. `empty` if the metrics are others."""
  if set(saved) != set(empty.metrics):
    return empty

  def place(value, like):
    filled = np.zeros(like.shape, like.dtype)
    filled[tuple(map(slice, np.shape(value)))] = value
    return jax.device_put(filled, like.sharding)
  return dataclasses.replace(empty, metrics={
      name: Ratio(*map(place, saved[name], (like.sum, like.count)))
      for name, like in empty.metrics.items()})
