"""What is said when training ends."""

from collections.abc import Mapping
from pathlib import Path

from visionlab.storage.saving import Checkpoints


def stopping_line(metric: str, checkpoints: Checkpoints) -> str:
  """Where patience has ended a run."""
  return (f'stopped early: {metric} has not improved since step {checkpoints.best_step}, which is '
          'the one that is loaded from now on')


def last_line(options: Mapping, checkpoints: Checkpoints, step: int, workdir: Path) -> str:
  """The last line of a run: its best value with its step, and where to look.

  Args:
    options: config.checkpoint.
    step: the last.
  """
  metric, best = options['best'], ''
  if metric and checkpoints.best_step:
    value = -checkpoints.record if metric.startswith('-') else checkpoints.record
    best = f', best {metric.removeprefix("-")} {value:.4f} at step {checkpoints.best_step}'
  elif metric:
    best = f'; {metric} was never a number: there is no best checkpoint'
  figures = workdir / 'figures'
  return f'done: step {step}{best}' + (f'; figures in {figures}' if figures.is_dir() else '')
