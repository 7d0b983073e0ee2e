"""People at work, as counts of what they do: each has habits, and no two weeks are alike."""

from typing import NamedTuple

import numpy as np

RESOURCES = ('logon', 'file', 'mail', 'web', 'usb', 'print')
DAYS = ('Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun')
HOURS = 24
ALWAYS = .01                     # events an hour that come at any time


class Role(NamedTuple):
  begins: int                    # hours of the day
  ends: int
  rates: tuple[float, ...]       # events an hour at work, of each resource


ROLES = dict(
    office=Role(9, 17, (1.2, 4., 5., 6., .15, .4)),
    night=Role(22, 6, (1., 5., 1., 2., .1, .1)),
    sales=Role(8, 19, (1.5, 2., 9., 7., .2, .6)),
    admin=Role(7, 16, (4., 9., 3., 3., .6, .1)))

WEEKDAYS = (1., 1., 1., 1., .9, .05, .05)
SHIFTS = (1., .05, .05, 1., 1., 1., .9)
ON_SHIFTS = .2                   # the share of people who work on weekends


class Habits(NamedTuple):
  """What a person does on average.

  Attributes:
    rates: (6,) events an hour at work, of each resource.
    hours: (24,) how much of an hour is work, in [0, 1].
    days: (7,) how much of a day's work is done on it, from Monday on.
  """
  rates: np.ndarray
  hours: np.ndarray
  days: np.ndarray


def draw_habits(rng: np.random.Generator) -> Habits:
  """Those of a person of a random role: earlier or later than others, busier or not, with a mix of
  tasks and an hour for lunch of their own."""
  role = list(ROLES.values())[rng.integers(len(ROLES))]
  busy, mix = np.exp(rng.normal(0, .35)), np.exp(rng.normal(0, .3, len(RESOURCES)))
  hours = working_hours(role.begins + rng.normal(0, .8), (role.ends - role.begins) % HOURS)
  hours[rng.integers(11, 14)] *= .5
  days = SHIFTS if rng.random() < ON_SHIFTS else WEEKDAYS
  return Habits(busy * np.array(role.rates) * mix, hours, np.array(days))


def working_hours(begins: float, length: float) -> np.ndarray:
  """How much of each hour (24,) is worked, from `begins` on, with soft edges, around the clock."""
  since = (np.arange(HOURS) + .5 - begins) % HOURS
  come, gone, early = (1 / (1 + np.exp(-4 * x)) for x in (since, since - length, since - HOURS))
  return come * (1 - gone) + early


def draw_week(habits: Habits, rng: np.random.Generator) -> np.ndarray:
  """Counts of events (7, 24, 6) by day, hour and resource: Poisson numbers, on days that are more
  or less busy, three of ten of which begin an hour early, late, or neither."""
  busy = habits.days * np.exp(rng.normal(0, .25, 7))
  late = rng.integers(-1, 2, 7) * (rng.random(7) < .3)
  hours = habits.hours[(np.arange(HOURS) - late[:, None]) % HOURS]
  return rng.poisson(busy[:, None, None] * hours[..., None] * habits.rates + ALWAYS)
