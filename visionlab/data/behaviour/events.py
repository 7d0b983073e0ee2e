"""Logs of events, as counts by user, week, day and hour; what is odd in them is said."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from absl import logging

from visionlab.config import ConfigError, check_choice
from visionlab.data.behaviour.tallies import Counts, DeviceTally, PeopleTally
from visionlab.data.clocks import names_zone, parse_time
from visionlab.data.sources.table_rows import TABLES
from visionlab.data.sources.table_stream import stream_table
from visionlab.data.table import Names, plain

MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
NAMED = 3                        # oddities of a kind that a warning names
JUMP = timedelta(hours=1)        # back, from which on a clock is said to have been set
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)      # a clock that was never set shows 1970, or 1980
RECENT = 2**16                   # rows among which one is known to have been there before
Tally = PeopleTally | DeviceTally


class Log(NamedTuple):
  """Attributes:
    counts: user -> week -> int counts (7, 24, k). Weeks are numbered from that of 5 January 1970,
      a Monday; those of a user without any event are not there.
    weeks: (first, last) of which the log knows the whole.
  """
  counts: Counts
  weeks: tuple[int, int]


def monday(week: int) -> str:
  """The date on which a week begins.

  >>> monday(0), monday(2920)
  ('1970-01-05', '2025-12-22')
  """
  return (MONDAY + timedelta(weeks=week)).date().isoformat()


def read_log(path: Path, tally: Tally, zone: str = 'UTC', now: datetime | None = None, *,
             columns: Mapping[str, str] | None = None, time_format: str = '') -> Log:
  """What the tables of a log say, one file after the other, some rows at a time; only what `tally`
  counts is kept, so that memory does not grow with the number of events.

  Args:
    path: a table of `visionlab.data.sources.table_rows.TABLES`, or a folder of them. Its columns:
      `time` (see `visionlab.data.clocks.parse_time`), `user` or device, and what the
      tally reads, see its `roles` and `optional`. Of lines of JSON with objects in them columns
      are called `user.name` and the like.
    tally: what is counted, without any events yet.
    zone: in which days and hours are counted, and times that name none are read.
    now: what lies after it has not happened; None for the clock's.
    columns: what the tables call these, where it is another name: dict(time='When it was').
    time_format: of times that are none of the usual, as `datetime.strptime` has it.

  Warns, with numbers and the first places, of rows left out (a time that cannot be read, before
  2000 or in the future, no user, what the tally cannot count), of rows that were among the last
  65,536 already, which count each time, of clocks that were set back, of files in which some times
  name a zone and some do not, of files that are the same, and of users whose names differ in
  capitals or blanks alone.

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
  _warn_of_copies(files)
  for name in columns or {}:
    check_choice(name, (*tally.roles, *tally.optional), 'event_logs: columns')
  reader = _Reader(tally, local, now or datetime.now(UTC), columns or {}, time_format)
  for file in files:
    try:
      reader.read(file)
    except ConfigError as e:
      more = '; the option columns says what it calls them' if 'has no column' in str(e) else ''
      raise ConfigError(f'{e}{more}') from e
  if reader.span is None:
    raise ConfigError(f'{path}: no {tally.said} in it; the options columns, time_format and '
                      'resources say how else a log may be read')
  log = Log(tally.finish(), _whole_weeks(*reader.span))
  _warn_of_spellings(log, path)
  return log


class _Reader:
  """Counts files. Attributes:
    span: the first and the last time; None before the first.
  """

  def __init__(self, tally: Tally, local: ZoneInfo, now: datetime, columns: Mapping[str, str],
               time_format: str):
    self.tally, self.local, self.now, self.time_format = tally, local, now, time_format
    self.roles, self.optional = (_renamed(names, columns) for names in (tally.roles,
                                                                        tally.optional))
    self.span: tuple[datetime, datetime] | None = None

  def read(self, file: Path) -> None:
    odd, rows, zoned = Oddities(), 0, [0, 0]
    recent, before = {}, {}
    for part in stream_table(file, self.roles, self.optional):
      rows += len(part.places)
      columns = list(part.columns)
      for place, *values in zip(part.places, *part.columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        user, time = str(row['user'] or '').strip(), parse_time(row['time'], self.local,
                                                                self.time_format)
        said = self._wrong(user, time)
        event, note = (None, None) if said else self.tally.read(row)
        if said or note and note.left_out:
          odd.add(f'left out, {said or note.what}', place)
          continue
        if note:
          odd.add(note.what, place)
        zoned[names_zone(row['time'], self.time_format)] += 1
        if time < before.get(user, time) - JUMP:
          odd.add("earlier than the user's row before", place)
        before[user] = time
        self._repeated(hash((time, user, event)), recent, odd, place)
        self.tally.add(user, *place_of(time), event)
        first, last = self.span or (time, time)
        self.span = min(first, time), max(last, time)
    odd.warn(file, rows)
    if all(zoned):
      logging.warning('%s: %d of %d times name no zone, and are read as of %s', file, zoned[0],
                      sum(zoned), self.local)

  def _wrong(self, user: str, time: datetime | None) -> str:
    return ('no time that can be read' if time is None else
            'a time in the future' if time > self.now else
            'a time before 2000, of a clock that was not set' if time < EARLIEST else
            '' if user else 'no user')

  def _repeated(self, row: int, recent: dict[int, int], odd: 'Oddities', place: str) -> None:
    times = recent.pop(row, 0) + 1
    recent[row] = times
    if times == 2:
      odd.add('there more than once, and counted each time', place)
    if len(recent) > RECENT:
      del recent[next(iter(recent))]


def _renamed(names: Mapping[str, Names], columns: Mapping[str, str]) -> dict[str, Names]:
  return {role: ((plain(columns[role]),),) if role in columns else own
          for role, own in names.items()}


def _warn_of_spellings(log: Log, path: Path) -> None:
  known: dict[str, str] = {}
  for user in sorted(log.counts):
    first = known.setdefault(plain(user), user)
    if first != user:
      logging.warning('%s: "%s" and "%s" differ in capitals or blanks alone, and are two users',
                      path, first, user)


class Oddities:
  """How often what is odd was met, and where first."""

  def __init__(self):
    self.found: dict[str, tuple[int, list[str]]] = {}

  def add(self, what: str, place: str) -> None:
    number, places = self.found.get(what, (0, []))
    self.found[what] = number + 1, places + [place] * (number < NAMED)

  def warn(self, file: Path, rows: int) -> None:
    for what, (number, places) in self.found.items():
      logging.warning('%s: %d of %d rows: %s (%s%s)', file, number, rows, what, ', '.join(places),
                      ', ...' if number > NAMED else '')


def _warn_of_copies(files: list[Path]) -> None:
  sizes = [file.stat().st_size for file in files]
  known: dict[bytes, Path] = {}
  for file, size in zip(files, sizes, strict=True):
    if size and sizes.count(size) > 1:
      with file.open('rb') as opened:
        digest = hashlib.file_digest(opened, 'sha256').digest()
      first = known.setdefault(digest, file)
      if first != file:
        logging.warning('%s: the same as %s, and counted again', file, first.name)


def place_of(time: datetime) -> tuple[int, int, int]:
  """The week, the day of it and the hour of a local time, as its clock shows them."""
  since = time.replace(tzinfo=UTC) - MONDAY
  return since.days // 7, since.days % 7, time.hour


def _whole_weeks(first: datetime, last: datetime) -> tuple[int, int]:
  """Those that lie between two times; a week counts from its first day on to its last."""
  (begin, day, _), (end, until, _) = place_of(first), place_of(last)
  return begin + (day > 0), end - (until < 6)
