"""Populations: people and devices, and what each of them did, week by week."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from visionlab.data.behaviour import device_incidents, devices, flows, habits, incidents
from visionlab.data.behaviour.encode import Levels, device_levels, roots

SPLITS = ('train', 'validation', 'test')
LATER = 1.                       # hours by which a habit comes later for each unit of drift


class Timeline(NamedTuple):
  """Attributes:
    history, weeks: counts (n, 7, 24, k), one week after the other.
    kinds: (weeks,) int32, indices of the population's `kinds`.
    begins: (weeks,) int32, the first hour of the week, 0 to 167, that is not as it would have been
      without the incident; -1 where all are.
    severity: (weeks,) float32, 0 where nothing is wrong; of people how many events are there, or
      missing, that would not have been; of a device's incident in (0, 1], see
      `visionlab.data.behaviour.device_incidents`.
  """
  history: np.ndarray
  weeks: np.ndarray
  kinds: np.ndarray
  begins: np.ndarray
  severity: np.ndarray


class Population(NamedTuple):
  """Attributes:
    channels: what is counted.
    levels: grey levels of these counts.
    incidents: kinds that are looked for, of 'validation' and 'test'; disturbances: of 'train'.
    draw: (rng) -> the habits of one.
    weeks: (habits, rngs) -> counts (n, 7, 24, k) of as many weeks, and what `disturbed` is told of
      each beside them.
    disturbed: (kind, week's counts, what is told of it, habits, habits of another one, rng) ->
      counts (7, 24, k), severity.
    drifted: (habits, how far, rng) -> habits that have changed.
  """
  channels: tuple[str, ...]
  levels: Levels
  incidents: tuple[str, ...]
  disturbances: tuple[str, ...]
  draw: Callable
  weeks: Callable
  disturbed: Callable
  drifted: Callable

  @property
  def kinds(self) -> tuple[str, ...]:
    """What `Timeline.kinds` and the attribute `incident` stand for."""
    return ('none', *self.disturbances, *self.incidents)


def timelines(split: str, users: int, history: int, weeks: int, share: float, seed: int,
              population: str = 'people', drift: float = 0.) -> list[Timeline]:
  """What each user did, of whose last weeks a `share` is unusual. User i is the same whatever the
  number of users, and so is their week j whatever the number of weeks.

  Args:
    drift: how much habits change in each week after the history, see `behaviour`.
  """
  kind = POPULATIONS[population]
  every = [kind.draw(_rng(seed, split, i)) for i in range(users)]
  return [_timeline(kind, every, i, history, weeks, share, drift, split, seed)
          for i in range(users)]


def _timeline(population, every, i, history, weeks, share, drift, split, seed) -> Timeline:
  wrong = population.disturbances if split == 'train' else population.incidents
  rngs = [_rng(seed, split, i, 1, j) for j in range(weeks)]
  own = [population.drifted(every[i], drift * (j + 1), _rng(seed, split, i, 2)) if drift
         else every[i] for j in range(weeks)]
  counts, told = population.weeks(
      [every[i]] * history + own, [_rng(seed, split, i, 0, j) for j in range(history)] + rngs)
  after, rows = counts[history:].copy(), []
  for j, rng in enumerate(rngs):
    kind, severity = 'none', 0.
    if rng.random() < share:
      kind = wrong[rng.integers(len(wrong))]
      # Of the first people, so that it does not hang on how many there are.
      other = every[(i + 1 + rng.integers(min(len(every), 100) - 1)) % len(every)]
      after[j], severity = population.disturbed(kind, after[j], told[history + j], own[j], other,
                                                rng)
    rows.append((population.kinds.index(kind), first_change(counts[history + j], after[j]),
                 severity))
  kinds, begins, severities = zip(*rows, strict=True)
  return Timeline(counts[:history], after, np.array(kinds, np.int32), np.array(begins, np.int32),
                  np.array(severities, np.float32))


def first_change(before: np.ndarray, after: np.ndarray) -> int:
  """The first hour of a week in which two counts (7, 24, k) differ; -1 if there is none."""
  changed = (before != after).any(-1).ravel()
  return int(changed.argmax()) if changed.any() else -1


def _rng(seed: int, split: str, *numbers: int) -> np.random.Generator:
  key = SPLITS.index(split), *numbers
  return np.random.default_rng(np.random.SeedSequence(seed % 2**32, spawn_key=key))


def _people_weeks(each: Sequence, rngs: Sequence):
  return (np.stack([habits.draw_week(*both) for both in zip(each, rngs, strict=True)]),
          [None] * len(rngs))


def _people_disturbed(kind, week, told, own, other, rng):
  del told
  after = (incidents.incident(kind, week, own, other, rng) if kind in incidents.INCIDENTS
           else incidents.disturbance(kind, week, habits.draw_week(other, rng), rng))
  return after, float(np.abs(after - week).sum())


def _people_drifted(own, by, rng):
  mix, later = rng.normal(0, by, len(own.rates)), rng.normal(0, LATER * by)
  return own._replace(rates=own.rates * np.exp(mix), hours=turned(own.hours, later))


class Told(NamedTuple):
  """A device's week as `counts_of` was told of it."""
  flows: devices.Flows
  known: flows.Known | None


def _device_weeks(each: Sequence, rngs: Sequence):
  counts, told, known = [], [], None
  for device, rng in zip(each, rngs, strict=True):
    week = devices.draw_flows(device, rng)
    counts.append(flows.counts_of(week, known))
    told.append(Told(week, known))
    known = flows.met(week, known)
  return np.stack(counts), told


def _device_disturbed(kind, week, told: Told, own, other, rng):
  if kind in device_incidents.DISTURBANCES:
    beside = flows.counts_of(devices.draw_flows(other, rng), None)
    return device_incidents.disturbance(kind, week, beside, rng), 1.
  severity = 1 - rng.random()
  more = device_incidents.incident(kind, own, severity, rng)
  return flows.counts_of(devices.Flows.joined([told.flows, more]), told.known), severity


def _device_drifted(own, by, rng):
  n = len(own.services)
  mix, size, later = rng.normal(0, by, n), rng.normal(0, by, n), rng.normal(0, LATER * by)
  return own._replace(rates=own.rates * np.exp(mix), sizes=own.sizes * np.exp(size),
                      hours=np.stack([turned(hours, later) for hours in own.hours]))


def turned(hours: np.ndarray, later: float) -> np.ndarray:
  """What goes on in each hour (24,) of a day, so many hours later, around the clock.

  >>> turned(np.eye(24)[5], 1.5)[5:9].tolist()
  [0.0, 0.5, 0.5, 0.0]
  """
  n = len(hours)
  return np.interp((np.arange(n) - later) % n, np.arange(n + 1), np.append(hours, hours[0]))


POPULATIONS: dict[str, Any] = dict(
    people=Population(habits.RESOURCES, roots, incidents.INCIDENTS, incidents.DISTURBANCES,
                      habits.draw_habits, _people_weeks, _people_disturbed, _people_drifted),
    devices=Population(flows.CHANNELS, device_levels, device_incidents.INCIDENTS,
                       device_incidents.DISTURBANCES, devices.draw_device, _device_weeks,
                       _device_disturbed, _device_drifted))
