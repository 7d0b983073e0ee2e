"""What came of a sweep: tables of runs and settings, the best setting, pictures and a page.

python -m launch.results --workdir=runs/sweep [--metric=test/accuracy]
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from launch import tables
from launch.trials import (
  Sweep,
  Trial,
  best_trial,
  check_metric,
  command,
  grouped,
  read_trials,
  seconds,
)
from visionlab import commandline
from visionlab.storage.workdir import write_atomically


def runs(trials: Sequence[Trial]) -> list[list]:
  """A heading and a row for each run, with its last value of every metric."""
  keys = list(dict.fromkeys(k for t in trials for k in t.setting))
  metrics = sorted({k for t in trials for k in t.last})
  return [['name', 'status', 'step', 'seconds', *keys, *metrics],
          *([t.name, t.status, t.step, seconds(t) or '', *(t.setting.get(k, '') for k in keys),
             *(t.last.get(k, '') for k in metrics)] for t in trials)]


def report(folder: Path, metric: str = '', *, pictures: bool = True) -> str:
  """Writes results.csv with a row for each run, settings.csv, .md and .tex with one for each
  setting, best.txt, figures/ and results.html; returns what a terminal shows."""
  sweep = Sweep.read(folder)
  metric = metric or sweep.metric
  trials = read_trials(folder, sweep)
  check_metric(trials, metric)
  groups = grouped(trials, metric)
  rows = tables.rows_of(groups, metric)
  write_atomically(folder / 'results.csv', tables.as_csv(runs(trials)))
  write_atomically(folder / 'settings.csv', tables.as_csv(rows))
  write_atomically(folder / 'settings.md', tables.as_markdown(rows) + '\n')
  write_atomically(folder / 'settings.tex', tables.as_latex(rows) + '\n')
  text = tables.aligned(rows)
  best = best_trial(groups, metric)
  if best is not None:
    line = command(sweep, best)
    write_atomically(folder / 'best.txt', line + '\n')
    text += f'\n\nbest setting: {tables.best_setting(groups, metric)}\n{line}'
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
