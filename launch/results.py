"""What came of a sweep: results.csv, a table, the best settings, pictures and a page.

python -m launch.results --workdir=runs/sweep [--metric=test/accuracy]
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from launch.trials import (
  Group,
  Sweep,
  Trial,
  best_trial,
  check_metric,
  command,
  grouped,
  read_trials,
)
from visionlab import commandline
from visionlab.paths import local
from visionlab.storage.workdir import write_atomically


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
  write_atomically(folder / 'results.csv', as_csv(trials))
  text = table(groups, metric)
  best = best_trial(groups, metric)
  if best is not None:
    line = command(sweep, best)
    write_atomically(folder / 'best.txt', line + '\n')
    text += f'\n\nbest: {best.name}, {metric.lstrip("-")} {best.value(metric):.4g}\n{line}'
  if pictures and any(t.last for t in trials):
    from launch import page, pictures as drawn  # noqa: PLC0415 - Matplotlib takes a second
    drawn.save(folder, trials, groups, metric)
    page.save(folder, sweep, trials, groups, metric)
    text += f'\n{folder / "results.html"}'
  return text


def main(_):
  print(report(local(flags.FLAGS.workdir, '--workdir'), flags.FLAGS.metric))


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'A sweep\'s folder.', required=True)
  flags.DEFINE_string('metric', '', 'What is best by, e.g. test/accuracy; -test/loss where smaller '
                      'is better.')
  commandline.run(main)
