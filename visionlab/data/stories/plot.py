"""Which sentence of a book tells which shot of a film: the truth that an alignment has to find."""

from typing import NamedTuple

import numpy as np

CHAPTERS = 2                     # that are not filmed
PARAGRAPH = 3.                   # sentences, on average


class Plot(NamedTuple):
  """Attributes:
    sentence: (shots,) int32, the sentence that tells a shot, -1 where none does.
    paragraph: (sentences,) int32, rising from 0.
    filmed: (sentences,) bool, False in chapters that no shot is of.
  """
  sentence: np.ndarray
  paragraph: np.ndarray
  filmed: np.ndarray


def draw_plot(shots: int, sentences: int, untold: float, unfilmed: float, swapped: float,
              rng: np.random.Generator) -> Plot:
  """A film goes through its book from the beginning to the end, but for what the shares say.

  Args:
    untold: of the shots, no sentence tells them.
    unfilmed: of the sentences, they are in chapters that were left out.
    swapped: of neighbouring told shots, the second's sentence comes before the first's.
  """
  told = shots - round(untold * shots)
  left_out = round(unfilmed * sentences)
  filmed = _without_chapters(sentences, left_out, rng)
  places = np.sort(rng.choice(np.flatnonzero(filmed), told, replace=False))
  k = 0
  while k < told - 1:
    if rng.random() < swapped:
      places[[k, k + 1]] = places[[k + 1, k]]
      k += 1
    k += 1
  sentence = np.full(shots, -1, np.int32)
  sentence[np.sort(rng.choice(shots, told, replace=False))] = places
  begins = rng.random(sentences) < 1 / PARAGRAPH
  begins[0] = False
  begins[1:] |= filmed[1:] != filmed[:-1]
  return Plot(sentence, np.cumsum(begins).astype(np.int32), filmed)


def _without_chapters(sentences: int, left_out: int, rng: np.random.Generator) -> np.ndarray:
  """(sentences,) bool, False in `CHAPTERS` runs of as many as are left out in all."""
  first = round(left_out * rng.uniform(.3, .7))
  cuts = np.sort(rng.integers(0, sentences - left_out + 1, CHAPTERS))
  filmed = np.ones(sentences, bool)
  for begin, before, length in zip(cuts, (0, first), (first, left_out - first), strict=True):
    filmed[begin + before:begin + before + length] = False
  return filmed
