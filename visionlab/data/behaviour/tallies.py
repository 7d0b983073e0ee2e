"""What is counted of logged events: people's by resource, devices' by connection."""

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from visionlab.config import nearest
from visionlab.data.behaviour.flows import CHANNELS
from visionlab.data.behaviour.habits import HOURS
from visionlab.data.table import plain

FAILED = ('failure', 'failed', 'fail', 'denied', 'deny', 'blocked', 'block', 'refused', 'rejected',
          'reject', 'error', 'timeout', 'reset', '0', 'false', 'no')
FINE = ('', 'success', 'successful', 'succeeded', 'ok', 'allowed', 'allow', 'accepted', 'accept',
        'established', '1', 'true', 'yes')
LOGONS = ('logon', 'login', 'log_on', 'log_in', 'authentication', 'auth', 'ssh', 'rdp')
WITHIN = ('inside', 'internal', 'local', 'private', 'lan', '-')
UNKNOWN = 'outside'              # the country of an address of which none is said
MOST = 2**53
word = lru_cache(2**10)(plain)

Counts = dict[str, dict[int, np.ndarray]]


class Odd(NamedTuple):
  """What is odd about an event. Attributes:
    what: in words; left_out: whether it is not counted.
  """
  what: str
  left_out: bool = True


class PeopleTally:
  """Events of each resource. Attributes:
    counts: user -> week -> (7, 24, k), as they come.
  """
  roles = dict(
      time=(('time', 'timestamp', '@timestamp', '_time', 'ts'),
            ('datetime', 'date', 'when', 'event_time')),
      user=(('user',), ('user_id', 'username', 'user_name', 'user.name', 'src_user', 'device',
                        'account', 'host')),
      resource=(('resource',), ('activity', 'action', 'event', 'event_type', 'category', 'type',
                                'event.category', 'event.action')))
  optional = dict(count=(('count',), ('n', 'events')))

  def __init__(self, resources: Sequence[str]):
    self.numbers = {plain(name): i for i, name in enumerate(resources)}
    self.kinds, self.counts = len(resources), {}
    self.said = f'event of {", ".join(resources)}'

  def read(self, row: Mapping[str, Any]) -> tuple[Any, Odd | None]:
    """What is to be counted of a row, or what is odd."""
    count, kind = whole_number(row['count'], 1), word(str(row['resource'] or ''))
    if count is None:
      return None, Odd('no count')
    if kind not in self.numbers:
      return None, Odd(f'another resource{nearest(kind, self.numbers)}')
    return (kind, count), None

  def add(self, user: str, week: int, day: int, hour: int, event: tuple[str, int]) -> None:
    kind, count = event
    cells_of(self.counts, user, week, self.kinds)[day, hour, self.numbers[kind]] += count

  def finish(self) -> Counts:
    return self.counts


class Connection(NamedTuple):
  """An event of a device; country: '' inside."""
  destination: str
  country: str
  sent: int
  received: int
  failed: bool
  logon: bool


class DeviceTally:
  """Connections, into the channels of `visionlab.data.behaviour.flows`, and where each device was
  for the first time: a week and the hours of it, a bit each, or bytes.

  A destination without a country is inside if it is no address or a private one (RFC 1918 and
  4193).
  """
  roles = dict(
      time=PeopleTally.roles['time'],
      user=(('device',), ('host', 'hostname', 'source', 'src', 'source_ip', 'src_ip', 'host.name',
                            'source.ip', 'user')),
      destination=(('destination',), ('dest', 'dst', 'destination_ip', 'dst_ip', 'dest_ip',
                                      'destination.ip', 'remote', 'peer')))
  optional = dict(
      resource=(('resource',), ('service', 'protocol', 'application', 'event', 'type')),
      country=(('country',), ('destination_country', 'dst_country', 'region')),
      sent=(('sent',), ('bytes_sent', 'bytes_out', 'orig_bytes', 'upload', 'bytes')),
      received=(('received',), ('bytes_received', 'bytes_in', 'resp_bytes', 'download')),
      outcome=(('outcome',), ('status', 'result', 'success')))
  said = 'connection'
  kinds = len(CHANNELS)

  def __init__(self):
    self.counts: Counts = {}
    self.places: dict[str, dict[str, tuple[int, int]]] = {}
    self.countries: dict[str, dict[str, tuple[int, np.ndarray]]] = {}

  def read(self, row: Mapping[str, Any]) -> tuple[Any, Odd | None]:
    destination = str(row['destination'] or '').strip()
    sent, received = (whole_number(row[k], 0) for k in ('sent', 'received'))
    outcome = word(str('' if row['outcome'] is None else row['outcome']))
    if not destination:
      return None, Odd('no destination')
    if sent is None or received is None:
      return None, Odd('no number of bytes')
    odd = None if outcome in FAILED or outcome in FINE else Odd(
        'an outcome that is no word for success or failure, and counted as a success', False)
    return Connection(destination, country_of(destination, str(row['country'] or '').strip()), sent,
                      received, outcome in FAILED, word(str(row['resource'] or '')) in LOGONS), odd

  def add(self, user: str, week: int, day: int, hour: int, event: Connection) -> None:
    cell = cells_of(self.counts, user, week, self.kinds)[day, hour]
    where = 'outside' if event.country else 'inside'
    for name, amount in (('connections', 1), ('failures', event.failed), ('logons', event.logon),
                         (f'sent {where}', event.sent), (f'received {where}', event.received)):
      cell[CHANNELS.index(name)] += amount
    at, places = HOURS * day + hour, self.places.setdefault(user, {})
    first, hours = places.get(event.destination, (week, 0))
    if week <= first:
      places[event.destination] = week, (hours if week == first else 0) | 1 << at
    if event.country and event.sent:
      countries = self.countries.setdefault(user, {})
      first, amounts = countries.get(event.country, (week, None))
      if week <= first:
        amounts = np.zeros(7 * HOURS, np.int64) if week < first or amounts is None else amounts
        amounts[at] += event.sent
        countries[event.country] = week, amounts

  def finish(self) -> Counts:
    """All channels: what is new counts from each device's second week on."""
    place, bytes_ = (CHANNELS.index(k) for k in ('new destinations', 'sent to new countries'))
    for user, weeks in self.counts.items():
      begin = min(weeks)
      for week, hours in self.places[user].values():
        if week > begin:
          cells = weeks[week].reshape(7 * HOURS, -1)
          cells[[at for at in range(7 * HOURS) if hours >> at & 1], place] += 1
      for week, amounts in self.countries.get(user, {}).values():
        if week > begin:
          weeks[week].reshape(7 * HOURS, -1)[:, bytes_] += amounts
    return self.counts


def cells_of(counts: Counts, user: str, week: int, kinds: int) -> np.ndarray:
  return counts.setdefault(user, {}).setdefault(week, np.zeros((7, HOURS, kinds), np.int64))


def whole_number(value, default: int) -> int | None:
  """The default where nothing is said; None of what is no whole number from 0 on."""
  if value is None or value in ('', '-'):
    return default
  try:
    number = float(value)
  except (TypeError, ValueError):
    return None
  if number != number:                   # as pandas writes gaps
    return default
  return int(number) if 0 <= number <= MOST and number == int(number) else None


@lru_cache(2**14)
def country_of(destination: str, said: str) -> str:
  """The country of a destination, '' if it is inside.

  >>> country_of('192.168.1.7', ''), country_of('8.8.8.8', ''), country_of('8.8.8.8', 'US')
  ('', 'outside', 'US')
  """
  if said:
    return '' if plain(said) in WITHIN else said
  try:
    return '' if ipaddress.ip_address(destination).is_private else UNKNOWN
  except ValueError:
    return ''
