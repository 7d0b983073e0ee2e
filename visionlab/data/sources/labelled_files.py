"""Tables of files and their labels: a.jpg,cat."""

from pathlib import Path

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.classes import in_order
from visionlab.data.images.files import as_in_folder, split_file, splits_with_file
from visionlab.data.source import check_split
from visionlab.data.table import FILE, SPLIT, Row, plain, read_rows
from visionlab.data.text.text_files import read_text

LABEL = (('label',), ('class', 'class_name'), ('category', 'target', 'labels', 'class_id'))


def labelled_files(top: Path, split: str, table: str, images: str = '', column: str = ''
                   ) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
  """The files of a split and what a table says of them.

  Args:
    top: the folder.
    split: of a table with a column `split` one of those, else 'train', or what {split} stands for.
    table: the file in it, see `visionlab.data.table.read_rows`; {split} stands for the split.
    images: the folder in `top` that names of files are relative to; with {split}.
    column: what the column of labels is called, unless 'label', 'class' or 'category'.

  Returns:
    Names relative to `top`, their labels (n,) int32, and the classes: those of all splits, sorted,
    by value if they are whole numbers.

  Raises:
    ConfigError: a table of another form, a file that is there with two labels, one without, no
      such split.
  """
  path = split_file(top, table, split, 'folder')
  tables = {path: _read(path, column)}
  for other in splits_with_file(top, table):
    tables.setdefault(top / table.replace('{split}', other), _other(top, table, other, column))
  rows = tables[path]
  if '{split}' not in table:
    named = sorted({row.fields['split'] or 'train' for row in rows})
    check_split(split, named, f'folder {path}')
    rows = [row for row in rows if (row.fields['split'] or 'train') == split]
  label_of: dict[str, str] = {}
  for row in rows:
    name, label = row.fields['file'].replace('\\', '/'), row.fields['label']
    if label_of.setdefault(name, label) != label:
      raise ConfigError(f'{path}, line {row.line}: {name} is {label!r} here, and '
                        f'{label_of[name]!r} before')
  classes = in_order({row.fields['label'] for own in tables.values() for row in own})
  number = {name: i for i, name in enumerate(classes)}
  files = as_in_folder(list(label_of), top / images.replace('{split}', split))
  inside = Path(images.replace('{split}', split))
  return ([str(inside / file) for file in files],
          np.array([number[label] for label in label_of.values()], np.int32), classes)


def _read(path: Path, column: str) -> list[Row]:
  """The rows of a table, each with a file and a label."""
  names = ((plain(column),),) if column else LABEL
  try:
    rows = read_rows(read_text(path), path, dict(file=FILE, label=names), dict(split=SPLIT))
  except ConfigError as error:
    if 'has no column "label"' not in str(error):
      raise
    raise ConfigError(f'{error}; or the option label names the column') from error
  for row in rows:
    for role in ('file', 'label'):
      if not row.fields[role]:
        raise ConfigError(f'{path}, line {row.line}: the {role} is missing')
  if not rows:
    raise ConfigError(f'{path} names no files')
  return rows


def _other(top: Path, table: str, split: str, column: str) -> list[Row]:
  """The rows of another split's table; none if it has no labels, as those of competitions."""
  try:
    return _read(top / table.replace('{split}', split), column)
  except ConfigError:
    return []
