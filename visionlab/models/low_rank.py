"""A detector's fully connected layers as products of two smaller ones (Girshick 2015, section 3.1).

At test time most of Fast R-CNN's work on a region is in fc6 and fc7. The matrix of each, (d, h), is
close to one of rank t, which is a product of (d, t) and (t, h): t (d + h) multiplications for d h.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from visionlab.config import ConfigError


def truncated(model: Any, variables: Mapping[str, Any],
              ranks: Sequence[int]) -> tuple[Any, dict[str, Any]]:
  """The model and its variables with the box head's layers cut down; nothing is trained again.

  Args:
    model: a `visionlab.models.detector.Detector` whose layers are whole.
    ranks: t for each of its `hidden` layers.

  Raises:
    ConfigError: not a rank for each layer, or one larger than a side of its matrix.
  """
  if model.ranks or len(ranks) != len(model.hidden):
    raise ConfigError(f'ranks: expected one for each of {len(model.hidden)} whole layers, got '
                      f'{tuple(ranks)}')
  head = dict(variables['params']['box'])
  for i, rank in enumerate(ranks):
    name = f'fc{6 + i}'
    first, second = factors(np.asarray(head[name]['kernel']), rank)
    head |= {f'{name}_low': dict(kernel=first), name: dict(head[name], kernel=second)}
  params = dict(variables['params'], box=head)
  return model.clone(ranks=tuple(ranks)), dict(variables, params=params)


def factors(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
  """The (d, rank) and (rank, h) whose product comes nearest to a matrix (d, h).

  They are its largest singular values and their vectors (Eckart and Young 1936).

  >>> first, second = factors(np.outer([1., 2], [3., 4, 5]), 1)
  >>> (first @ second).round(6).tolist()
  [[3.0, 4.0, 5.0], [6.0, 8.0, 10.0]]
  """
  if not 1 <= rank <= min(matrix.shape):
    raise ConfigError(f'ranks: expected 1 to {min(matrix.shape)} for a matrix of '
                      f'{matrix.shape[0]} x {matrix.shape[1]}, got {rank}')
  u, s, v = np.linalg.svd(matrix, full_matrices=False)
  return u[:, :rank] * s[:rank], v[:rank]
