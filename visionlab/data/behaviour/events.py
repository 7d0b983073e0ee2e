"""Logs of events, as counts by user, week, day, hour and resource; what is odd in them is said."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from absl import logging

from visionlab.config import ConfigError, nearest
from visionlab.data.sources.table_rows import TABLES, read_table
from visionlab.data.table import plain

ROLES = dict(
    time=(('time', 'timestamp'), ('datetime', 'date', 'when', 'event_time')),
    user=(('user',), ('user_id', 'username', 'user_name', 'device', 'account', 'host')),
    resource=(('resource',), ('activity', 'action', 'event', 'event_type', 'category', 'type')))
OPTIONAL = dict(count=(('count',), ('n', 'events')))
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
NAMED = 3                        # oddities of a kind that a warning names
JUMP = timedelta(hours=1)        # back, from which on a clock is said to have been set


class Log(NamedTuple):
  """Attributes:
    counts: user -> week -> int counts (7, 24, k). Weeks are numbered from that of 5 January 1970,
      a Monday; those of a user without any event are not there.
    weeks: (first, last) of which the log knows the whole.
  """
  counts: dict[str, dict[int, np.ndarray]]
  weeks: tuple[int, int]


def monday(week: int) -> str:
  """The date on which a week begins.

  >>> monday(0), monday(2920)
  ('1970-01-05', '2025-12-22')
  """
  return (MONDAY + timedelta(weeks=week)).date().isoformat()


def read_log(path: Path, resources: Sequence[str], zone: str = 'UTC',
             now: datetime | None = None) -> Log:
  """What the tables of a log say, one file after the other; only the counts are kept.

  Args:
    path: a table of `visionlab.data.sources.table_rows.TABLES`, or a folder of them. Its columns:
      `time` (ISO 8601, or seconds since 1970), `user` or device, `resource`, and perhaps `count`.
    resources: what is counted. Events of others are counted nowhere.
    zone: in which days and hours are counted, and times that name none are read.
    now: what lies after it has not happened; None for the clock's.

  Warns, with numbers and the first places, of rows left out (a time or count that cannot be read,
  no user, another resource, the future), of rows that are there more than once, which count each
  time, and of clocks that were set back.

  Raises:
    ConfigError: no such file, no such column or zone, or no event that counts.
  """
  try:
    local = ZoneInfo(zone)
  except (ZoneInfoNotFoundError, ValueError, OSError):
    raise ConfigError(f'time zone {zone!r}: there is none; expected one such as "Europe/Berlin"'
                      ) from None
  files = sorted(p for p in path.rglob('*') if p.suffix.lower() in TABLES) if path.is_dir() else [
      path]
  if not files or not files[0].exists():
    raise ConfigError(f'{path}: no table of events here ({", ".join(TABLES)})')
  now = now or datetime.now(UTC)
  numbers = {plain(name): i for i, name in enumerate(resources)}
  counts: dict[str, dict[int, np.ndarray]] = {}
  span: list[datetime] = []
  for file in files:
    own = _read(file, numbers, local, now, counts)
    span += own
  if not span:
    raise ConfigError(f'{path}: no event of {", ".join(resources)} in it')
  return Log(counts, _whole_weeks(min(span), max(span)))


def _read(file: Path, numbers, local, now, counts) -> list[datetime]:
  """Adds a file's events to `counts`; returns the first and the last time, if there is one."""
  rows = read_table(file, ROLES, OPTIONAL)
  odd: dict[str, list[str]] = {}
  times, seen, before = [], Counter(), {}
  for place, when, user, resource, number in zip(
      rows.places, *(rows.columns[role] for role in (*ROLES, *OPTIONAL)), strict=True):
    time, count = _time(when, local), _count(number)
    user, kind = str(user or '').strip(), plain(str(resource or ''))
    wrong = ('no time that can be read' if time is None else 'a time in the future' if time > now
             else 'no user' if not user else 'no count' if count is None
             else f'another resource{nearest(kind, numbers)}' if kind not in numbers else '')
    if wrong:
      odd.setdefault(f'left out, {wrong}', []).append(place)
      continue
    if time < before.get(user, time) - JUMP:
      odd.setdefault('earlier than the user\'s row before', []).append(place)
    before[user] = time
    seen[time, user, kind] += 1
    if seen[time, user, kind] == 2:
      odd.setdefault('there more than once, and counted each time', []).append(place)
    week, day, hour = place_of(time)
    weeks = counts.setdefault(user, {})
    cells = weeks.setdefault(week, np.zeros((7, 24, len(numbers)), np.int64))
    cells[day, hour, numbers[kind]] += count
    times.append(time)
  for what, places in odd.items():
    logging.warning('%s: %d of %d rows: %s (%s%s)', file, len(places), len(rows.places), what,
                    ', '.join(places[:NAMED]), ', ...' if len(places) > NAMED else '')
  return [min(times), max(times)] if times else []


def place_of(time: datetime) -> tuple[int, int, int]:
  """The week, the day of it and the hour of a local time, as its clock shows them."""
  since = time.replace(tzinfo=UTC) - MONDAY
  return since.days // 7, since.days % 7, time.hour


def _whole_weeks(first: datetime, last: datetime) -> tuple[int, int]:
  """Those that lie between two times; a week counts from its first day on to its last."""
  (begin, day, _), (end, until, _) = place_of(first), place_of(last)
  return begin + (day > 0), end - (until < 6)


def _time(value, local: ZoneInfo) -> datetime | None:
  if isinstance(value, datetime):
    found = value
  else:
    text = str('' if value is None else value).strip()
    try:
      found = (datetime.fromtimestamp(float(text), UTC) if text.replace('.', '', 1).isdigit()
               else datetime.fromisoformat(text))
    except (ValueError, OverflowError, OSError):
      return None
  try:
    return found.astimezone(local) if found.tzinfo else found.replace(tzinfo=local)
  except (ValueError, OverflowError, OSError):
    return None


def _count(value) -> int | None:
  """1 where nothing is said; None of what is no whole number from 0 on."""
  if value is None or value == '':
    return 1
  try:
    number = float(value)
  except (TypeError, ValueError):
    return None
  return int(number) if number >= 0 and number == int(min(number, 2**53)) else None
