"""Rows of tables of any kind: .csv, .tsv, lines of JSON, parquet."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.classes import number_labels
from visionlab.data.source import Info
from visionlab.data.sources.arrow import parquet_columns, read_column
from visionlab.data.table import Names, columns_of, read_rows
from visionlab.data.text.text_files import parse_json, read_text

TABLES = ('.csv', '.tsv', '.txt', '.jsonl', '.ndjson', '.json', '.parquet', '.pq')


class Rows(NamedTuple):
  """A table's rows.

  Attributes:
    path: the file.
    columns: role -> what each row holds there; None or '' where it holds nothing.
    places: what messages call each row, such as 'line 7'.
    names: role -> what the column is called in the file.
  """
  path: Path
  columns: Mapping[str, Sequence]
  places: Sequence[str]
  names: Mapping[str, str] = {}


def read_table(path: Path, roles: Mapping[str, Names], optional: Mapping[str, Names],
               lazy: Sequence[str] = ()) -> Rows:
  """The rows of a table.

  Args:
    path: the file; its suffix, one of `TABLES`, says what it is.
    roles: of each column that is needed the names it may have, see `visionlab.data.table.FILE`.
    optional: likewise, columns that may be missing, and are then in `columns` as empty.
    lazy: roles of columns that may hold images; where a parquet file has bytes there, they are not
      read, and the role is missing in `columns`.

  Raises:
    ConfigError: a file that is none of these or has no such columns; a row that is none.
  """
  suffix = path.suffix.lower()
  if suffix not in TABLES:
    raise ConfigError(f'{path}: expected a table, {", ".join(TABLES)}')
  if suffix in ('.parquet', '.pq'):
    return _parquet(path, roles, optional, lazy)
  if suffix in ('.jsonl', '.ndjson', '.json'):
    return _json(path, roles, optional)
  rows = read_rows(read_text(path), path, roles, optional)
  return Rows(path, {role: [row.fields[role] for row in rows] for role in {**roles, **optional}},
              [f'line {row.line}' for row in rows])


def _json(path: Path, roles, optional) -> Rows:
  """Lines of JSON, or a list of objects."""
  text = read_text(path)
  if path.suffix.lower() == '.json' and text.lstrip().startswith('['):
    found = [(f'number {i}', one) for i, one in enumerate(parse_json(text, path))]
    for place, one in found:
      _check_object(one, f'{path}, {place}')
  else:
    found = list(objects_of(text, path))
  return rows_of_objects(path, found, dict.fromkeys(key for _, one in found for key in one), roles,
                         optional)


def objects_of(text: str, path: Path, begin: int = 1) -> Iterator[tuple[str, dict]]:
  """What messages call each line of JSON that is not empty, and its object; `begin` is the number
  of the first line."""
  for i, line in enumerate(text.split('\n'), begin):
    if line.strip():
      one = _line(line, f'{path}, line {i}')
      _check_object(one, f'{path}, line {i}')
      yield f'line {i}', one


def _check_object(one, where: str) -> None:
  if not isinstance(one, dict):
    raise ConfigError(f'{where}: expected an object such as '
                      f'{{"image": "a.jpg", "label": "cat"}}, not {one!r:.60}')


def rows_of_objects(path: Path, found: Sequence[tuple[str, dict]], keys: Iterable[str], roles,
                    optional) -> Rows:
  """The rows of objects, as `objects_of` gives them, in which there are these keys."""
  keys = list(keys)
  columns = columns_of(keys, roles, optional, path)
  return Rows(path, {role: [one.get(keys[i]) if i >= 0 else None for _, one in found]
                     for role, i in columns.items()}, [place for place, _ in found],
              {role: keys[i] for role, i in columns.items() if i >= 0})


def _line(line: str, where: str) -> Any:
  try:
    return parse_json(line, where)
  except ConfigError as error:
    raise ConfigError(f'{where} is no JSON; expected an object in each line: {line.strip():.60}'
                      ) from error


def _parquet(path: Path, roles, optional, lazy) -> Rows:
  kinds, count = parquet_columns(path)
  keys = list(kinds)
  columns = columns_of(keys, roles, optional, path)
  names = {role: keys[i] for role, i in columns.items() if i >= 0}
  read = {role: read_column(path, name) for role, name in names.items()
          if not (role in lazy and kinds[name] == 'bytes')}
  empty = {role: [None] * count for role in optional if role not in names}
  return Rows(path, read | empty, [f'row {i}' for i in range(count)], names)


def targets_of(rows: Rows, others: Sequence[Rows], target: Sequence[str], classes: Sequence[str]
             ) -> tuple[Mapping[str, np.ndarray], Info]:
  """What is predicted of each row, and the classes.

  Args:
    rows: with the role `label`, or that of each target (see `role_of`).
    others: of the other splits, whose labels are classes too.
    target: names of columns of numbers; () where labels are predicted.
    classes: see `visionlab.data.classes.number_labels`.

  Returns:
    `label` (n,) int32, or `target` (n k) float32.

  Raises:
    ConfigError: a row with something else, or nothing, in that column.
  """
  if target:
    columns = [list(_numbers(rows, name)) for name in target]
    return dict(target=np.array(columns, np.float32).T), Info()
  labels = list(_labels(rows))
  every = labels + [label for other in others for label in _labels(other)]
  numbers, names = number_labels(every, classes, str(rows.path))
  return dict(label=numbers[:len(labels)]), Info(names)


def _labels(rows: Rows) -> Iterator[str]:
  for place, value in zip(rows.places, rows.columns['label'], strict=True):
    if isinstance(value, float) and value.is_integer():        # as pandas writes columns with gaps
      value = int(value)
    if value in (None, '') or isinstance(value, float) and math.isnan(value):
      raise ConfigError(f'{rows.path}, {place}: the label is missing')
    if not isinstance(value, str | int):
      raise ConfigError(f'{rows.path}, {place}: the label is {value!r:.60}; expected a name or a '
                        'whole number; target_columns names numbers to predict')
    yield str(value)


def _numbers(rows: Rows, name: str) -> Iterator[float]:
  for place, value in zip(rows.places, rows.columns[role_of(name)], strict=True):
    try:
      number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
      number = math.nan
    if not math.isfinite(number):
      raise ConfigError(f'{rows.path}, {place}: {name} is {value!r:.60}; expected a number')
    yield number


def role_of(name: str) -> str:
  """That of a column of numbers, which is in no one's way who calls it 'image'."""
  return f'target {name}'
