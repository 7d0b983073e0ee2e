"""Which folders of a data set are splits, which are classes, and which are neither."""

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from visionlab.config import ConfigError
from visionlab.data.images.decode import SUFFIXES
from visionlab.data.images.files import is_stray

SPLITS = ('train', 'training', 'val', 'valid', 'validation', 'dev', 'test', 'testing', 'eval',
          'evaluation', 'holdout')
NOTES = ('.txt', '.csv', '.tsv', '.json', '.jsonl', '.xml', '.yaml', '.yml', '.md', '.html', '.pdf',
         '.zip', '.gz', '.tar', '.py', '.ipynb', '.log', '.db', '.url', '.lnk', '')
"""Suffixes of files that may lie about and are not thought to be images."""


class Listing(NamedTuple):
  """The names of folders, of images and of other files in a folder, sorted."""
  folders: Sequence[str]
  images: Sequence[str]
  others: Sequence[str]


def listing(path: Path) -> Listing:
  """What is in a folder, without hidden files and those that systems put there (see `is_stray`).

  Raises:
    ConfigError: it cannot be listed.
  """
  try:
    with os.scandir(path) as entries:
      seen = sorted((entry.name, entry.is_dir()) for entry in entries if not is_stray(entry.name))
  except OSError as error:
    raise ConfigError(f'folder {path} cannot be listed: {error.strerror}') from error
  files = [name for name, is_folder in seen if not is_folder]
  return Listing([name for name, is_folder in seen if is_folder],
                 [name for name in files if name.lower().endswith(SUFFIXES)],
                 [name for name in files if not name.lower().endswith(SUFFIXES)])


def class_folders(top: Path, split: str) -> dict[str, dict[str, Listing]]:
  """What each class folder of each split holds: {'train': {'train/cat': ..., 'train/dog': ...}}.

  Folders are named relative to `top`. Without folders for splits all is 'train'. What is neither,
  such as empty folders or a folder of runs, is left out with a warning.

  Args:
    top: the folder.
    split: the one that is asked for, by which an unusual name of a split is known.

  Raises:
    ConfigError: it is not laid out like this, or a folder that must be a class holds no files that
      are read as images.
  """
  inner = {name: listing(top / name) for name in listing(top).folders}
  if not inner:
    raise ConfigError(f'folder {top} has no subfolders, only {len(listing(top).images)} images; '
                      'expected <split>/<class>/*.jpg or <class>/*.jpg, or the option labels, a '
                      'table with the class of each file')
  splits = _splits(top, inner, split)
  if not splits:
    return {'train': _classes(top, inner)}
  found = {name: {f'{name}/{sub}': listing(top / name / sub) for sub in inner[name].folders}
           for name in splits}
  kept = _classes(top, {path: own for folders in found.values() for path, own in folders.items()})
  return {name: {path: own for path, own in folders.items() if path in kept}
          for name, folders in found.items()}


def _splits(top: Path, inner: Mapping[str, Listing], split: str) -> list[str]:
  """The folders that are splits; none if they are classes."""
  usual = [name for name, own in inner.items()
           if own.folders and (name == split or name.lower() in SPLITS)]
  flat = [name for name, own in inner.items() if own.images and name not in usual]
  deep = [name for name, own in inner.items() if own.folders and name not in flat]
  if flat and not usual:
    _check_flat(top, flat)
    return []
  if not usual:
    return deep
  # Others are splits if they have the same classes: a folder of runs has not.
  known = {sub for name in usual for sub in inner[name].folders}
  splits = [name for name in deep if name in usual or known & set(inner[name].folders)]
  strange = [name for name in inner if name not in splits and (
      name in flat or inner[name].folders)]
  if strange:
    logging.warning('folder %s: beside the splits %s, left out are the folders %s, which have none '
                    'of their class folders', top, ', '.join(splits), ', '.join(strange))
  for name in splits:
    if inner[name].images:
      logging.warning('folder %s: left out are %d images that are in no class folder', top / name,
                      len(inner[name].images))
  return splits


def _check_flat(top: Path, flat: Sequence[str]) -> None:
  """Raises a ConfigError where the folders of images are named like splits."""
  if all(name.lower() in SPLITS for name in flat):
    raise ConfigError(f'folder {top}: {" and ".join(flat)} hold images and no class folders; '
                      'expected <split>/<class>/*.jpg, or the option labels, a table with the '
                      'class of each file')


def _classes(top: Path, folders: Mapping[str, Listing]) -> dict[str, Listing]:
  """The folders that are classes: which hold images, or are called like others that do."""
  named = {_name(path) for path, own in folders.items() if own.images}
  strange = {path: own for path, own in folders.items() if _name(path) not in named}
  for path, own in strange.items():
    _check_stray(top, path, own)
  if strange and named:
    logging.warning('folder %s: left out are the folders %s, which hold no images', top,
                    ', '.join(strange))
  _check_names(top, named)
  kept = {path: own for path, own in folders.items() if _name(path) in named}
  lost = _unknown(name for own in kept.values() for name in own.others)
  if lost:
    logging.warning('folder %s: left out are files that are not read as images: %s', top, lost)
  return kept


def _name(path: str) -> str:
  return path.rpartition('/')[2]


def _check_stray(top: Path, path: str, own: Listing) -> None:
  """Raises a ConfigError if a folder without images seems to be one of data all the same."""
  unknown = _unknown(own.others)
  if unknown:
    raise ConfigError(f'folder {top / path} holds no file that is read as an image, but {unknown}; '
                      'convert them, e.g. to PNG, or move the folder elsewhere')
  for sub in own.folders:
    inside = listing(top / path / sub)
    if inside.images and not inside.others and not inside.folders:
      raise ConfigError(f'folder {top / path} holds no images, but {path}/{sub} does; a class '
                        'folder holds its images itself: move them up, or the folder elsewhere')


def _unknown(names) -> str:
  """How many files there are of each suffix that is neither an image's nor that of notes."""
  counts = Counter(os.path.splitext(name)[1].lower() for name in names)
  return ', '.join(f'{n} of {suffix}' for suffix, n in sorted(counts.items())
                   if suffix not in NOTES)


def _check_names(top: Path, names: set[str]) -> None:
  """Raises a ConfigError unless all can be written, and differ by more than their encoding."""
  spelt: dict[str, str] = {}
  for name in sorted(names):
    try:
      name.encode()
    except UnicodeEncodeError:
      raise ConfigError(f'folder {top}: the name of the class folder {os.fsencode(name)!r} is not '
                        'UTF-8; rename it') from None
    other = spelt.setdefault(unicodedata.normalize('NFC', name), name)
    if other != name:
      raise ConfigError(f'folder {top}: two class folders are called {name!r}, in characters that '
                        f'differ ({ascii(other)}, {ascii(name)}); rename one')
