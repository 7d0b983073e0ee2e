"""What goes wrong with devices: incidents of five kinds, and disturbances to learn from.

As with people (`visionlab.data.behaviour.incidents`) nothing is trained on the incidents, and
disturbances are of no kind in particular.
"""

import numpy as np

from visionlab.data.behaviour.devices import (
  ABORTED,
  COUNTRIES,
  HOSTS,
  INSIDE,
  OUTSIDE,
  RESOURCES,
  Device,
  Flows,
  new_places,
)
from visionlab.data.behaviour.flows import CHANNELS, COUNTED
from visionlab.data.behaviour.habits import HOURS

INCIDENTS = ('scan', 'download', 'exfiltration', 'upload', 'stolen credentials')
DISTURBANCES = ('added', 'moved', 'mixed')
WEEK = 7 * HOURS
MB = 10**6


def incident(kind: str, device: Device, severity: float, rng: np.random.Generator) -> Flows:
  """The connections that come to a device's week, from a random hour on.

  - scan: 8 to 320 addresses inside are tried, within 1, 4 or 12 hours; of six five do not answer;
  - download: 30 MB to 9 GB come within 1 to 3 hours from one new place in a usual country, or from
    a host inside;
  - exfiltration: 5 MB to 1.5 GB leave within 1 to 8 hours for one new place in a country that the
    device never had to do with;
  - upload: until the week is over, or for a day at least, .2 to 20 MB leave each hour for one new
    place in a usual country: a camera that begins to upload;
  - stolen credentials: at an hour when the device does little there are some logons from a new
    place, of a new country or not, the first of which fail; within 3 hours 3 to 60 connections to
    known hosts inside follow, each of which reads about 2 MB.

  Args:
    severity: in [0, 1], from the least to the most of it, in equal ratios.
  """
  make = dict(scan=_scan, download=_download, exfiltration=_exfiltration, upload=_upload)
  return make.get(kind, _stolen)(device, severity, rng)


def _scan(device, severity, rng) -> Flows:
  n = round(8 * 40 ** severity)
  hours = _hours(n, rng.choice((1, 4, 12)), rng)
  return _flows(hours, 'files', rng.choice(np.arange(OUTSIDE), n, replace=False), INSIDE,
                ABORTED, ABORTED, rng.random(n) < 5 / 6)


def _download(device, severity, rng) -> Flows:
  hours = _hours(rng.integers(2, 7), rng.integers(1, 4), rng)
  each = 30 * MB * 300 ** severity / len(hours)
  if rng.random() < .5:
    return _flows(hours, 'files', rng.integers(0, HOSTS), INSIDE, 50_000, each)
  return _flows(hours, 'web', new_places(1, rng), _usual_country(device, rng), 50_000, each)


def _exfiltration(device, severity, rng) -> Flows:
  hours = _hours(rng.integers(3, 20), rng.integers(1, 9), rng)
  return _flows(hours, 'web', new_places(1, rng), _new_country(device, rng),
                5 * MB * 300 ** severity / len(hours), 20_000)


def _upload(device, severity, rng) -> Flows:
  hours = np.arange(rng.integers(WEEK - HOURS + 1), WEEK)
  sent = .2 * MB * 100 ** severity * np.exp(rng.normal(0, .3, len(hours)))
  return _flows(hours, 'video', new_places(1, rng), _usual_country(device, rng), sent, 20_000)


def _stolen(device, severity, rng) -> Flows:
  busy = (device.rates[:, None, None] * device.days[..., None] * device.hours[:, None]).sum(0)
  quiet = np.argsort(busy.ravel()[:WEEK - 3], kind='stable')[:WEEK // 3]
  begin = rng.choice(quiet)
  tries, country = rng.integers(2, 7), (
      _new_country(device, rng) if rng.random() < .5 else _usual_country(device, rng))
  logons = _flows(np.full(tries, begin), 'logon', new_places(1, rng), country, 3000, 3000,
                  np.arange(tries) < tries - rng.integers(1, 3))
  n = round(3 * 20 ** severity)
  inside = np.concatenate([p[p < OUTSIDE] for p in device.places] + [rng.integers(0, HOSTS, 2)])
  reads = _flows(begin + rng.integers(0, 4, n), 'files', rng.choice(inside, n), INSIDE, 20_000,
                 2 * MB * np.exp(rng.normal(0, .7, n)))
  return Flows.joined([logons, reads])


def _hours(n: int, span: int, rng) -> np.ndarray:
  """n hours of the week within `span` of each other, the first of which is there."""
  begin = rng.integers(WEEK - span + 1)
  return begin + np.append(0, rng.integers(0, span, n - 1))


def _usual_country(device: Device, rng) -> int:
  usual = np.unique(np.concatenate(device.countries))
  return rng.choice(usual[usual != INSIDE]) if (usual != INSIDE).any() else INSIDE + 1


def _new_country(device: Device, rng) -> int:
  return rng.choice(np.setdiff1d(np.arange(INSIDE + 1, COUNTRIES),
                                 np.concatenate(device.countries)))


def _flows(hour, resource, destination, country, sent, received, failed=False) -> Flows:
  shape = np.shape(hour)
  return Flows(np.asarray(hour), *(np.broadcast_to(x, shape) for x in (
      RESOURCES.index(resource), destination, country, np.asarray(sent).astype(np.int64),
      np.asarray(received).astype(np.int64), failed)))


def disturbance(kind: str, week: np.ndarray, other: np.ndarray, rng: np.random.Generator
                ) -> np.ndarray:
  """The week (7, 24, 9) with something wrong; `other` is one of another device.

  - added: on some days, some hours in a row, more of some channels, in all 3 to 300 of those that
    count and .3 MB to 10 GB of those of bytes, with connections beside them;
  - moved: some days begin 3 to 21 hours later;
  - mixed: a part of what goes on, or all of it, is the other's.
  """
  if kind == 'added':
    return week + _added(rng)
  if kind == 'moved':
    moved = rng.random(7) < rng.choice((.3, 1.))
    return np.where(moved[:, None, None], np.roll(week, rng.integers(3, 22), 1), week)
  share = rng.choice((.3, .6, 1.))
  kept = 1 - share * (rng.random() < .7)
  return np.round(week * kept).astype(np.int64) + np.round(other * share).astype(np.int64)


def _added(rng) -> np.ndarray:
  days = rng.permutation(7)[:rng.choice((1, 1, 1, 2, 5, 7))]
  hours = (rng.integers(HOURS) + np.arange(rng.choice((1, 2, 3, 8, 24)))) % HOURS
  which = rng.permutation(np.arange(1, len(CHANNELS)))[:rng.choice((1, 1, 2, 3))]
  cells = len(days) * len(hours)
  added = np.zeros((7, HOURS, len(CHANNELS)), np.int64)
  for channel in which:
    bytes_ = channel >= len(COUNTED)
    total = np.exp(rng.uniform(*np.log((.3 * MB, 1e4 * MB) if bytes_ else (3, 300))))
    share = rng.dirichlet(np.full(cells, 2.)) * total
    amounts = share.astype(np.int64) if bytes_ else rng.poisson(share)
    place = np.ix_(days, hours, [channel])
    added[place] += amounts.reshape(len(days), len(hours), 1)
    beside = (rng.poisson(1., cells) + 1) * (amounts > 0) if bytes_ else amounts
    place = np.ix_(days, hours, [0])
    added[place] += beside.reshape(len(days), len(hours), 1)
  return added
