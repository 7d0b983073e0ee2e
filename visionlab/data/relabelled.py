"""Examples with their classes numbered as a network has them, which may know more of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from visionlab.config import ConfigError, nearest
from visionlab.data.source import Source
from visionlab.ops.geometry import IGNORE


class Relabelled:
  """`source` with its labels, its objects' classes and its label maps numbered anew.

  Args:
    classes, map_classes: names; those of the source must be among them. Where either has none,
      that is left as it is.
    aliases: other names of classes, such as WordNet's ids.

  Raises:
    ConfigError: a class of the source is not among `classes`, or `map_classes`.
  """

  def __init__(self, source: Source, classes: Sequence[str], aliases: Mapping[str, str],
               map_classes: Sequence[str] = ()):
    self.source, self.known = source, len(classes)
    own = source.info
    self.numbers = _numbers(own.classes, classes, aliases)
    self.map_numbers = _numbers(own.map_classes, map_classes, aliases)
    self.info = replace(own, classes=tuple(classes or own.classes),
                        map_classes=tuple(map_classes or own.map_classes))

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    examples = dict(self.source[indices])
    if 'label' in examples and len(self.numbers):
      examples['label'] = self._label(examples['label'])
    if 'classes' in examples.get('objects', {}) and len(self.numbers):
      objects = examples['objects']
      examples['objects'] = {**objects, 'classes': self.numbers[objects['classes']]}
    if 'label_map' in examples and len(self.map_numbers):
      table = np.full(IGNORE + 1, IGNORE, np.int32)
      table[:len(self.map_numbers)] = self.map_numbers
      examples['label_map'] = table[examples['label_map']]
    return examples

  def _label(self, label: np.ndarray) -> np.ndarray:
    """Of numbers (n,), or of shares or yes and no for each class (n k)."""
    if label.ndim == 1:
      return self.numbers[label]
    wider = np.zeros((len(label), self.known), label.dtype)
    wider[:, self.numbers] = label
    return wider


def _numbers(names: Sequence[str], known: Sequence[str], aliases: Mapping[str, str]) -> np.ndarray:
  """Where each of the names is among those that are known; (0,) if none are."""
  if not known:
    return np.zeros(0, np.int32)
  number = {name: i for i, name in enumerate(known)}
  named = [aliases.get(name, name) for name in names]
  unknown = [name for name in named if name not in number]
  if unknown:
    raise ConfigError(f'this network knows no class "{unknown[0]}"{nearest(unknown[0], known)}')
  return np.array([number[name] for name in named], np.int32)
