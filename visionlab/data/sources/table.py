"""A table of images with classes or numbers: .csv, .tsv, lines of JSON, or parquet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.files import as_in_folder, in_threads, split_file, splits_with_file
from visionlab.data.images import Canvas
from visionlab.data.source import check_split
from visionlab.data.sources.arrow import Cells, schema_of
from visionlab.data.sources.arrow_images import ArrowImages
from visionlab.data.sources.encoded import Encoded, check_on_broken
from visionlab.data.sources.folder import image_files
from visionlab.data.sources.labelled_files import LABEL
from visionlab.data.sources.table_rows import Rows, read_table, role_of, targets_of
from visionlab.data.table import FILE, SPLIT, plain

SHOWN = 5                    # missing files that a warning names


def table(split: str, *, root: str = '', path: str = '', images: str = '', image_column: str = '',
          label_column: str = '', target_columns: tuple[str, ...] = (), split_column: str = '',
          classes: tuple[str, ...] = (), size: int | tuple[int, int] = 224, resize: str = 'crop',
          crop_fraction: float = 1., channels: int = 3, on_broken: str = 'skip',
          check: bool = True) -> Encoded:
  """Images that a table names, .csv, .tsv, .jsonl or .parquet, with a class or numbers each.

  path='labels.csv': a file that begins with a line such as `image,label`; or lines of JSON such as
  {"image": "a.jpg", "label": "cat"}; or a parquet file (`pip install 'visionlab[parquet]'`), where
  the column of images may hold the files' bytes instead. Labels are names or whole numbers.

  Args:
    split: a value of the column of splits; 'train' where there is none, of which
      'train[:90%]' and 'train[90%:]' are parts; or what {split} stands for in `path`.
    root: the folder that `path` is in.
    path: the table; '{split}.csv' where there is one for each split.
    images: the folder in the table's own that names of images are relative to.
    image_column: the column of names of images; '' for `image`, `file`, `path` and the like.
    label_column: the column of labels; '' for `label`, `class`, `category` and the like.
    target_columns: columns of numbers, which are predicted in place of a label: ('age',).
    split_column: the column of splits; '' for `split`, `set` and the like, if there is one.
    classes: the names of classes in their order; by default those that the labels are, sorted, or
      by value if they are whole numbers. Labels 0, 1, ... may stand for the classes named here.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.Canvas`.
    on_broken: 'skip' leaves rows out whose file is missing or unreadable, with a warning that names
      them; 'stop' raises an error.
    check: look at every file when opening, so that what is missing or broken is left out for good.
      Takes about 0.1 ms a file. Bytes in parquet are not looked at.

  Returns:
    A source of `image` (n h w c) uint8 and `label` (n,) int32, or `target` (n k) float32; with
    'skip' also `valid` (n,).

  Raises:
    ConfigError: a wrong option or split, a table without such columns, a row without an image or
      label, all files missing.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  check_on_broken(on_broken, 'table')
  if not path:
    raise ConfigError('table: path must name the table, e.g. path="labels.csv"')
  top = Path(root).expanduser()
  file = split_file(top, path, split, 'table')
  read = Columns(image_column, label_column, target_columns, split_column)
  rows = read.rows(file)
  others = [read.rows(top / path.replace('{split}', name)) for name in splits_with_file(top, path)
            if name != split and not target_columns]
  own = _of_split(rows, split, '{split}' in path)
  given, info = targets_of(rows, others, target_columns, classes)
  given = {key: value[own] for key, value in given.items()}
  if 'image' not in rows.columns:
    name = rows.names['image']
    cells = Cells([file], name, [schema_of(file)[1]])
    return ArrowImages(cells, own, [f'{file.name}:{i}' for i in own], given, info, canvas,
                       on_broken, f'table {file}: {name} of row')
  folder = file.parent / images
  names = [_name(rows, i) for i in own]
  _check_one_label(rows, own, names)
  files = as_in_folder(names, folder)
  there = _there(rows, own, files, folder, on_broken) if check else np.ones(len(own), bool)
  return image_files(f'table {file}', folder,
                     [name for name, is_there in zip(files, there, strict=True) if is_there],
                     {key: value[there] for key, value in given.items()}, info, canvas, on_broken,
                     check)


class Columns:
  """What the columns of a table are called."""

  def __init__(self, image: str, label: str, target: Sequence[str], split: str):
    self.needed = dict(image=_called(image, FILE))
    if not target or label:
      self.needed['label'] = _called(label, LABEL)
    self.needed |= {role_of(name): _called(name, ()) for name in target}
    self.optional = {} if split else dict(split=SPLIT)
    if split:
      self.needed['split'] = _called(split, ())

  def rows(self, path: Path) -> Rows:
    try:
      rows = read_table(path, self.needed, self.optional, lazy=('image',))
    except ConfigError as error:
      option = next((name for name in ('image', 'label', 'split') if f'no column "{name}"' in
                     str(error) or f'may be the {name}' in str(error)), '')
      if not option:
        raise
      raise ConfigError(f'{error}; or the option {option}_column names it') from error
    if not rows.places:
      raise ConfigError(f'{path} has no rows')
    return rows


def _called(name: str, usual):
  return ((plain(name),),) if name else usual


def _of_split(rows: Rows, split: str, one_each: bool) -> np.ndarray:
  """The numbers of the rows of a split."""
  if one_each:
    return np.arange(len(rows.places))
  named = [str(value) if value not in (None, '') else 'train' for value in rows.columns['split']]
  check_split(split, sorted(set(named)), f'table {rows.path}')
  return np.flatnonzero([name == split for name in named])


def _name(rows: Rows, i: int) -> str:
  name = rows.columns['image'][i]
  if not isinstance(name, str) or not name or '\0' in name:
    raise ConfigError(f'{rows.path}, {rows.places[i]}: the image is {name!r:.60}; expected the '
                      'name of a file')
  return name.replace('\\', '/')                        # of Windows


def _check_one_label(rows: Rows, own: np.ndarray, names: Sequence[str]) -> None:
  """Raises a ConfigError where a file is there twice, as if of two classes."""
  if 'label' not in rows.columns:
    return
  said: dict[str, object] = {}
  for i, name in zip(own, names, strict=True):
    label = rows.columns['label'][i]
    if said.setdefault(name, label) != label:
      raise ConfigError(f'{rows.path}, {rows.places[i]}: {name} is {label!r} here, and '
                        f'{said[name]!r} before')


def _there(rows: Rows, own: np.ndarray, files: Sequence[str], folder: Path, on_broken: str
           ) -> np.ndarray:
  """Which files (n,) there are."""
  there = np.array(in_threads(lambda name: (folder / name).is_file(), files))
  missing = [f'{folder / files[i]} ({rows.places[own[i]]})' for i in np.flatnonzero(~there)]
  if missing and (on_broken == 'stop' or len(missing) == len(files)):
    raise ConfigError(f'table {rows.path}: there is no file {missing[0]}; the option images names '
                      'the folder that names are relative to')
  if missing:
    logging.warning('table %s: %d of %d files are missing: %s%s', rows.path, len(missing),
                    len(files), ', '.join(missing[:SHOWN]), ', ...' if len(missing) > SHOWN else '')
  return there
