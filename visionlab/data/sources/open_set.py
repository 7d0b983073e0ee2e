"""A labelled source split by class: nobody who is measured was learnt from."""

from collections.abc import Mapping

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.balance import labels_of
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Source, check_seed, check_split, subset

SPLITS = ('train', 'test')


def open_set(split: str, *, of: Mapping, root: str = '', held_out: float = .25,
             seed: int = 0) -> Source:
  """Of another source the examples of some classes: 'train', or all others: 'test'.

  For verification and identification, whose test is of people who were never seen. Labels keep
  their numbers.

  Args:
    split: 'train' or 'test'.
    of: the other source's options, as dict(name='folder', size=64); its 'train' split is taken, or
      that which `of` names as `split`.
    root: instead of the other source's.
    held_out: the share of the classes that 'test' has.
    seed: of the draw that says which.

  Raises:
    ConfigError: a source whose classes are not known before it is read, or too few of them.
  """
  check_split(split, SPLITS, 'open_set')
  check_seed(seed, 'open_set')
  if not 0 < held_out < 1:
    raise ConfigError(f'open_set: held_out must lie between 0 and 1, not {held_out}')
  options = {**of, 'root': root} if root else dict(of)
  source = open_sources(options, options.pop('split', 'train'), 'config.data.of')
  labels = labels_of(source)
  if labels is None:
    raise ConfigError('config.data.of: open_set needs a source of one label an image, known before '
                      'images are read, such as "folder", "table" or "arrays"')
  there = np.unique(labels)
  count = min(max(round(held_out * len(there)), 1), len(there) - 1)
  if count < 1:
    raise ConfigError(f'config.data.of: open_set needs two classes, and there is {len(there)}')
  others = np.random.Generator(np.random.PCG64(seed)).permutation(there)[:count]
  chosen = np.isin(labels, others) == (split == 'test')
  return subset(source, np.flatnonzero(chosen))
