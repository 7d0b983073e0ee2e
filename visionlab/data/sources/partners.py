"""Beside each photograph of a person another of the same person."""

from collections.abc import Mapping

import numpy as np
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.balance import labels_of
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Arrays, Source


def partners(split: str, *, of: Mapping, root: str = '') -> 'Partners | Arrays':
  """Another source with `other` (n h w c): the next photograph of the same person, of the last the
  first. For losses that compare photographs, since a batch of a thousand people's hardly has two
  of anybody. Augmentation changes `image` alone.

  Args:
    split: of the other source.
    of: the other source's options, as dict(name='faces').
    root: instead of the other source's.

  Raises:
    ConfigError: a source whose labels are not known before it is read, or in which nobody has two
      photographs.
  """
  source = open_sources({**of, 'root': root} if root else dict(of), split, 'config.data.of')
  labels = labels_of(source)
  if labels is None:
    raise ConfigError('config.data.of: partners needs a source of one label an image, known before '
                      'images are read, such as "faces", "folder" or "open_set"')
  partner, alone = next_of_same(np.asarray(labels))
  if alone == len(np.unique(labels)):
    raise ConfigError('config.data.of: partners needs people with two photographs, and all '
                      f'{alone} have one')
  if alone:
    logging.warning('partners: %d of %d people have one photograph; it is its own partner, and '
                    'only tells others from them', alone, len(np.unique(labels)))
  if isinstance(source, Arrays):
    return Arrays(dict(source.arrays, other=source.arrays['image'][partner]), source.info)
  return Partners(source, partner)


def next_of_same(labels: np.ndarray) -> tuple[np.ndarray, int]:
  """For each example (n,) the next with its label, round and round; and how many have no other.

  >>> next_of_same(np.array([7, 8, 7, 7, 5]))
  (array([2, 1, 3, 0, 4]), 2)
  """
  order = np.argsort(labels, kind='stable')
  _, first, count = np.unique(labels[order], return_index=True, return_counts=True)
  start, many = np.repeat(first, count), np.repeat(count, count)
  partner = np.empty(len(labels), np.int64)
  partner[order] = order[start + (np.arange(len(labels)) - start + 1) % many]
  return partner, int((count == 1).sum())


class Partners:
  """The source that `partners` opens. partner: (n,), of each example."""

  def __init__(self, source: Source, partner: np.ndarray):
    self.source, self.partner, self.info = source, partner, source.info
    self.labels = labels_of(source)

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    indices = np.asarray(indices)
    return dict(self.source[indices], other=self.source[self.partner[indices]]['image'])
