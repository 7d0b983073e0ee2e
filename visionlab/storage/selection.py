"""Which checkpoint of a run is used: the one that is named, or the one that stands for the run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visionlab.config import ConfigError, nearest
from visionlab.storage import checkpoint
from visionlab.storage.workdir import EARLY, outcome

BEST, NEWEST = 'best', 'newest'


def selected(workdir: Path, step: int | str | None = None) -> tuple[int, Mapping[str, Any]]:
  """(step, fields) of a checkpoint, without its optimiser.

  Args:
    step: its step, 'best' or 'newest'. None is the best where patience ended the run, whose newest
      is by then known to be worse, and else the newest.

  Raises:
    ConfigError: there is no such checkpoint, or it cannot be read.
  """
  step = usual(workdir) if step is None else step
  if step == NEWEST:
    found = checkpoint.read_newest(workdir, ('model',))
    if found is None:
      raise ConfigError(f'{workdir}: no checkpoint yet')
    return found
  place = checkpoint.home(workdir)
  kind = 'best' if step == BEST else 'checkpoints'
  there = checkpoint.steps_of(place.folder / kind)
  if not there or step not in (BEST, *there):
    hint = '' if step == BEST else nearest(step, (BEST, NEWEST))
    raise ConfigError(f'{workdir}: no checkpoint {step}{hint}; there are: {listed(workdir)}')
  at = there[-1] if step == BEST else int(step)
  try:
    fields = checkpoint.read_row(place, kind, at, checkpoint.USED)
  except Exception as e:              # orbax has no one class for damage
    raise ConfigError(f'{place.folder / kind / str(at)}: this checkpoint cannot be read: '
                      f'{checkpoint.reason(e)}') from e
  if step == BEST and not fields['step']:
    raise ConfigError(f'{workdir}: no best checkpoint yet')
  return int(fields['step']), fields


def usual(workdir: Path) -> str:
  """What stands for a run where nobody names a checkpoint: 'best' or 'newest'."""
  early = outcome(workdir).get(EARLY, False)
  return BEST if early and best_step(workdir) is not None else NEWEST


def best_step(workdir: Path) -> int | None:
  """The step of the best checkpoint of a run, if one was kept."""
  place = checkpoint.home(workdir)
  there = checkpoint.steps_of(place.folder / 'best')
  if not there or place.row is None:
    return there[-1] if there else None
  try:                                # of members of one program, each has a best step of its own
    return int(checkpoint.read_row(place, 'best', there[-1], ('loop',))['step']) or None
  except Exception:                   # one that cannot be read is none
    return None


def newest_step(workdir: Path) -> int | None:
  """The step of the newest checkpoint of a run, if there is one."""
  there = checkpoint.steps_of(checkpoint.home(workdir).folder / 'checkpoints')
  return there[-1] if there else None


def listed(workdir: Path) -> str:
  """The checkpoints of a run by the names that `selected` takes."""
  steps = checkpoint.steps_of(checkpoint.home(workdir).folder / 'checkpoints')
  names = [*map(str, steps), *([NEWEST] if steps else [])]
  best = best_step(workdir)
  return ', '.join(names + ([f'{BEST} (step {best})'] if best is not None else [])) or 'none'
