"""Columns of Arrow and parquet files, of which images are read one at a time, in any order."""

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.images.files import encoded

PARQUET = ('.parquet', '.pq')
MOST_BYTES = 4 * 2**30        # of parquet, unpacked, that a process keeps in memory
GROUPS = 8                    # row groups that are kept where they are more


def need_pyarrow(where: str):
  """The package, or a ConfigError that says how to get it."""
  try:
    import pyarrow  # noqa: PLC0415 - an extra
    import pyarrow.parquet  # noqa: PLC0415
  except ImportError as error:
    raise ConfigError(f"{where}: Arrow and parquet files need an extra: pip install "
                      "'visionlab[parquet]'") from error
  return pyarrow


def parquet_columns(path: Path) -> tuple[dict[str, str], int]:
  """What each column holds, 'bytes' if it may be images, else 'plain'; and the number of rows."""
  schema, count = schema_of(path)
  return {field.name: 'bytes' if holds_bytes(field.type) else 'plain' for field in schema}, count


def holds_bytes(kind) -> bool:
  """Whether a column of this type holds files: bytes, or bytes with a path as `datasets` has it."""
  pa = need_pyarrow('parquet')
  if pa.types.is_struct(kind):
    return kind.get_field_index('bytes') >= 0
  return any(check(kind) for check in (pa.types.is_binary, pa.types.is_large_binary,
                                       pa.types.is_binary_view, pa.types.is_fixed_size_binary))


def schema_of(path: Path):
  """The schema of a file, and the number of its rows.

  Raises:
    ConfigError: it is damaged, or no such file.
  """
  pa = need_pyarrow(str(path))
  try:
    if path.suffix.lower() in PARQUET:
      with pa.parquet.ParquetFile(path) as file:
        return file.schema_arrow, file.metadata.num_rows
    table = _mapped(path)
    table.validate(full=True)              # a damaged file would end the process when it is read
    return table.schema, table.num_rows
  except (pa.ArrowException, OSError, ValueError) as error:
    kind = 'parquet' if path.suffix.lower() in PARQUET else 'Arrow'
    raise ConfigError(f'{path} cannot be read as {kind}: {_line(error)}') from error


def read_column(path: Path, name: str) -> list:
  """A whole column, as Python's values.

  Raises:
    ConfigError: it is damaged.
  """
  pa = need_pyarrow(str(path))
  try:
    if path.suffix.lower() not in PARQUET:
      return _mapped(path).column(name).to_pylist()
    column = pa.parquet.read_table(path, columns=[name]).column(name)
    if len(column) != pa.parquet.read_metadata(path).num_rows:
      raise ValueError('it has more or fewer rows than the file says')
    return column.to_pylist()
  except (pa.ArrowException, OSError, ValueError) as error:
    raise ConfigError(f'{path}: the column "{name}" cannot be read: {_line(error)}') from error


def _mapped(path: Path):
  """The table of a file of Arrow, of which what is used is read from disk: a stream, as `datasets`
  writes it, or a file with an index, as Feather is."""
  import pyarrow as pa  # noqa: PLC0415
  memory = pa.memory_map(str(path))
  try:
    return pa.ipc.open_stream(memory).read_all()
  except pa.ArrowInvalid:
    return pa.ipc.open_file(memory).read_all()


class Cells:
  """A column over several files: values by their number. Picklable: each process opens the files.

  Of Arrow files nothing is kept in memory. Of parquet, whose rows are packed in groups, all is, up
  to `MOST_BYTES`; of more, the last `GROUPS` groups: that is slow in a random order.

  Args:
    files: of one kind.
    column: its name in them.
    counts: rows of each.
  """

  def __init__(self, files: Sequence[Path], column: str, counts: Sequence[int]):
    self.files, self.column = encoded(map(str, files)), column
    self.ends = np.cumsum(counts)
    self._open()

  def __len__(self) -> int:
    return int(self.ends[-1])

  def __getitem__(self, index: int) -> Any:
    file = int(np.searchsorted(self.ends, index, side='right'))
    row = index - (int(self.ends[file - 1]) if file else 0)
    with self._lock:
      values = self._column(file) if self._whole is not False else None
      if values is None:
        values, row = self._group(file, row)
    return values[row].as_py()

  def _open(self):
    self._lock, self._tables, self._whole = threading.Lock(), {}, None
    self._group_of = lru_cache(GROUPS)(self._read_group)

  def __getstate__(self):
    return {key: self.__dict__[key] for key in ('files', 'column', 'ends')}

  def __setstate__(self, state):
    self.__dict__.update(state)
    self._open()

  def _path(self, file: int) -> Path:
    return Path(self.files[file].decode())

  @property
  def is_parquet(self) -> bool:
    return self._path(0).suffix.lower() in PARQUET

  def _column(self, file: int):
    """A file's column; None where parquet files are too large to be kept."""
    import pyarrow.parquet as pq  # noqa: PLC0415
    if self._whole is None:
      self._whole = not self.is_parquet or self.size() <= MOST_BYTES
    if self._whole and file not in self._tables:
      path = self._path(file)
      table = pq.read_table(path, columns=[self.column]) if self.is_parquet else _mapped(path)
      self._tables[file] = table.column(self.column)
    return self._tables.get(file)

  def size(self) -> int:
    """Bytes of all rows in files of parquet, unpacked."""
    import pyarrow.parquet as pq  # noqa: PLC0415
    metas = [pq.read_metadata(self._path(i)) for i in range(len(self.files))]
    return sum(meta.row_group(i).total_byte_size for meta in metas
               for i in range(meta.num_row_groups))

  def _group(self, file: int, row: int):
    """The group that holds a row, and the row's number in it."""
    ends = self._group_ends(file)
    group = int(np.searchsorted(ends, row, side='right'))
    return self._group_of(file, group), row - (int(ends[group - 1]) if group else 0)

  def _group_ends(self, file: int) -> np.ndarray:
    import pyarrow.parquet as pq  # noqa: PLC0415
    if file not in self._tables:
      meta = pq.read_metadata(self._path(file))
      self._tables[file] = np.cumsum([meta.row_group(i).num_rows
                                      for i in range(meta.num_row_groups)])
    return self._tables[file]

  def _read_group(self, file: int, group: int):
    import pyarrow.parquet as pq  # noqa: PLC0415
    with pq.ParquetFile(self._path(file)) as opened:
      return opened.read_row_group(group, columns=[self.column]).column(self.column)


def _line(error: Exception) -> str:
  return (str(error).strip() or type(error).__name__).splitlines()[0]
