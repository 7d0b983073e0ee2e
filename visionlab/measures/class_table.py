"""Results by class as lines of text that line up."""

from collections.abc import Mapping, Sequence

import numpy as np


def class_table(results: Mapping, classes: Sequence[str]) -> str:
  """A line for each class with its `class_...` results, and one for all of them together.

  Counts are whole numbers, whose total is given; other results are per cent, with their mean over
  the classes that have one. A dash stands for nan.

  Args:
    results: of these the arrays (k,) named `class_...` are shown, in this order.
    classes: the names of the k classes.

  >>> results = dict(class_objects=np.array([12, 0]), class_box_ap=np.array([.5, np.nan]))
  >>> print(class_table(results, ('cat', 'dog')))
  class  objects  box AP
  cat         12    50.0
  dog          0       -
  all         12    50.0
  """
  columns = {key.removeprefix('class_'): np.asarray(value) for key, value in results.items()
             if key.startswith('class_') and np.shape(value) == (len(classes),)}
  rows = [['class', *(_heading(name) for name in columns)]]
  for i, name in enumerate(classes):
    rows.append([name, *(_cell(values[i]) for values in columns.values())])
  rows.append(['all', *(_cell(_together(values)) for values in columns.values())])
  wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join('  '.join([row[0].ljust(wide[0]), *map(str.rjust, row[1:], wide[1:])]).rstrip()
                   for row in rows)


def _heading(name):
  return ' '.join(word.upper() if word.startswith(('ap', 'iou')) else word
                  for word in name.split('_'))


def _cell(value):
  if np.isnan(value):
    return '-'
  return str(value) if isinstance(value, np.integer) else f'{100 * value:.1f}'


def _together(values):
  if np.issubdtype(values.dtype, np.integer):
    return values.sum()
  return values[~np.isnan(values)].mean() if not np.isnan(values).all() else np.nan
