"""Subtitles, as SubRip (.srt) and WebVTT (.vtt) files have them; what is odd in them is said."""

import html
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from absl import logging

from visionlab.config import ConfigError
from visionlab.data.text.text_files import read_text

SUFFIXES = ('.srt', '.vtt')
NAMED = 3                        # lines that a warning names
_MOMENT = r'(-?)(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[,.:](\d{1,3}))?'
_TIMES = re.compile(rf'\s*{_MOMENT}\s*-+\s*>+\s*{_MOMENT}(?:\s.*)?')
# A mark in angle brackets begins with a letter, or it is a stamp: "3 < 5" is text.
_MARKS = re.compile(r'</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}')
_ASIDE = re.compile(r'(NOTE|STYLE|REGION)(\s|$)')


class Cue(NamedTuple):
  """What is said from one second to another, without marks, in one line."""
  begin: float
  end: float
  text: str


def read_subtitles(path: str | Path) -> list[Cue]:
  """The cues of a file, by the time they begin at; those that overlap are all there.

  Numbers may be missing or wrong, fractions be behind a comma or a point, hours be left out. Marks
  of italics, colours, places and voices are taken out, and characters by name (&amp;) become what
  they stand for. A blank line does not end a cue, but the next one's time. What no cue can be made
  of is left out, and a warning says how many and where: cues whose times cannot be read, and those
  without text. Also said are cues that end before they begin, whose ends are then exchanged, begin
  before the film, which begin with it, or stand before an earlier one.

  Raises:
    ConfigError: it cannot be read as text, or has no cues.
  """
  lines = _without_asides(read_text(path).split('\n'))
  odd = {what: [] for what in ('line with --> is no time', 'text before the first time',
                               'cue without text', 'cue that ends before it begins',
                               'cue that begins before the film', 'cue out of its order')}
  heads = [i for i, line in enumerate(lines) if _TIMES.fullmatch(line) or '-->' in line]
  before = _text(lines[:_head(lines, heads[0])] if heads else [])
  if before and not before.startswith('WEBVTT'):
    odd['text before the first time'].append(0)
  cues = []
  for i, after in pairwise([*heads, None]):
    found = _TIMES.fullmatch(lines[i])
    if not found:
      odd['line with --> is no time'].append(i)
      continue
    text = _text(lines[i + 1:after and _head(lines, after)])
    begin, end = _seconds(*found.groups()[:5]), _seconds(*found.groups()[5:])
    if not text:
      odd['cue without text'].append(i)
      continue
    if end < begin:
      odd['cue that ends before it begins'].append(i)
      begin, end = end, begin
    if begin < 0:
      odd['cue that begins before the film'].append(i)
      begin, end = 0., max(end, 0.)
    if cues and begin < cues[-1].begin:
      odd['cue out of its order'].append(i)
    cues.append(Cue(begin, end, text))
  for what, where in odd.items():
    if where:
      named = ', '.join(str(i + 1) for i in where[:NAMED])
      logging.warning('%s: %d times: %s; line %s%s', path, len(where), what, named,
                      ', ...' if len(where) > NAMED else '')
  if not cues:
    raise ConfigError(f'{path}: no subtitles; expected cues such as "00:00:01,000 --> '
                      '00:00:02,500" above what is said')
  return sorted(cues, key=lambda cue: cue.begin)


def by_shot(cues: Sequence[Cue], begins: Sequence[float]) -> list[str]:
  """What is said in each shot, '' where nothing is.

  A cue is of the shot that it is longest in, of two equally long the earlier; before the first
  shot it is of that one.

  Args:
    begins: the second that each shot begins at, rising; the last one lasts for ever.

  >>> by_shot([Cue(0, 1, 'one'), Cue(1.5, 4, 'two'), Cue(3, 9, 'three')], [0, 2])
  ['one', 'two three']
  """
  said = [[] for _ in begins]
  ends = [*begins[1:], float('inf')]
  for cue in cues:
    longest = [min(cue.end, end) - max(cue.begin, begin)
               for begin, end in zip(begins, ends, strict=True)]
    said[max(range(len(begins)), key=lambda i: longest[i])].append(cue.text)
  return [' '.join(texts) for texts in said]


def _without_asides(lines: list[str]) -> list[str]:
  """A WebVTT file's lines, those of comments and styles emptied; of another file all."""
  if not lines[0].startswith('WEBVTT'):
    return lines
  inside, kept = False, []
  for i, line in enumerate(lines):
    inside = bool(line.strip()) and (inside or not lines[i - 1].strip() and bool(
        _ASIDE.match(line)))
    kept.append('' if inside else line)
  return kept


def _head(lines: list[str], time: int) -> int:
  """The line at which the cue begins whose time stands in that line: one earlier where that is its
  number or name, alone between blank lines and the time."""
  above = lines[time - 1].strip() if time else ''
  alone = time < 2 or not lines[time - 2].strip()
  return time - 1 if above and (alone or above.isdigit()) else time


def _text(lines: Sequence[str]) -> str:
  return ' '.join(html.unescape(_MARKS.sub('', ' '.join(lines))).split())


def _seconds(sign, hours, minutes, seconds, fraction) -> float:
  value = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds) + float(f'.{fraction or 0}')
  return -value if sign else value
