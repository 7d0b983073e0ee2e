"""How long something lasts, in steps: '500', '3 epochs', '50000 examples', '5%'."""

from visionlab.options.kinds import Duration
from visionlab.options.mistakes import ConfigError


def parse_steps(duration: Duration, where: str, *, batch: int, examples: int,
                total: int | None = None) -> int:
  """A duration in steps, rounded, at least one unless it is zero.

  Args:
    duration: steps (`500`, '500', '500 steps'), '3 epochs', '50000 examples', or '5%' of `total`.
    examples: in an epoch.

  >>> parse_steps('2 epochs', 'config.steps', batch=32, examples=1600)
  100
  >>> parse_steps('5%', 'config.evals.test.every', batch=32, examples=1600, total=1000)
  50
  """
  text = str(duration).lower().replace('%', ' percent')
  per = {'step': 1, 'epoch': examples / batch, 'example': 1 / batch}
  if total is not None:
    per['percent'] = total / 100
  try:
    number, unit = text.split() if len(text.split()) != 1 else (text, 'steps')
    value = float(number)
    steps = value * per[unit.rstrip('s')]
  except (ValueError, KeyError):
    percent = ', "5%"' if total is not None else ''
    raise ConfigError(f'{where}: {duration!r} is no duration; write e.g. "500", "3 epochs", '
                      f'"50000 examples"{percent}') from None
  if not 0 <= value < float('inf'):
    raise ConfigError(f'{where}: {duration!r} must not be negative or infinite')
  return max(1, round(steps)) if steps else 0
