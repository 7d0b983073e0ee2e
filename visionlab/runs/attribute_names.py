"""Labels beside the class, such as a smile, of other data: numbered by name as a run knows them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from absl import logging

from visionlab.data.source import Info, Source
from visionlab.runs.joint_names import with_changed


def attributes_as_known(mine: Info, source: Source, names: Sequence[str]) -> Source:
  """The source with each label of these names that both have numbered as `mine` says.

  One whose values have other names is left out, with a warning: its numbers may mean anything.
  """
  numbers, dropped = {}, []
  for name in names:
    known, theirs = (info.attributes.get(name) for info in (mine, source.info))
    if known is None or theirs is None or theirs == known:
      continue
    numbers[name] = numbers_of(known, theirs)
    if numbers[name] is None:
      logging.warning('data: "%s" is %s in these data and %s for the run, and so not measured; the '
                      'option values of "landmark_list" names what numbers mean', name,
                      ' or '.join(theirs[:5]), ' or '.join(known[:5]))
      dropped.append(name)
  if not numbers:
    return source

  def change(entries):
    kept = {k: v for k, v in entries.items() if k not in dropped}
    return kept | {k: np.where(kept[k] >= 0, order[np.maximum(kept[k], 0)], -1).astype(np.int32)
                   for k, order in numbers.items() if k in kept}
  attributes = {k: mine.attributes[k] if k in numbers else v
                for k, v in source.info.attributes.items() if k not in dropped}
  return with_changed(source, change, replace(source.info, attributes=attributes))


def numbers_of(known: Sequence[str], theirs: Sequence[str]) -> np.ndarray | None:
  """The number among `known` of each value of data; None if one is not among them.

  Of two values one may be named by the other's absence: ('no male', 'male') are those of
  ('female', 'male').

  >>> numbers_of(('female', 'male'), ('male', 'female')).tolist()
  [1, 0]
  >>> numbers_of(('female', 'male'), ('no male', 'male')).tolist()
  [0, 1]
  >>> numbers_of(('female', 'male'), ('1', '2')) is None
  True
  """
  place = {name: i for i, name in enumerate(known)}
  if len(known) == len(theirs) == 2:
    for i, name in enumerate(known):
      place.setdefault(f'no {name}', 1 - i)
  return np.array([place[name] for name in theirs]) if set(theirs) <= set(place) else None
