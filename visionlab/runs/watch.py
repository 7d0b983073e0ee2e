"""Films as a run of clips sees them: in windows that follow one another."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.file_warnings import reading
from visionlab.data.films.film import FILMS, frame_rate, frames_at, is_film, seconds
from visionlab.data.images.files import reason
from visionlab.runs.run import Run

AT_ONCE = 32                # clips in memory


class Stretch(NamedTuple):
  """Part of a film: its file, and from which second to which."""
  file: str
  begin: float
  end: float

  def __str__(self) -> str:
    return f'{self.file} {self.begin:8.2f} s'


def find_films(names: Sequence[str]) -> list[str]:
  """The films that are named: by themselves, by a folder of frames, or by one that films are in.

  Raises:
    ConfigError: a folder without films.
  """
  found = []
  for name in names:
    path = Path(name).expanduser()
    if not path.is_dir() or is_film(path):
      found.append(str(path))
      continue
    inside = sorted(str(film) for film in path.rglob('*') if film.suffix.lower() in FILMS)
    if not inside:
      raise ConfigError(f'{name} holds no films ({", ".join(FILMS)}), nor images, a film\'s frames')
    found += inside
  return found


def answers(run: Run, films: Sequence[str], window: float = 0., batch: int = 0,
            seen: Callable[[], None] = lambda: None) -> Iterator[tuple]:
  """(clips, their stretches, what `predict` says of them, lines of what cannot be read), some of a
  film at a time: it may be longer than the memory holds.

  Args:
    window: seconds of a film that a clip shows, its frames evenly spaced there; 0 for as long as so
      many frames of the film last.
    batch: as `Run.predict` takes it; seen: is called after each film.
  """
  for film in films:
    bad = []
    try:
      with reading(film):
        stretches, frames = _opened(run, film, window)
        while some := list(islice(stretches, AT_ONCE)):
          clips = [np.stack(list(islice(frames, run.facts.frames))) for _ in some]
          yield clips, some, run.predict(np.stack(clips), batch=batch), []
    except ConfigError:
      raise
    except Exception as error:          # what decoders raise for damaged files knows no bounds
      bad = [f'{film}: cannot be read as a film: {_said(error)}']
    seen()
    if bad:
      yield [], [], None, bad


def _opened(run: Run, film: str, window: float) -> tuple[Iterator[Stretch], Iterator[np.ndarray]]:
  """The windows of a film, and the frames of all of them in turn."""
  path, n = Path(film), run.facts.frames
  length = seconds(path)
  window = min(window or n / frame_rate(path), length)
  count = max(1, round(length / window))
  stretches = (Stretch(film, k * window, min((k + 1) * window, length)) for k in range(count))
  moments = (window * (k + (i + .5) / n) for k in range(count) for i in range(n))
  return stretches, frames_at(path, moments, run.canvas)


def _said(error: Exception) -> str:
  if isinstance(error, FileNotFoundError):
    return 'no such file'
  return reason(error)


def timed(records: Sequence[dict], stretches: Sequence[Stretch]) -> list[dict]:
  """Records of `visionlab.runs.records` with the seconds where each stretch begins and ends."""
  return [{'file': s.file, 'begin': round(s.begin, 3), 'end': round(s.end, 3),
           **{k: v for k, v in record.items() if k != 'file'}}
          for record, s in zip(records, stretches, strict=True)]
