"""Which images a split of PASCAL VOC has: those of a list, or all where there are no lists."""

import re
from collections.abc import Callable
from pathlib import Path

from visionlab.config import ConfigError
from visionlab.data.images.decode import SUFFIXES
from visionlab.data.source import check_split
from visionlab.data.sources.file_names import files_in, stem_of
from visionlab.data.text.text_files import read_text

_FLAGGED = re.compile(r'(.*\S)\s+(-1|0|1)')


def year(root: Path, *folders: str) -> Path:
  """The folder of a year's data, in or under `root`: what holds ImageSets, or else `folders`."""
  if (root / 'ImageSets').is_dir() or folders and all((root / name).is_dir() for name in folders):
    return root
  found = sorted(path.parent for pattern in ('*/ImageSets', 'VOCdevkit/*/ImageSets')
                 for path in root.glob(pattern))
  if len(found) != 1:
    years = ', '.join(str(path) for path in found) or 'none'
    other = (f', nor {" and ".join(folders)}; the options images and annotations name others, both '
             '"" where the xml is beside its image') if folders else ''
    raise ConfigError(f'voc: root {root} has no folder ImageSets{other}; expected that of one '
                      f'year, e.g. VOCdevkit/VOC2012; under it there is: {years}')
  return found[0]


def listed(lists: Path, split: str, is_there: Callable[[str], bool]) -> list[str]:
  """The images that the list of a split names, in its order; with a -1 are those without.

  Args:
    lists: the folder of lists.
    split: the name of one.
    is_there: whether there is a file of a name. A line is the name of a file, with spaces in it and
      an image's suffix or not, or such a name and 1, 0 or -1.

  Raises:
    ConfigError: there is no such list, or it is empty.
  """
  splits = tuple(sorted(path.stem for path in lists.glob('*.txt')))
  if not splits:
    raise ConfigError(f'voc: {lists} holds no lists; expected train.txt, val.txt')
  check_split(split, splits, f'voc {lists}')
  lines = filter(None, map(str.strip, read_text(lists / f'{split}.txt').split('\n')))
  names = [name for name in (_name(line, is_there) for line in lines) if name]
  if not names:
    raise ConfigError(f'voc: {lists / split}.txt is empty; expected a name in each line')
  return names


def _name(line: str, is_there: Callable[[str], bool]) -> str:
  """The name in a line; '' if it says that its class is not there."""
  for name in (line, _plain(line)):
    if is_there(name):
      return name
  flagged = _FLAGGED.fullmatch(line)
  if not flagged:
    return _plain(line)
  name = flagged[1] if is_there(flagged[1]) else _plain(flagged[1])
  return '' if flagged[2] == '-1' else name


def _plain(name: str) -> str:
  """A name without the suffix of an image."""
  return stem_of(name) if name.lower().endswith(SUFFIXES) else name


def everything(top: Path, images: str, annotations: str) -> list[str]:
  """The names of all that lies in the folders of images and of xml, sorted.

  Raises:
    ConfigError: there is no such folder, or no xml.
  """
  folders = top / images, top / annotations
  try:
    pictures, texts = files_in(folders[0], SUFFIXES), files_in(folders[1], ('.xml',))
  except OSError as error:
    raise ConfigError(f'voc: {error.filename} cannot be listed: {error.strerror}; the options '
                      'images and annotations name other folders') from error
  if not texts:
    inner = sorted(path.parent.name for path in folders[1].glob('*/*.xml'))
    hint = f'; {{split}} in the options stands for such as {inner[0]}' if inner else ''
    raise ConfigError(f'voc: {folders[1]} holds no .xml{hint}')
  return sorted({stem_of(name) for name in (*pictures, *texts)})
