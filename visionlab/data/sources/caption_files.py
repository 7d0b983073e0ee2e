"""Files of captions, read into one form: a table, COCO's json, Karpathy's json, Flickr's tokens."""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from visionlab.config import ConfigError, nearest
from visionlab.data.table import FILE, SPLIT, delimiter_of, read_rows
from visionlab.data.text.text_files import parse_json, read_bytes, read_text

CAPTION = (('caption',), ('captions', 'text', 'comment', 'sentence', 'sentences', 'description'))
ENCODINGS = ('utf-8', 'latin-1', 'cp1252', 'utf-16', 'ascii', 'gb18030', 'shift_jis')
NULLS = ('nan', 'NaN', 'None', 'null', 'NULL', '<NA>', 'N/A')
"""What programs write into a table where there is no caption."""
LONGEST_NAME = 4096       # bytes of a path, as of Linux


class Line(NamedTuple):
  """A caption of an image, '' where there is none; `where` it stands, for messages."""
  file: str
  text: str
  where: str


class Table(NamedTuple):
  """What a file says.

  Attributes:
    splits: of each image the split that the file puts it in; '' where it names none.
    lines: the captions, in the file's order.
  """
  splits: Mapping[str, str]
  lines: Sequence[Line]


def read_table(path: Path, encoding: str = 'utf-8') -> Table:
  """The captions in a file, whose form its name and its first line tell.

    .csv, .tsv  a table, see `visionlab.data.table.read_rows`: columns `file` (or `image`,
                `file_name`, ...), `caption` (or `text`, `comment`, ...) and, where there are
                several splits, `split`
    .jsonl      lines with such an object each; a caption may be a list of several
    .json       a list of such objects; COCO's `images` and `annotations` (Chen et al. 2015); or
                `images` with their `sentences` and `split`, as Karpathy and Fei-Fei 2015 distribute
                COCO, Flickr8k and Flickr30k
    others      such a table, or lines `<file>#<number><tab><caption>`, as of Flickr8k

  Raises:
    ConfigError: an encoding that is unknown or not the file's, or a file of another form; the line
      or the entry is named.
  """
  text = decoded(path, encoding)
  readers = {'.csv': _read_csv, '.tsv': _read_csv, '.json': _read_json, '.jsonl': _read_jsonl}
  by_content = _read_csv if delimiter_of(text, dict(file=FILE, caption=CAPTION)) else _read_tokens
  table = readers.get(path.suffix.lower(), by_content)(text, path)
  if not table.lines:
    raise ConfigError(f'captions: {path} holds no captions')
  return table


def decoded(path: Path, encoding: str, where: str = 'captions') -> str:
  """The text of a file, without a byte order mark; every end of line is a newline.

  where: the source that asks, for errors.

  Raises:
    ConfigError: there is no such encoding, or it is not the file's.
  """
  try:
    name = codecs.lookup(encoding).name
    b''.decode(encoding)                     # there are codecs of other things than text
  except (LookupError, ValueError):
    raise ConfigError(f'{where}: encoding: there is none called {encoding!r}'
                      f'{nearest(encoding, ENCODINGS)}; expected e.g. {", ".join(ENCODINGS)}'
                      ) from None
  if name in ('utf-8', 'utf-8-sig'):
    try:
      return read_text(path)
    except ConfigError as error:
      raise ConfigError(f'{where}: {error}; or the option encoding names another, e.g. '
                        '"latin-1"') from error
  content = read_bytes(path)
  try:
    text = content.decode(encoding).removeprefix('\ufeff')
  except UnicodeError as error:
    line = content[:getattr(error, 'start', 0)].count(b'\n') + 1
    reason = getattr(error, 'reason', error)
    raise ConfigError(f'{where}: {path}, line {line}, is not encoded as {encoding}: {reason}'
                      '; the option encoding names another, e.g. "latin-1"') from error
  return text.replace('\r\n', '\n').replace('\r', '\n')


def _read_csv(text: str, path: Path) -> Table:
  splits, lines = {}, []
  for line, row in read_rows(text, path, dict(file=FILE, caption=CAPTION), dict(split=SPLIT)):
    where = f'{path}, line {line}'
    file = file_name(row['file'], where)
    _put(splits, file, row['split'], where)
    lines.append(Line(file, '' if row['caption'] in NULLS else row['caption'], where))
  return Table(splits, lines)


def _put(splits: dict[str, str], file: str, split: str, where: str) -> None:
  if splits.setdefault(file, split) != split:
    raise ConfigError(f'captions: {where}: {file} is in the split "{split}" here, and in '
                      f'"{splits[file]}" before')


def _read_tokens(text: str, path: Path) -> Table:
  splits, lines = {}, []
  for i, line in enumerate(text.split('\n'), 1):
    if not line.strip():
      continue
    name, tab, caption = line.partition('\t')
    file, mark, number = name.rpartition('#')
    if not (tab and mark and number.strip().isdigit()):
      raise ConfigError(f'captions: {path}, line {i}: expected "<file>#<number><tab><caption>", '
                        f'not {line[:60]!r}; or a first line such as "file,caption"')
    file = file_name(file, f'{path}, line {i}')
    splits[file] = ''
    lines.append(Line(file, caption.strip(), f'{path}, line {i}'))
  return Table(splits, lines)


def _read_json(text: str, path: Path) -> Table:
  try:
    content = parse_json(text, path)
  except ConfigError as error:
    if 'Extra data' not in str(error):
      raise
    raise ConfigError(f'{error}; a file with an object in each line is called .jsonl') from error
  if isinstance(content, list):
    return _of_objects((f'{path}: [{i}]', entry) for i, entry in enumerate(content))
  images = content.get('images') if isinstance(content, dict) else None
  if not isinstance(images, list) or not images:
    raise ConfigError(f'captions: {path} has no list "images", and is none of objects with "file" '
                      'and "caption"')
  first = images[0]
  return (_karpathy if isinstance(first, dict) and 'sentences' in first else _coco)(content, path)


def _read_jsonl(text: str, path: Path) -> Table:
  lines = ((i, line) for i, line in enumerate(text.split('\n'), 1) if line.strip())
  return _of_objects((f'{path}, line {i}', parse_json(line, f'{path}, line {i}'))
                     for i, line in lines)


def _of_objects(entries: Iterable[tuple[str, Any]]) -> Table:
  """Captions of objects that have what the columns of a table have."""
  splits, lines = {}, []
  for where, entry in entries:
    _check_dict(entry, where)
    file = file_name(_text(_value(entry, FILE, 'file', where), f'{where}: the file'), where)
    split = _value(entry, SPLIT, 'split', where, needed=False)
    _put(splits, file, _text(split or '', f'{where}: the split'), where)
    said = _value(entry, CAPTION, 'caption', where)
    lines += [Line(file, _caption(text, where), where)
              for text in (said if isinstance(said, list) else [said])]
  return Table(splits, lines)


def _value(entry: Mapping, names: Sequence[Sequence[str]], role: str, where: str,
           needed: bool = True) -> Any:
  """What an object has under the names of a role."""
  found = [name for name in next((g for g in names if set(g) & entry.keys()), ()) if name in entry]
  if len(found) > 1:
    raise ConfigError(f'captions: {where}: {" and ".join(found)} may both be the {role}; call one '
                      f'"{role}"')
  if needed and not found:
    raise ConfigError(f'captions: {where} has no "{role}"{nearest(role, entry)}; it has '
                      f'{", ".join(map(repr, entry)) or "nothing"}')
  return entry[found[0]] if found else None


def _coco(content: Mapping, path: Path) -> Table:
  files: dict[Any, str] = {}
  for i, image in enumerate(content['images']):
    where = f'{path}: images[{i}]'
    number = _id(_entry(image, 'id', where), f'{where}.id')
    if number in files:
      raise ConfigError(f'captions: {where}: the id {number!r} is that of {files[number]}, too')
    files[number] = file_name(_text(_entry(image, 'file_name', where), f'{where}.file_name'), where)
  lines = []
  for i, one in enumerate(_list(content, 'annotations', str(path))):
    where = f'{path}: annotations[{i}]'
    number = _id(_entry(one, 'image_id', where), f'{where}.image_id')
    if number not in files:
      raise ConfigError(f'captions: {where}: there is no image with the id {number!r}')
    lines.append(Line(files[number], _caption(_entry(one, 'caption', where), where), where))
  return Table(dict.fromkeys(files.values(), ''), lines)


def _karpathy(content: Mapping, path: Path) -> Table:
  splits, lines = {}, []
  for i, image in enumerate(content['images']):
    where = f'{path}: images[{i}]'
    name = _text(_entry(image, 'filename', where), f'{where}.filename')
    folder = _text(image.get('filepath') or '', f'{where}.filepath')
    file = file_name('/'.join(filter(None, (folder, name))), where)
    _put(splits, file, _text(_entry(image, 'split', where), f'{where}.split'), where)
    lines += [Line(file, _caption(_entry(sentence, 'raw', f'{where}.sentences[{j}]'), where), where)
              for j, sentence in enumerate(_list(image, 'sentences', where))]
  return Table(splits, lines)


def _check_dict(value: Any, where: str) -> None:
  if not isinstance(value, dict):
    raise ConfigError(f'captions: {where}: expected an object, not {_shown(value)}')


def _entry(value: Any, key: str, where: str) -> Any:
  _check_dict(value, where)
  if key not in value:
    raise ConfigError(f'captions: {where} has no "{key}"{nearest(key, value)}; expected "images" '
                      'with "id" and "file_name" and "annotations" with "image_id" and "caption", '
                      'or "images" with "filename", "split" and "sentences"')
  return value[key]


def _list(value: Any, key: str, where: str) -> list:
  entries = _entry(value, key, where)
  if not isinstance(entries, list):
    raise ConfigError(f'captions: {where}: {key} must be a list, not {_shown(entries)}')
  return entries


def _id(value: Any, where: str) -> int | str:
  if isinstance(value, bool) or not isinstance(value, int | str):
    raise ConfigError(f'captions: {where} must be a number, not {_shown(value)}')
  return value


def _caption(value: Any, where: str) -> str:
  """A caption, '' where it is null or not a number, as programs write what is missing."""
  return '' if value is None or value != value else _text(value, f'{where}: the caption')


def _text(value: Any, where: str) -> str:
  """`value`, which must be text that a file of text could hold: json knows halves of characters."""
  if not isinstance(value, str):
    raise ConfigError(f'captions: {where} must be text, not {_shown(value)}')
  if '\0' in value or any('\ud800' <= c <= '\udfff' for c in value):
    raise ConfigError(f'captions: {where} holds what is no character: {_shown(value)}')
  return value


def file_name(name: str, where: str) -> str:
  """The name of an image, with the slashes of this system.

  Raises:
    ConfigError: there is none, or it is too long for one.
  """
  name = name.strip().replace('\\', '/')
  if not name:
    raise ConfigError(f'captions: {where}: names no file')
  if len(name.encode()) > LONGEST_NAME:
    raise ConfigError(f'captions: {where}: no file has a name like {name[:60]!r}..., of '
                      f'{len(name)} letters')
  return name


def _shown(value: Any) -> str:
  text = ascii(value)
  return text if len(text) < 60 else f'{text[:57]}...'
