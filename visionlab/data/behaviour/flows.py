"""What a week of connections comes to: counts and bytes by day, hour and channel."""

from typing import NamedTuple

import numpy as np

from visionlab.data.behaviour.devices import INSIDE, RESOURCES, Flows
from visionlab.data.behaviour.habits import HOURS

COUNTED = ('connections', 'failures', 'logons', 'new destinations')
BYTES = ('sent inside', 'received inside', 'sent outside', 'received outside',
         'sent to new countries')
CHANNELS = COUNTED + BYTES
LOGON = RESOURCES.index('logon')


class Known(NamedTuple):
  """Where a device has been in the weeks before. Attributes:
    destinations, countries: sorted numbers.
  """
  destinations: np.ndarray
  countries: np.ndarray


def met(flows: Flows, known: Known | None = None) -> Known:
  """What is known after another week."""
  found = Known(np.unique(flows.destination), np.unique(flows.country[flows.sent > 0]))
  return found if known is None else Known(*(np.union1d(*both) for both in zip(known, found,
                                                                               strict=True)))


def among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Which values (n,) are among the sorted numbers `known`; `np.isin` sorts both again."""
  if not len(known):
    return np.zeros(len(values), bool)
  return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values


def counts_of(flows: Flows, known: Known | None) -> np.ndarray:
  """(7, 24, 9) int64, `CHANNELS`: in each hour of a week connections, those of them that failed,
  logons, and how many destinations it has to do with in which it had nothing in the weeks before;
  bytes sent and received, inside and outside; and of those sent outside those to countries that
  nothing was sent to in the weeks before.

  Args:
    known: of the weeks before; None of the first, in which nothing is new.
  """
  outside = flows.country != INSIDE
  cells = np.zeros((7 * HOURS, len(CHANNELS)), np.int64)

  def add(name, which, amounts=None):
    # Sums of bytes are exact as floats up to 9 petabytes.
    amounts = None if amounts is None else amounts[which].astype(np.float64)
    cells[:, CHANNELS.index(name)] = np.bincount(flows.hour[which], amounts, 7 * HOURS)
  add('connections', slice(None))
  add('failures', flows.failed)
  add('logons', flows.resource == LOGON)
  for name, there in (('inside', ~outside), ('outside', outside)):
    add(f'sent {name}', there, flows.sent)
    add(f'received {name}', there, flows.received)
  if known is not None:
    new = ~among(flows.destination, known.destinations)
    pairs = np.unique(np.stack([flows.hour[new], flows.destination[new]]), axis=1)
    cells[:, CHANNELS.index('new destinations')] = np.bincount(pairs[0], minlength=7 * HOURS)
    add('sent to new countries', outside & ~among(flows.country, known.countries), flows.sent)
  return cells.reshape(7, HOURS, len(CHANNELS))
