"""Datasets of one's own: any class with `__len__` and `__getitem__(i)` is made a source."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Info, Source

EXAMPLE = '''
  class Mine:
    classes = ('cat', 'dog')              # or: info = visionlab.data.source.Info(classes=...)

    def __init__(self, split='train'):    # and options of your own: config.data.<option>
      self.files = sorted(Path('mine', split).glob('*.png'))

    def __len__(self):
      return len(self.files)

    def __getitem__(self, i):             # one example: (image, label), or a dict
      return np.asarray(Image.open(self.files[i])), int('dog' in self.files[i].name)
'''


class Examples:
  """A source made of a dataset that gives one example at a time.

  Args:
    dataset: has `__len__` and `__getitem__(i)`, which gives a dict of arrays, or (image, label).
    info: the facts about it.
    where: begins the messages.
  """

  def __init__(self, dataset: Any, info: Info, where: str):
    self.dataset, self.info, self.where = dataset, info, where

  def __len__(self) -> int:
    return len(self.dataset)

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    rows = [as_dict(self.dataset[int(i)], int(i), self.where) for i in indices]
    return {key: self._stacked(key, rows, indices) for key in rows[0]}

  def _stacked(self, key, rows, indices):
    try:
      return np.stack([row[key] for row in rows])
    except (KeyError, ValueError) as error:
      odd = next(n for n, row in enumerate(rows)
                 if key not in row or row[key].shape != rows[0][key].shape)
      form = rows[odd][key].shape if key in rows[odd] else 'missing'
      raise ConfigError(
          f'{self.where}: "{key}" of example {indices[odd]} is {form}, of example {indices[0]} it '
          f'is {rows[0][key].shape}; a batch needs one shape: resize or pad in __getitem__'
      ) from error


def adapted(dataset: Any, where: str) -> Source:
  """The dataset if it is a source already, else a source made of it.

  Its classes are those of `dataset.classes` or `dataset.info`.

  Raises:
    ConfigError: it is no dataset, is empty, or does not say what its labels stand for.
  """
  if not (hasattr(dataset, '__len__') and hasattr(dataset, '__getitem__')):
    raise ConfigError(f'{where}: {type(dataset).__name__} has no __len__ and __getitem__; a '
                      f'dataset of your own looks like this:\n{EXAMPLE}')
  if not len(dataset):
    raise ConfigError(f'{where}: {type(dataset).__name__} holds no example')
  if isinstance(getattr(dataset, 'info', None), Info) and _gives_batches(dataset):
    return dataset
  first = as_dict(dataset[0], 0, where)
  info = getattr(dataset, 'info', None)
  if not isinstance(info, Info):
    info = Info(classes=tuple(map(str, getattr(dataset, 'classes', ()))))
  label = first.get('label')
  if label is not None and np.issubdtype(label.dtype, np.integer) and not info.classes:
    raise ConfigError(f'{where}: {type(dataset).__name__} does not say what its labels stand for; '
                      f'it needs `classes`, or `info`:\n{EXAMPLE}')
  return Examples(dataset, info, where)


def check_split_taken(target: Callable, split: str, where: str) -> None:
  """Raises a ConfigError where a dataset that cannot be asked for a split is asked for another than
  its one: what is measured would be what was trained on."""
  if 'split' not in inspect.signature(target).parameters and split not in ('train', 'all'):
    raise ConfigError(f'{where}: {target.__name__} takes no `split`, so it has no "{split}"; give '
                      'it that argument, or train on a slice such as "train[:90%]" and measure on '
                      '"train[90%:]"')


def as_dict(example: Any, index: int, where: str) -> dict[str, np.ndarray]:
  """An example as a dict of arrays: of a dict, or of (image, label). Grey images get an axis of one
  channel, and integers are int32.

  >>> sorted(as_dict((np.zeros((4, 4), np.uint8), 1), 0, 'config.data'))
  ['image', 'label']
  """
  if isinstance(example, tuple | list) and len(example) == 2:
    example = dict(image=example[0], label=example[1])
  if not isinstance(example, Mapping):
    raise ConfigError(f'{where}: example {index} is {type(example).__name__}; expected a dict of '
                      'arrays, or (image, label)')
  arrays = {key: _as_array(key, value, index, where) for key, value in example.items()}
  if 'image' in arrays:
    arrays['image'] = _as_image(arrays['image'], index, where)
  return arrays


def _as_array(key: str, value: Any, index: int, where: str) -> np.ndarray:
  array = np.asarray(value)
  if array.dtype == object or array.dtype.kind in 'US':
    raise ConfigError(f'{where}: "{key}" of example {index} is {value!r:.60}; expected numbers: a '
                      'label is the number of its class')
  if array.dtype.kind in 'iu' and key not in ('image', 'video'):
    return array.astype(np.int32)
  return array.astype(np.float32) if array.dtype == np.float64 else array


def _as_image(image: np.ndarray, index: int, where: str) -> np.ndarray:
  image = image[..., None] if image.ndim == 2 else image
  if image.ndim != 3 or image.shape[-1] > 4:
    raise ConfigError(f'{where}: the image of example {index} is {image.shape}; expected (height, '
                      'width, channels)')
  if image.dtype == np.uint8 or np.issubdtype(image.dtype, np.floating):
    return image
  raise ConfigError(f'{where}: the image of example {index} is {image.dtype}; expected uint8, or '
                    'floats in [0, 1]')


def _gives_batches(dataset: Any) -> bool:
  """Whether it is asked for many at once, as sources are."""
  try:
    batch = dataset[np.zeros(1, np.int64)]
  except Exception:  # noqa: BLE001 - whatever a dataset of one index raises when given an array
    return False
  return isinstance(batch, Mapping) and all(np.shape(value)[:1] == (1,) for value in batch.values()
                                            if not isinstance(value, Mapping))
