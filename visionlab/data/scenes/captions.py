"""Sentences about scenes, computed from their ground truth and therefore always true.

  caption  = 'nothing' | group | group relation group [with] | list
  with     = ' with ' list
  list     = group {', ' group} ' and ' group | group
  group    = count [size] name          a large seven; two small threes; three people
  relation = left of | right of | above | below

A group is all objects of one class. A size is said if all of them have it, and a relation holds
between all of the one group and all of the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

COUNTS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten')
PLURALS = dict(six='sixes', person='people')
RELATIONS = ('left of', 'right of', 'above', 'below')
MARGIN = 1 / 16                 # of the image's side, by which centres differ in a relation


@dataclass(frozen=True)
class Group:
  """All objects of one class.

  Attributes:
    name: of the class.
    size: 'small', 'large' or ''.
    centres: of their boxes, (count 2) as (x, y), in units of the image's side.
    area: of their boxes together, in units of the image's.
  """
  name: str
  size: str
  centres: tuple[tuple[float, float], ...]
  area: float


def caption_facts(objects: Mapping[str, np.ndarray], size: int, scale: tuple[float, float],
                  classes: Sequence[str]) -> tuple[Group, ...]:
  """What a caption may say of the objects of one scene, largest group first.

  Args:
    objects: `boxes` (n 4), `classes` (n,), `valid` (n,).
    size: the image's side in pixels.
    scale: the range of heights, in units of the side. An object is small if the longer side of its
      box is in the lowest 30 % of it or shorter, large if in the highest 30 % or longer.
    classes: their names.

  >>> objects = dict(boxes=np.array([[2., 2, 8, 10], [30, 30, 60, 62]]), classes=np.array([7, 3]),
  ...                valid=np.array([True, True]))
  >>> [(g.name, g.size) for g in caption_facts(objects, 64, (.2, .5), '0 1 2 3 4 5 6 7'.split())]
  [('3', 'large'), ('7', 'small')]
  """
  boxes = np.asarray(objects['boxes'], np.float64) / size
  low, high = scale
  longer = (boxes[:, 2:] - boxes[:, :2]).max(1)
  share = (longer - low) / (high - low) if high > low else np.full(len(boxes), .5)
  sizes = np.where(share <= .3, 'small', np.where(share >= .7, 'large', ''))
  valid, groups = np.asarray(objects['valid'], bool), []
  for k in np.unique(objects['classes'][valid]):
    own = valid & (objects['classes'] == k)
    centres = (boxes[own, :2] + boxes[own, 2:]) / 2
    areas = np.prod(boxes[own, 2:] - boxes[own, :2], axis=1)
    same = set(sizes[own].tolist())
    groups.append(Group(classes[k], same.pop() if len(same) == 1 else '',
                        tuple(map(tuple, centres.tolist())), float(areas.sum())))
  return tuple(sorted(groups, key=lambda group: -group.area))


def caption(groups: Sequence[Group], variant: int = 0) -> str:
  """The sentence; variant v begins with group v, counted round."""
  if not groups:
    return 'nothing'
  start = variant % len(groups)
  first, *rest = [*groups[start:], *groups[:start]]
  said = relation(first, rest[0]) if rest else None
  if said is None:
    return _joined_by_and([first, *rest])
  with_rest = f' with {_joined_by_and(rest[1:])}' if rest[1:] else ''
  return f'{phrase(first)} {said} {phrase(rest[0])}{with_rest}'


def words(classes: Sequence[str], most: int) -> tuple[str, ...]:
  """All words there may be in captions of scenes of up to `most` objects, in a fixed order."""
  counts = [COUNTS[n] if n < len(COUNTS) else str(n) for n in range(2, most + 1)]
  names = [word for name in classes for word in (name, plural(name))]
  relations = [word for said in RELATIONS for word in said.split()]
  return tuple(dict.fromkeys(['a', 'an', *counts, 'small', 'large', *names, *relations, 'with', ',',
                              'and', 'nothing']))


def plural(name: str) -> str:
  return PLURALS.get(name, f'{name}s')


def phrase(group: Group) -> str:
  """>>> phrase(Group('eight', '', ((.5, .5),), .1))
  'an eight'
  """
  n = len(group.centres)
  if n > 1:
    count = COUNTS[n] if n < len(COUNTS) else str(n)
    name = plural(group.name)
  else:
    count = 'an' if (group.size or group.name)[0] in 'aeiu' else 'a'
    name = group.name
  return ' '.join(word for word in (count, group.size, name) if word)


def relation(a: Group, b: Group) -> str | None:
  """How all of a lie to all of b: the relation with the widest gap, or None if none is clear."""
  found = gaps(a, b)
  best = max(found, key=found.get)
  return best if found[best] >= MARGIN else None


def gaps(a: Group, b: Group) -> dict[str, float]:
  """By how much each relation holds between all of a and all of b, in units of the image's side."""
  one, other = np.array(a.centres), np.array(b.centres)
  before, after = other.min(0) - one.max(0), one.min(0) - other.max(0)
  return dict(zip(RELATIONS, (before[0], after[0], before[1], after[1]), strict=True))


def _joined_by_and(groups: Sequence[Group]) -> str:
  *most, last = map(phrase, groups)
  return f'{", ".join(most)} and {last}' if most else last
