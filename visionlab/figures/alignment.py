"""Pictures of alignments: matrices of shots by sentences, and the path through them."""

from collections.abc import Mapping, Sequence

import numpy as np

from visionlab.figures.charts import new_axes, rendered
from visionlab.ops.story_chain import NOWHERE


def matrices(named: Mapping[str, np.ndarray], columns: int, paths: Mapping[str, Sequence] | None
             = None) -> np.ndarray:
  """Matrices (shots sentences) side by side, bright where shot and sentence are alike.

  Args:
    named: by their titles.
    columns: how many stand in a row.
    paths: title -> label -> a sentence for each shot, -1 for none, that are drawn into that matrix:
      the one called 'true' as circles, others as dots.
  """
  rows = -(-len(named) // columns)
  figure, axes = new_axes(rows, columns, (3.4 * columns, 1.75 * rows + .2))
  cells = np.asarray(axes).ravel()
  for cell in cells:
    cell.axis('off')
  for cell, (title, matrix) in zip(cells, named.items(), strict=False):
    cell.axis('on')
    cell.imshow(matrix, cmap='gray', aspect='auto', interpolation='nearest')
    cell.set_title(title, fontsize=8)
    cell.tick_params(labelsize=6)
    for label, path in (paths or {}).get(title, {}).items():
      path = np.asarray(path)
      shots = np.flatnonzero(path != NOWHERE)
      true = label == 'true'
      cell.plot(path[shots], shots, 'o' if true else '.', ms=5 if true else 3, mew=.8,
                mfc='none' if true else 'tab:red', color='tab:green' if true else 'tab:red',
                label=label)
    if (paths or {}).get(title):
      cell.legend(fontsize=6, loc='upper right')
  for cell in cells[::columns]:
    cell.set_ylabel('shot', fontsize=7)
  for cell in cells[-columns:]:
    cell.set_xlabel('sentence', fontsize=7)
  return rendered(figure)


def film(batch: Mapping, predictions: Mapping, names: Sequence[str], i: int = 0) -> np.ndarray:
  """Film i of a batch of `visionlab.tasks.align`: its measures, and the scores with the sentences
  that the chain finds and the true ones."""
  named = dict(zip(names, np.moveaxis(np.asarray(batch['image'][i]), -1, 0), strict=True))
  named['scores'] = np.maximum(predictions['scores'][i], -4)
  return matrices(named, 3, dict(scores=dict(true=batch['sentence'][i],
                                             found=predictions['chain_sentence'][i])))
