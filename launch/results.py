"""What came of a sweep: results.csv, a table, the best settings, pictures and a page.

python -m launch.results --workdir=runs/sweep [--metric=test/accuracy]
"""

import csv
import io
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError, check_choice, with_tuples
from visionlab.log import read_metrics
from visionlab.sweep import SEEDS, Setting, arguments
from visionlab.workdir import outcome, write

SWEEP = 'sweep.json'


class Trial(NamedTuple):
  """One setting and what came of it. `last`: the last value of every metric of an evaluation."""
  name: str
  setting: Setting
  status: str                        # done, diverged, pruned, failed, running, waiting
  step: int
  last: Mapping[str, float]
  lines: Sequence[Mapping[str, Any]]

  def value(self, metric: str) -> float:
    value = self.last.get(metric.lstrip('-'), math.nan)
    return math.nan if self.status == 'diverged' else value


class Group(NamedTuple):
  """The settings that differ in their seeds alone."""
  setting: Setting
  trials: Sequence[Trial]
  values: Sequence[float]            # of those that were trained to the end

  @property
  def mean(self) -> float:
    return mean(self.values) if self.values else math.nan

  @property
  def error(self) -> float:
    """The standard error of the mean."""
    n = len(self.values)
    return stdev(self.values) / math.sqrt(n) if n > 1 else math.nan


class Sweep(NamedTuple):
  """What sweep.json holds: the config file, what the command line changed, every setting."""
  config: str
  base: Mapping[str, Any]
  metric: str
  settings: Mapping[str, Setting]

  def save(self, folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / SWEEP, json.dumps(self._asdict(), indent=2))

  @classmethod
  def read(cls, folder: Path) -> 'Sweep':
    if not (folder / SWEEP).exists():
      raise ConfigError(f'{folder}: no sweep here (there is no {SWEEP})')
    return cls(**with_tuples(json.loads((folder / SWEEP).read_text())))


def read_trials(folder: Path, sweep: Sweep) -> list[Trial]:
  trials = []
  for name, setting in sweep.settings.items():
    lines = read_metrics(folder / name)
    ended = outcome(folder / name)
    last = {k: float(v) for line in lines if 'eval' in line for k, v in line.items() if '/' in k}
    step = ended.get('step', lines[-1]['step'] if lines else 0)
    trials.append(Trial(name, setting, ended.get('status', 'running' if lines else 'waiting'),
                        step, last, lines))
  return trials


def choose_metric(config: Mapping) -> str:
  """What the best is chosen by where nobody says: as config.checkpoint.best, else the first
  evaluation's loss; with '-', smaller is better."""
  if config['checkpoint']['best']:
    return config['checkpoint']['best']
  names = list(config['evals'])
  if not names:
    raise ConfigError('--metric: the config has no evaluation to choose the best by')
  return f'-{names[0]}/loss'


def grouped(trials: Sequence[Trial], metric: str) -> list[Group]:
  """By all that is no seed, the best mean first; those without a result last."""
  groups: dict[str, list[Trial]] = {}
  for trial in trials:
    setting = {k: v for k, v in trial.setting.items() if k not in SEEDS}
    groups.setdefault(json.dumps(setting, sort_keys=True), []).append(trial)
  found = []
  for own in groups.values():
    setting = {k: v for k, v in own[0].setting.items() if k not in SEEDS}
    values = [t.value(metric) for t in own if t.status == 'done']
    found.append(Group(setting, own, [v for v in values if not math.isnan(v)]))
  sign = 1 if metric.startswith('-') else -1
  return sorted(found, key=lambda g: (not g.values, sign * g.mean if g.values else 0))


def best_trial(groups: Sequence[Group], metric: str) -> Trial | None:
  """Of the best setting, by its mean over seeds, the best run."""
  done = [t for t in groups[0].trials if t.status == 'done' and not math.isnan(t.value(metric))]
  sign = -1 if metric.startswith('-') else 1
  return max(done, key=lambda t: sign * t.value(metric), default=None)


def command(sweep: Sweep, trial: Trial, workdir: str = 'runs/best') -> str:
  """What trains this setting alone, to the same numbers."""
  return shlex.join(['python', '-m', 'visionlab.train', f'--config={sweep.config}',
                     f'--workdir={workdir}', *arguments({**sweep.base, **trial.setting})])


def check_metric(trials: Sequence[Trial], metric: str):
  known = {k for trial in trials for k in trial.last}
  if known:
    check_choice(metric.lstrip('-'), sorted(known), '--metric')


def table(groups: Sequence[Group], metric: str, rows: int = 40) -> str:
  """The settings, best first, with the mean of the metric ± its standard error over seeds."""
  keys = list(dict.fromkeys(k for g in groups for k in g.setting))
  lines = [[*(k.removeprefix('hp.') for k in keys), metric.lstrip('-'), 'seeds', 'not done']]
  for group in groups[:rows]:
    shown = '' if not group.values else f'{group.mean:.4g}' + (
        f' ± {group.error:.2g}' if len(group.values) > 1 else '')
    ends: dict[str, int] = {}
    for trial in group.trials:
      if trial.status != 'done':
        ends[trial.status] = ends.get(trial.status, 0) + 1
    lines.append([*(str(group.setting.get(k, '')) for k in keys), shown, str(len(group.values)),
                  ', '.join(f'{n} {status}' for status, n in ends.items())])
  wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
  text = '\n'.join('  '.join(cell.ljust(w) for cell, w in zip(line, wide, strict=True)).rstrip()
                   for line in lines)
  return text + (f'\n... and {len(groups) - rows} more' if len(groups) > rows else '')


def as_csv(trials: Sequence[Trial]) -> str:
  keys = list(dict.fromkeys(k for t in trials for k in t.setting))
  metrics = sorted({k for t in trials for k in t.last})
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['name', 'status', 'step', *keys, *metrics])
  for t in trials:
    writer.writerow([t.name, t.status, t.step, *(t.setting.get(k, '') for k in keys),
                     *(t.last.get(k, '') for k in metrics)])
  return text.getvalue()


def report(folder: Path, metric: str = '', *, pictures: bool = True) -> str:
  """Writes results.csv, best.txt, figures/ and results.html; returns what a terminal shows."""
  sweep = Sweep.read(folder)
  metric = metric or sweep.metric
  trials = read_trials(folder, sweep)
  check_metric(trials, metric)
  groups = grouped(trials, metric)
  write(folder / 'results.csv', as_csv(trials))
  text = table(groups, metric)
  best = best_trial(groups, metric)
  if best is not None:
    line = command(sweep, best)
    write(folder / 'best.txt', line + '\n')
    text += f'\n\nbest: {best.name}, {metric.lstrip("-")} {best.value(metric):.4g}\n{line}'
  if pictures and any(t.last for t in trials):
    from launch import page, pictures as drawn  # noqa: PLC0415 - Matplotlib takes a second
    drawn.save(folder, trials, groups, metric)
    page.save(folder, sweep, trials, groups, metric)
    text += f'\n{folder / "results.html"}'
  return text


def main(_):
  print(report(Path(flags.FLAGS.workdir), flags.FLAGS.metric))


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'A sweep\'s folder.', required=True)
  flags.DEFINE_string('metric', '', 'What is best by, e.g. test/accuracy; -test/loss where smaller '
                      'is better.')
  commandline.run(main)
