"""Films of pictures, as files."""

import importlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from visionlab.config import ConfigError, nearest
from visionlab.figures.drawing import as_picture

WRITTEN = ('.gif', '.mp4')


def check_film(path: str | Path) -> Path:
  """The path, if a film can be written there: before anything is computed for it.

  Raises:
    ConfigError: another suffix, a folder that is not there, or an .mp4 without PyAV.
  """
  place = Path(path).expanduser()
  suffix = place.suffix.lower()
  if suffix not in WRITTEN:
    raise ConfigError(f'--output={path}: {suffix or "a name without an ending"} is no format of '
                      f'films{nearest(suffix, WRITTEN)}; write e.g. drive.gif, or an .mp4')
  if not place.parent.is_dir():
    raise ConfigError(f'--output={path}: there is no folder {place.parent}')
  if place.is_dir():
    raise ConfigError(f'--output={path}: is a folder; expected the name of a file')
  if suffix == '.mp4':
    try:
      importlib.import_module('av')
    except ImportError:
      raise ConfigError(f'--output={path}: it takes PyAV to write such files: pip install av; or '
                        'write a .gif') from None
  return place


def write_film(path: str | Path, frames: Iterable[np.ndarray], seconds: float = .08) -> None:
  """A film of frames (h w c), uint8 or in [0, 1]: an animated GIF that goes on for ever, or an .mp4
  by PyAV.

  seconds: that each frame is shown.
  """
  path = Path(path)
  partial = path.with_name(path.name + '.tmp')
  if path.suffix.lower() == '.mp4':
    _mp4(partial, frames, seconds)
  else:
    first, *others = [Image.fromarray(as_picture(frame)) for frame in frames]
    first.save(partial, 'GIF', save_all=True, append_images=others, duration=round(1000 * seconds),
               loop=0)
  partial.replace(path)


def _mp4(path: Path, frames: Iterable[np.ndarray], seconds: float):
  av = importlib.import_module('av')
  with av.open(str(path), 'w', format='mp4') as container:
    stream = None
    for frame in frames:
      picture = as_picture(frame)
      picture = picture[:len(picture) // 2 * 2, :picture.shape[1] // 2 * 2]   # as H.264 needs
      if stream is None:
        rate = Fraction(1 / seconds).limit_denominator(1000)
        stream = container.add_stream('libx264', rate=rate)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = 'yuv420p'
      shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format='rgb24')
      container.mux(stream.encode(shown))
    container.mux(stream.encode())
