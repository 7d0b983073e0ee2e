"""Files of captions, read into one form: a table, COCO's json, Karpathy's json, Flickr's tokens."""

import codecs
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from visionlab.config import ConfigError, nearest

COLUMNS = ('file', 'caption', 'split')
ENCODINGS = ('utf-8', 'latin-1', 'cp1252', 'utf-16', 'ascii', 'gb18030', 'shift_jis')


class Line(NamedTuple):
  """A caption of an image; `where` it stands, for messages."""
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


def read_table(path: Path, encoding: str) -> Table:
  """The captions in a file, whose form its name tells.

    .csv    columns `file`, `caption` and, where there are several splits, `split`
    .json   COCO's `images` and `annotations` (Chen et al. 2015), or `images` with their `sentences`
            and `split`, as Karpathy and Fei-Fei 2015 distribute COCO, Flickr8k and Flickr30k
    others  lines `<file>#<number><tab><caption>`, as of Flickr8k and Flickr30k

  Raises:
    ConfigError: an encoding that is unknown or not the file's, or a file of another form.
  """
  text = decoded(path, encoding)
  readers = {'.csv': _read_csv, '.json': _read_json}
  table = readers.get(path.suffix.lower(), _read_tokens)(text, path)
  if not table.lines:
    raise ConfigError(f'captions: {path} holds no captions')
  return table


def decoded(path: Path, encoding: str) -> str:
  """The text of a file, without a byte order mark."""
  try:
    codecs.lookup(encoding)
  except LookupError:
    raise ConfigError(f'captions: encoding: there is none called {encoding!r}'
                      f'{nearest(encoding, ENCODINGS)}; expected e.g. {", ".join(ENCODINGS)}'
                      ) from None
  try:
    content = path.read_bytes()
    return content.decode(encoding).removeprefix('\ufeff')
  except OSError as error:
    raise ConfigError(f'captions: {path} cannot be read: {error.strerror}') from error
  except UnicodeError as error:
    line = content[:getattr(error, 'start', 0)].count(b'\n') + 1
    raise ConfigError(f'captions: {path}, line {line}, is not encoded as {encoding}: {error.reason}'
                      '; the option encoding names another, e.g. "latin-1"') from error


def _read_csv(text, path):
  reader = csv.DictReader(io.StringIO(text, newline=''))
  columns = [name.strip() for name in reader.fieldnames or ()]
  for name in COLUMNS[:2]:
    if name not in columns:
      raise ConfigError(f'captions: {path} has no column "{name}"{nearest(name, columns)}; '
                        f'expected a first line "file,caption", not {",".join(columns)!r}')
  reader.fieldnames = columns
  splits, lines = {}, []
  for row in reader:
    where = f'{path}, line {reader.line_num}'
    if not row['file']:
      raise ConfigError(f'captions: {where}: names no file')
    splits[row['file']] = row.get('split') or ''
    lines.append(Line(row['file'], row['caption'] or '', where))
  return Table(splits, lines)


def _read_tokens(text, path):
  splits, lines = {}, []
  for i, line in enumerate(text.splitlines(), 1):
    if not line.strip():
      continue
    name, tab, caption = line.partition('\t')
    file, mark, number = name.rpartition('#')
    if not (tab and mark and number.strip().isdigit()):
      raise ConfigError(f'captions: {path}, line {i}: expected "<file>#<number><tab><caption>", '
                        f'not {line[:60]!r}')
    splits[file] = ''
    lines.append(Line(file, caption.strip(), f'{path}, line {i}'))
  return Table(splits, lines)


def _read_json(text, path):
  try:
    content = json.loads(text)
  except ValueError as error:
    raise ConfigError(f'captions: {path} cannot be read as json: {error}') from error
  images = content.get('images') if isinstance(content, dict) else None
  if not isinstance(images, list) or not images:
    raise ConfigError(f'captions: {path} has no list "images"')
  try:
    return (_karpathy if 'sentences' in images[0] else _coco)(content, path)
  except (KeyError, TypeError) as error:
    raise ConfigError(f'captions: {path}: {error!r}; expected "images" with "id" and "file_name" '
                      'and "annotations" with "image_id" and "caption", or "images" with '
                      '"filename", "split" and "sentences"') from error


def _coco(content, path):
  files = {image['id']: image['file_name'] for image in content['images']}
  lines = []
  for i, one in enumerate(content['annotations']):
    where = f'{path}: annotations[{i}]'
    if one['image_id'] not in files:
      raise ConfigError(f'captions: {where}: there is no image with the id {one["image_id"]!r}')
    lines.append(Line(files[one['image_id']], str(one['caption']), where))
  return Table(dict.fromkeys(files.values(), ''), lines)


def _karpathy(content, path):
  splits, lines = {}, []
  for i, image in enumerate(content['images']):
    file = '/'.join(filter(None, (image.get('filepath'), image['filename'])))
    splits[file] = image['split']
    lines += [Line(file, str(sentence['raw']), f'{path}: images[{i}]')
              for sentence in image['sentences']]
  return Table(splits, lines)
