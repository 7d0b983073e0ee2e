"""Photographs of faces whose landmarks one file lists: as CelebA, MAFL and MTFL have them, or
COCO's json."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError, check_choice
from visionlab.data.images.files import split_file
from visionlab.data.source import Arrays, check_root, check_split
from visionlab.data.sources.coco import coco
from visionlab.data.sources.landmark_files import AS_DRAWN, check_cut, faces_about
from visionlab.data.text.text_files import read_text
from visionlab.ops.landmarks import FIVE

ORDERS = ('xy', 'x then y')
SPLITS = ('train', 'validation', 'test')        # CelebA's 0, 1, 2


def landmark_list(split: str, *, root: str = '', landmarks: str = 'list_landmarks_celeba.txt',
                  images: str = '', order: str = 'xy', count: int = 5, labels: Sequence[str] = (),
                  values: Mapping | None = None, unread: int = 0,
                  attributes: str = '', chosen: Sequence[str] = (), parts: str = '',
                  size: int = 40, margin: float = AS_DRAWN, channels: int = 3, points: int = 0
                  ) -> Arrays:
  """Faces cut out about landmarks that a text file lists, a line for each: the photograph's name,
  and numbers, or numbers and the name; blanks or commas are between them.

  CelebA (Liu et al. 2015) has landmarks='list_landmarks_celeba.txt',
  attributes='list_attr_celeba.txt', parts='list_eval_partition.txt' and images='img_celeba'. MAFL
  is the same with parts='MAFL/{split}.txt'. MTFL, which TCDCN learnt from (Zhang et al. 2014), has
  landmarks='{split}.txt', order='x then y' and labels=('male', 'smile', 'glasses', 'pose'). WFLW
  has landmarks='list_98pt_rect_attr_{split}.txt', images='WFLW_images', count=98 and unread=10.

  Args:
    split: what {split} stands for, or one of `SPLITS`; without either all is 'train'.
    root: the folder.
    landmarks: the list. Lines at its top that do not end in a number, or have one word, are left
      out, as CelebA's count and names are.
    images: the folder in `root` that names are relative to.
    order: 'xy' for x1 y1 x2 y2 ..., or 'x then y' for x1 x2 ... y1 y2 ...
    count: landmarks of a face.
    labels: names of the whole numbers after them, which count from 1; others are not known.
    values: of labels what 1, 2, ... mean, as dict(male=('male', 'female')); else they are names.
    unread: how many numbers after these are left out, such as boxes.
    attributes: a second list, whose lines are a name and 1 or -1 for each of the attributes that
      its line of names has; 0 is not known.
    chosen: of these the ones that are read, () for all.
    parts: a third, of names and 0, 1 or 2 for train, validation and test; or with {split} in it, a
      list of the names of that split.
    size, margin, channels, points: see `visionlab.data.sources.landmark_files.landmark_files`.

  Returns:
    `image` (n size size c) uint8, `landmarks` (n k 3): x, y in pixels and 2, for they are known;
    and int32 (n,) the labels and, in lower case, the attributes, -1 where they are not known.

  Raises:
    ConfigError: a line with other numbers than these, or a photograph or an attribute that is not
      there; the line is named.
  """
  check_cut('landmark_list', size, margin, channels, points)
  check_choice(order, ORDERS, 'landmark_list: order')
  for name in values or {}:
    check_choice(name, tuple(labels), 'landmark_list: values')
  if count < 2 or unread < 0:
    raise ConfigError('landmark_list: count must be at least 2 and unread 0 or more, not '
                      f'{count} and {unread}')
  top = check_root(root, 'landmark_list', f'{landmarks} and photographs')
  listed = _lines(split_file(top, landmarks, split, 'landmark_list'))
  if '{split}' not in landmarks:
    listed = _of_split(listed, top, parts, split)
  each = 2 * count + len(labels)
  numbers = np.array([line.numbers(each + unread)[:each] for line in listed.values()])
  place = numbers[:, :2 * count].reshape(-1, 2, count).swapaxes(1, 2) if order != 'xy' else (
      numbers[:, :2 * count].reshape(-1, count, 2))
  own = {name: np.where(column >= 1, column - 1, -1).astype(np.int32)
         for name, column in zip(labels, numbers[:, 2 * count:].T, strict=True)}
  names = {name: _values(name, values or {}, int(column.max()) + 1) for name, column in own.items()}
  if attributes:
    more = _attributes(top, attributes, tuple(listed), chosen)
    own |= more
    names |= {name: (f'no {name}', name) for name in more}
  known = np.full((*place.shape[:2], 1), 2.)
  made = faces_about([top / images / name for name in listed],
                     np.concatenate([place, known], -1), [line.where for line in listed.values()],
                     size, margin, channels, points, **own)
  joints = FIVE if count == 5 else made.info.joints
  return Arrays(made.arrays, replace(made.info, attributes=names, joints=joints))


def landmark_json(split: str, *, root: str = '', annotations: str = 'annotations/{split}.json',
                  images: str = '{split}', size: int = 40, margin: float = AS_DRAWN,
                  channels: int = 3, points: int = 0, on_broken: str = 'skip') -> Arrays:
  """Faces cut out about the keypoints of COCO's json, one for each annotation that has some.

  Args:
    split, root, annotations, images, on_broken: see `visionlab.data.sources.coco.coco`.
    size, margin, channels, points: see `visionlab.data.sources.landmark_files.landmark_files`.

  Returns:
    `image` (n size size c) uint8 and `landmarks` (n k 3): x, y in pixels, and 2 where it is seen,
    1 where hidden, 0 (all three) where not known.

  Raises:
    ConfigError: as from `coco`; or no annotation has keypoints.
  """
  check_cut('landmark_json', size, margin, channels, points)
  source = coco(split, root=root, annotations=annotations, images=images, keypoints=True,
                on_broken=on_broken)
  read = source.annotations
  some = np.flatnonzero((read.keypoints[..., 2] > 0).any(-1))
  if not len(some):
    raise ConfigError(f'landmark_json: in {root}, {annotations}, no annotation has a keypoint that '
                      'is known')
  paths = [Path(root).expanduser() / os.fsdecode(read.files[i]) for i in read.owner[some]]
  made = faces_about(paths, read.keypoints[some], list(map(str, paths)), size, margin, channels,
                     points)
  joints = made.info.joints if points else source.info.joints
  return Arrays(made.arrays, replace(made.info, joints=joints))


def _values(label: str, values: Mapping[str, Sequence[str]], count: int) -> tuple[str, ...]:
  """What the numbers of a label mean, of which there are so many."""
  given = values.get(label, ())
  given = tuple(given.split(',')) if isinstance(given, str) else tuple(given)
  if given and len(given) < count:
    raise ConfigError(f'landmark_list: values.{label} has {len(given)} names, and its numbers go '
                      f'up to {count}')
  return given or tuple(map(str, range(1, count + 1)))


class Line(NamedTuple):
  """Of a list: the words after the name, and where they are written."""
  words: list[str]
  where: str

  def numbers(self, count: int) -> list[float]:
    """Raises ConfigError unless they are so many."""
    try:
      found = [float(word) for word in self.words]
    except ValueError as e:
      raise ConfigError(f'{self.where}: {e}; expected a name and {count} numbers') from e
    if len(found) != count or not np.isfinite(found).all():
      raise ConfigError(f'{self.where}: expected a name and {count} numbers, and there are '
                        f'{len(found)}')
    return found


def _lines(path: Path) -> dict[str, Line]:
  """By name; without what is above the first line of a name and numbers."""
  found: dict[str, Line] = {}
  for i, text in enumerate(read_text(path).splitlines(), 1):
    # MTFL writes folders as Windows does, Kaggle commas.
    name, *words = text.replace('\\', '/').replace(',', ' ').split() or ['']
    if words and _is_number(name) and not _is_number(words[-1]):
      name, words = words[-1], [name, *words[:-1]]       # WFLW's names are last
    if not name or not found and not (words and _is_number(words[-1])):
      continue
    if name in found:
      raise ConfigError(f'{path}, line {i}: {name} is listed again, after {found[name].where}')
    found[name] = Line(words, f'{path}, line {i}')
  if not found:
    raise ConfigError(f'{path}: lists no photographs; expected lines of a name and numbers')
  return found


def _is_number(word: str) -> bool:
  try:
    float(word)
  except ValueError:
    return False
  return True


def _of_split(listed: Mapping[str, Line], top: Path, parts: str, split: str) -> dict[str, Line]:
  """Those lines that are of a split."""
  if not parts:
    check_split(split, ('train',), 'landmark_list without parts')
    return dict(listed)
  path = split_file(top, parts, split, 'landmark_list')
  if '{split}' in parts:
    wanted = {text.strip(): f'{path}, line {i}'
              for i, text in enumerate(read_text(path).splitlines(), 1) if text.strip()}
  else:
    check_split(split, SPLITS, 'landmark_list')
    wanted = {name: line.where for name, line in _lines(path).items()
              if line.numbers(1) == [SPLITS.index(split)]}
  missing = next((name for name in wanted if name not in listed), None)
  if missing:
    raise ConfigError(f'{wanted[missing]}: {missing} has no landmarks')
  if not wanted:
    raise ConfigError(f'{path}: none of its photographs are of "{split}"')
  return {name: listed[name] for name in wanted}


def _attributes(top: Path, file: str, names: Sequence[str], chosen: Sequence[str]
                ) -> dict[str, np.ndarray]:
  """Of photographs (n) by name: 0, 1, or -1 where it is not known, (n,) of each attribute."""
  path = split_file(top, file, '', 'landmark_list')
  rows = read_text(path).splitlines()
  head = next((row.replace(',', ' ').split() for row in rows
               if row.strip() and not row.strip().isdigit()), [])
  head = head[1:] if ',' in ''.join(rows[:1]) else head      # Kaggle names the names' column, too
  for name in chosen:
    check_choice(name, tuple(head), f'landmark_list: chosen, of {path}')
  lines = _lines(path)
  missing = next((name for name in names if name not in lines), None)
  if missing:
    raise ConfigError(f'{path}: {missing}, which has landmarks, is not in it')
  values = np.array([lines[name].numbers(len(head)) for name in names])
  wrong = np.argwhere(~np.isin(values, (-1, 0, 1)))
  if len(wrong):
    i, j = wrong[0]
    raise ConfigError(f'{lines[names[i]].where}: {head[j]} is {values[i, j]:g}; expected 1 or -1, '
                      'or 0 where it is not known')
  found = np.int32([0, -1, 1])[values.astype(int) + 1]
  return {name.lower(): found[:, head.index(name)] for name in (chosen or head)}
