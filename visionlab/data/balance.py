"""How many examples there are of each class, and epochs in which each class is as frequent."""

from collections.abc import Callable, Sequence

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Concat, ResidentSubset, Source, Subset


def labels_of(source: Source) -> np.ndarray | None:
  """The classes (n,) of all examples, where that is known without reading them; else None."""
  def own(source):
    if isinstance(source, Arrays):         # a label that is hidden is not known
      return None if 'labelled' in source.arrays else source.arrays.get('label')
    return getattr(source, 'labels', None)
  labels = _known(source, own)
  if labels is None or np.ndim(labels) != 1 or not np.issubdtype(labels.dtype, np.integer):
    return None
  return labels


def _known(source: Source, own: Callable) -> np.ndarray | None:
  """Of all examples (n ...) what `own` says of whole sources; None where it does not of one."""
  if isinstance(source, Subset):
    whole = _known(source.source, own)
    return None if whole is None else whole[source.indices]
  if isinstance(source, Concat):
    parts = [_known(part, own) for part in source.sources]
    return None if any(part is None for part in parts) else np.concatenate(parts)
  return own(source)


def steering_std_of(source: Source) -> float:
  """The standard deviation of `steering`, where that is known without reading the examples; else
  0."""
  def own(source):
    entries = source.arrays if isinstance(source, Arrays) else getattr(source, 'targets', {})
    return entries.get('steering')
  steering = _known(source, own)
  return 0. if steering is None else float(np.std(steering))


def class_counts(source: Source) -> tuple[int, ...]:
  """Examples of each class of `source.info`; () where that is not known."""
  labels = labels_of(source)
  if labels is None or not source.info.classes:
    return ()
  known = labels[(labels >= 0) & (labels < len(source.info.classes))]
  return tuple(np.bincount(known, minlength=len(source.info.classes)).tolist())


def balanced(source: Source, where: str) -> Source:
  """The examples of `source`, each repeated so often that all classes are equally frequent.

  An example of a class of m examples is there floor(M / m) or ceil(M / m) times, with M the number
  in the largest class: a class then has M in every epoch. It is a list of indices like any other
  subset: the order, its seeds, and where the set is kept are as without it.

  Raises:
    ConfigError: the classes of examples are not known before they are read.

  >>> from visionlab.data.source import Info
  >>> few = Arrays({'label': np.array([0, 0, 0, 0, 1])}, Info(classes=('a', 'b')))
  >>> balanced(few, 'config.pipeline.balance')[np.arange(8)]['label'].tolist()
  [0, 0, 0, 0, 1, 1, 1, 1]
  """
  labels = labels_of(source)
  if labels is None:
    raise ConfigError(f'{where}: of this source the classes of examples are not known before they '
                      'are read; it needs one label an image')
  own = [np.flatnonzero(labels == k) for k in np.unique(labels)]
  most = max(map(len, own))
  indices = np.concatenate([np.resize(examples, most) for examples in own])
  return (ResidentSubset if hasattr(source, 'gather') else Subset)(source, indices)


def count_line(counts: Sequence[int], classes: Sequence[str], shown: int = 8) -> str:
  """How many examples each class has, of many the largest and the smallest; and which have none. ''
  where nothing was counted.

  >>> print(count_line((12, 0), ('cat', 'dog')))
  examples: cat: 12, dog: 0
  warning: there is no training example of dog
  """
  if not counts:
    return ''
  pairs = [f'{name}: {count:,}' for count, name in zip(counts, classes, strict=True)]
  if len(pairs) > shown:
    order = np.argsort(counts, kind='stable')[::-1]
    half = shown // 2
    pairs = [pairs[i] for i in order[:half]] + ['...'] + [pairs[i] for i in order[-half:]]
  none = [name for count, name in zip(counts, classes, strict=True) if not count]
  more = ', ...' if len(none) > shown else ''
  return 'examples: ' + ', '.join(pairs) + (
      f'\nwarning: there is no training example of {", ".join(none[:shown])}{more}' if none else '')
