"""What becomes of a run whose loss is not finite (config.on_nan)."""

from collections.abc import Callable, Mapping
from pathlib import Path

from visionlab.config import TrainingError
from visionlab.state import Tally
from visionlab.storage import checkpoint, workdir as workdirs


def unless_ignored(check: Callable[[Tally], None], config: Mapping) -> Callable[[Tally], None]:
  """`check`, or with config.on_nan='ignore' nothing."""
  return (lambda tally: None) if config['on_nan'] == 'ignore' else check


def stop_if_bad(tally: Tally, *, workdir: Path) -> None:
  """Raises `TrainingError` where the loss was not finite."""
  bad = int(tally.bad_step)
  if bad >= 0:
    workdirs.conclude(workdir, 'diverged', bad)
    kept = checkpoint.steps_of(workdir / 'checkpoints')
    values = ', '.join(f'{k} {float(v):.4g}' for k, v in tally.bad_values.items())
    raise TrainingError(
        f'the loss or its gradient is not finite at step {bad}: {values}\n'
        f'good checkpoints in {workdir}: {", ".join(map(str, kept)) or "none"}; try a lower hp.lr, '
        'or config.on_nan="skip" to leave such steps out')
