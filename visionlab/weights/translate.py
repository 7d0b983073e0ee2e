"""Arrays under another library's names -> ours: names by the family's table, axes by the leaf."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from visionlab.weights.families import Table

LEAVES = {  # (foreign leaf, number of axes) -> (collection, our leaf, our axes of theirs)
  ('weight', 4): ('params', 'kernel', (2, 3, 1, 0)),
  ('weight', 2): ('params', 'kernel', (1, 0)),
  ('weight', 1): ('params', 'scale', (0,)),
  ('bias', 1): ('params', 'bias', (0,)),
  ('running_mean', 1): ('batch_stats', 'mean', (0,)),
  ('running_var', 1): ('batch_stats', 'var', (0,)),
  ('kernel', 4): ('params', 'kernel', (0, 1, 2, 3)),
  ('kernel', 2): ('params', 'kernel', (0, 1)),
  ('gamma', 1): ('params', 'scale', (0,)),
  ('beta', 1): ('params', 'bias', (0,)),
  ('moving_mean', 1): ('batch_stats', 'mean', (0,)),
  ('moving_variance', 1): ('batch_stats', 'var', (0,)),
}


class Translated(NamedTuple):
  """`arrays`: ours by path, 'params/stem/kernel'; `skipped`: foreign names without a place here."""
  arrays: dict[str, np.ndarray]
  skipped: list[str]


def translate(foreign: Mapping[str, np.ndarray], table: Table) -> Translated:
  """Renames and transposes.

  >>> kernel = np.zeros((8, 3, 5, 5))
  >>> translate({'conv1.weight': kernel}, (('conv1', 'stem'),)).arrays['params/stem/kernel'].shape
  (5, 5, 3, 8)
  """
  arrays, skipped = {}, []
  for name, array in foreign.items():
    layer, leaf = re.fullmatch(r'(?:(.*)[./])?([^./]+)', name).groups()
    place = _place(layer or '', table)
    known = LEAVES.get((leaf, array.ndim))
    if leaf == 'num_batches_tracked':
      continue                              # torch's own count of updates, not a weight
    if place is None or known is None:
      skipped.append(name)
      continue
    path, rule = place
    collection, ours, axes = known
    arrays[f'{collection}/{path}/{ours}'] = (rule(array) if rule else array).transpose(axes)
  return Translated(arrays, skipped)


def _place(layer: str, table: Table):
  """(our path, what must be done to its arrays or None) of a foreign layer."""
  for pattern, ours, *rule in table:
    match = re.fullmatch(pattern, layer)
    if match:
      return ours(match) if callable(ours) else match.expand(ours), *(rule or [None])
  return None


def norm_of(path: str) -> str:
  """The path of the normalisation that follows a convolution here.

  >>> norm_of('stage1/block0/conv2'), norm_of('stem'), norm_of('inception3a/branch1/conv')
  ('stage1/block0/norm2', 'stem_norm', 'inception3a/branch1/norm')
  """
  folder, _, name = path.rpartition('/')
  norm = name.replace('conv', 'norm') if name.startswith('conv') else f'{name}_norm'
  return f'{folder}/{norm}'.lstrip('/')
