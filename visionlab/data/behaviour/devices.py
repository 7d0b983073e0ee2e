"""Devices on a network: which connections each makes, when, to where, and how much goes through."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from visionlab.data.behaviour.habits import HOURS, ON_SHIFTS, SHIFTS, WEEKDAYS, working_hours

KB = 1000
HOSTS = 300                      # inside, numbers 0 to 299, that devices have to do with
OUTSIDE = 10**4                  # the first number of a destination that is outside
INSIDE, HOME, COUNTRIES = 0, 1, 41         # a destination's country: none, one's own, all others
FAR = .03                        # the share of new places that may be in any country
ABORTED = 300                    # bytes each way of a connection that fails
WEEKLY = .25                     # standard deviation of how busy weeks are, in logarithms
UPDATED = .1                     # the share of weeks with a large update
CLOUD = .3                       # the share of cameras that send clips outside, always


class Service(NamedTuple):
  """What a device does again and again.

  Attributes:
    resource: one of `RESOURCES`.
    outside: whether it leaves the network.
    hours: when: 'always', at 'work', or at 'night', from two o'clock on.
    rate: connections an hour then.
    sent, received: medians of kilobytes of each.
    spread: the standard deviation of their logarithms.
    failed: the share of connections that fail.
    places: to how many destinations it goes; half of the connections to the first few.
    new: the share of connections to a place where the device has never been.
  """
  resource: str
  outside: bool
  hours: str
  rate: float
  sent: float
  received: float
  spread: float
  failed: float
  places: int
  new: float = 0.


RESOURCES = ('logon', 'files', 'web', 'mail', 'video', 'print', 'backup', 'readings', 'update')
_UPDATES = Service('update', True, 'always', .05, 5, 60, .8, .02, 2)
_CLIPS = Service('video', True, 'always', .4, 3000, 20, .8, .01, 2)
ROLES = dict(
    camera=(Service('video', False, 'always', 4, 40_000, 50, .3, .002, 1), _UPDATES),
    printer=(Service('print', False, 'work', 3, 20, 2500, 1.2, .02, 12, .01), _UPDATES),
    sensor=(Service('readings', True, 'always', 3, 4, 2, .2, .01, 2),
            Service('readings', False, 'always', 1, 1, 1, .2, .01, 1)),
    laptop=(Service('web', True, 'work', 12, 60, 900, 1.5, .02, 60, .08),
            Service('files', False, 'work', 4, 400, 1500, 1.4, .02, 6, .01),
            Service('mail', True, 'work', 3, 80, 200, 1.2, .005, 2),
            Service('logon', False, 'work', .3, 2, 2, .3, .04, 2)),
    server=(Service('files', False, 'work', 12, 1500, 400, 1.4, .02, 40, .02),
            Service('files', False, 'always', 1, 1500, 400, 1.4, .02, 10),
            Service('backup', False, 'night', 1.5, 800_000, 300, .4, .01, 1),
            Service('update', True, 'always', .2, 10, 4000, 1., .02, 4, .02),
            Service('logon', False, 'work', .5, 3, 3, .3, .05, 6, .02)))


class Flows(NamedTuple):
  """A week's events, one connection each, arrays (n,) in no order.

  Attributes:
    hour: of the week, 0 to 167, from Monday midnight on.
    resource: an index of `RESOURCES`.
    destination: numbers of hosts, from `OUTSIDE` on outside; of a logon, from where it comes.
    country: of the destination, `INSIDE`, `HOME` or another up to `COUNTRIES` - 1.
    sent, received: bytes.
    failed: bool.
  """
  hour: np.ndarray
  resource: np.ndarray
  destination: np.ndarray
  country: np.ndarray
  sent: np.ndarray
  received: np.ndarray
  failed: np.ndarray

  @classmethod
  def joined(cls, parts: Sequence['Flows']) -> 'Flows':
    return cls(*(np.concatenate(values) for values in zip(*parts, strict=True)))


class Device(NamedTuple):
  """What a device does on average.

  Attributes:
    role: one of `ROLES`.
    services: s of them.
    rates: (s,) connections an hour; sizes: (s,) by which bytes are multiplied.
    hours: (s, 24) and days: (s, 7), how much of each it is busy.
    places, countries: of each service the usual destinations, and their countries.
  """
  role: str
  services: tuple[Service, ...]
  rates: np.ndarray
  sizes: np.ndarray
  hours: np.ndarray
  days: np.ndarray
  places: tuple[np.ndarray, ...]
  countries: tuple[np.ndarray, ...]


def draw_device(rng: np.random.Generator) -> Device:
  """One of a random role: busier or not, with hours, sizes and places of its own."""
  role = list(ROLES)[rng.integers(len(ROLES))]
  services = ROLES[role]
  if role == 'camera' and rng.random() < CLOUD:
    services += (_CLIPS,)
  n = len(services)
  begins, length = 8.5 + rng.normal(0, 1), 9 + rng.normal(0, 1)
  shapes = dict(always=np.ones(HOURS), work=working_hours(begins, length),
                night=working_hours(2 + rng.normal(0, .5), 2))
  week = np.array(SHIFTS if rng.random() < ON_SHIFTS else WEEKDAYS)
  usual = [HOME, *rng.integers(HOME + 1, COUNTRIES, rng.integers(1, 4))]
  places, countries = zip(*(_usual_places(service, usual, rng) for service in services),
                          strict=True)
  return Device(role, services, np.exp(rng.normal(0, .3, n)) * [s.rate for s in services],
                np.exp(rng.normal(0, .4, n)), np.stack([shapes[s.hours] for s in services]),
                np.stack([week if s.hours == 'work' else np.ones(7) for s in services]),
                places, countries)


def _usual_places(service: Service, usual: Sequence[int], rng) -> tuple[np.ndarray, np.ndarray]:
  if service.outside:
    return new_places(service.places, rng), rng.choice(usual, service.places)
  return rng.integers(0, HOSTS, service.places), np.full(service.places, INSIDE)


def new_places(n: int, rng: np.random.Generator) -> np.ndarray:
  """Destinations (n,) outside, of so many that none comes twice."""
  return rng.integers(OUTSIDE, 2**48, n)


def draw_flows(device: Device, rng: np.random.Generator) -> Flows:
  """A week of it: Poisson numbers of connections an hour, of log-normal sizes, in weeks and on days
  that are more or less busy; and in one week of ten a large update from a usual place."""
  n = len(device.services)
  busy = device.days * np.exp(rng.normal(0, .2, 7)) * np.exp(rng.normal(0, WEEKLY, (n, 1)))
  parts = [_service_flows(device, s, busy[s], rng) for s in range(n)]
  return Flows.joined(parts + [_update(device, rng)] * (rng.random() < UPDATED))


def _update(device: Device, rng) -> Flows:
  outside = [s for s in range(len(device.services)) if device.services[s].outside]
  s = outside[-1]
  size = 50e6 * 40 ** rng.random()
  each = (rng.integers(7 * HOURS), RESOURCES.index('update'), device.places[s][0],
          device.countries[s][0], round(size / 500), round(size), False)
  return Flows(*(np.array([x]) for x in each))


def _service_flows(device: Device, s: int, busy: np.ndarray, rng) -> Flows:
  service, places = device.services[s], device.places[s]
  each = rng.poisson(device.rates[s] * busy[:, None] * device.hours[s])
  hour = np.repeat(np.arange(7 * HOURS), each.ravel())
  n = len(hour)
  # The k-th place is gone to about 1 / k times as often as the first (Zipf 1949).
  which = (len(places) ** rng.random(n)).astype(np.int64) - 1
  destination, country = places[which], device.countries[s][which]
  new = np.flatnonzero(rng.random(n) < service.new)
  if len(new) and service.outside:
    destination[new], country[new] = new_places(len(new), rng), rng.choice(country, len(new))
    far = new[rng.random(len(new)) < FAR]
    country[far] = rng.integers(HOME + 1, COUNTRIES, len(far))
  elif len(new):
    destination[new] = rng.integers(0, HOSTS, len(new))
  failed = rng.random(n) < service.failed
  factors = KB * device.sizes[s] * np.exp(service.spread * rng.standard_normal((2, n), np.float32))
  sent, received = (np.where(failed, ABORTED, median * factor) for median, factor in zip(
      (service.sent, service.received), factors, strict=True))
  return Flows(hour, np.full(n, RESOURCES.index(service.resource)), destination, country,
               sent.astype(np.int64), received.astype(np.int64), failed)
