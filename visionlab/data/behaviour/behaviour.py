"""Behaviour: weeks of drawn people or devices as images, some of which are not as theirs are."""

from collections.abc import Sequence

import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.behaviour.encode import GROUPS, beside_history, grey, of_groups
from visionlab.data.behaviour.populations import POPULATIONS, SPLITS, Timeline, timelines
from visionlab.data.source import Arrays, Info, check_ranges, check_seed, check_split

USERS = dict(people=dict(train=2000, validation=120, test=240),
             devices=dict(train=1000, validation=120, test=240))
CLASSES = ('usual', 'unusual')


def behaviour(split: str, *, root: str = '', population: str = 'people', users: int = 0,
              history: int = 8, weeks: int = 6, unusual: float = .15, disturbed: float = .5,
              drift: float = 0., groups: Sequence[str] = GROUPS, whose: bool = False,
              seed: int = 0) -> Arrays:
  """Weeks of people's work or of devices' traffic, beside what they did before: is it them?

  The splits share no user. What is unusual in 'train' are disturbances of no kind in particular, in
  the others incidents of five kinds (`visionlab.data.behaviour.incidents`, `device_incidents`).

  Args:
    split: 'train', 'validation' or 'test'.
    root: unused.
    population: 'people', of whom events of six resources are counted (`habits.RESOURCES`), or
      'devices': cameras, printers, sensors, laptops and servers, whose connections are, into nine
      channels (`flows.CHANNELS`).
    users: how many; 0 stands for 2,000 people or 1,000 devices of 'train', 120 and 240 of the
      others.
    history: weeks of each that are known before.
    weeks: those after them of each user; each is an example.
    unusual: the share of weeks with an incident, in 'validation' and 'test'.
    disturbed: the share of weeks that are disturbed, in 'train'.
    drift: habits that change for good after the history: in each week the logarithms of all rates
      (and of devices' bytes), and when the day begins, in hours, go on by a normal number of this
      standard deviation, each in its own direction.
    groups: which parts of `encode.GROUPS` images have, in the order that is given.
    whose: the question is another: whose week is it? Of the users of 'test', 'train' has the known
      weeks and 'test' those after them; the label is the user, and images have no history.
    seed: other seeds give other users.

  Returns:
    A source of `image` (n 7 24 4 k) uint8, see `beside_history`, or (n 7 24 k) for `whose`; `label`
    (n,) int32, 1 where the week is unusual, or the user; `incident` (n,) int32, what is wrong with
    it, one of `info.attributes['incident']`; `user` (n,) int32; `begins` (n,) int32 and `severity`
    (n,) float32, see `Timeline`. Week j of user i is example i * weeks + j.

  Raises:
    ConfigError: an option out of its range.

  >>> some = behaviour('test', users=3)[np.arange(18)]
  >>> some['image'].shape, some['user'].tolist()[:7]
  ((18, 7, 24, 24), [0, 0, 0, 0, 0, 0, 1])
  """
  del root
  check_split(split, SPLITS, 'behaviour')
  check_seed(seed, 'behaviour')
  check_choice(population, POPULATIONS, 'behaviour: population')
  users = users or USERS[population]['test' if whose else split]
  check_ranges('behaviour', users=(users, 2, 1 << 20), history=(history, 2, 520),
               weeks=(weeks, 1, 520), unusual=(unusual, 0, 1), disturbed=(disturbed, 0, 1),
               drift=(drift, 0, 1))
  if not groups or len(set(groups)) < len(groups):
    raise ConfigError(f'behaviour: groups must be some of {", ".join(GROUPS)}, each once')
  for group in groups:
    check_choice(group, GROUPS, 'behaviour: groups')
  drawn = 'test' if whose else split
  lines = timelines(drawn, users, history, weeks, disturbed if drawn == 'train' else unusual, seed,
                    population, drift)
  if whose:
    return _whose(lines, POPULATIONS[population], known=split == 'train')
  return examples(lines, population, groups)


def examples(lines: list[Timeline], population: str = 'people', groups: Sequence[str] = GROUPS
             ) -> Arrays:
  """The source that `behaviour` gives of these timelines."""
  kind = POPULATIONS[population]
  weeks = len(lines[0].weeks)
  image = np.concatenate([of_groups(beside_history(t.weeks, t.history, kind.levels), groups)
                          for t in lines])
  labels = _labels(lines)
  return Arrays(dict(image=image, label=(labels['incident'] > 0).astype(np.int32), **labels,
                     user=np.repeat(np.arange(len(lines), dtype=np.int32), weeks)),
                Info(CLASSES, attributes=dict(incident=kind.kinds)))


def _labels(lines: list[Timeline]) -> dict[str, np.ndarray]:
  names = dict(incident='kinds', begins='begins', severity='severity')
  return {name: np.concatenate([getattr(t, key) for t in lines]) for name, key in names.items()}


def _whose(lines: list[Timeline], population, known: bool) -> Arrays:
  """The known weeks, or those after them, labelled with their users."""
  counts = np.stack([t.history if known else t.weeks for t in lines])
  label = np.repeat(np.arange(len(lines), dtype=np.int32), counts.shape[1])
  labels = _labels(lines)
  if known:
    nothing = dict(incident=0, begins=-1, severity=0)
    labels = {k: np.full(len(label), nothing[k], v.dtype) for k, v in labels.items()}
  digits = len(str(len(lines) - 1))
  image = grey(population.levels(counts.reshape(-1, *counts.shape[2:])))
  return Arrays(dict(image=image, label=label, **labels, user=label),
                Info(tuple(f'user {i:0{digits}}' for i in range(len(lines))),
                     attributes=dict(incident=population.kinds)))
