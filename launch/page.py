"""results.html: a sweep's results on one page that needs nothing but itself."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from launch.pictures import varied
from launch.tables import best_setting
from launch.trials import Group, Sweep, Trial, best_trial, command, seconds
from visionlab.storage.workdir import write_atomically

TEMPLATE = Path(__file__).with_name('page.html')


def save(folder: Path, sweep: Sweep, trials: Sequence[Trial], groups: Sequence[Group],
         metric: str):
  """Writes results.html."""
  best = best_trial(groups, metric)
  name = metric.lstrip('-')
  number = {id(t): i for i, g in enumerate(groups) for t in g.trials}
  data = dict(
      title=f'{sweep.config}: {len(trials)} settings', metric=name,
      smaller=metric.startswith('-'), keys=varied([t.setting for t in trials]),
      command=command(sweep, best) if best else '',
      best=best_setting(groups, metric) if best else '',
      trials=[dict(name=t.name, setting={k: _shown(v) for k, v in t.setting.items()},
                   status=t.status, step=t.step, seconds=seconds(t), group=number[id(t)],
                   value=_finite(t.value(metric)),
                   curve=[[line['step'], _finite(float(line[name]))] for line in t.lines
                          if name in line]) for t in trials],
      groups=[dict(setting={k: _shown(v) for k, v in g.setting.items()}, mean=_finite(g.mean),
                   sd=_finite(g.sd), n=len(g.values)) for g in groups])
  # In a script element nothing but "</" could end it.
  text = json.dumps(data, allow_nan=False).replace('</', '<\\/')
  write_atomically(folder / 'results.html', TEMPLATE.read_text().replace('/*DATA*/null', text))


def _finite(value: float) -> float | None:
  return value if math.isfinite(value) else None


def _shown(value):
  return value if isinstance(value, int | float | bool) else str(value)
