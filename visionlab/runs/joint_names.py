"""Joints and landmarks of other data, by their names in the order in which a run knows them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Info, Source
from visionlab.data.sources.landmark_files import known_five
from visionlab.facts import Facts
from visionlab.ops.joint_words import Words, turned, words_of
from visionlab.ops.landmarks import FIVE, PLACES

EYES = frozenset(('left', 'eye')), frozenset(('right', 'eye'))
_NUMBERED = re.compile(r'(point|joint|keypoint|landmark)?[ _]*\d+')


def in_order(mine: Sequence[str], theirs: Sequence[str], where: str) -> list[int]:
  """Where each of a run's joints is among those of data, -1 of those that are not there.

  Raises:
    ConfigError: none is, or names that stand for two; or data without names have another number.
  """
  if tuple(mine) == tuple(theirs):
    return list(range(len(mine)))
  if not theirs or all(map(_NUMBERED.fullmatch, theirs)) or not mine or all(
      map(_NUMBERED.fullmatch, mine)):
    if len(mine) != len(theirs):
      raise ConfigError(f'{where}: this run knows {len(mine)} ({_few(mine)}), these data have '
                        f'{len(theirs)}, and names are missing to tell which are which')
    logging.warning('%s: names are missing to tell which are which; they are taken to be those of '
                    'the run in their order, from %s to %s', where, mine[0], mine[-1])
    return list(range(len(mine)))
  place: dict[Words, int] = {}
  for i, name in enumerate(theirs):
    if place.setdefault(words_of(name), i) != i:
      raise ConfigError(f'{where}: {name} and {theirs[place[words_of(name)]]} of these data are '
                        'one name')
  found = [place.get(words_of(name), -1) for name in mine]
  missing = [name for name, at in zip(mine, found, strict=True) if at < 0]
  if len(missing) == len(mine):
    raise ConfigError(f'{where}: this run knows {_few(mine)}, and these data have none of them, '
                      f'but {_few(theirs)}')
  if missing:
    logging.warning('%s: these data have no %s, which count in no number', where,
                    ', '.join(missing))
  return found


def joints_as_known(mine: Facts, source: Source) -> Source:
  """The source with `landmarks` and the keypoints of `objects` as a run, whose facts are `mine`,
  has them: five of more landmarks, where it knows the five, and others by their names.

  The five are the viewer's left and right; where names of data are the person's own, as nearly all
  eyes tell, they are turned round, with a warning.

  Raises:
    ConfigError: data of which that cannot be told.
  """
  here, there = mine.example, Facts.of(source).example
  joints = source.info.joints
  if _has(here, 'landmarks') and _has(there, 'landmarks'):
    return _landmarks_as_known(mine, source, there['landmarks'].shape[1])
  if _has(here.get('objects', {}), 'keypoints') and _has(there.get('objects', {}), 'keypoints'):
    order = in_order(mine.info.joints or _numbers(here['objects']['keypoints'].shape[2]),
                     joints or _numbers(there['objects']['keypoints'].shape[2]),
                     'data: keypoints')
    if order != list(range(there['objects']['keypoints'].shape[2])):
      return _changed(source, mine, lambda entries: entries | dict(objects=dict(
          entries['objects'], keypoints=_taken(entries['objects']['keypoints'], order))))
  return source


def _landmarks_as_known(mine: Facts, source: Source, count: int) -> Source:
  known = mine.example['landmarks'].shape[1]
  if known == 5 and count in PLACES:
    return _changed(source, mine, lambda entries: entries | dict(
        landmarks=known_five(entries['landmarks'])))
  names = [words_of(name) for name in source.info.joints]
  # Landmarks that no name is known of are called "point 0", ..., and hang on their number alone.
  order = in_order(mine.info.joints or _numbers(known), source.info.joints or _numbers(count),
                   'data: landmarks')
  if tuple(mine.info.joints) == FIVE and set(EYES) <= set(names) and _turned(
      source, *(names.index(eye) for eye in EYES)):
    logging.warning('data: left and right of these landmarks are the person\'s own, and are turned '
                    'round, for those of the run are the viewer\'s')
    theirs = [' '.join(sorted(turned(one))) for one in names]
    order = in_order(mine.info.joints, theirs, 'data: landmarks')
  if order == list(range(count)):
    return source
  return _changed(source, mine, lambda entries: entries | dict(
      landmarks=_taken(entries['landmarks'], order)))


def _turned(source: Source, left: int, right: int) -> bool:
  """Whether the left eye lies to the right, in nearly all of the first faces."""
  some = np.asarray(source[np.arange(min(len(source), 200))]['landmarks'])
  some = some[(some[:, [left, right], 2] > 0).all(1)]
  return len(some) > 0 and float((some[:, left, 0] > some[:, right, 0]).mean()) > .9


def _has(example: Mapping, name: str) -> bool:
  return isinstance(example, Mapping) and name in example


def _numbers(count: int) -> tuple[str, ...]:
  return tuple(f'point {i}' for i in range(count))


def _few(names: Sequence[str]) -> str:
  return ', '.join(names[:20]) + (', ...' if len(names) > 20 else '')


def _taken(points: np.ndarray, order: Sequence[int]) -> np.ndarray:
  """Points (... k 3) in an order; zeros, not known, where that is -1."""
  return np.where(np.array(order)[:, None] >= 0, points[..., np.maximum(order, 0), :], 0)


def _changed(source: Source, mine: Facts, change: Callable[[dict], dict]) -> Source:
  info = replace(source.info, joints=mine.info.joints, limbs=mine.info.limbs)
  return with_changed(source, change, info)


def with_changed(source: Source, change: Callable[[dict], dict], info: Info) -> Source:
  """The source with its entries changed: at once where they are in memory, else as they are read.
  """
  return (Arrays(change(dict(source.arrays)), info) if isinstance(source, Arrays) else
          Renamed(source, change, info))


class Renamed:
  """A source whose entries are changed as they are read."""

  def __init__(self, source: Source, change: Callable[[dict], dict], info):
    self.source, self.change, self.info = source, change, info

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self.change(dict(self.source[indices]))
