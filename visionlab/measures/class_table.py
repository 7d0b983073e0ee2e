"""Results by class as lines of text that line up."""

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np


def class_table(results: Mapping, classes: Sequence[str], *, most: int = 0) -> str:
  """A line for each class with its `class_...` results, and one for all of them together.

  Counts are whole numbers, whose total is given; other results are per cent, with their mean over
  the classes that have one. A dash stands for nan.

  Args:
    results: of these the arrays (k,) named `class_...` are shown, in this order.
    classes: the names of the k classes.
    most: lines; of more classes those with the lowest results are shown, half as many, and a last
      line says so. 0: all.

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
  shown, note = range(len(classes)), ''
  if 0 < most < len(classes):
    judged = next((name for name, values in columns.items() if not _counts(values)), None)
    order = np.argsort(columns[judged], kind='stable') if judged else np.arange(len(classes))
    shown = order[:most // 2]
    note = (f'\n(the {len(shown)} of {len(classes):,} classes '
            + (f'that are lowest in {_heading(judged)})' if judged else 'that come first)'))
  for i in shown:
    rows.append([classes[i], *(_cell(values[i]) for values in columns.values())])
  rows.append(['all', *(_cell(_together(values)) for values in columns.values())])
  return in_columns(rows) + note


def in_columns(rows: Sequence[Sequence[str]]) -> str:
  """Rows of texts as lines: the first column begins, and the others end, at the same place.

  >>> print(in_columns([['policy', 'm'], ['mean', '1,280']]))
  policy      m
  mean    1,280
  """
  wide = [max(map(_width, column)) for column in zip(*rows, strict=True)]
  return '\n'.join('  '.join([row[0] + ' ' * (wide[0] - _width(row[0])),
                              *map(str.rjust, row[1:], wide[1:])]).rstrip() for row in rows)


def _width(text):
  """In columns of a terminal, where Chinese, Japanese and Korean characters take two each."""
  return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in 'WF')
             for c in text)


def _counts(values):
  return np.issubdtype(values.dtype, np.integer)


def _heading(name):
  return ' '.join(word.upper() if word.startswith(('ap', 'iou', 'auroc')) else word
                  for word in name.split('_'))


def _cell(value):
  if np.isnan(value):
    return '-'
  return str(value) if isinstance(value, np.integer) else f'{100 * value:.1f}'


def _together(values):
  if _counts(values):
    return values.sum()
  return values[~np.isnan(values)].mean() if not np.isnan(values).all() else np.nan
