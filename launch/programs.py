"""Settings of a sweep in as few compiled programs as they need, one program after the other."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from visionlab import build
from visionlab.config import TrainingError
from visionlab.storage.workdir import conclude, outcome
from visionlab.sweeps.checkpoints import reached
from visionlab.sweeps.settings import kind_of
from visionlab.sweeps.together import train_together

Configs = Mapping[str, ConfigDict]
Drop = Callable[[str, Sequence[str]], Sequence[str]]      # (rung, names) -> those to give up


def train(configs: Configs, folder: Path, *, at_once: int = 0, rungs: Sequence[str] = (),
          drop: Drop | None = None) -> bool:
  """Trains each setting in folder/<name>; what has ended is left alone, the rest goes on.

  Args:
    at_once: settings in one program at most; 0: all that fit together.
    rungs: durations ('25%') at which all settings wait for each other and `drop` says which are
      pruned; the others go on in smaller programs.

  Returns:
    Whether it was interrupted.
  """
  kinds = alike(configs)
  for rung in (*rungs, '100%'):
    for names in kinds:
      for part in _parts(names, at_once):
        if _train_until(rung, {n: configs[n] for n in part}, folder):
          return True
    left = [name for name in configs if not outcome(folder / name)]
    for name in drop(rung, left) if drop and rung != '100%' else ():
      conclude(folder / name, 'pruned', reached(folder / name))
  return False


def alike(configs: Configs) -> list[list[str]]:
  """The settings, by name, that can be trained in one program: they differ in hp, seed and, if
  their data is resident, data_seed."""
  seeds = {config.data_seed for config in configs.values()}
  kinds: dict[str, list[str]] = {}
  for name, config in configs.items():
    kinds.setdefault(kind_of(config), []).append(name)
  if len(seeds) == 1:
    return list(kinds.values())
  apart: dict[tuple, list[str]] = {}
  for kind, names in kinds.items():
    resident = build.assemble(configs[names[0]]).batches.resident
    for name in names:
      apart.setdefault((kind, 0 if resident else configs[name].data_seed), []).append(name)
  return list(apart.values())


def _train_until(rung: str, configs: Configs, folder: Path) -> bool:
  until = None
  while True:
    left = {name: reached(folder / name) for name in configs if not outcome(folder / name)}
    left = {name: step for name, step in left.items() if until is None or step < until}
    if not left:
      return False
    # Those that were cut off earlier than others catch up first.
    behind = {name: configs[name] for name, step in left.items() if step == min(left.values())}
    try:
      stopped = train_together(behind, folder, until=rung)
    except TrainingError as e:                    # all of these have diverged; others have not
      print(e, flush=True)
      continue
    if stopped.interrupted:
      return True
    until = stopped.until


def _parts(names: Sequence[str], size: int) -> list[Sequence[str]]:
  return [names[i:i + size] for i in range(0, len(names), size)] if size else [names]
