"""What a data source is, and the two that others are made of: whole arrays and subsets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from visionlab.config import ConfigError, nearest


@dataclass(frozen=True)
class Info:
  """The static facts a task needs; `classes` is empty when targets are continuous."""

  classes: tuple[str, ...] = ()


class Source(Protocol):
  """A finite set of examples that can be read in any order.

  Sources are picklable, and only `Arrays` hold the pixels themselves.
  """

  info: Info

  def __len__(self) -> int:
    """The number of examples."""

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    """The examples at `indices` (n,), stacked on axis 0.

    Returns:
      `image` (n h w c) uint8 and `label` (n,) int32; other keys are free. A source whose
      examples may turn out to be broken adds `valid` (n,) bool: where it is False every other
      entry is zero.
    """


class Arrays:
  """A source of whole arrays in memory, which a pipeline may also keep on the device.

  Args:
    arrays: a mapping of arrays whose first axes are equal.
    info: the facts about them.

  Raises:
    ConfigError: there are no arrays, or their first axes differ.

  >>> source = Arrays({'image': np.zeros((3, 8, 8, 1), np.uint8), 'label': np.array([5, 6, 7])})
  >>> len(source), source[np.array([2, 0])]['label'].tolist()
  (3, [7, 5])
  """

  def __init__(self, arrays: Mapping[str, np.ndarray], info: Info | None = None):
    self.arrays = {key: np.asarray(value) for key, value in arrays.items()}
    self.info = info or Info()
    lengths = {key: value.shape[:1] for key, value in self.arrays.items()}
    if len(set(lengths.values())) != 1 or () in lengths.values():
      raise ConfigError(f'arrays of one source need first axes of one length, not {lengths}')

  def __len__(self) -> int:
    return len(next(iter(self.arrays.values())))

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return {key: value[indices] for key, value in self.arrays.items()}


class Subset:
  """The examples of `source` at `indices` (n,), in that order."""

  def __init__(self, source: Source, indices: np.ndarray):
    self.source = source
    self.indices = np.asarray(indices, np.int64)
    self.info = source.info

  def __len__(self) -> int:
    return len(self.indices)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self.source[self.indices[indices]]


class Concat:
  """The examples of several sources, one source after the other."""

  def __init__(self, sources: Sequence[Source]):
    self.sources = tuple(sources)
    self.info = self.sources[0].info
    if any(source.info != self.info for source in self.sources):
      raise ConfigError('splits that are added need the same classes')
    self.ends = np.cumsum([len(source) for source in self.sources])

  def __len__(self) -> int:
    return int(self.ends[-1])

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    size = len(self)
    indices = np.asarray(indices, np.int64)
    if indices.size and not (-size <= indices.min() and indices.max() < size):
      raise IndexError(f'an index is outside the {size} examples')
    indices = indices % size if size else indices
    owner = np.searchsorted(self.ends, indices, side='right')
    parts = {i: self.sources[i][indices[owner == i] - (self.ends[i] - len(self.sources[i]))]
             for i in np.unique(owner).tolist() or [0]}
    keys = {key for part in parts.values() for key in part}
    result = {}
    for key in keys:
      some = next(part[key] for part in parts.values() if key in part)
      # Only `valid` may be left out by a source, which then means that all is well.
      result[key] = np.ones((len(indices), *some.shape[1:]), some.dtype)
      for i, part in parts.items():
        if key in part or key != 'valid':
          result[key][owner == i] = part[key]
    return result


def subset(source: Source, indices: np.ndarray) -> Source:
  """`Subset`, except that a subset of `Arrays` is gathered once and is `Arrays` again."""
  if isinstance(source, Arrays):
    return Arrays(source[np.asarray(indices, np.int64)], source.info)
  return Subset(source, indices)


def concat(sources: Sequence[Source]) -> Source:
  """`Concat`, except that `Arrays` with the same keys and shapes become one `Arrays`."""
  first, whole = sources[0], Concat(sources)
  if not all(isinstance(source, Arrays) for source in sources):
    return whole
  shapes = {tuple((key, value.shape[1:]) for key, value in sorted(source.arrays.items()))
            for source in sources}
  if len(shapes) != 1:
    raise ConfigError(f'splits that are added need the same entries and shapes, not {shapes}')
  return Arrays({key: np.concatenate([source.arrays[key] for source in sources])
                 for key in first.arrays}, whole.info)


def check_split(split: str, splits: Sequence[str], where: str) -> None:
  """Raises a ConfigError that lists `splits` unless `split` is one of them."""
  if split not in splits:
    raise ConfigError(f'{where} has no split "{split}"; there are {", ".join(splits)}'
                      f'{nearest(split, splits)}')


def check_root(root: str, where: str, holds: str) -> Path:
  """The folder `root` as a path, or a ConfigError that says what it should hold."""
  if not root:
    raise ConfigError(f'{where}: root must name the folder with {holds}')
  path = Path(root).expanduser()
  if not path.is_dir():
    what = 'is a file, not a folder' if path.is_file() else 'does not exist'
    raise ConfigError(f'{where}: root {path} {what}; expected the folder with {holds}')
  return path
