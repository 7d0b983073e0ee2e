"""Recorded driving: a table of camera pictures and commands, as Udacity's simulator writes it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import in_threads, split_file
from visionlab.data.source import Info, check_split
from visionlab.data.sources.encoded import check_on_broken
from visionlab.data.sources.folder import Folder, image_files
from visionlab.data.table import FILE, Row, read_rows
from visionlab.data.text.text_files import read_text

COLUMNS = ('center', 'left', 'right', 'steering', 'throttle', 'brake', 'speed')
CENTRE = (('center', 'centre', 'center_image', 'centre_image'), *FILE)
STEERING = (('steering',), ('steering_angle', 'steer', 'angle', 'command'))
SIDES = dict(left=(('left', 'left_image'),), right=(('right', 'right_image'),))
PARTS = dict(train=(0., .7), validation=(.7, .85), test=(.85, 1.))
SHOWN = 3                        # missing pictures that a message names


def driving_log(split: str, *, root: str = '', path: str = 'driving_log.csv', images: str = 'IMG',
                correction: float = .2, scale: float = -1., size: tuple[int, int] = (66, 200),
                resize: str = 'crop', crop_fraction: float = 1., channels: int = 3,
                on_broken: str = 'skip', check: bool = True) -> Folder:
  """Pictures and commands in the order in which they were recorded.

  The table has a row for each moment: the pictures of the centre, the left and the right camera,
  the command, and what else there is; or `image,steering` alone. A first line of names may be
  missing. Where the pictures no longer are at the paths it names, such as another machine's, they
  are looked for by name in `images`.

  Args:
    split: 'train', the first 70 % of the recording, 'validation', the next 15 %, or 'test': parts
      that share no moment. With {split} in `path`, whatever that stands for, which is then all.
    root: the folder with the table.
    path: the table; images: the folder of pictures in that of the table.
    correction: what is added to the command for a picture of the left camera, and taken away for
      one of the right camera, which are for 'train' alone; 0: without them.
    scale: what commands are multiplied by. The simulator's are in [-1, 1] and positive to the
      right; steering is to the left.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
    on_broken: 'skip' leaves out pictures that are missing or unreadable, with a warning that names
      them; 'stop' raises an error.
    check: look at every picture when opening.

  Returns:
    A source of `image` (n h w c) uint8, `steering` (n,) and `previous` (n,), the command one moment
    before, of the first moment 0.

  Raises:
    ConfigError: no such table or column, a command that is no number, no picture that is there.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  check_on_broken(on_broken, 'driving_log')
  table = split_file(Path(root).expanduser(), path, split, 'driving_log')
  rows = read_log(table)
  command = np.array([_number(table, row) for row in rows]) * scale
  previous = np.concatenate([[0.], command[:-1]])
  chosen = np.arange(len(rows))
  if '{split}' not in path:
    check_split(split, tuple(PARTS), f'driving_log {table}')
    first, last = (round(share * len(rows)) for share in PARTS[split])
    chosen = chosen[first:last]
  kinds = {'center': 0.}
  if correction and split == 'train':
    kinds |= {side: by for side, by in (('left', correction), ('right', -correction))
              if any(row.fields[side] for row in rows)}
  names, targets = [], []
  for camera, by in kinds.items():
    named = [i for i in chosen if rows[i].fields[camera]]
    names += [(rows[i].line, rows[i].fields[camera]) for i in named]
    targets += [(command[i] + by * scale, previous[i]) for i in named]
  if not names:
    raise ConfigError(f'driving_log {table}: no pictures of "{split}"; it has {len(rows)} rows')
  files, there = _there(table, images, names, on_broken)
  steering, before = np.array(targets, np.float32)[there].T
  return image_files(f'driving_log {table}', table.parent, files,
                     dict(steering=steering, previous=before), Info(), canvas, on_broken, check)


def read_log(path: Path) -> list[Row]:
  """The rows of a table, with the fields `center`, `steering` and, '' where there are none, `left`
  and `right`.

  Raises:
    ConfigError: no such columns.
  """
  text = read_text(path)
  fields = [field.strip(' "') for field in text.lstrip('\ufeff\n').partition('\n')[0].split(',')]
  # The simulator writes no names; a command stands fourth, or behind a single picture.
  at = 1 if len(fields) == 2 else 3
  nameless = len(fields) > at and _is_number(fields[at])
  if nameless:
    names = ('center', 'steering') if at == 1 else COLUMNS[:len(fields)]
    if len(fields) > len(COLUMNS):
      raise ConfigError(f'{path}: {len(fields)} columns without names; expected '
                        f'{",".join(COLUMNS)}, or a first line with names')
    text = ','.join(names) + '\n' + text.lstrip('\ufeff')
  rows = read_rows(text, path, dict(center=CENTRE, steering=STEERING), SIDES)
  if not rows:
    raise ConfigError(f'{path} has no rows')
  return [row._replace(line=row.line - nameless) for row in rows]


def _is_number(text: str) -> bool:
  try:
    return bool(np.isfinite(float(text)))
  except ValueError:
    return False


def _number(path: Path, row: Row) -> float:
  if not _is_number(row.fields['steering']):
    raise ConfigError(f'{path}, line {row.line}: the command is {row.fields["steering"]!r:.40}; '
                      'expected a number')
  return float(row.fields['steering'])


def _there(table: Path, images: str, names: Sequence[tuple[int, str]], on_broken: str
           ) -> tuple[list[str], np.ndarray]:
  """The files that there are, as the table's folder knows them, and which (n,) those are."""
  top = table.parent

  def find(named: tuple[int, str]) -> str:
    name = named[1].replace('\\', '/')                          # of Windows
    moved = f'{images}/{PurePosixPath(name).name}'
    return next((file for file in (name, moved) if (top / file).is_file()), '')
  files = in_threads(find, names)
  missing = [i for i, file in enumerate(files) if not file]
  if missing:
    said = ', '.join(f'{PurePosixPath(names[i][1]).name} (line {names[i][0]})'
                     for i in missing[:SHOWN])
    text = (f'driving_log {table}: {len(missing)} of {len(files)} pictures are missing: {said}'
            f'{", ..." if len(missing) > SHOWN else ""}; neither where it names them nor in '
            f'{top / images}')
    if on_broken == 'stop' or len(missing) == len(files):
      raise ConfigError(f'{text}; the option images names their folder')
    logging.warning('%s', text)
  return [file for file in files if file], np.array([bool(file) for file in files])
