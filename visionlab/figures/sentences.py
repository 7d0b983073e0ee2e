"""Pictures of sentences: those that lie nearest to others."""

from collections.abc import Sequence

import numpy as np

from visionlab.figures.drawing import below, captioned
from visionlab.measures.retrieval import centred, unit_rows

WIDTH = 900                     # of the picture, in pixels


def nearest(texts: Sequence[str], vectors: np.ndarray, asked: int = 8, shown: int = 3,
            title: str = 'Nearest sentences') -> np.ndarray:
  """A table: under some sentences those whose vectors (n d), less the mean of all, are most like
  theirs, with the cosines.

  Asked are sentences evenly over all; one that is the same text again is not shown.
  """
  unit, blocks = unit_rows(centred(vectors)), []
  for i in np.linspace(0, len(texts) - 1, min(asked, len(texts)), dtype=int):
    alike, lines, seen = unit @ unit[i], [], {texts[i]}
    for j in np.argsort(-alike, kind='stable'):
      if texts[j] not in seen and len(lines) < shown:
        seen.add(texts[j])
        lines.append(line(f'{alike[j]:.2f}  {texts[j]}', 'dimgrey'))
    blocks.append(below([line(texts[i], 'black'), *lines], gap=0))
  picture = below([line(title, 'seagreen'), *blocks], gap=8)
  return np.pad(picture, ((8, 8), (8, 8), (0, 0)), constant_values=255)


def line(text: str, colour: str) -> np.ndarray:
  """A text as a strip of the picture's width."""
  return captioned(np.full((0, WIDTH, 3), 255, np.uint8), text, colour=colour)
