"""A source most of whose labels are not known: for learning with few of them."""

from collections.abc import Mapping

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.data.source import Arrays, Info, Source, check_seed

CHUNK = 1024                    # examples read at a time, of a source that does not tell its labels


class PartlyLabelled:
  """`source` with `labelled` (n,) bool in its examples; where it is False, the label is 0."""

  def __init__(self, source: Source, labelled: np.ndarray):
    self.source, self.labelled = source, labelled

  @property
  def info(self) -> Info:
    return self.source.info

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    return _hidden(self.source[indices], self.labelled[np.asarray(indices)])


def partly_labelled(split: str, *, of: Mapping, per_class: int, root: str = '',
                    seed: int = 0) -> Source:
  """Another source, of which `per_class` examples of each class keep their labels.

  The labels of the others are gone: nothing that is given this source could read them. What is
  measured is given the source itself.

  Args:
    split: of the source.
    of: the source as config.data has it, dict(name=..., ...). Where labels are multi-hot, each
      combination counts as a class.
    per_class: how many; 0: none.
    root: in place of that of `of`, if given.
    seed: of the draw that says which.

  Returns:
    Its examples, with `labelled` (n,) bool beside them.

  Raises:
    ConfigError: a source without labels, or a class with fewer examples than `per_class`.
  """
  where = 'config.data.of'
  check_seed(seed, 'partly_labelled')
  source = open_sources({**of, 'root': root} if root else dict(of), split, where)
  labels = _labels(source, where)
  if per_class < 0:
    raise ConfigError(f'partly_labelled: per_class must not be negative, and is {per_class}')
  classes, group = np.unique(labels, axis=0, return_inverse=True)
  group = group.reshape(-1)
  # Not the order that slices of a split are cut from, or one would have all that is labelled.
  order = np.random.Generator(np.random.PCG64((seed, 1))).permutation(len(labels))
  labelled = np.zeros(len(labels), bool)
  for i, one in enumerate(classes):
    members = order[group[order] == i]
    if len(members) < per_class:
      raise ConfigError(f'partly_labelled: per_class is {per_class}, and label {one} has only '
                        f'{len(members)} examples in "{split}"')
    labelled[members[:per_class]] = True
  if isinstance(source, Arrays):
    return Arrays(_hidden(source.arrays, labelled), source.info)
  return PartlyLabelled(source, labelled)


def _hidden(examples: Mapping, labelled: np.ndarray) -> dict:
  label = examples['label']
  keep = labelled.reshape(-1, *[1] * (label.ndim - 1))
  return {**examples, 'label': np.where(keep, label, 0), 'labelled': labelled}


def _labels(source: Source, where: str) -> np.ndarray:
  """Of all examples, (n,) or (n k), without decoding images where that can be avoided."""
  if hasattr(source, 'labels'):
    return source.labels
  if isinstance(source, Arrays):
    if 'label' not in source.arrays:
      raise ConfigError(f'{where}: partly_labelled needs labels, and there are only '
                        f'{", ".join(source.arrays)}')
    return source.arrays['label']
  parts = [source[np.arange(i, min(i + CHUNK, len(source)))]
           for i in range(0, len(source), CHUNK)]
  return np.concatenate([part['label'] for part in parts])
