"""Films as frames: files that PyAV or Pillow decode, and folders of images.

A frame is shown from its time stamp until the next one's, so that films of a varying rate, and of
different ones, are alike. Moments are in seconds from the first frame on.
"""

import contextlib
import heapq
import importlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visionlab.data.images.decode import SUFFIXES, Canvas, Cut, open_image, to_mode

ANIMATED = ('.gif', '.webp', '.apng', '.png', '.avif')
"""Suffixes of what Pillow reads as films; all others need PyAV."""
FILMS = ('.mp4', '.avi', '.webm', '.gif', '.webp', '.apng', '.mkv', '.mov', '.m4v', '.mpg', '.mpeg',
         '.wmv', '.flv', '.ogv', '.3gp')
"""Suffixes of files that are taken for films in folders of them."""
FRAMES = tuple(suffix for suffix in SUFFIXES if suffix not in FILMS)
FAR = 4.                # seconds from which on a film is not decoded but skipped over
CLOSE = 1e-3            # seconds by which a moment may be before the frame that it means: rounding
REORDERED = 4           # frames among which time stamps may have changed places
LACKING = 1.            # seconds, or a quarter of a film, that its last frame may last at least
Frame = tuple[float, Callable[[], Image.Image]]     # from when it is shown, and what makes it


def is_film(path: Path) -> bool:
  """Whether it has a film's suffix, or is a folder with images in it; animated ones are films."""
  if path.is_dir():
    return bool(stills_of(path))
  return path.suffix.lower() in FILMS


def seconds(path: Path, rate: float = 25.) -> float:
  """How long a film lasts, as its header says; without one, its frames are counted.

  Args:
    path: a file, or a folder of images.
    rate: frames a second, of a folder.

  Raises:
    ValueError: it has no frames, or PyAV is needed and not installed.
    OSError and others, from PyAV and Pillow: it is no film, or a damaged one.
  """
  if path.is_dir():
    return len(stills_of(path)) / rate
  if path.suffix.lower() in ANIMATED:
    with open_image(path) as film:
      return sum(_lasting(film, i) for i in range(getattr(film, 'n_frames', 1)))
  with _opened(path) as (container, stream):
    said = _said(container, stream)
    if said:
      return said
    *_, (last, _) = _decoded(container, stream)
    return last + _gap(stream)


def frame_rate(path: Path, rate: float = 25.) -> float:
  """Frames a second, on average; see `seconds`."""
  if path.is_dir():
    return rate
  if path.suffix.lower() in ANIMATED:
    with open_image(path) as film:
      return getattr(film, 'n_frames', 1) / seconds(path)
  with _opened(path) as (_, stream):
    return 1 / _gap(stream)


def read_film(path: Path, moments: Sequence[float], canvas: Canvas, rate: float = 25.,
              cut: Cut | None = None) -> np.ndarray:
  """The frames of `frames_at` as one array (t h w c) uint8."""
  return np.stack(list(frames_at(path, moments, canvas, rate, cut)))


def frames_at(path: Path, moments: Iterable[float], canvas: Canvas, rate: float = 25.,
              cut: Cut | None = None) -> Iterator[np.ndarray]:
  """The frames shown at rising moments, each on a canvas: (h w c) uint8.

  No more than six frames are kept at their own size. Moments beyond the end see the last frame.

  Args:
    path, rate: see `seconds`.
    cut: see `Canvas`; the same for all frames.

  Raises:
    ValueError: it ends more than a second, and a quarter of its length, before a moment within it.
    Otherwise as `seconds`.
  """
  if path.is_dir():
    files = stills_of(path)
    for moment in moments:
      place = min(int((moment + CLOSE) * rate), len(files) - 1)
      yield canvas.read((path / files[place]).read_bytes(), cut)
  elif path.suffix.lower() in ANIMATED:
    with open_image(path) as film:
      yield from _picked(_animated(film), moments, lambda image: canvas(image, cut))
  else:
    with _opened(path) as (container, stream):
      def seek(moment):
        container.seek(int(moment / stream.time_base) + (stream.start_time or 0), stream=stream)
        return _decoded(container, stream)
      yield from _picked(_decoded(container, stream), moments, lambda image: canvas(image, cut),
                         seek, _said(container, stream))


def _picked(frames: Iterator[Frame], moments: Iterable[float], convert: Callable,
            seek: Callable[[float], Iterator[Frame]] | None = None, length: float = 0.
            ) -> Iterator[np.ndarray]:
  """What is shown at each moment, converted. seek: gives the frames from a moment, or earlier, on;
  length: how long the film is said to last."""
  here = ahead = last = None
  for moment in moments:
    position = ahead[0] if ahead else 0. if here is None else np.inf
    if seek and moment - position > FAR:
      frames, first = seek(moment), here is None
      here = ahead = next(frames, None)
      if not here or here[0] > moment or here[0] <= position and not first:
        # Its key frames are rarer than that, or it cannot be searched: the rest is decoded.
        seek, frames = None, seek(0.)
        here = ahead = next(frames, None)
    elif here is None:
      here = ahead = next(frames, None)
    if here is None:
      raise ValueError('it has no frames')
    while ahead and ahead[0] <= moment + CLOSE:
      here, ahead = ahead, next(frames, None)
    if not ahead and min(moment, length) - here[0] > max(LACKING, length / 4):
      raise ValueError(f'it ends after {here[0]:.1f} of {length:.1f} seconds; truncated')
    if last is None or last[0] is not here:
      last = here, convert(here[1]())
    yield last[1]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
  """A film, and its first stream of pictures, by PyAV."""
  try:
    av = importlib.import_module('av')
  except ImportError:
    raise ValueError('it takes PyAV to read such files: pip install av') from None
  with av.open(str(path)) as container:
    if not container.streams.video:
      raise ValueError('there are no pictures in it')
    yield container, container.streams.video[0]


def _said(container, stream) -> float:
  """Seconds that a film lasts by its header; 0 where that says nothing."""
  if stream.duration is not None:
    return float(stream.duration * stream.time_base)
  return (container.duration or 0) / 1e6


def _decoded(container, stream) -> Iterator[Frame]:
  """Frames in the order they are shown in, which decoders keep.

  Their time stamps they may not: in files with frames that are predicted from later ones (B-frames)
  some come with that of another frame nearby. So a frame has the least stamp that is left.
  """
  begin = float((stream.start_time or 0) * stream.time_base)
  waiting, stamps = deque(), []
  for i, frame in enumerate(container.decode(stream)):
    heapq.heappush(stamps, i * _gap(stream) if frame.time is None else frame.time - begin)
    waiting.append(partial(_upright, frame))
    if len(waiting) > REORDERED:
      yield heapq.heappop(stamps), waiting.popleft()
  while waiting:
    yield heapq.heappop(stamps), waiting.popleft()


def _upright(frame) -> Image.Image:
  """As it is to be seen: telephones store films as their sensor lies."""
  image, turn = frame.to_image(), getattr(frame, 'rotation', 0)
  return image.rotate(turn, expand=True) if turn else image


def _gap(stream) -> float:
  return 1 / float(stream.average_rate or 25)


def _animated(film: Image.Image) -> Iterator[Frame]:
  shown = 0.
  for i in range(getattr(film, 'n_frames', 1)):
    film.seek(i)
    yield shown, partial(to_mode, film.copy(), 'RGB')
    shown += _lasting(film, i)


def _lasting(film: Image.Image, i: int) -> float:
  """Seconds that frame i is shown; as browsers do, a tenth where the file says next to nothing."""
  film.seek(i)
  film.load()                   # Pillow knows it of a frame of WebP only then
  duration = film.info.get('duration') or 0
  return duration / 1000 if duration > 10 else .1


def stills_of(folder: Path) -> list[str]:
  """The images in a folder in the order of their numbers: 9.png goes before 10.png."""
  names = [path.name for path in folder.iterdir() if path.suffix.lower() in FRAMES
           and not path.name.startswith('.')]
  return sorted(names, key=lambda name: [(int(part), '') if part.isdigit() else (-1, part)
                                         for part in re.split(r'(\d+)', name)])
