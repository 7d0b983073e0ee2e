"""Tables of recorded driving in their several forms: what a camera saw, and the command then."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.clocks import in_seconds
from visionlab.data.images.decode import SUFFIXES
from visionlab.data.table import FILE, Row, header_of, plain, read_rows
from visionlab.data.text.text_files import read_text

COLUMNS = ('center', 'left', 'right', 'steering', 'throttle', 'brake', 'speed')
CENTRE = (('center', 'centre', 'center_image', 'centre_image'), *FILE, ('frame_id', 'frame'))
STEERING = (('steering',), ('steering_angle', 'steer', 'angle', 'command', 'wheel_angle'))
OPTIONAL = dict(left=(('left', 'left_image'),), right=(('right', 'right_image'),),
                time=(('time', 'timestamp'), ('datetime', 'date', 'seconds', 't')))
CAMERAS = dict(center_camera='center', left_camera='left', right_camera='right')
"""What Udacity's real car calls them, whose commands are positive to the left."""
UNREAD = ('.hevc', '.mp4', '.mkv', '.bag', '.pkl', '.mat', '.npy')
GAP, STEPS = 2., 10.        # seconds, and usual steps, from which on a recording begins anew

_BARE = re.compile(r'(\S+)[ \t]+([^\s,]+)(?:[ \t]*,[ \t]*(.*))?')
_STAMP = re.compile(r'_(\d{4})_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d\d)_(\d{3})\.')


class Picture(NamedTuple):
  """A row's picture: the number of its line, its name, its camera, the command that was given, and
  at which of the moments."""
  line: int
  name: str
  camera: str
  command: float
  moment: int


class Recording(NamedTuple):
  """Attributes:
    pictures: in the order of the table, those of one moment beside each other.
    commands: (n,) of the moments, as the centre camera saw them.
    times: (n,) in seconds; nan where the table says none.
    leftward: whether it is a table of a kind whose commands are positive to the left.
  """
  pictures: Sequence[Picture]
  commands: np.ndarray
  times: np.ndarray
  leftward: bool


def read_recording(path: Path, image_column: str = '', steering_column: str = '',
                   time_column: str = '', rate: float = 0.) -> Recording:
  """The moments of a table: Udacity's simulator's, with or without names, of its real car
  (`interpolated.csv`, whose rows name a camera), lines of `0.jpg -1.5`, with or without a time, and
  any with columns of these names.

  Args:
    image_column, steering_column, time_column: names, where they are others.
    rate: moments a second, where the table says no times; 0: not known.

  Raises:
    ConfigError: no such columns, no row, or a command or a time that is none; the line is named.
  """
  if path.suffix.lower() in UNREAD:
    raise ConfigError(f'{path}: is not read; expected a table of pictures and commands, or an .npz '
                      'or .h5 with both')
  rows, leftward = _rows(path, image_column, steering_column, time_column)
  if not rows:
    raise ConfigError(f'{path} has no rows')
  pictures, commands, times = [], [], []
  for row in rows:
    camera = CAMERAS.get(row.fields['camera'], 'center')
    command = _number(path, row)
    if camera == 'center':
      commands.append(command)
      times.append(_time(path, row))
    at = max(len(commands) - 1, 0)
    seen = [(camera, row.fields['center'])] + [(side, row.fields[side]) for side in (
        'left', 'right') if row.fields[side]]
    pictures += [Picture(row.line, name, one, command, at) for one, name in seen]
  if not commands:
    raise ConfigError(f'{path}: none of its rows is of the centre camera')
  found = np.array(times)
  if rate and np.isnan(found).any():
    found = np.arange(len(found)) / rate
  return Recording(pictures, np.array(commands), found, leftward)


def last_commands(commands: np.ndarray, times: np.ndarray, horizon: float = 0.
                  ) -> tuple[np.ndarray, np.ndarray]:
  """The command (n,) that was the last one `horizon` seconds before each moment, 0 where there was
  none, and for how many seconds (n,) it was, nan where that is not known.

  There is none where a recording begins: at the first moment, and, where times are known, after a
  time that is later than the next, or more than two seconds and ten usual steps before it.

  Args:
    commands: (n,), in the order in which they were given.
    times: (n,) in seconds, or nan.
    horizon: 0 for the moment before, whenever that was.

  >>> last_commands(np.array([1., 2., 3.]), np.array([0., .1, .2]), .15)[0].tolist()
  [0.0, 0.0, 1.0]
  """
  n, steps = len(commands), np.diff(times)
  known = steps[steps > 0]
  longest = max(GAP, STEPS * float(np.median(known))) if len(known) else np.inf
  begins = np.concatenate([[True], (steps < 0) | (steps > longest)])
  start = np.maximum.accumulate(np.where(begins, np.arange(n), 0))
  before = np.arange(n) - 1
  if horizon:
    for first in np.flatnonzero(begins):
      own = np.flatnonzero(start == first)
      before[own] = first + np.searchsorted(times[own], times[own] - horizon + 1e-6, 'right') - 1
  there = before >= start
  at = np.maximum(before, 0)
  return np.where(there, commands[at], 0.), np.where(there, times - times[at], np.nan)


def _rows(path: Path, image: str, steering: str, time: str) -> tuple[list[Row], bool]:
  """With the fields `center`, `steering`, `left`, `right`, `time` and `camera`, '' where there are
  none; and whether commands are positive to the left."""
  text = read_text(path)
  first = text.lstrip('\ufeff\n').partition('\n')[0]
  bare = _BARE.fullmatch(first.strip())
  if bare and bare[1].lower().endswith(SUFFIXES) and _is_number(bare[2]):
    return list(_bare_rows(text, path)), False
  roles = dict(center=((plain(image),),) if image else CENTRE,
               steering=((plain(steering),),) if steering else STEERING)
  optional = OPTIONAL | (dict(time=((plain(time),),)) if time else {})
  # The simulator writes no names; a command stands fourth, or behind a single picture.
  fields = [field.strip(' "') for field in first.split(',')]
  at = 1 if len(fields) == 2 else 3
  nameless = len(fields) > at and _is_number(fields[at])
  if nameless:
    names = ('center', 'steering') if at == 1 else COLUMNS[:len(fields)]
    if len(fields) > len(COLUMNS):
      raise ConfigError(f'{path}: {len(fields)} columns without names; expected '
                        f'{",".join(COLUMNS)}, or a first line with names')
    text = ','.join(names) + '\n' + text.lstrip('\ufeff')
  names = [plain(name) for name in header_of(text, roles).names]
  if not nameless:
    _check_columns(path, names, roles | (dict(time=optional['time']) if time else {}),
                   dict(center=image, steering=steering, time=time))
  rows = read_rows(text, path, roles, optional | dict(camera=(('frame_id',),)))
  leftward = names[:2] == ['frame_id', 'steering_angle'] or any(
      row.fields['camera'] in CAMERAS for row in rows)
  return [row._replace(line=row.line - nameless) for row in rows], leftward


def _check_columns(path: Path, names: Sequence[str], roles: Mapping, given: Mapping[str, str]):
  """Raises ConfigError for the first column that is not there."""
  for role, groups in roles.items():
    if not any(name in names for group in groups for name in group):
      option = dict(center='image').get(role, role)
      missing = f'"{given[role]}", which {option}_column names' if given[role] else f'"{role}"'
      raise ConfigError(f'{path} has no column {missing}; there are {", ".join(names)[:120]}'
                        + ('' if given[role] else f'; the option {option}_column names it'))


def _bare_rows(text: str, path: Path) -> Iterator[Row]:
  """Of lines without commas before the command, as SullyChen's `data.txt` has them."""
  for i, line in enumerate(text.lstrip('\ufeff').splitlines(), 1):
    if not line.strip():
      continue
    match = _BARE.fullmatch(line.strip())
    if not match:
      raise ConfigError(f'{path}, line {i}: expected a picture and a command, as "0.jpg -1.5", got '
                        f'{line.strip()!r:.60}')
    yield Row(i, dict(center=match[1], steering=match[2], time=match[3] or '', left='', right='',
                      camera=''))


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


def _time(path: Path, row: Row) -> float:
  """In seconds; nan where nothing says it. The simulator has it in the names of pictures."""
  text = row.fields['time'].strip()
  if not text:
    stamp = _STAMP.search(PurePosixPath(row.fields['center'].replace('\\', '/')).name)
    if not stamp:
      return np.nan
    text = '{}-{}-{}T{}:{}:{}.{}'.format(*stamp.groups())
  if _is_number(text):
    return in_seconds(float(text))
  # SullyChen's thousandths stand behind a colon, and are one to three digits.
  day, _, rest = text.replace('T', ' ').partition(' ')
  parts = rest.split(':')
  if len(parts) == 4:
    text = f'{day} {":".join(parts[:3])}.{parts[3]:0>3}'
  try:
    found = datetime.fromisoformat(text)
  except ValueError:
    raise ConfigError(f'{path}, line {row.line}: the time is {text!r:.40}; expected seconds, or '
                      'such as 2018-07-01 17:09:44.912') from None
  return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
