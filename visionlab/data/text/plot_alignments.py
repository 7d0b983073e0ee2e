"""Which lines of a plot tell which frames of a film, as MovieQA's annotations say it (Tapaswi
et al. 2016, https://arxiv.org/abs/1512.02902).

They are a JSON list of questions, each of a film (`imdb_key`), with the lines that answer it
(`plot_alignment`, from 0) and clips that show it (`video_clips`), whose names have their first and
last frame: "tt0120815.sf-000120.ef-000480.video.mp4".
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from visionlab.config import ConfigError, nearest
from visionlab.data.text.text_files import read_json

_FRAMES = re.compile(r'\.sf-(\d+)\.ef-(\d+)\.')
KEYS = ('imdb_key', 'plot_alignment', 'video_clips')


class Aligned(NamedTuple):
  """Frames `first` to `last`, both included, are told by these lines."""
  first: int
  last: int
  lines: tuple[int, ...]


def read_plot_alignments(path: str | Path, film: str = '') -> list[Aligned]:
  """What the annotations say of a film; questions without lines or clips say nothing.

  Args:
    film: its `imdb_key`; '': the only one.

  Raises:
    ConfigError: other JSON than is described above, no such film, or several and none is named.
  """
  questions = read_json(path)
  if not isinstance(questions, list):
    raise ConfigError(f'{path}: expected a list of questions, as MovieQA has it')
  for i, question in enumerate(questions):
    for key in KEYS:
      if not isinstance(question, dict) or key not in question:
        raise ConfigError(f'{path}: question {i} has no "{key}"')
    if not (isinstance(question['plot_alignment'], list) and isinstance(
        question['video_clips'], list) and all(isinstance(line, int) and line >= 0
                                               for line in question['plot_alignment'])):
      raise ConfigError(f'{path}: question {i}: expected lists, "plot_alignment" of the numbers of '
                        'lines, from 0')
  films = Counter(question['imdb_key'] for question in questions)
  if not film and len(films) != 1 or film and film not in films:
    what = f'no film {film!r}{nearest(film, films)}' if film else 'expected one film'
    raise ConfigError(f'{path}: {what}; there are: {", ".join(sorted(films)) or "none"}')
  found, odd = [], []
  for question in questions:
    if question['imdb_key'] != (film or next(iter(films))) or not question['plot_alignment']:
      continue
    for clip in question['video_clips']:
      frames = _FRAMES.search(str(clip))
      if not frames or int(frames[2]) < int(frames[1]):
        odd.append(str(clip))
        continue
      found.append(Aligned(int(frames[1]), int(frames[2]), tuple(question['plot_alignment'])))
  if odd:
    logging.warning('%s: %d clips are left out, whose names have no frames such as '
                    '.sf-000120.ef-000480.: %s', path, len(odd), odd[0])
  return found


def lines_of_shots(aligned: list[Aligned], begins: np.ndarray, rate: float) -> list[set[int]]:
  """The lines that tell something of each shot; none where nothing is known.

  Args:
    begins: (s,) the second that each shot begins at; the last lasts for ever.
    rate: frames a second.

  >>> lines_of_shots([Aligned(30, 59, (4,)), Aligned(50, 80, (5, 6))], np.array([0, 1, 2]), 25.)
  [set(), {4}, {4, 5, 6}]
  """
  ends = [*begins[1:], np.inf]
  return [{line for one in aligned if one.first < end * rate and one.last >= begin * rate
           for line in one.lines} for begin, end in zip(begins, ends, strict=True)]
