"""Text files as people have them: of other editors, other systems, other languages."""

import codecs
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from visionlab.config import ConfigError

MARKS = ((codecs.BOM_UTF8, 'utf-8-sig'), (codecs.BOM_UTF32_LE, 'utf-32'),
         (codecs.BOM_UTF32_BE, 'utf-32'), (codecs.BOM_UTF16_LE, 'utf-16'),
         (codecs.BOM_UTF16_BE, 'utf-16'))        # UTF-32's little-endian mark begins like UTF-16's


def read_text(path: str | Path) -> str:
  """The text of a file: UTF-8, or UTF-16 and UTF-32 that begin with a byte order mark; of a .gz
  what is packed in it.

  The mark is left out, and every end of line is a newline. Text in another encoding, as of Windows'
  code pages, is not guessed at: bytes that are letters in one are other letters in the next.

  Raises:
    ConfigError: the file cannot be read, or is in another encoding.
  """
  return decode(read_bytes(path), path)


def read_bytes(path: str | Path) -> bytes:
  """The bytes of a file, of one that ends in .gz those that are packed in it.

  Raises:
    ConfigError: it cannot be read, or is no .gz, or not a whole one.
  """
  try:
    content = Path(path).read_bytes()
  except OSError as error:
    raise ConfigError(f'{path} cannot be read: {error.strerror}') from error
  if Path(path).suffix.lower() != '.gz':
    return content
  try:
    return gzip.decompress(content)
  except (OSError, EOFError, zlib.error) as error:
    raise ConfigError(f'{path} is no whole .gz file ({error}); copy or download it again'
                      ) from error


def decode(content: bytes, path: str | Path) -> str:
  """As `read_text`, of a file's bytes; `path` is what an error names."""
  encoding = next((name for mark, name in MARKS if content.startswith(mark)), 'utf-8')
  try:
    text = content.decode(encoding)
  except UnicodeDecodeError as error:
    line = content.count(b'\n', 0, error.start) + 1
    raise ConfigError(
        f'{path}: line {line} is not {encoding.upper().removesuffix("-SIG")} (byte '
        f'0x{content[error.start]:02x}); save the file as UTF-8, e.g. with `iconv -f cp1252 -t '
        'utf-8`, or -f gbk: whichever it was written in') from error
  if '\0' in text:
    raise ConfigError(f'{path} is no text: it holds bytes of zero; text in UTF-16 begins with a '
                      'byte order mark, or is saved as UTF-8')
  return text.replace('\r\n', '\n').replace('\r', '\n')


def read_json(path: str | Path) -> Any:
  """What a file of JSON says.

  Raises:
    ConfigError: as `read_text`, or it is no JSON; the line is named.
  """
  return parse_json(read_text(path), path)


def parse_json(text: str, path: str | Path) -> Any:
  """As `read_json`, of a file's text; `path` is what an error names."""
  try:
    return json.loads(text)
  except json.JSONDecodeError as error:
    raise ConfigError(f'{path} is no JSON: {error.msg} in line {error.lineno}, column '
                      f'{error.colno}') from error
  except (ValueError, RecursionError) as error:      # thousands of digits, or of brackets
    raise ConfigError(f'{path} is no JSON that can be read: {error}') from error
