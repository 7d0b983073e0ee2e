"""Tables in text files: rows of fields with commas, tabs, semicolons or bars between them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from visionlab.config import ConfigError, nearest
from visionlab.data.images.decode import SUFFIXES

DELIMITERS = (',', '\t', ';', '|')
FILE = (('file',), ('file_name', 'filename', 'image', 'image_name', 'image_file', 'image_path',
                    'img', 'img_name', 'img_path', 'path', 'filepath', 'file_path'),
        ('image_id', 'img_id', 'id', 'name'))
SPLIT = (('split',), ('set', 'subset', 'partition'))
"""What columns are called: names of an earlier group go before those of a later one."""
_QUOTED = re.compile(' *"([^"]*(?:""[^"]*)*)" *')
_OPENED = re.compile(' *"')
_PLAIN = {delimiter: re.compile(f'[^{delimiter}\n]*') for delimiter in ',;'}

Names = Sequence[Sequence[str]]


class Row(NamedTuple):
  """A row of a table: the number of its first line, and its fields by the column's role."""
  line: int
  fields: Mapping[str, str]


def delimiter_of(text: str, roles: Mapping[str, Names]) -> str:
  """What stands between the columns of a table that has all of the roles; '' if it is none.

  Args:
    text: of the file.
    roles: of each column that is looked for the names it may have, see `FILE`.
  """
  first = _first_line(text)
  return next((d for d in DELIMITERS if _has_no_names(_split(first, d), roles)
               or all(_column(_split(first, d), names) for names in roles.values())), '')


class Header(NamedTuple):
  """What the first line of a table says. Attributes:
    delimiter: what stands between columns.
    names: of the columns.
    named: whether that line has the names, or is a row itself.
  """
  delimiter: str
  names: Sequence[str]
  named: bool


def header_of(text: str, roles: Mapping[str, Names]) -> Header:
  """That of a table whose text begins so; see `read_rows`."""
  first = _first_line(text)
  delimiter = delimiter_of(text, roles) or max(DELIMITERS, key=first.count)
  names = _split(first, delimiter)
  unnamed = _has_no_names(names, roles)
  return Header(delimiter, list(roles) if unnamed else names, not unnamed)


def read_rows(text: str, path: str | Path, roles: Mapping[str, Names],
              optional: Mapping[str, Names] | None = None) -> list[Row]:
  """The rows of a table whose first line names its columns.

  What is between columns is found out by that line. Between commas and semicolons, a field with
  one, a quote or an end of line stands in quotes, and quotes in it are doubled (RFC 4180). Two
  columns whose first line begins with the name of an image need no line of names, nor do six, a
  name, a box and a class.

  Args:
    text: of the file.
    path: what errors name.
    roles: of each column the names it may have, see `FILE`; case does not count.
    optional: likewise, columns that may be missing; their fields are then ''.

  Raises:
    ConfigError: a column that is missing or there twice, a row with more or fewer fields than
      columns, a quote that does not end. The line is named.

  >>> text = 'Image,Comment\\na.jpg,"A dog, running"\\n'
  >>> read_rows(text, 'x.csv', {'file': FILE, 'caption': (('caption', 'comment'),)})
  [Row(line=2, fields={'file': 'a.jpg', 'caption': 'A dog, running'})]
  """
  return rows_below(text, header_of(text, roles), path, roles, optional or {})


def rows_below(text: str, header: Header, path: str | Path, roles: Mapping[str, Names],
               optional: Mapping[str, Names], begin: int = 1) -> list[Row]:
  """`read_rows` of a part of a table, of whole lines.

  Args:
    header: of the table.
    begin: the number of the part's first line; the part that begins at 1 has the header in it.
  """
  names, rows = header.names, _rows(text, header.delimiter, path, begin)
  if header.named and begin == 1:
    next(rows, None)
  columns = columns_of(names, roles, optional, path)
  result = []
  for line, fields in rows:
    while len(fields) > len(names) and not fields[-1].strip():
      fields.pop()                           # a spreadsheet pads its rows
    if len(fields) != len(names):
      quoting = f'; a field with {header.delimiter!r} in it stands in quotes'
      raise ConfigError(
          f'{path}, line {line}: {_count(len(fields), "field")}, but {_count(len(names), "column")}'
          f' ({", ".join(names)}){quoting if len(fields) > len(names) else ""}')
    result.append(Row(line, {role: fields[i].strip(' \t\ufeff') if i >= 0 else ''
                             for role, i in columns.items()}))
  return result


def _count(n: int, noun: str) -> str:
  return f'{n} {noun}{"" if n == 1 else "s"}'


def _first_line(text: str) -> str:
  return text.lstrip('\n').partition('\n')[0]


def _split(line: str, delimiter: str) -> list[str]:
  """The names in a first line; those that a spreadsheet left empty at its end are left out."""
  names = [name.strip(' "\ufeff') for name in line.split(delimiter)]
  while len(names) > 1 and not names[-1]:
    names.pop()
  return names


def _has_no_names(fields: Sequence[str], roles: Mapping[str, Names]) -> bool:
  return len(fields) == len(roles) in (2, 6) and fields[0].lower().endswith(SUFFIXES)


def plain(name: str) -> str:
  """The name of a column as it is compared: 'Image Name' and 'image_name' are one."""
  return re.sub(r'[\s-]+', '_', name.strip().lower())


def _column(names: Sequence[str], wanted: Names) -> list[int]:
  """The columns that have one of the names wanted: those of the first group that any has."""
  found = ([i for i, name in enumerate(names) if plain(name) in group] for group in wanted)
  return next(filter(None, found), [])


def columns_of(names: Sequence[str], roles: Mapping[str, Names], optional: Mapping[str, Names],
               path: str | Path) -> dict[str, int]:
  """The number of each role's column; -1 of one that is missing and may be.

  Args, Raises: see `read_rows`.
  """
  columns = {}
  for role, wanted in {**roles, **optional}.items():
    found = _column(names, wanted)
    if len(found) > 1:
      raise ConfigError(f'{path}: {len(found)} columns may be the {role}: '
                        f'{", ".join(names[i] for i in found)}; call the right one "{role}", and '
                        'no other')
    if found:
      columns[role] = found[0]
    elif role in roles:
      raise ConfigError(f'{path} has no column "{role}"{nearest(role, names)}; expected '
                        f'columns such as "{",".join(roles)}", not {",".join(names)[:80]!r}')
    else:
      columns[role] = -1
  return columns


def _rows(text: str, delimiter: str, path: str | Path, line: int = 1
          ) -> Iterator[tuple[int, list[str]]]:
  """The fields of each row that is not empty, and the number of its first line, where that of the
  text is `line`."""
  at = 0
  while at < len(text):
    stop = text.find('\n', at)
    stop = len(text) if stop < 0 else stop
    if '"' not in text[at:stop]:
      fields = text[at:stop].split(delimiter)
    elif delimiter in ',;':
      fields, stop = _quoted_row(text, at, delimiter, f'{path}, line {line}')
    else:                                    # quotes are marks here, but around a whole field
      fields = [_unquoted(field) for field in text[at:stop].split(delimiter)]
    if any(field.strip() for field in fields):
      yield line, fields
    line += text.count('\n', at, stop) + 1
    at = stop + 1


def _unquoted(field: str) -> str:
  quoted = field[:1] == '"' and _QUOTED.fullmatch(field)
  return quoted[1].replace('""', '"') if quoted else field


def _quoted_row(text: str, at: int, delimiter: str, where: str) -> tuple[list[str], int]:
  """The fields of the row that begins at `at`, and where it ends."""
  fields = []
  while True:
    quoted = _QUOTED.match(text, at)
    if not quoted and _OPENED.match(text, at):
      raise ConfigError(f'{where}: a quote that does not end: {_seen(text, at)}')
    stop = (quoted or _PLAIN[delimiter].match(text, at)).end()
    if quoted and text[stop:stop + 1] not in ('', delimiter, '\n'):
      raise ConfigError(f'{where}: more behind the quote that ends a field: {_seen(text, at)}; a '
                        'quote within quotes is doubled')
    if quoted and _swallows(quoted[1], delimiter):
      raise ConfigError(f'{where}: a quote that does not end there, and swallows other rows: '
                        f'{_seen(text, at)}')
    fields.append(quoted[1].replace('""', '"') if quoted else text[at:stop])
    if stop == len(text) or text[stop] == '\n':
      return fields, stop
    at = stop + 1


def _seen(text: str, at: int) -> str:
  return repr(text[at:at + 60].partition('\n')[0].strip())


def _swallows(field: str, delimiter: str) -> bool:
  """Whether lines of a field read like rows: they begin with the name of an image."""
  starts = (line.partition(delimiter) for line in field.split('\n')[1:])
  return any(found and name.strip().lower().endswith(SUFFIXES) for name, found, _ in starts)
