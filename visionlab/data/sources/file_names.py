"""Which file a name stands for that was written on Windows, for a URL, or in other letters."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote


class FileNames:
  r"""The files under a folder, found by their names as annotations have them.

  Where there is no file of the very name, `a\b.jpg` and `a%2Fb.jpg` stand for `a/b.jpg`, and
  `a.png` stands for `a.PNG` if nothing else does. Every folder is listed once.

  Args:
    top: the folder.
  """

  def __init__(self, top: Path):
    self.top = top
    self._listings: dict[str, dict[str, list[str]]] = {}

  def find(self, name: str) -> str | None:
    """The name, relative to the folder, of the file that `name` stands for; None: there is none."""
    plain = unquote(name)
    for written in dict.fromkeys((name, name.replace('\\', '/'), plain, plain.replace('\\', '/'))):
      found = self._match(os.path.normpath(written))
      if found:
        return found
    return None

  def first(self, stem: str, suffixes: Sequence[str]) -> str | None:
    """As `find`, of the first suffix with which there is a file."""
    return next(filter(None, (self.find(stem + suffix) for suffix in suffixes)), None)

  def _match(self, path: str) -> str | None:
    folder, name = os.path.split(path)
    if name in ('', os.curdir, os.pardir):
      return path
    folder = self._match(folder)
    if folder is None:
      return None
    alike = self._listing(folder).get(_letters(name), ())
    if name in alike or len(alike) == 1:
      return os.path.join(folder, name if name in alike else alike[0])
    return None

  def _listing(self, folder: str) -> dict[str, list[str]]:
    """The names in a folder by their letters, without regard to case."""
    if folder not in self._listings:
      listing = self._listings[folder] = {}
      for name in _names(self.top / folder):
        listing.setdefault(_letters(name), []).append(name)
    return self._listings[folder]


def _letters(name: str) -> str:
  return unicodedata.normalize('NFC', name).casefold()   # macOS writes an accent as its own letter


def _names(folder: Path) -> list[str]:
  try:
    return os.listdir(folder)
  except OSError:
    return []


def files_in(folder: Path, suffixes: Sequence[str], deep: bool = False) -> list[str]:
  """The names of a folder's files with one of the suffixes, sorted, hidden ones left out.

  Args:
    deep: whether to look into the folders inside it as well.

  Raises:
    OSError: the folder cannot be listed.
  """
  found = []
  with os.scandir(folder) as entries:
    for entry in sorted(entries, key=lambda entry: entry.name):
      name = entry.name
      if name[0] == '.':
        continue
      if deep and entry.is_dir():
        found += [f'{name}/{inner}' for inner in files_in(folder / name, suffixes, deep)]
      elif name.lower().endswith(tuple(suffixes)):
        found.append(name)
  return found


def stem_of(name: str) -> str:
  """A name without the suffix of its kind of file.

  >>> stem_of('day/a.b.jpg')
  'day/a.b'
  """
  return os.path.splitext(name)[0]
