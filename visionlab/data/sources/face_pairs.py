"""Pairs of photographs to be verified, in the form of Labeled Faces in the Wild."""

from pathlib import Path

import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.data.images.decode import SUFFIXES, Canvas, open_image
from visionlab.data.images.files import in_threads
from visionlab.data.source import Arrays, check_root, check_split
from visionlab.data.text.text_files import read_text


def face_pairs(split: str, *, root: str = '', pairs: str = 'pairs.txt',
               size: int | tuple[int, int] = 112, resize: str = 'crop', crop_fraction: float = 1.,
               channels: int = 3) -> Arrays:
  """Pairs as `pairs.txt` lists them, of photographs `root/<person>/<person>_0001.jpg`.

  A line of three words, `person  1  4`, is a pair of that person's photographs; one of four,
  `person  1  other  2`, of two people's. A first line with how many folds there are, and pairs of
  either kind in each, is LFW's view 2; without it there is one list, and an evaluation makes folds
  of its own. Words are parted by tabs or, where names have no blanks, by blanks.

  Args:
    split: 'test'.
    root: the folder with the people's folders, and usually the list.
    pairs: the list, in `root` or by its own path.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.

  Returns:
    `image` and `other` (n h w c) uint8, `same` (n,) bool and, of several folds, `fold` (n,) int32.

  Raises:
    ConfigError: a line that is no pair, or a photograph that is not there.
  """
  check_split(split, ('test',), 'face_pairs')
  top = check_root(root, 'face_pairs', 'a folder of photographs for each person')
  path = top / Path(pairs).expanduser()
  if not path.is_file():
    raise ConfigError(f'face_pairs: {path} does not exist; pairs must name the list, '
                      'e.g. pairs.txt')
  canvas = Canvas(size, resize, crop_fraction, channels)
  listed, fold = _listed(path, top)
  files = sorted({file for pair in listed for file in pair})
  at = {file: i for i, file in enumerate(files)}

  def read(file):
    try:
      with open_image(file) as image:
        return canvas(image)
    except Exception as e:      # of whatever kind Pillow's decoders raise
      raise ConfigError(f'face_pairs: {file} cannot be read as an image: {e}') from e
  images = np.stack(in_threads(read, files))
  first, second = (images[[at[pair[i]] for pair in listed]] for i in (0, 1))
  same = np.array([a.parent == b.parent for a, b in listed])
  return Arrays(dict(image=first, other=second, same=same, **(
      dict(fold=fold) if fold is not None else {})))


def _listed(path: Path, top: Path):
  """The files of each pair, and the folds (n,) int32 or None."""
  lines = [(i, line) for i, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
  folds = each = 0
  first = lines[0][1].split() if lines else []
  if first and len(first) <= 2 and all(word.isdigit() for word in first):
    folds, each = map(int, first) if len(first) == 2 else (1, int(first[0]))
    lines = lines[1:]
  pairs = [_pair(line, f'{path}, line {i}', top) for i, line in lines]
  if not pairs:
    raise ConfigError(f'{path}: lists no pairs')
  if not folds:
    return pairs, None
  if len(pairs) != 2 * folds * each:
    raise ConfigError(f'{path}: its first line says {folds} folds of {each} pairs of one person '
                      f'and {each} of two, {2 * folds * each} in all, and there are {len(pairs)}')
  return pairs, (np.arange(len(pairs)) // (2 * each)).astype(np.int32) if folds > 1 else None


def _pair(line: str, where: str, top: Path) -> tuple[Path, Path]:
  words = [word.strip() for word in line.split('\t')] if '\t' in line else line.split()
  if len(words) == 3:
    words = [words[0], words[1], words[0], words[2]]
  if len(words) != 4 or not (words[1].isdigit() and words[3].isdigit()):
    raise ConfigError(f'{where}: expected "person 1 2" or "person 1 other 2", got {line.strip()!r}')
  return tuple(_photograph(top, person, int(number), where)
               for person, number in (words[:2], words[2:]))


def _photograph(top: Path, person: str, number: int, where: str) -> Path:
  folder = top / person
  for suffix in SUFFIXES:
    file = folder / f'{person}_{number:04}{suffix}'
    if file.is_file():
      return file
  if not folder.is_dir():
    people = [path.name for path in top.iterdir() if path.is_dir()]
    raise ConfigError(f'{where}: there is no folder {folder}{nearest(person, people)}')
  raise ConfigError(f'{where}: there is no photograph {folder / f"{person}_{number:04}"}'
                    f'{SUFFIXES[0]}, nor with another ending')
