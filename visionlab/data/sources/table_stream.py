"""Tables of any size, read part by part."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from visionlab.config import ConfigError
from visionlab.data.sources.arrow import need_pyarrow, schema_of
from visionlab.data.sources.table_rows import TABLES, Rows, objects_of, read_table, rows_of_objects
from visionlab.data.table import Names, columns_of, header_of, rows_below
from visionlab.data.text.text_files import MARKS, read_text

PART = 2**14                     # rows that are in memory at once
LONGEST = 1000                   # lines of a field in quotes


def stream_table(path: Path, roles: Mapping[str, Names], optional: Mapping[str, Names],
                 part: int = PART) -> Iterator[Rows]:
  """The rows of a table as `visionlab.data.sources.table_rows.read_table` reads them, some at a
  time.

  Of lines of JSON what is inside an object has the names of both, as `user.name`. A .json that is
  one list is read as a whole, for its end is where its first row ends for sure.

  Raises:
    ConfigError: as from `read_table`, when the part is reached.
  """
  suffix = path.suffix.lower()
  if suffix not in TABLES:
    raise ConfigError(f'{path}: expected a table, {", ".join(TABLES)}')
  if suffix in ('.parquet', '.pq'):
    yield from _parquet(path, roles, optional, part)
  elif suffix in ('.jsonl', '.ndjson'):
    keys: dict[str, None] = {}
    for begin, text in _text(path, part):
      found = [(place, flat(one)) for place, one in objects_of(text, path, begin)]
      keys |= dict.fromkeys(key for _, one in found for key in one)
      if found:
        yield rows_of_objects(path, found, keys, roles, optional)
  elif suffix == '.json':
    yield read_table(path, roles, optional)
  else:
    header = None
    for begin, text in _text(path, part):
      header = header or header_of(text, roles)
      rows = rows_below(text, header, path, roles, optional, begin)
      yield Rows(path, {role: [row.fields[role] for row in rows] for role in {**roles, **optional}},
                 [f'line {row.line}' for row in rows])


def flat(one: Mapping, before: str = '') -> dict:
  """An object without objects in it.

  >>> flat({'user': {'name': 'ann'}, 'n': 1})
  {'user.name': 'ann', 'n': 1}
  """
  return {key: value for name, own in one.items() for key, value in (
      flat(own, f'{before}{name}.') if isinstance(own, Mapping) else
      {f'{before}{name}': own}).items()}


def _text(path: Path, part: int) -> Iterator[tuple[int, str]]:
  """Some lines at a time, none of which ends within quotes, and the number of the first of each.

  Raises:
    ConfigError: as from `read_text`.
  """
  begin = 1
  try:
    with path.open('rb') as file:
      start = file.read(4)
    encoding = next((name for mark, name in MARKS if start.startswith(mark)), 'utf-8')
    with path.open(encoding=encoding) as file:            # all ends of lines become newlines
      while lines := list(islice(file, part)):
        if sum(line.count('"') for line in lines) % 2:
          for line in islice(file, LONGEST):
            lines.append(line)
            if line.count('"') % 2:
              break
        text = ''.join(lines)
        if '\0' in text:
          raise UnicodeError
        yield begin, text
        begin += len(lines)
  except (OSError, UnicodeError):
    read_text(path)                                       # which says what is wrong, and where
    raise


def _parquet(path: Path, roles, optional, part: int) -> Iterator[Rows]:
  pa = need_pyarrow(str(path))
  schema, _ = schema_of(path)
  columns = columns_of(schema.names, roles, optional, path)
  names = {role: schema.names[i] for role, i in columns.items() if i >= 0}
  begin = 0
  try:
    with pa.parquet.ParquetFile(path) as file:
      for batch in file.iter_batches(part, columns=[*names.values()]):
        n = batch.num_rows
        known = {role: batch.column(name).to_pylist() for role, name in names.items()}
        yield Rows(path, known | {role: [None] * n for role in optional if role not in names},
                   [f'row {i}' for i in range(begin, begin + n)], names)
        begin += n
  except (pa.ArrowException, OSError, ValueError) as error:
    raise ConfigError(f'{path} cannot be read: {str(error).splitlines()[0]}') from error
