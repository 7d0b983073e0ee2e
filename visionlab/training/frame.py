"""What metrics.jsonl holds, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from visionlab.config import ConfigError


def frame(lines: Sequence[Mapping[str, Any]]):
  """A pandas DataFrame with a row for each step, its index, and columns such as 'train/loss'.

  What was not measured at a step is NaN: `table['test/accuracy'].dropna().plot()`.

  Raises:
    ConfigError: pandas is not installed.
  """
  try:
    import pandas  # noqa: PLC0415 - optional
  except ImportError as e:
    raise ConfigError('run.frame() needs pandas: pip install pandas. run.metrics gives the same as '
                      'a list of dicts') from e
  rows = {}
  for line in lines:
    values = {k: float(v) for k, v in line.items() if k not in ('step', 'eval')}
    rows.setdefault(line['step'], {}).update(values)
  return pandas.DataFrame(list(rows.values()), index=pandas.Index(list(rows), name='step'))
