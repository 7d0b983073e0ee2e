"""The films of the study: what `stories` gives, computed once and kept in files.

A captioner takes two seconds a film to say how likely each sentence is of each shot.
"""

from pathlib import Path

import numpy as np

from visionlab.data.source import Arrays, Info
from visionlab.runs.similarities import stories


def kept(split: str, *, folder: str, seed: int = 0, films: int = 0, shots: int = 40,
         sentences: int = 120, known: int = 12, runs: tuple[str, ...] = ()) -> Arrays:
  """As `visionlab.runs.similarities.stories`, from folder/<split>_<seed>.npz, which is made of the
  options if it is not there."""
  path = Path(folder) / f'{split}_{seed}.npz'
  if not path.exists():
    made = stories(split, films=films, shots=shots, sentences=sentences, known=known, runs=runs,
                   seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, channels=made.info.attributes['image'], **made.arrays)
  with np.load(path) as file:
    arrays = dict(file)
  names = tuple(arrays.pop('channels').tolist())
  return Arrays(arrays, Info(attributes=dict(image=names)))
