"""Who did not behave as usual? python -m visionlab.alerts --workdir=runs/behaviour events.csv

Ranks the weeks of a log (see `visionlab.data.behaviour.event_logs`) by how sure a run of
configs/behaviour.py, or of configs/devices.py, is that they are not their users', with reasons.
--csv, --json write all.
"""

import csv
import io
import json
from collections.abc import Sequence

import numpy as np
from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.data.behaviour.behaviour import CLASSES
from visionlab.data.behaviour.encode import GROUPS
from visionlab.data.behaviour.event_logs import Weeks, event_logs
from visionlab.data.behaviour.flows import BYTES
from visionlab.data.behaviour.habits import DAYS
from visionlab.data.behaviour.populations import POPULATIONS, Population
from visionlab.paths import output_file
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.storage.workdir import write_atomically

REASONS = 3
APART = 8.                       # grey levels between a count and what is usual: half an event


def alerts(run: Run, weeks: Weeks) -> list[dict]:
  """The weeks, the most unusual first: `user`, `week` (the date of its Monday), `unusual`, a
  probability, and `reasons`, the cells that speak most for it.

  Raises:
    ConfigError: a run that does not tell usual from unusual weeks of as many resources.
  """
  image = weeks.arrays['image']
  if run.facts.image.shape[1:] != image.shape[1:] or run.facts.info.classes != CLASSES:
    raise ConfigError(f'{run.workdir}: expected a run of configs/behaviour.py, or of '
                      'configs/devices.py for devices, that sees weeks of '
                      f'{image.shape[-1] // len(GROUPS)} resources or channels')
  said = run.predict(image)
  # By logits, for probabilities end at 1.
  order = np.argsort(said['logits'][:, 0] - said['logits'][:, 1], kind='stable')
  why = run.explain(image, 'gradient_times_input', CLASSES[1])
  why = why.reshape(*why.shape[:3], len(GROUPS), -1).sum(3)
  population = POPULATIONS[population_of(run)]
  users = weeks.info.attributes['user']
  return [dict(user=users[weeks.arrays['user'][i]], week=weeks.mondays[i],
               unusual=round(float(said['probabilities'][i, 1]), 4),
               reasons=reasons(why[i], weeks.counts[i], weeks.usual[i], population)) for i in order]


def population_of(run: Run) -> str:
  """Whose weeks a run has learnt from."""
  return run.config.data.get('population', 'people')


def reasons(why: np.ndarray, counts: np.ndarray, usual: np.ndarray,
            population: Population = POPULATIONS['people']) -> list[str]:
  """What is to be seen in the cells (7, 24, k) that speak most for an answer, of those that are not
  as usual: counts beside the mean of the weeks before."""
  # A network's window reaches beyond what is unusual, to cells that are as ever.
  apart = np.abs(population.levels(counts) - population.levels(usual)) > APART
  why = np.where(apart, why, 0)
  best = np.argsort(-why, axis=None, kind='stable')[:REASONS]
  return [f'{DAYS[day]} {hour}:00 {population.channels[kind]} '
          f'{amount(counts[day, hour, kind], population.channels[kind])} '
          f'(usually {amount(usual[day, hour, kind], population.channels[kind])})'
          for day, hour, kind in zip(*np.unravel_index(best, why.shape), strict=True)
          if why[day, hour, kind] > 0]


def amount(count, channel: str) -> str:
  """Of events, or of bytes.

  >>> amount(3, 'file'), amount(.25, 'file'), amount(2_500_000, 'sent outside')
  ('3', '0.2', '2.5 MB')
  """
  if channel not in BYTES:
    return str(count) if isinstance(count, int | np.integer) else f'{count:.1f}'
  for unit, size in (('GB', 1e9), ('MB', 1e6), ('kB', 1e3)):
    if count >= size:
      return f'{count / size:.1f} {unit}'
  return f'{count:.0f} B'


def as_csv(found: list[dict]) -> str:
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['rank', *found[0]])
  for rank, one in enumerate(found, 1):
    writer.writerow([rank, *list(one.values())[:-1], '; '.join(one['reasons'])])
  return text.getvalue()


def columns_of(pairs: Sequence[str]) -> dict[str, str]:
  """Of role=name.

  >>> columns_of(['time=When it was', 'user=Who'])
  {'time': 'When it was', 'user': 'Who'}
  """
  if not all('=' in pair for pair in pairs):
    raise ConfigError(f'--columns={",".join(pairs)}: expected such as time=When,user=Who')
  return dict(pair.split('=', 1) for pair in pairs)


def main(argv):
  options = flags.FLAGS
  if len(argv) != 2:
    raise ConfigError(f'name one log, a table of events or a folder of them, not {len(argv) - 1}')
  files = {kind: output_file(path, f'--{kind}')
           for kind, path in (('csv', options.csv), ('json', options.json)) if path}
  run = load(options.workdir, step=commandline.chosen_step())
  weeks = event_logs('test', root=argv[1], zone=options.zone, history=options.history,
                     population=population_of(run), columns=columns_of(options.columns),
                     time_format=options.time_format)
  found = alerts(run, weeks)
  print(f'{run.workdir}: {run.which}; {len(found):,} weeks of '
        f'{len(weeks.info.attributes["user"]):,} users')
  shown = found[:options.most]
  wide = max(len(one['user']) for one in shown)
  for one in shown:
    print(f'{one["unusual"]:.4f}  {one["week"]}  {one["user"]:{wide}}  {"; ".join(one["reasons"])}')
  for kind, path in files.items():
    write_atomically(path, as_csv(found) if kind == 'csv' else json.dumps(found, indent=2))
    print(path)


if __name__ == '__main__':
  flags.DEFINE_string('workdir', None, 'Folder of a run of configs/behaviour.py or devices.py.',
                      required=True)
  flags.DEFINE_string('csv', '', 'Writes all weeks, ranked, to this file.')
  flags.DEFINE_string('json', '', 'The same as JSON.')
  flags.DEFINE_string('zone', 'UTC', 'Time zone in which days and hours are counted.')
  flags.DEFINE_list('columns', [], 'What the log calls its columns, where it is another name: '
                    'time=When,user=Who,resource=What.')
  flags.DEFINE_string('time_format', '', 'Of times such as 03/08/2026 14:15: %d/%m/%Y %H:%M.')
  flags.DEFINE_integer('history', 8, 'Weeks that each week is held against.', 2)
  flags.DEFINE_integer('most', 20, 'How many are printed.', 1)
  commandline.step_flag()
  commandline.run(main, words='a log')
