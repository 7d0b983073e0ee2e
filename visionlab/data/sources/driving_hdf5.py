"""Recorded driving in HDF5, as comma.ai's first data set (Santana and Hotz 2016) has it."""

from pathlib import Path

import numpy as np
from PIL import Image

from visionlab.config import ConfigError
from visionlab.data.images.decode import Canvas
from visionlab.data.sources.driving_tables import OPTIONAL, STEERING, Recording

FRAMES = ('X', 'image', 'images', 'x')
POINTER = 'cam1_ptr'             # of each row of a log: at which frame the camera is
TIMES = ('times', *(name for group in OPTIONAL['time'] for name in group))


def need_h5py(where: str):
  """The package, or a ConfigError that says how to get it."""
  try:
    import h5py  # noqa: PLC0415 - an extra
  except ImportError as error:
    raise ConfigError(f"{where}: HDF5 needs an extra: pip install 'visionlab[hdf5]'") from error
  return h5py


def read_hdf5(path: Path, steering: str = '', time: str = '', rate: float = 0.) -> Recording:
  """The moments, without pictures, of `camera/NAME.h5`, whose frames are `X`, and of
  `log/NAME.h5` beside it, or of a file that has both.

  A log has more rows than there are frames; a frame's command is the mean of the rows at which
  `cam1_ptr` is its number, and of one without rows what lies between its neighbours'.

  Args:
    steering, time: what the log calls these, where it is none of the usual names.
    rate: as for `visionlab.data.sources.driving_tables.read_recording`.

  Raises:
    ConfigError: h5py is not installed, a file that is none, or without frames or commands.
  """
  h5py = need_h5py(str(path))
  names = [steering] if steering else [name for group in STEERING for name in group]
  log = path.parent.parent / 'log' / path.name
  try:
    with h5py.File(path) as file:
      n = len(file[_one_of(file, FRAMES, path, 'frames')])
      if any(name in file for name in names) or not log.is_file():
        return _recording(file, path, n, names, time, rate)
    with h5py.File(log) as file:
      return _recording(file, log, n, names, time, rate)
  except OSError as error:
    raise ConfigError(f'{path} cannot be read as HDF5: {error}') from error


def read_frames(path: Path, first: int, last: int, canvas: Canvas) -> np.ndarray:
  """Frames (n h w c) uint8 on a canvas, one after the other, for all may be more than memory."""
  with need_h5py(str(path)).File(path) as file:
    frames = file[_one_of(file, FRAMES, path, 'frames')]
    first_axis = frames.ndim == 4 and frames.shape[1] in (1, 3) and frames.shape[3] not in (1, 3)
    return np.stack([canvas(_image(frames[i], first_axis)) for i in range(first, last)])


def _image(frame: np.ndarray, channels_first: bool) -> Image.Image:
  frame = np.moveaxis(frame, 0, -1) if channels_first else frame
  return Image.fromarray(frame[..., 0] if frame.shape[2:] == (1,) else frame)


def _one_of(file, names, path: Path, role: str) -> str:
  found = next((name for name in names if name in file), None)
  if found is None:
    raise ConfigError(f'{path}: has no {role} ({", ".join(names[:6])}); there are '
                      f'{", ".join(sorted(file))[:120]}')
  return found


def _recording(file, path: Path, n: int, names, time: str, rate: float) -> Recording:
  steering = np.asarray(file[_one_of(file, names, path, 'steering')], np.float64).ravel()
  times = next((np.asarray(file[name], np.float64).ravel() for name in ([time] if time else TIMES)
                if name in file), np.arange(len(steering)) / rate if rate and len(steering) == n
               else np.full(len(steering), np.nan))
  if POINTER in file:
    at = np.rint(np.asarray(file[POINTER], np.float64).ravel()).astype(np.int64)
    steering, times = (of_frames(values, at, n) for values in (steering, times))
  if len(steering) != n or len(times) != n or not np.isfinite(steering).all():
    raise ConfigError(f'{path}: {len(steering)} commands for {n} frames, and no {POINTER} tells '
                      'which are which')
  return Recording((), steering, times, False)


def of_frames(values: np.ndarray, at: np.ndarray, n: int) -> np.ndarray:
  """The mean (n,) of values (m,) at each frame, whose number is `at` (m,).

  >>> of_frames(np.array([1., 3., 9.]), np.array([0, 0, 2]), 4).tolist()
  [2.0, 5.5, 9.0, 9.0]
  """
  inside = (at >= 0) & (at < n)
  counts = np.bincount(at[inside], minlength=n)
  sums = np.bincount(at[inside], values[inside], minlength=n)
  known = np.flatnonzero(counts)
  return np.interp(np.arange(n), known, sums[known] / counts[known]) if len(known) else np.full(
      n, np.nan)
