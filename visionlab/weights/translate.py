"""Arrays under another library's names -> ours: names by the family's table, axes by the leaf."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError

Table = tuple[tuple, ...]

LEAVES = {  # (foreign leaf, number of axes) -> (collection, our leaf, our axes of theirs)
  ('weight', 4): ('params', 'kernel', (2, 3, 1, 0)),
  ('weight', 2): ('params', 'kernel', (1, 0)),
  ('weight', 1): ('params', 'scale', (0,)),
  ('bias', 1): ('params', 'bias', (0,)),
  ('token', 1): ('params', 'token', (0,)),
  ('token_position', 1): ('params', 'token_position', (0,)),
  ('positions', 3): ('params', 'positions', (0, 1, 2)),
  ('running_mean', 1): ('batch_stats', 'mean', (0,)),
  ('running_var', 1): ('batch_stats', 'var', (0,)),
  ('kernel', 4): ('params', 'kernel', (0, 1, 2, 3)),
  ('kernel', 2): ('params', 'kernel', (0, 1)),
  ('gamma', 1): ('params', 'scale', (0,)),
  ('beta', 1): ('params', 'bias', (0,)),
  ('moving_mean', 1): ('batch_stats', 'mean', (0,)),
  ('moving_variance', 1): ('batch_stats', 'var', (0,)),
}

# What torch and its tools count in each layer: no weights.
COUNTS = ('num_batches_tracked', 'n_averaged', 'total_ops', 'total_params')


class Translated(NamedTuple):
  """`arrays`: ours by path, 'params/stem/kernel'; `skipped`: foreign names without a place here."""
  arrays: dict[str, np.ndarray]
  skipped: list[str]


def flattened(c: int, h: int, w: int) -> Callable[[np.ndarray], np.ndarray]:
  """For layers whose input is a map flattened as (c, h, w), where ours is as (h, w, c)."""
  def reordered(array):
    if array.ndim != 2:
      return array
    return array.reshape(-1, c, h, w).transpose(0, 2, 3, 1).reshape(array.shape)
  return reordered


def translate(foreign: Mapping[str, np.ndarray], table: Table) -> Translated:
  """Renames and transposes.

  >>> kernel = np.zeros((8, 3, 5, 5))
  >>> translate({'conv1.weight': kernel}, (('conv1', 'stem'),)).arrays['params/stem/kernel'].shape
  (5, 5, 3, 8)
  """
  arrays, skipped, origin = {}, [], {}
  for name, array in foreign.items():
    layer, leaf = split(name)
    found, known = place(layer, table), LEAVES.get((leaf, array.ndim))
    if leaf in COUNTS:
      continue
    if found is None or known is None:
      skipped.append(name)
      continue
    path, rule = found
    collection, ours, axes = known
    path = f'{collection}/{path}/{ours}'
    origin.setdefault(path, []).append(name)
    arrays[path] = _ruled(name, array, rule).transpose(axes)
  for path, names in origin.items():
    if len(names) > 1:                      # no layer of ours is several of theirs
      del arrays[path]
      skipped.extend(names)
  return Translated(arrays, skipped)


def split(name: str) -> tuple[str, str]:
  """(layer, array): 'layer1.0.conv1.weight' -> ('layer1.0.conv1', 'weight')."""
  layer, leaf = re.fullmatch(r'(?:(.*)[./])?([^./]*)', name, re.DOTALL).groups()
  return layer or '', leaf


def _ruled(name, array, rule):
  try:
    return rule(array) if rule else array
  except ValueError as e:
    raise ConfigError(f'{name} is {array.shape}, which belongs to another network: {e}') from e


def place(layer: str, table: Table):
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
