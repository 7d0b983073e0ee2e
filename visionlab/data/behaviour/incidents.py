"""Weeks that are not their users': incidents of five kinds, and disturbances to learn from.

The incidents are what is looked for, and nothing is trained on them. Disturbances are of no kind
in particular: something is added to a random part of the week, or moved in time, or somebody
else's. Their family is wide, and most incidents have relatives in it.
"""

import numpy as np

from visionlab.data.behaviour.habits import HOURS, RESOURCES, Habits, draw_week

INCIDENTS = ('off hours', 'burst', 'slow leak', 'shared account', 'swapped user')
DISTURBANCES = ('added', 'moved', 'mixed')
AT_WORK = .3                     # of an hour, from which on it counts as worked

FILE, USB = RESOURCES.index('file'), RESOURCES.index('usb')


def incident(kind: str, week: np.ndarray, habits: Habits, other: Habits,
             rng: np.random.Generator) -> np.ndarray:
  """The week (7, 24, 6) of a user with `habits`, and an incident in it.

  - off hours: on one day, half as much as at work goes on at the opposite side of the clock, as
    where credentials are stolen;
  - burst: in one hour of one day some 60 files are read and 4 sticks written;
  - slow leak: in the last two hours of every working day some 2 files and 1.5 sticks more;
  - shared account: a second person works under the name, six hours later;
  - swapped user: the week is `other`'s.
  """
  work = np.flatnonzero(habits.hours > AT_WORK)
  day, week = rng.integers(7), week.copy()
  if kind == 'off hours':
    hours = np.flatnonzero(np.roll(habits.hours, HOURS // 2) > AT_WORK)
    week[day, hours] += rng.poisson(.5 * habits.rates, (len(hours), len(RESOURCES)))
  elif kind == 'burst':
    hour = rng.choice(work)
    week[day, hour, [FILE, USB]] += rng.poisson((60, 4))
  elif kind == 'slow leak':
    days = np.flatnonzero(habits.days > AT_WORK)
    for resource, rate in ((FILE, 2.), (USB, 1.5)):
      week[np.ix_(days, work[-2:], [resource])] += rng.poisson(rate, (len(days), 2, 1))
  elif kind == 'shared account':
    later = np.roll(habits.hours, 6)[:, None] * habits.rates
    week += rng.poisson(.6 * habits.days[:, None, None] * later)
  else:
    week = draw_week(other, rng)
  return week


def disturbance(kind: str, week: np.ndarray, other: np.ndarray, rng: np.random.Generator
                ) -> np.ndarray:
  """The week (7, 24, 6) with something wrong; `other` is one of somebody else.

  - added: Poisson numbers on some days, some hours in a row, some resources, the weaker the more
    there are: up to some 60 events in all of one cell, 4 an hour in 200;
  - moved: some days begin 3 to 21 hours later;
  - mixed: a part of the events, or all of them, are the other's.
  """
  if kind == 'added':
    days = rng.permutation(7)[:rng.choice((1, 1, 2, 5, 7))]
    hours = (rng.integers(HOURS) + np.arange(rng.choice((1, 2, 3, 6, 9)))) % HOURS
    which = rng.permutation(len(RESOURCES))[:rng.choice((1, 2, 3, 6))]
    total = 60 / np.sqrt(len(days) * len(hours) * len(which))     # the more cells, the weaker
    rates = total * np.exp(rng.uniform(np.log(.02), 0)) * np.exp(rng.normal(0, .5, len(which)))
    week = week.copy()
    week[np.ix_(days, hours, which)] += rng.poisson(rates, (len(days), len(hours), len(which)))
    return week
  if kind == 'moved':
    moved = rng.random(7) < rng.choice((.3, 1.))
    return np.where(moved[:, None, None], np.roll(week, rng.integers(3, 22), 1), week)
  share = rng.choice((.3, .6, 1.))
  return rng.binomial(week, 1 - share * (rng.random() < .7)) + rng.binomial(other, share)
