"""What a data source is, and the two that others are made of: whole arrays and subsets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import jax
import numpy as np

from visionlab.config import ConfigError, nearest


@dataclass(frozen=True)
class Info:
  """The static facts a task needs.

  Attributes:
    classes: of images or objects; empty when targets are continuous.
    map_classes: what the values 0, 1, ... of a `label_map` stand for.
    joints: names of the keypoints of objects.
    limbs: pairs of joints, as indices, that pictures join by a line.
    proposals: what `visionlab.data.proposals` made those of each image with, if they have any.
    words: the vocabulary of captions (see `visionlab.data.text.vocabulary`).
    punctuation: whether marks are among the words.
    scale: (low, high), the range of heights by which a scene's captions say small and large (see
      `visionlab.data.scenes.captions.caption_facts`).
    attributes: name of each other label, an entry of the examples, -> what 0, 1, ... stand for.
  """

  classes: tuple[str, ...] = ()
  map_classes: tuple[str, ...] = ()
  joints: tuple[str, ...] = ()
  limbs: tuple[tuple[int, int], ...] = ()
  proposals: Mapping = field(default_factory=dict)
  words: tuple[str, ...] = ()
  punctuation: bool = True
  scale: tuple[float, ...] = ()
  attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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
      `image` (n h w c), or of clips `video` (n t h w c), uint8; and `label` (n,) int32; other keys
      are free. Clips may have `flow` (n t-1 h w 2) float32: how far, in pixels along x and y, what
      is seen in each pixel of a frame is from there in the next. A source whose examples may turn
      out to be broken adds `valid` (n,) bool: where it is False every other entry is zero.
    """

  # A source that reads image files may also have `crops(indices, crop, draws)`, which is
  # `self[indices]` but for `image` (n h w c): of each the part that `crop`, a
  # `visionlab.data.images.crop.RandomCrop`, cuts out for the n rows of `draws`.


class Arrays:
  """A source of whole arrays in memory, which a pipeline may also keep on the device.

  Args:
    arrays: a mapping of arrays, or of mappings of arrays, whose first axes are equal.
    info: the facts about them.

  Raises:
    ConfigError: there are no arrays, or their first axes differ.

  >>> source = Arrays({'image': np.zeros((3, 8, 8, 1), np.uint8), 'label': np.array([5, 6, 7])})
  >>> len(source), source[np.array([2, 0])]['label'].tolist()
  (3, [7, 5])
  """

  def __init__(self, arrays: Mapping[str, np.ndarray], info: Info | None = None):
    self.arrays = _as_arrays(arrays)
    self.info = info or Info()
    lengths = {jax.tree_util.keystr(path, simple=True, separator='.'): value.shape[:1]
               for path, value in jax.tree_util.tree_leaves_with_path(self.arrays)}
    if len(set(lengths.values())) != 1 or () in lengths.values():
      raise ConfigError(f'arrays of one source need first axes of one length, not {lengths}')

  def __len__(self) -> int:
    return len(jax.tree.leaves(self.arrays)[0])

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self.gather(self.arrays, indices)

  def gather(self, arrays, indices):
    """The examples at indices (n,) of `arrays`, which are `self.arrays` wherever they are kept: a
    source with this method may live on the device, where it is called inside compiled loops."""
    return jax.tree.map(lambda value: value[indices], arrays)


def _as_arrays(values: Mapping) -> dict:
  return {key: _as_arrays(value) if isinstance(value, Mapping) else np.asarray(value)
          for key, value in values.items()}


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

  @property
  def crops(self):
    """As the source's; an AttributeError, so that hasattr tells, where it has none."""
    crops = self.source.crops
    return lambda indices, crop, draws: crops(self.indices[indices], crop, draws)


class ResidentSubset(Subset):
  """`Subset` of a source that may live on the device."""

  @property
  def arrays(self):
    return {'whole': self.source.arrays, 'indices': self.indices.astype(np.int32)}

  def gather(self, arrays, indices):
    return self.source.gather(arrays['whole'], arrays['indices'][indices])


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
    return self._join(indices, lambda i, own, _: self.sources[i][own])

  @property
  def crops(self):
    """As the sources'; an AttributeError, so that hasattr tells, where one has none."""
    crops = [source.crops for source in self.sources]
    return lambda indices, crop, draws: self._join(
        indices, lambda i, own, rows: crops[i](own, crop, draws[rows]))

  def _join(self, indices: np.ndarray, read: Callable) -> dict[str, np.ndarray]:
    """What read(i, indices of source i, the rows they are for) gives, in the order of `indices`."""
    size = len(self)
    indices = np.asarray(indices, np.int64)
    if indices.size and not (-size <= indices.min() and indices.max() < size):
      raise IndexError(f'an index is outside the {size} examples')
    indices = indices % size if size else indices
    owner = np.searchsorted(self.ends, indices, side='right')
    parts = {}
    for i in np.unique(owner).tolist() or [0]:
      rows = owner == i
      parts[i] = read(i, indices[rows] - (self.ends[i] - len(self.sources[i])), rows)
    return _interleaved(parts, owner)


def _interleaved(parts: Mapping[int, Mapping], owner: np.ndarray) -> dict:
  """Entries, or dicts of them, of several sources: row r is the next one of source owner[r]."""
  result = {}
  for key in {key for part in parts.values() for key in part}:
    some = next(part[key] for part in parts.values() if key in part)
    if isinstance(some, Mapping):
      result[key] = _interleaved({i: part[key] for i, part in parts.items()}, owner)
      continue
    shapes = {part[key].shape[1:] for part in parts.values() if key in part}
    if len(shapes) > 1:
      raise ConfigError(f'splits that are added have "{key}" of different shapes, {shapes}; where '
                        'it is padded, the option `most` makes them alike')
    # Only `valid` may be left out by a source, which then means that all is well.
    result[key] = np.ones((len(owner), *some.shape[1:]), some.dtype)
    for i, part in parts.items():
      if key in part or key != 'valid':
        result[key][owner == i] = part[key]
  return result


def subset(source: Source, indices: np.ndarray) -> Source:
  """`Subset`, except that a subset of `Arrays` is gathered once and is `Arrays` again."""
  if isinstance(source, Arrays):
    return Arrays(source[np.asarray(indices, np.int64)], source.info)
  return (ResidentSubset if hasattr(source, 'gather') else Subset)(source, indices)


def concat(sources: Sequence[Source]) -> Source:
  """`Concat`, except that `Arrays` with the same keys and shapes become one `Arrays`."""
  whole = Concat(sources)
  if not all(isinstance(source, Arrays) for source in sources):
    return whole
  forms = [jax.tree.map(lambda value: value.shape[1:], source.arrays) for source in sources]
  if any(form != forms[0] for form in forms):
    raise ConfigError(f'splits that are added need the same entries and shapes, not {forms}')
  return Arrays(jax.tree.map(lambda *values: np.concatenate(values),
                             *(source.arrays for source in sources)), whole.info)


class UnknownSplit(ConfigError):
  """There is no such split; `splits` are those that there are."""

  def __init__(self, text: str, splits: Sequence[str] = ()):
    super().__init__(text)
    self.splits = tuple(splits)


def check_split(split: str, splits: Sequence[str], where: str) -> None:
  """Raises an UnknownSplit that lists `splits` unless `split` is one of them."""
  if split not in splits:
    raise UnknownSplit(f'{where} has no split "{split}"; there are {", ".join(splits)}'
                       f'{nearest(split, splits)}', splits)


def check_split_folders(top: Path, patterns: Sequence[str], split: str, where: str) -> None:
  """As `check_split`, of splits that have folders in `top` by all of the patterns, such as
  'images/{split}' and 'labels/{split}'; where there are no such folders at all, nothing is said."""
  found = [_splits_by(top, pattern) for pattern in patterns if '{split}' in pattern]
  if found and (splits := set.intersection(*found)):
    check_split(split, sorted(splits), f'{where} {top}')


def _splits_by(top: Path, pattern: str) -> set[str]:
  before, _, after = pattern.partition('{split}')
  if Path(pattern).is_absolute():
    return set()
  names = (path.relative_to(top).as_posix() for path in top.glob(f'{before}*{after}')
           if path.is_dir())
  return {name[len(before):len(name) - len(after)] for name in names}


def check_seed(seed: int, where: str) -> None:
  """Raises a ConfigError unless a generator takes the seed."""
  if seed < 0:
    raise ConfigError(f'{where}: seed must be 0 or more, not {seed}')


def check_ranges(where: str, **ranges: tuple) -> None:
  """Raises a ConfigError unless each option lies in its range: name=(value, least, most)."""
  for name, (value, low, high) in ranges.items():
    if not low <= value <= high:
      raise ConfigError(f'{where}: {name} must lie between {low} and {high}, not {value!r}')


def check_root(root: str, where: str, holds: str) -> Path:
  """The folder `root` as a path, or a ConfigError that says what it should hold."""
  if not root:
    raise ConfigError(f'{where}: root must name the folder with {holds}')
  path = Path(root).expanduser()
  if not path.is_dir():
    what = 'is a file, not a folder' if path.is_file() else 'does not exist'
    raise ConfigError(f'{where}: root {path} {what}; expected the folder with {holds}')
  return path
