"""Weeks of people's or devices' events, from logs: who does what they do not usually do?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError, check_choice
from visionlab.data.behaviour.behaviour import CLASSES
from visionlab.data.behaviour.encode import beside_history
from visionlab.data.behaviour.events import Log, monday, read_log
from visionlab.data.behaviour.habits import RESOURCES
from visionlab.data.behaviour.populations import POPULATIONS
from visionlab.data.behaviour.tallies import DeviceTally, PeopleTally
from visionlab.data.classes import check_classes
from visionlab.data.source import Arrays, Info, check_root, check_split

LIGHTEST = 255.5                 # grey level up to which images tell counts apart


class Weeks(Arrays):
  """Attributes, beside those of `Arrays`:
    counts: (n 7 24 k), what the images show; usual: (n 7 24 k), the mean of the weeks before.
    mondays: on which date each week begins.
  """
  counts: np.ndarray
  usual: np.ndarray
  mondays: tuple[str, ...]


def event_logs(split: str, *, root: str = '', population: str = 'people',
               resources: Sequence[str] = RESOURCES, zone: str = 'UTC', history: int = 8,
               columns: Mapping | None = None, time_format: str = '') -> Weeks:
  """Weeks of each user that the log knows whole, beside their `history` weeks before.

  Args:
    split: 'test', for there is nothing to learn from here: nobody says what is unusual.
    root: a table of events, or a folder of them, see `visionlab.data.behaviour.events.read_log`.
    population: 'people', whose events are counted by resource, or 'devices', whose connections
      are (see `visionlab.data.behaviour.tallies.DeviceTally`).
    resources: what is counted of people, one channel each, in the order that the network knows.
    zone: the time zone in which days and hours are counted.
    history: weeks before the first that is an example. A user without events in one of them has
      zeros there; those who are not there that long are named, and left out.
    columns, time_format: see `read_log`.

  Returns:
    A source of `image` (n 7 24 4 k) uint8, see `beside_history`; `label` (n,) int32, 0, for what is
    unusual is not known; `user` (n,) int32, one of `info.attributes['user']`.

  Raises:
    ConfigError: there is no user with that many weeks.
  """
  check_split(split, ('test',), 'event_logs')
  check_choice(population, POPULATIONS, 'event_logs: population')
  check_classes(resources, 'event_logs: resources')
  if population == 'devices' and tuple(resources) != RESOURCES:
    raise ConfigError('event_logs: resources are counted of people; of devices connections are')
  if history < 2:
    raise ConfigError(f'event_logs: history must be at least 2, not {history!r}')
  path = Path(root).expanduser()
  if not path.is_file():
    path = check_root(root, 'event_logs', 'tables of events')
  tally = DeviceTally() if population == 'devices' else PeopleTally(resources)
  log, levels = read_log(
      path, tally, zone, columns=columns, time_format=time_format), POPULATIONS[population].levels
  users = _known(log, history, path)
  first, last = log.weeks
  counts, usual, images, mondays, number = [], [], [], [], []
  for i, user in enumerate(users):
    line = _line(log, user, tally.kinds)
    for week in range(history, len(line)):
      before = line[week - history:week]
      counts.append(line[week])
      usual.append(before.mean(0))
      images.append(beside_history(line[week][None], before, levels)[0])
      mondays.append(monday(last + 1 - len(line) + week))
      number.append(i)
  _warn_of_huge(np.stack(counts), levels, path)
  found = Weeks(dict(image=np.stack(images), label=np.zeros(len(images), np.int32),
                     user=np.array(number, np.int32)), Info(CLASSES, attributes=dict(user=users)))
  found.counts, found.usual, found.mondays = np.stack(counts), np.stack(usual), tuple(mondays)
  return found


def _warn_of_huge(counts: np.ndarray, levels, path) -> None:
  """Of counts (n, 7, 24, k) that are shown as less than they are."""
  huge = int((levels(counts) > LIGHTEST).sum())
  if huge:
    logging.warning('%s: %d counts, the largest %d, are above what images can show (254 events, or '
                    '2.5 GB, an hour), and shown as that', path, huge, counts.max())


def _known(log: Log, history: int, path) -> tuple[str, ...]:
  """Users with more than `history` weeks; warns of the others."""
  first, last = log.weeks
  since = {user: max(min(weeks), first) for user, weeks in log.counts.items()}
  known = tuple(sorted(user for user, week in since.items() if last - week + 1 > history))
  new = sorted(set(since) - set(known))
  if new:
    logging.warning('%s: %d of %d users are left out, known for %d weeks or less: %s%s', path,
                    len(new), len(since), history, ', '.join(new[:5]),
                    ', ...' if len(new) > 5 else '')
  if not known:
    raise ConfigError(f'{path}: needs more than {history} whole weeks of a user, and knows '
                      f'{max(last - first + 1, 0)}, Mondays to Sundays; see history')
  silent = [week for week in range(first, last + 1)
            if not any(week in weeks for weeks in log.counts.values())]
  if silent:
    logging.warning('%s: no events at all in %d weeks, which count as weeks without work: that of '
                    '%s%s', path, len(silent), monday(silent[0]), ', ...' if silent[1:] else '')
  return known


def _line(log: Log, user: str, kinds: int) -> np.ndarray:
  """The counts (weeks, 7, 24, kinds) of a user, from their first whole week on."""
  weeks, (first, last) = log.counts[user], log.weeks
  nothing = np.zeros((7, 24, kinds), np.int64)
  return np.stack([weeks.get(week, nothing)
                   for week in range(max(min(weeks), first), last + 1)])
