"""Recorded driving: a table of camera pictures and commands, as Udacity's simulator writes it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from absl import logging

from visionlab.config import ConfigError, check_choice
from visionlab.data.images.decode import Canvas
from visionlab.data.images.files import as_in_folder, in_threads, split_file
from visionlab.data.source import Arrays, Info, UnknownSplit, check_ranges, check_split
from visionlab.data.sources.driving_arrays import on_canvas, read_arrays
from visionlab.data.sources.driving_hdf5 import read_frames, read_hdf5
from visionlab.data.sources.driving_tables import Picture, last_commands, read_recording
from visionlab.data.sources.encoded import check_on_broken
from visionlab.data.sources.folder import Folder, image_files

PARTS = dict(train=(0., .7), validation=(.7, .85), test=(.85, 1.), all=(0., 1.))
ANGLES = dict(degrees=np.pi / 180, radians=1.)
HDF5 = ('.h5', '.hdf5')
TABLES = ('.csv', '.txt', '.tsv', '.npz', *HDF5)
SHOWN = 3                        # missing pictures that a message names


def driving_log(split: str, *, root: str = '', path: str = 'driving_log.csv', images: str = 'IMG',
                image_column: str = '', steering_column: str = '', time_column: str = '',
                correction: float = .2, scale: float = 0., unit: str = '', ratio: float = 15.,
                wheelbase: float = 2.7, horizon: float = 0., rate: float = 0.,
                size: tuple[int, int] = (66, 200), resize: str = 'crop', crop_fraction: float = 1.,
                channels: int = 3, on_broken: str = 'skip', check: bool = True) -> Folder | Arrays:
  """Pictures and commands in the order in which they were recorded.

  The table has a row for each moment: the pictures of the centre, the left and the right camera,
  the command, and what else there is; or `image,steering` alone. A first line of names may be
  missing. Or it has one for each picture, whose camera is its `frame_id`, as `interpolated.csv` of
  Udacity's real car; or lines of `0.jpg -1.5` (see `visionlab.data.sources.driving_tables`). Where
  the pictures no longer are at the paths it names, such as another machine's, they are looked for
  by name in `images`; a name may lack its suffix. An .npz may have `image`
  (n h w c), `steering` (n,) and perhaps `time`, or x_train, y_train, ...; of HDF5 see
  `visionlab.data.sources.driving_hdf5.read_hdf5`. Films are not read.

  Args:
    split: 'train', the first 70 % of the recording, 'validation', the next 15 %, or 'test': parts
      of which each is one stretch of time, while slices such as 'all[:90%]' are drawn at random; or
      'all'. With {split} in `path`, whatever that stands for, which is then all.
    root: the folder with the table.
    path: the table; images: the folder of pictures in that of the table.
    image_column, steering_column, time_column: what the table calls them, where it is not one of
      the usual names.
    correction: how much further to the right a picture of the left camera asks to steer, in the
      table's units, and one of the right camera to the left; they are for 'train' alone. 0: without
      them.
    scale: what commands are multiplied by, for steering is positive to the left. 0 stands for -1,
      as those of the simulator, which are in [-1, 1], and of most others are positive to the right;
      and for 1 where rows name a camera, as those of Udacity's real car do.
    unit: '' leaves them so. 'degrees' or 'radians', of the steering wheel, become the curvature
      that is driven, tan(angle / ratio) / wheelbase, which is the steering of `roads`, in 1/m. The
      simulator's are in it with unit='degrees', scale=-25, ratio=1, wheelbase=2.7.
    ratio: of the angle of the steering wheel to that of the wheels; wheelbase: in metres.
    horizon: how many seconds before a moment a command must have been given to be its `previous`;
      0: the one of the moment before. Times are those of a column, or in the names of pictures.
    rate: moments a second, where there are no times.
    size, resize, crop_fraction, channels: the canvas, see `visionlab.data.images.decode.Canvas`.
    on_broken: 'skip' leaves out pictures that are missing or unreadable, with a warning that names
      them; 'stop' raises an error.
    check: look at every picture when opening.

  Returns:
    A source of `image` (n h w c) uint8, `steering` (n,), `previous` (n,), the last command before
    (`visionlab.data.sources.driving_tables.last_commands`), 0 where a recording begins, and its
    `age` (n,) in seconds, nan where that is not known.

  Raises:
    ConfigError: no such table or column, a command that is no number, no picture that is there, or
      a horizon without times.
  """
  canvas = Canvas(size, resize, crop_fraction, channels)
  check_on_broken(on_broken, 'driving_log')
  check_choice(unit, ('', *ANGLES), 'driving_log: unit')
  check_ranges('driving_log', ratio=(ratio, .1, 100.), wheelbase=(wheelbase, .1, 20.),
               horizon=(horizon, 0., 60.), rate=(rate, 0., 1000.))
  table = _table(Path(root).expanduser(), path, split)
  whole = '{split}' in path
  if table.suffix == '.npz':
    frames, read, whole = read_arrays(table, split, steering_column, time_column, rate)
  elif table.suffix in HDF5:
    read = read_hdf5(table, steering_column, time_column, rate)
  else:
    read = read_recording(table, image_column, steering_column, time_column, rate)
  if horizon and np.isnan(read.times).any():
    raise ConfigError(f'driving_log {table}: says no times, which horizon={horizon:g} needs; '
                      'time_column names them, or rate says how many moments there are a second')
  side = scale or (1. if read.leftward else -1.)
  curve = _curvature(unit, ratio, wheelbase)
  steering = curve(read.commands * side)
  previous, ages = last_commands(steering, read.times, horizon)
  n = len(read.commands)
  first, last = 0, n
  if not whole:
    check_split(split, tuple(PARTS), f'driving_log {table}')
    first, last = (round(share * n) for share in PARTS[split])
  if not read.pictures:
    own = slice(first, last)
    image = on_canvas(frames[own], canvas) if table.suffix == '.npz' else read_frames(
        table, first, last, canvas)
    return Arrays(dict(image=image, **_as_floats(
        steering=steering[own], previous=previous[own], age=ages[own])))
  by = dict(left=correction, right=-correction) if correction and split == 'train' else {}
  chosen = [one for one in read.pictures if first <= one.moment < last and one.name
            and (one.camera == 'center' or one.camera in by)]
  chosen.sort(key=lambda one: ('center', *by).index(one.camera))
  if not chosen:
    raise ConfigError(f'driving_log {table}: no pictures of "{split}"; it has {n} rows')
  files, there = _there(table, images, chosen, on_broken)
  corrected = np.array([one.command + _outward(by, one.camera, side) for one in chosen])
  moments = np.array([one.moment for one in chosen])[there]
  targets = _as_floats(steering=curve(corrected * side)[there], previous=previous[moments],
                       age=ages[moments])
  return image_files(f'driving_log {table}', table.parent, files, targets, Info(), canvas,
                     on_broken, check)


def _table(top: Path, path: str, split: str) -> Path:
  try:
    return split_file(top, path, split, 'driving_log')
  except UnknownSplit:
    raise
  except ConfigError as e:
    there = sorted(p.name for p in top.glob('*') if p.suffix.lower() in TABLES)[:5]
    raise ConfigError(f'{e}; there are {", ".join(there)}, which path may name' if there else
                      str(e)) from e


def _as_floats(**targets: np.ndarray) -> dict[str, np.ndarray]:
  return {name: value.astype(np.float32) for name, value in targets.items()}


def _outward(by, camera: str, side: float) -> float:
  """What is added to a table's command: from the left a car steers to the right."""
  return -np.sign(side) * by.get(camera, 0.)


def _curvature(unit: str, ratio: float, wheelbase: float):
  """Commands (n,) -> steering (n,)."""
  if not unit:
    return lambda commands: commands
  return lambda commands: np.tan(commands * ANGLES[unit] / ratio) / wheelbase


def _there(table: Path, images: str, chosen: Sequence[Picture], on_broken: str
           ) -> tuple[list[str], np.ndarray]:
  """The files that there are, as the table's folder knows them, and which (n,) those are."""
  top = table.parent
  names = [one.name.replace('\\', '/') for one in chosen]        # of Windows
  near, moved = (as_in_folder(some, top) for some in (
      names, [f'{images}/{PurePosixPath(name).name}' for name in names]))

  def find(both: tuple[str, str]) -> str:
    return next((file for file in both if (top / file).is_file()), '')
  files = in_threads(find, list(zip(near, moved, strict=True)))
  missing = [i for i, file in enumerate(files) if not file]
  if missing:
    said = ', '.join(f'{PurePosixPath(names[i]).name} (line {chosen[i].line})'
                     for i in missing[:SHOWN])
    text = (f'driving_log {table}: {len(missing)} of {len(files)} pictures are missing: {said}'
            f'{", ..." if len(missing) > SHOWN else ""}; neither where it names them nor in '
            f'{top / images}')
    if on_broken == 'stop' or len(missing) == len(files):
      raise ConfigError(f'{text}; the option images names their folder')
    logging.warning('%s', text)
  return [file for file in files if file], np.array([bool(file) for file in files])
