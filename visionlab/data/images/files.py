"""Image files by the million: their names, a look at each of them, what to do about broken ones."""

import glob
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.images.crop import RandomCrop
from visionlab.data.images.decode import SUFFIXES, Canvas, brightest_of_dim, open_image
from visionlab.data.source import check_split

ON_BROKEN = ('skip', 'stop')
"""What a source does with a file that cannot be read: it leaves it out, or raises an error."""
STRAYS = ('__macosx', '@eadir', '__pycache__', '$recycle.bin', 'system volume information',
          'lost+found', 'thumbs.db', 'ehthumbs.db', 'desktop.ini')
"""What other programs put into folders of images, in lower case; hidden files are left out, too."""
LOOKS = 4         # 16-bit files that are decoded when a source is opened
RUN = 64          # files that a thread looks at in a row: a task costs as much as one header


def encoded(names: Iterable[str]) -> np.ndarray:
  """Names of files as one array of bytes (n,); `os.fsdecode` makes a name of each again.

  A million strings would be large, and slow to send to the workers that load batches.
  """
  return np.array([os.fsencode(name) for name in names], np.bytes_)


def in_threads(look: Callable[[Any], Any], items: Sequence) -> list:
  """What `look`, which waits for files more than it computes, gives for each item."""
  runs = [items[i:i + RUN] for i in range(0, len(items), RUN)]
  with ThreadPoolExecutor() as pool:
    return list(itertools.chain.from_iterable(
        pool.map(lambda run: [look(item) for item in run], runs)))


def is_stray(name: str) -> bool:
  """Whether another program put a file or folder of this name there, or it is hidden."""
  return name.startswith('.') or name.lower() in STRAYS


def image_names(folder: Path, leave_out: Sequence[Path] = ()) -> list[str]:
  """The images in a folder and in those inside it, relative to it, sorted; without strays.

  Args:
    leave_out: folders that are not looked into.

  Raises:
    ConfigError: a folder cannot be listed.
  """
  def fail(error: OSError):
    raise ConfigError(f'{error.filename} cannot be listed: {error.strerror}') from error

  names, known = [], {os.path.realpath(path) for path in leave_out}
  for path, folders, files in os.walk(folder, onerror=fail, followlinks=True):
    known.add(os.path.realpath(path))
    folders[:] = [name for name in sorted(folders) if not is_stray(name)
                  and os.path.realpath(os.path.join(path, name)) not in known]     # links go round
    inside = os.path.relpath(path, folder)
    names += [os.path.normpath(os.path.join(inside, name)) for name in files
              if name.lower().endswith(SUFFIXES) and not is_stray(name)]
  return sorted(names)


def split_file(top: Path, pattern: str, split: str, where: str) -> Path:
  """The file `top/pattern`, in which {split} stands for the split.

  Raises:
    ConfigError: there is none; the splits for which there is one are listed.
  """
  path = top / pattern.replace('{split}', split)
  if path.is_file():
    return path
  splits = splits_with_file(top, pattern)
  if splits:
    check_split(split, splits, f'{where} {top}: {pattern}')
  raise ConfigError(f'{where}: there is no file {path}')


def splits_with_file(top: Path, pattern: str) -> list[str]:
  """What {split} in `pattern` may stand for, so that there is such a file in `top`."""
  before, found, after = str(top / pattern).partition('{split}')
  if not found or '{split}' in after:
    return []
  there = sorted(glob.glob(f'{glob.escape(before)}*{glob.escape(after)}'))
  return [name[len(before):len(name) - len(after)] for name in there]


def as_in_folder(names: Sequence[str], folder: Path) -> list[str]:
  """The names as files in `folder` have them: a suffix may be in other letters, or left out.

  Those that are not there, or could be two, remain as they are.
  """
  listings: dict[PurePosixPath, tuple[set, dict]] = {}
  return [_as_in_folder(PurePosixPath(name), folder, listings) for name in names]


def _as_in_folder(path: PurePosixPath, folder: Path, listings: dict) -> str:
  if path.parent not in listings:
    listings[path.parent] = _by_spelling(folder / path.parent)
  there, spelt = listings[path.parent]
  if path.name in there:
    return str(path)
  suffix = path.suffix.lower()
  known = path.stem + suffix if suffix in SUFFIXES else path.name
  found = spelt.get(known, ())
  return str(path.parent / found[0]) if len(found) == 1 else str(path)


def _by_spelling(folder: Path) -> tuple[set[str], dict[str, list[str]]]:
  """The names in a folder, and those of images without a suffix or with a lower-case one."""
  try:
    there = os.listdir(folder)
  except (OSError, ValueError):          # not there, or no name that a folder can have
    return set(), {}
  spelt: dict[str, list[str]] = {}
  for name in there:
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in SUFFIXES:
      for spelling in (stem, stem + suffix.lower()):
        spelt.setdefault(spelling, []).append(name)
  return set(there), spelt


def reason(error: Exception) -> str:
  """Why a file cannot be used, and what helps."""
  text = str(error) or type(error).__name__
  return f'{text}; copy or download it again' if 'truncated' in text else text


def warn_of_dim(where: str, paths: Sequence[Path]) -> None:
  """Says so if 16-bit images, some of which are looked at, use little of their range."""
  looked = [paths[i * len(paths) // LOOKS] for i in range(LOOKS)] if paths else []
  for path in dict.fromkeys(looked):
    try:
      with open_image(path) as image:
        brightest = brightest_of_dim(image)
    except Exception:  # whoever reads it says that it is broken
      continue
    if brightest:
      logging.warning('%s: %s has 16 bits, but no value above %d of 65535: it comes out nearly '
                      'black. Scale such images to the whole range, e.g. save image * %d', where,
                      path, brightest, 65535 // brightest)
      return


class ImageFiles:
  """What sources of files share that decode them when they are asked for.

  Attributes:
    files: (n, ...) bytes, the names of each example's files, see `encoded`.
    canvas: where images are put.
  """
  files: np.ndarray
  canvas: Canvas

  def __len__(self) -> int:
    return len(self.files)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self.read(indices, self.canvas)

  def crops(self, indices: np.ndarray, crop: RandomCrop, draws: np.ndarray):
    """As `source[indices]`, but a random part of each image; see `visionlab.data.source.Source`."""
    return self.read(indices, *crop.cuts(draws, self.canvas.channels))

  def read(self, indices: np.ndarray, canvas: Canvas, cuts: Sequence = ()) -> dict:
    """The examples at `indices` (n,), on a canvas. cuts: n of them, or () for whole images, see
    `Canvas`."""
    raise NotImplementedError
