"""Behaviour: weeks of drawn people's work as images, some of which are not their users'."""

from typing import NamedTuple

import numpy as np

from visionlab.data.behaviour.encode import beside_history, roots
from visionlab.data.behaviour.habits import Habits, draw_habits, draw_week
from visionlab.data.behaviour.incidents import DISTURBANCES, INCIDENTS, disturbance, incident
from visionlab.data.source import Arrays, Info, check_ranges, check_seed, check_split

SPLITS = ('train', 'validation', 'test')
USERS = dict(train=2000, validation=120, test=240)
CLASSES = ('usual', 'unusual')
KINDS = ('none', *DISTURBANCES, *INCIDENTS)


class Timeline(NamedTuple):
  """Attributes:
    history, weeks: counts of events (n, 7, 24, 6), one week after the other.
    kinds: (weeks,) int32, indices of `KINDS`.
  """
  history: np.ndarray
  weeks: np.ndarray
  kinds: np.ndarray


def behaviour(split: str, *, root: str = '', users: int = 0, history: int = 8, weeks: int = 6,
              unusual: float = .15, disturbed: float = .5, whose: bool = False, seed: int = 0
              ) -> Arrays:
  """Weeks of people's work, beside what they did before: is it them?

  The splits share no user. What is unusual in 'train' are disturbances of no kind in particular, in
  the others incidents of five kinds (`visionlab.data.behaviour.incidents`).

  Args:
    split: 'train', 'validation' or 'test'.
    root: unused.
    users: how many; 0 stands for 2,000 of 'train', 120 and 240 of the others.
    history: weeks of each that are known before.
    weeks: those after them of each user; each is an example.
    unusual: the share of weeks with an incident, in 'validation' and 'test'.
    disturbed: the share of weeks that are disturbed, in 'train'.
    whose: the question is another: whose week is it? Of the users of 'test', 'train' has the known
      weeks and 'test' those after them; the label is the user, and images have no history.
    seed: other seeds give other people.

  Returns:
    A source of `image` (n 7 24 24) uint8, see `beside_history`, or (n 7 24 6) for `whose`; `label`
    (n,) int32, 1 where the week is unusual, or the user; `incident` (n,) int32, what is wrong with
    it, one of `info.attributes['incident']`; `user` (n,) int32. Week j of user i is example
    i * weeks + j.

  Raises:
    ConfigError: an option out of its range.

  >>> some = behaviour('test', users=3)[np.arange(18)]
  >>> some['image'].shape, some['user'].tolist()[:7]
  ((18, 7, 24, 24), [0, 0, 0, 0, 0, 0, 1])
  """
  del root
  check_split(split, SPLITS, 'behaviour')
  check_seed(seed, 'behaviour')
  users = users or USERS['test' if whose else split]
  check_ranges('behaviour', users=(users, 2, 1 << 20), history=(history, 2, 520),
               weeks=(weeks, 1, 520), unusual=(unusual, 0, 1), disturbed=(disturbed, 0, 1))
  drawn = 'test' if whose else split
  lines = timelines(drawn, users, history, weeks, disturbed if drawn == 'train' else unusual, seed)
  user = np.arange(users, dtype=np.int32)
  if whose:
    known = split == 'train'
    return _whose(np.stack([t.history if known else t.weeks for t in lines]), user,
                  np.zeros((users, history), np.int32) if known else _kinds(lines))
  kinds = _kinds(lines).reshape(-1)
  image = np.concatenate([beside_history(t.weeks, t.history) for t in lines])
  return Arrays(dict(image=image, label=(kinds > 0).astype(np.int32), incident=kinds,
                     user=np.repeat(user, weeks)), Info(CLASSES, attributes=dict(incident=KINDS)))


def _kinds(lines: list[Timeline]) -> np.ndarray:
  return np.stack([t.kinds for t in lines])


def _whose(counts, user, kinds) -> Arrays:
  """Weeks (users n 7 24 6), labelled with their users."""
  label = np.repeat(user, counts.shape[1])
  digits = len(str(len(user) - 1))
  return Arrays(dict(image=roots(counts.reshape(-1, *counts.shape[2:])), label=label,
                     incident=kinds.reshape(-1), user=label),
                Info(tuple(f'user {i:0{digits}}' for i in user), attributes=dict(incident=KINDS)))


def timelines(split: str, users: int, history: int, weeks: int, share: float, seed: int
              ) -> list[Timeline]:
  """What each user did, of whose last weeks a `share` is unusual. User i is the same whatever the
  number of users, and so is their week j whatever the number of weeks."""
  people = [draw_habits(_rng(seed, split, i)) for i in range(users)]
  kinds = DISTURBANCES if split == 'train' else INCIDENTS
  return [_timeline(people, i, history, weeks, share, kinds, seed, split) for i in range(users)]


def _timeline(people: list[Habits], i, history, weeks, share, kinds, seed, split) -> Timeline:
  known = np.stack([draw_week(people[i], _rng(seed, split, i, 0, j)) for j in range(history)])
  after, which = [], []
  for j in range(weeks):
    rng = _rng(seed, split, i, 1, j)
    week, kind = draw_week(people[i], rng), 'none'
    if rng.random() < share:
      kind = kinds[rng.integers(len(kinds))]
      # Of the first people, so that it does not hang on how many there are.
      other = people[(i + 1 + rng.integers(min(len(people), 100) - 1)) % len(people)]
      week = (incident(kind, week, people[i], other, rng) if kind in INCIDENTS
              else disturbance(kind, week, draw_week(other, rng), rng))
    after.append(week)
    which.append(KINDS.index(kind))
  return Timeline(known, np.stack(after), np.array(which, np.int32))


def _rng(seed: int, split: str, *numbers: int) -> np.random.Generator:
  key = SPLITS.index(split), *numbers
  return np.random.default_rng(np.random.SeedSequence(seed % 2**32, spawn_key=key))
