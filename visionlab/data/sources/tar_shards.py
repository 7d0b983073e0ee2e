"""Tar files of samples, as webdataset writes them: where each member lies, by which it is read."""

import glob
import itertools
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from visionlab.config import ConfigError
from visionlab.data.images.files import is_stray
from visionlab.data.source import check_split

_BRACES = re.compile(r'\{([^{}]*)\}')
_RANGE = re.compile(r'(\d+)\.\.(\d+)')


class Member(NamedTuple):
  """A file in a shard: where its bytes begin, and how many there are."""
  offset: int
  size: int


class Sample(NamedTuple):
  """Members of one name up to its first dot, by what follows that, in lower case."""
  key: str
  members: dict[str, Member]


class Shard(NamedTuple):
  """What a tar file holds.

  Attributes:
    samples: in order.
    damage: what is wrong with the file, behind the samples; '' for nothing.
  """
  path: Path
  samples: list[Sample]
  damage: str = ''

  @classmethod
  def of(cls, path: Path) -> 'Shard':
    """Reads the headers of a tar file's members, and none of their bytes.

    Raises:
      ConfigError: it is compressed, no tar file, or cannot be read.
    """
    found: list[Sample] = []
    damage = ''
    try:
      with open(path, 'rb') as file, tarfile.open(fileobj=file, mode='r:') as tar:
        try:
          size = path.stat().st_size
          for member in tar:
            if member.isfile() and member.offset_data + member.size <= size:
              _add(found, member)
          damage = _end(file, tar.offset)
        except (tarfile.TarError, EOFError, ValueError) as error:
          damage = str(error)
    except OSError as error:
      raise ConfigError(f'{path} cannot be read: {error.strerror or error}') from error
    except (tarfile.TarError, EOFError, ValueError) as error:
      raise ConfigError(f'{path} is no tar file: {_what_else(path) or error}') from error
    return cls(path, found, damage)


def read_member(path: Path, member: Member) -> bytes:
  """The bytes of a member.

  Raises:
    OSError: the file cannot be read, or ends before.
  """
  with open(path, 'rb') as file:
    file.seek(member.offset)
    content = file.read(member.size)
  if len(content) < member.size:
    raise OSError(f'the file ends {member.size - len(content)} bytes before the member does')
  return content


def _add(found: list[Sample], member: tarfile.TarInfo) -> None:
  """Puts a member to the last sample if it has its key, else begins another; strays are left out.
  """
  folder, _, name = member.name.removeprefix('./').rpartition('/')
  stem, _, kind = name.partition('.')
  if not stem or not kind or is_stray(name) or stem.startswith('__'):
    return
  key = f'{folder}/{stem}' if folder else stem
  if not found or found[-1].key != key or kind.lower() in found[-1].members:
    found.append(Sample(key, {}))
  found[-1].members[kind.lower()] = Member(member.offset_data, member.size)


def _end(file, offset: int) -> str:
  """What is wrong where tarfile stopped; it takes a damaged header for the end."""
  file.seek(offset)
  block = file.read(tarfile.BLOCKSIZE)
  if len(block) < tarfile.BLOCKSIZE:
    return 'it ends without the mark of its end, as if it were cut off'
  return f'the header at byte {offset} is damaged' if block.strip(b'\0') else ''


def _what_else(path: Path) -> str:
  with open(path, 'rb') as file:
    head = file.read(6)
  if not head:
    return 'it is empty'
  if head[:2] == b'\x1f\x8b' or head[:3] == b'BZh' or head == b'\xfd7zXZ\0':
    return 'it is compressed, and cannot be read at random; unpack it (gunzip, bunzip2, unxz)'
  return ''


# --- which files ---


def shard_files(top: Path, pattern: str, split: str) -> list[Path]:
  """The files in `top` that a pattern stands for: {split}, braces as 'a-{000..012}.tar' and
  '{a,b}.tar', or *, ? and [...].

  Raises:
    UnknownSplit: there are none, but for others in place of {split}.
    ConfigError: there are none, or one that braces name is missing.
  """
  if not pattern or '\0' in pattern or Path(pattern).is_absolute():
    raise ConfigError(f'webdataset: path is {pattern!r}; expected the shards in root, such as '
                      '"train-{000..146}.tar"')
  if '{split}' not in pattern:
    check_split(split, ('train',), f'webdataset {top}: {pattern}')
  named = pattern.replace('{split}', split)
  paths = []
  for name in braces(named):
    if any(sign in name for sign in '*?['):
      paths += _globbed(top, name)
    elif (top / name).is_file():
      paths.append(top / name)
    elif '{' in named:
      raise ConfigError(f'webdataset: there is no file {top / name}, which {pattern!r} names')
  if not paths:
    check_split(split, splits_there(top, pattern) or [split], f'webdataset {top}: {pattern}')
    there = ', '.join(sorted(path.name for path in top.glob('*.tar'))[:8])
    raise ConfigError(f'webdataset: there is no file {top / named}; the option path names the '
                      f'shards; {top} holds {there or "no .tar"}')
  return list(dict.fromkeys(paths))


def _globbed(top: Path, pattern: str) -> list[Path]:
  return [path for name in sorted(glob.glob(pattern, root_dir=top))
          if (path := top / name).is_file()]


def splits_there(top: Path, pattern: str) -> list[str]:
  """What {split} in a pattern may stand for; a * behind it for the number of a shard.

  Files may be called anything, and what a * takes is not told apart from a name: of 'train-000.tar'
  it is taken to be the number.
  """
  before, found, after = pattern.partition('{split}')
  if not found or '{split}' in after:
    return []
  after = _BRACES.sub('*', after)
  number, rest = (r'[-_.]?\d*', after[1:]) if after.startswith('*') else ('', after)
  signs = {'*': '[^/]*', '?': '[^/]'}
  form = re.compile(re.escape(before) + '([^/]+?)' + number
                    + ''.join(signs.get(sign) or re.escape(sign) for sign in rest))
  paths = _globbed(top, (before + '*' + after).replace('**', '*'))
  matches = (form.fullmatch(path.relative_to(top).as_posix()) for path in paths)
  return sorted({match[1] for match in matches if match})


def braces(pattern: str) -> Iterator[str]:
  """The names that braces stand for, as in a shell.

  >>> list(braces('a-{08..10}.tar')), list(braces('{a,b}{1..2}'))
  (['a-08.tar', 'a-09.tar', 'a-10.tar'], ['a1', 'a2', 'b1', 'b2'])
  """
  parts = _BRACES.split(pattern)
  choices = [[part] if i % 2 == 0 else _choices(part) for i, part in enumerate(parts)]
  return map(''.join, itertools.product(*choices))


def _choices(inside: str) -> list[str]:
  ends = _RANGE.fullmatch(inside)
  if not ends:
    return inside.split(',') if ',' in inside else [f'{{{inside}}}']
  first, last = map(int, ends.groups())
  return [f'{i:0{len(ends[1])}}' for i in range(first, last + 1)]


def parsed(content: bytes) -> Mapping:
  """The object that a member of JSON is.

  Raises:
    ValueError: it is none.
  """
  try:
    value = json.loads(content)
  except (ValueError, RecursionError) as error:
    raise ValueError(f'it is no JSON: {error}') from error
  if not isinstance(value, dict):
    raise ValueError(f'it is no object but {value!r:.40}')
  return value
