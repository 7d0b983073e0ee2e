"""Digits that are seen at the first step of a sequence, and asked for after the last."""

import numpy as np

from visionlab.data.source import Arrays
from visionlab.data.sources.digits import digits


def shown_once(split: str, *, root: str = '', steps: int) -> Arrays:
  """scikit-learn's digits, each followed by steps - 1 empty steps.

  Returns:
    `image` (n steps 64 1) uint8, whose first row holds the 8 x 8 pixels; `label` (n,) int32.
  """
  source = digits(split, root=root)
  glyph, label = source.arrays['image'], source.arrays['label']
  image = np.zeros((len(label), steps, glyph[0].size, 1), np.uint8)
  image[:, 0] = glyph.reshape(len(label), -1, 1)
  return Arrays(dict(image=image, label=label), source.info)
