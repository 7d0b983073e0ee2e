"""The split lists of UCF-101 and HMDB-51: which films are for training, and which for the test."""

from pathlib import Path

from visionlab.config import ConfigError
from visionlab.data.source import check_split
from visionlab.data.text.text_files import read_text

HMDB = {'train': '1', 'test': '2'}      # 0 stands for films that are in neither


def listed(folder: Path, split: str, fold: int) -> list[tuple[str, str]]:
  """(film, class) of each film of a split; films are named as in <class>/<film>.

  Args:
    folder: with UCF-101's trainlist01.txt, testlist01.txt and the like, or with HMDB-51's
      <class>_test_split1.txt.
    split: 'train' or 'test'.
    fold: 1, 2 or 3.

  Raises:
    ConfigError: there are no such lists, or a line that is none of theirs.
  """
  check_split(split, tuple(HMDB), f'videos: lists {folder}')
  ucf = folder / f'{split}list{fold:02d}.txt'
  hmdb = sorted(folder.glob(f'*_test_split{fold}.txt'))
  if ucf.is_file():
    return [_ucf(line, f'{ucf}, line {i}') for i, line in _lines(ucf)]
  if not hmdb:
    raise ConfigError(f'videos: lists {folder} has neither {ucf.name} (UCF-101) nor '
                      f'<class>_test_split{fold}.txt (HMDB-51)')
  return [row for path in hmdb for row in _hmdb(path, path.name.split('_test_split')[0], split)]


def _lines(path: Path) -> list[tuple[int, str]]:
  return [(i, line) for i, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]


def _ucf(line: str, where: str) -> tuple[str, str]:
  """'Archery/v_Archery_g01_c01.avi 3': the number, which lists of tests lack, says nothing new."""
  words = line.split()
  name, _, film = words[0].partition('/')
  if len(words) > 2 or not film:
    raise ConfigError(f'{where}: expected <class>/<film>.avi and perhaps a number, not {line!r}')
  return words[0], name


def _hmdb(path: Path, name: str, split: str) -> list[tuple[str, str]]:
  """Lines such as 'April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1', all of one class."""
  found = []
  for i, line in _lines(path):
    film, _, what = line.strip().rpartition(' ')
    if not film or what not in ('0', '1', '2'):
      raise ConfigError(f'{path}, line {i}: expected <film>.avi and 0, 1 (train) or 2 (test), not '
                        f'{line!r}')
    if what == HMDB[split]:
      found.append((f'{name}/{film.strip()}', name))
  return found
