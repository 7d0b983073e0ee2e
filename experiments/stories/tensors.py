"""The films of the study: what `stories` gives, computed once and kept in files.

A captioner takes two seconds a film to say how likely each sentence is of each shot.
"""

from pathlib import Path

import numpy as np

from visionlab.data.source import Arrays, Info
from visionlab.similarities import stories


def kept(split: str, *, folder: str, seed: int = 0, films: int = 0, runs: tuple[str, ...] = (),
         **options) -> Arrays:
  """As `visionlab.similarities.stories`, from folder/<split>_<seed>.npz, which is made if need be.

  All is as if 'seed' and 'films' were those of the file's first making.
  """
  path = Path(folder) / f'{split}_{seed}.npz'
  if not path.exists():
    made = stories(split, films=films, seed=seed, runs=runs, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, channels=made.info.attributes['image'], **made.arrays)
  with np.load(path) as file:
    arrays = dict(file)
  names = tuple(arrays.pop('channels').tolist())
  return Arrays(arrays, Info(attributes=dict(image=names)))
