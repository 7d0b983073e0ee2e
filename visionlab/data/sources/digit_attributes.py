"""Digits described by what is true of them, instead of by their names."""

from collections.abc import Mapping

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Arrays, Info

# No two digits share all of them.
ATTRIBUTES = {'even': (0, 2, 4, 6, 8), 'prime': (2, 3, 5, 7), 'above four': (5, 6, 7, 8, 9),
              'multiple of three': (0, 3, 6, 9), 'closed loop': (0, 6, 8, 9),
              'straight strokes only': (1, 4, 7)}


def digit_attributes(split: str, *, of: Mapping, root: str = '') -> Arrays:
  """Any source of the ten digits, its labels turned into attributes.

  Args:
    split: of the source.
    of: the source as config.data has it, dict(name=..., ...); its labels are 0 to 9 and it is held
      in memory.
    root: in place of that of `of`, if given.

  Returns:
    Its examples, with `label` (n 6) float32, 1 where the attribute is the digit's.

  Raises:
    ConfigError: another kind of source.
  """
  source = open_digits(of, split, root)
  table = np.array([[digit in digits for digits in ATTRIBUTES.values()] for digit in range(10)])
  label = table[source.arrays['label']].astype(np.float32)
  return Arrays({**source.arrays, 'label': label}, Info(tuple(ATTRIBUTES)))


def open_digits(of: Mapping, split: str, root: str = '') -> Arrays:
  """The source that `of` names, if it is one of digits held in memory; else a ConfigError."""
  source = open_sources({**of, 'root': root} if root else dict(of), split, 'config.data.of')
  if not (isinstance(source, Arrays) and len(source.info.classes) == 10
          and source.arrays.get('label', np.zeros((0, 0))).ndim == 1):
    raise ConfigError(f'config.data.of: expected a source of ten digits held in memory, such as '
                      f'dict(name="digits"), not {dict(of)}')
  return source
