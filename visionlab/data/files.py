"""Image files by the million: their names, a look at each of them, what to do about broken ones."""

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from visionlab.data.crop import RandomCrop
from visionlab.data.images import Canvas

ON_BROKEN = ('skip', 'stop')
"""What a source does with a file that cannot be read: it leaves it out, or raises an error."""
RUN = 64          # files that a thread looks at in a row: a task costs as much as one header


def encoded(names: Iterable[str]) -> np.ndarray:
  """Names of files as one array of bytes (n,); `os.fsdecode` makes a name of each again.

  A million strings would be large, and slow to send to the workers that load batches.
  """
  return np.array([os.fsencode(name) for name in names], np.bytes_)


def in_threads(look: Callable[[Any], Any], items: Sequence) -> list:
  """What `look`, which waits for files more than it computes, gives for each item."""
  runs = [items[i:i + RUN] for i in range(0, len(items), RUN)]
  with ThreadPoolExecutor() as pool:
    return list(itertools.chain.from_iterable(
        pool.map(lambda run: [look(item) for item in run], runs)))


class ImageFiles:
  """What sources of files share that decode them when they are asked for.

  Attributes:
    files: (n, ...) bytes, the names of each example's files, see `encoded`.
    canvas: where images are put.
  """
  files: np.ndarray
  canvas: Canvas

  def __len__(self) -> int:
    return len(self.files)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return self.read(indices, self.canvas)

  def crops(self, indices: np.ndarray, crop: RandomCrop, draws: np.ndarray):
    """As `source[indices]`, but a random part of each image; see `visionlab.data.source.Source`."""
    return self.read(indices, *crop.cuts(draws, self.canvas.channels))

  def read(self, indices: np.ndarray, canvas: Canvas, cuts: Sequence = ()) -> dict:
    """The examples at `indices` (n,), on a canvas. cuts: n of them, or () for whole images, see
    `Canvas`."""
    raise NotImplementedError
