"""The settings of a sweep, what came of each, and which is best."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from visionlab.config import ConfigError, check_choice, with_tuples
from visionlab.storage.workdir import outcome, write_atomically
from visionlab.sweeps.settings import SEEDS, Setting, arguments
from visionlab.training.log import read_metrics

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
  def sd(self) -> float:
    """The standard deviation over seeds (n - 1)."""
    return stdev(self.values) if len(self.values) > 1 else math.nan


class Sweep(NamedTuple):
  """What sweep.json holds: the config file, what the command line changed, every setting."""
  config: str
  base: Mapping[str, Any]
  metric: str
  settings: Mapping[str, Setting]

  def save(self, folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / SWEEP, json.dumps(self._asdict(), indent=2))

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
  """Of the best setting, by its mean over seeds, the first run: not the luckiest, whose number
  would be better than the setting is."""
  return next((t for t in groups[0].trials
               if t.status == 'done' and not math.isnan(t.value(metric))), None)


def seconds(trial: Trial) -> float | None:
  """From the first to the last line that a run wrote; of runs that saw the clock."""
  times = [line['time'] for line in trial.lines if 'time' in line]
  return times[-1] - times[0] if len(times) > 1 else None


def command(sweep: Sweep, trial: Trial, workdir: str = 'runs/best') -> str:
  """What trains this setting alone, to the same numbers."""
  return shlex.join(['python', '-m', 'visionlab.train', f'--config={sweep.config}',
                     f'--workdir={workdir}', *arguments({**sweep.base, **trial.setting})])


def check_metric(trials: Sequence[Trial], metric: str):
  known = {k for trial in trials for k in trial.last}
  if known:
    check_choice(metric.lstrip('-'), sorted(known), '--metric')
