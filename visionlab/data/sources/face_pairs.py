"""Pairs of photographs to be verified: as Labeled Faces in the Wild lists them, or by files."""

from pathlib import Path

import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.data.images.decode import SUFFIXES, Canvas, open_image
from visionlab.data.images.files import in_threads
from visionlab.data.source import Arrays, check_root, check_split
from visionlab.data.text.text_files import read_text


def face_pairs(split: str, *, root: str = '', pairs: str = 'pairs.txt', images: str = '',
               size: int | tuple[int, int] = 112, resize: str = 'crop', crop_fraction: float = 1.,
               channels: int = 3) -> Arrays:
  """Pairs as `pairs.txt` lists them, of photographs `root/<person>/<person>_0001.jpg`.

  A line of three words, `person  1  4`, is a pair of that person's photographs; one of four,
  `person  1  other  2`, of two people's. A first line with how many folds there are, and pairs of
  either kind in each, is LFW's view 2; without it there is one list, and an evaluation makes folds
  of its own. Or a line names two files and says whether they are of one person, 1 or 0 (or -1), at
  its end or its begin. Words are parted by tabs or commas or, where names have no blanks, by
  blanks; a first line that names columns is left out.

  Args:
    split: 'test'.
    root: the folder with the people's folders, and usually the list.
    pairs: the list, in `root` or by its own path.
    images: the folder in `root` that people's folders, or files, are in.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`. A
      face fills about half of LFW's photographs: crop_fraction=.55 cuts it out.

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
  listed, same, fold = _listed(path, top / images)
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
  return Arrays(dict(image=first, other=second, same=same, **(
      dict(fold=fold) if fold is not None else {})))


def _listed(path: Path, top: Path):
  """The files of each pair, whether (n,) they are of one person, and the folds (n,) int32 or
  None."""
  lines = [(i, _words(line)) for i, line in enumerate(read_text(path).splitlines(), 1)
           if line.strip()]
  folds = each = 0
  first = lines[0][1] if lines else []
  if first and len(first) <= 2 and all(word.isdigit() for word in first):
    folds, each = map(int, first) if len(first) == 2 else (1, int(first[0]))
    lines = lines[1:]
  elif first and not any(word.isdigit() or _is_file(word) for word in first):
    lines = lines[1:]
  pairs = [_pair(words, f'{path}, line {i}', top) for i, words in lines]
  if not pairs:
    raise ConfigError(f'{path}: lists no pairs')
  files, same = [one[:2] for one in pairs], np.array([one[2] for one in pairs])
  if not folds:
    return files, same, None
  if len(pairs) != 2 * folds * each:
    raise ConfigError(f'{path}: its first line says {folds} folds of {each} pairs of one person '
                      f'and {each} of two, {2 * folds * each} in all, and there are {len(pairs)}')
  fold = (np.arange(len(pairs)) // (2 * each)).astype(np.int32) if folds > 1 else None
  return files, same, fold


def _words(line: str) -> list[str]:
  parted = next((line.split(mark) for mark in '\t,' if mark in line), None) or line.split()
  words = [word.strip(' "\ufeff') for word in parted]
  while words and not words[-1]:             # a table pads its rows
    words.pop()
  return words


def _is_file(word: str) -> bool:
  return word.lower().endswith(SUFFIXES)


def _pair(words: list[str], where: str, top: Path) -> tuple[Path, Path, bool]:
  """Two files, and whether they are of one person."""
  said = ' '.join(words)
  if len(words) == 3 and sum(map(_is_file, words)) == 2:
    (a, b), (same,) = (([word for word in words if _is_file(word) == is_file])
                       for is_file in (True, False))
    if same not in ('0', '1', '-1', '+1'):
      raise ConfigError(f'{where}: expected two files and 1 or 0, got {said!r}')
    return _file(top, a, where), _file(top, b, where), same in ('1', '+1')
  if len(words) == 3:
    words = [words[0], words[1], words[0], words[2]]
  if len(words) != 4 or not (words[1].isdigit() and words[3].isdigit()):
    raise ConfigError(f'{where}: expected "person 1 2" or "person 1 other 2", or two files and 1 '
                      f'or 0, got {said!r}')
  a, b = (_photograph(top, person, int(number), where)
          for person, number in (words[:2], words[2:]))
  return a, b, a.parent == b.parent


def _file(top: Path, name: str, where: str) -> Path:
  file = top / name.replace('\\', '/')
  if not file.is_file():
    raise ConfigError(f'{where}: there is no photograph {file}')
  return file


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
