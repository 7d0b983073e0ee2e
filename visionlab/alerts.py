"""Who did not behave as usual? python -m visionlab.alerts --workdir=runs/behaviour events.csv

Ranks the weeks of a log (see `visionlab.data.behaviour.event_logs`) by how sure a run of
configs/behaviour.py is that they are not their users', with reasons. --csv, --json write all.
"""

import csv
import io
import json

import numpy as np
from absl import flags

from visionlab import commandline
from visionlab.config import ConfigError
from visionlab.data.behaviour.behaviour import CLASSES
from visionlab.data.behaviour.encode import GROUPS
from visionlab.data.behaviour.event_logs import Weeks, event_logs
from visionlab.data.behaviour.habits import DAYS, RESOURCES
from visionlab.paths import output_file
from visionlab.runs.load import load
from visionlab.runs.run import Run
from visionlab.storage.workdir import write_atomically

REASONS = 3
APART = .5                       # between the roots of a count and of what is usual


def alerts(run: Run, weeks: Weeks) -> list[dict]:
  """The weeks, the most unusual first: `user`, `week` (the date of its Monday), `unusual`, a
  probability, and `reasons`, the cells that speak most for it.

  Raises:
    ConfigError: a run that does not tell usual from unusual weeks of as many resources.
  """
  image = weeks.arrays['image']
  if run.facts.image.shape[1:] != image.shape[1:] or run.facts.info.classes != CLASSES:
    raise ConfigError(f'{run.workdir}: expected a run of configs/behaviour.py, that sees weeks of '
                      f'{image.shape[-1] // len(GROUPS)} resources')
  said = run.predict(image)
  # By logits, for probabilities end at 1.
  order = np.argsort(said['logits'][:, 0] - said['logits'][:, 1], kind='stable')
  why = run.explain(image, 'gradient_times_input', CLASSES[1])
  why = why.reshape(*why.shape[:3], len(GROUPS), -1).sum(3)
  users = weeks.info.attributes['user']
  return [dict(user=users[weeks.arrays['user'][i]], week=weeks.mondays[i],
               unusual=round(float(said['probabilities'][i, 1]), 4),
               reasons=reasons(why[i], weeks.counts[i], weeks.usual[i])) for i in order]


def reasons(why: np.ndarray, counts: np.ndarray, usual: np.ndarray) -> list[str]:
  """What is to be seen in the cells (7, 24, k) that speak most for an answer, of those that are not
  as usual: counts beside the mean of the weeks before."""
  # A network's window reaches beyond what is unusual, to cells that are as ever.
  why = np.where(np.abs(np.sqrt(counts) - np.sqrt(usual)) > APART, why, 0)
  best = np.argsort(-why, axis=None, kind='stable')[:REASONS]
  return [f'{DAYS[day]} {hour}:00 {RESOURCES[kind]} {counts[day, hour, kind]} '
          f'(usually {usual[day, hour, kind]:.1f})'
          for day, hour, kind in zip(*np.unravel_index(best, why.shape), strict=True)
          if why[day, hour, kind] > 0]


def as_csv(found: list[dict]) -> str:
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(['rank', *found[0]])
  for rank, one in enumerate(found, 1):
    writer.writerow([rank, *list(one.values())[:-1], '; '.join(one['reasons'])])
  return text.getvalue()


def main(argv):
  options = flags.FLAGS
  if len(argv) != 2:
    raise ConfigError(f'name one log, a table of events or a folder of them, not {len(argv) - 1}')
  files = {kind: output_file(path, f'--{kind}')
           for kind, path in (('csv', options.csv), ('json', options.json)) if path}
  run = load(options.workdir, step=commandline.chosen_step())
  weeks = event_logs('test', root=argv[1], zone=options.zone, history=options.history)
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
  flags.DEFINE_string('workdir', None, 'Folder of a run of configs/behaviour.py.', required=True)
  flags.DEFINE_string('csv', '', 'Writes all weeks, ranked, to this file.')
  flags.DEFINE_string('json', '', 'The same as JSON.')
  flags.DEFINE_string('zone', 'UTC', 'Time zone in which days and hours are counted.')
  flags.DEFINE_integer('history', 8, 'Weeks that each week is held against.', 2)
  flags.DEFINE_integer('most', 20, 'How many are printed.', 1)
  commandline.step_flag()
  commandline.run(main, words='a log')
