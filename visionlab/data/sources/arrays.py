"""Datasets in one .npz file, in the usual spellings."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.classes import number_labels
from visionlab.data.source import Arrays, Info, check_split
from visionlab.ops.geometry import IGNORE

IMAGE = ('image', 'images', 'img', 'x', 'X', 'data')
LABEL = ('label', 'labels', 'label_map', 'target', 'targets', 'y', 'Y')
EXPECTED = ('x_train with y_train, train_image with train_label, train/image with train/label, '
            'or image with label')
MOST_CLASSES = 1_000_000            # beyond that, labels are something else: ids, grams, years
_IMAGE_KEY = re.compile(rf'(.+[/_])?({"|".join(IMAGE)})([/_].+)?')


def arrays(split: str, *, root: str = '', path: str = '', classes: tuple[str, ...] = (),
           ignore: int | None = None) -> Arrays:
  """A dataset in an .npz file.

  Keys are `x_<split>`, `<split>_image` or `<split>/image` with `y` or `label` likewise, or plain
  `image` and `label`, which make up the one split 'train'; variants (`images`, `labels`, `target`)
  too. Further arrays of a split are passed on under their own names. The second array
  becomes, by its shape and type, `label` (n,) int32, of whole numbers or names, `label_map`
  (n h w) int32, or else `target` (n ...) float32.

  Args:
    split: one of those in the file.
    root: the folder that a relative `path` starts from.
    path: the .npz file.
    classes: names of the classes, or of a label map's; by default '0' up to the largest label in
      any split, or where labels are names those there are, sorted.
    ignore: the value in label maps that stands for unlabelled; it becomes 255.

  Returns:
    `image` (n h w c) uint8, or float32 if the file holds floats in [0, 1]; and the rest.

  Raises:
    ConfigError: no such file or split, keys that are not understood, or values out of range.
  """
  file = Path(root).expanduser() / Path(path).expanduser()
  if not path or not file.is_file():
    raise ConfigError(f'arrays: path must name an .npz file, and {file} is none')
  try:
    with open(file, 'rb') as stream:
      archive = np.load(stream, allow_pickle=False)
      if isinstance(archive, np.ndarray):
        raise ValueError('it is a single .npy array')
      return _from_archive(archive, split, str(file), tuple(classes), ignore)
  except ConfigError:
    raise
  except Exception as error:  # what damaged archives make of the parsers knows no bounds
    hint = '; save names as names.astype(str)' if 'pickle' in str(error) else ''
    raise ConfigError(f'arrays: {file} is not a readable .npz of plain arrays: {error}{hint}'
                      ) from error


def _from_archive(archive, split: str, file: str, classes: tuple[str, ...], ignore: int | None):
  splits = _splits(archive.files, file)
  check_split(split, tuple(splits), file)
  # Labels of every split are read, so that the classes do not depend on the split asked for.
  labels = {name: archive[keys['label']] for name, keys in splits.items() if 'label' in keys}
  labels, classes = _numbered(labels, classes, file)
  targets = {name: _target(value, ignore, f'{file}: {splits[name]["label"]}')
             for name, value in labels.items()}
  found = [_largest(value) for kind, value in targets.values() if kind != 'target']
  if found and not classes:
    if max(found) >= MOST_CLASSES:
      raise ConfigError(f'{file}: labels go up to {max(found)}; expected the numbers 0, 1, ... of '
                        'classes, or floating point numbers where they are what is predicted')
    classes = tuple(str(i) for i in range(max(found) + 1))
  elif found and max(found) >= len(classes):
    raise ConfigError(f'{file}: labels go up to {max(found)}, but names were given for '
                      f'{len(classes)} classes only')
  keys = dict(splits[split])
  name = keys.pop('image')
  result = {'image': _image(archive[name], f'{file}: {name}')}
  if keys.pop('label', None):
    kind, value = targets[split]
    result[kind] = value
  result |= {key: archive[name] for key, name in keys.items()}
  if not found:
    return Arrays(result)
  maps = any(kind == 'label_map' for kind, _ in targets.values())
  return Arrays(result, Info(map_classes=classes) if maps else Info(classes))


def _splits(names: list[str], file: str) -> dict[str, dict[str, str]]:
  """The file's keys by split and by role: {'train': {'image': 'x_train', ...}}."""
  splits: dict[str, dict[str, str]] = {}
  affixes = {}
  for name in names:
    match = _IMAGE_KEY.fullmatch(name)
    if not match or (match[1] and match[3]):
      continue
    split = (match[1] or match[3] or 'train').strip('/_')
    if split in splits:
      raise ConfigError(f'{file}: {splits[split]["image"]} and {name} are both the images of '
                        f'split "{split}"')
    splits[split], affixes[split] = {'image': name}, (match[1] or '', match[3] or '')
  if not splits:
    raise ConfigError(f'{file} holds {", ".join(sorted(names)) or "nothing"}; expected {EXPECTED}')
  for split, (before, after) in affixes.items():
    others = [name for name in names if name.startswith(before) and name.endswith(after)]
    for name in others if before or after or len(splits) == 1 else []:
      key = name[len(before):len(name) - len(after)]
      role = 'label' if key in LABEL else key
      if name != splits[split]['image'] and splits[split].setdefault(role, name) != name:
        raise ConfigError(f'{file}: {splits[split][role]} and {name} are both the {role} of '
                          f'split "{split}"')
  return splits


def _image(value: np.ndarray, where: str) -> np.ndarray:
  if value.ndim == 3:
    value = value[..., None]
  if value.ndim != 4 or not np.issubdtype(value.dtype, np.number):
    raise ConfigError(f'{where}: images are (n h w) or (n h w c), not {value.dtype}{value.shape}')
  if value.dtype == np.uint8 or not value.size:
    return value
  floating = np.issubdtype(value.dtype, np.floating)
  low, high = value.min(), value.max()
  if not (low >= 0 and high <= (1 if floating else 255)):
    raise ConfigError(f'{where}: images are integers in 0..255 or floats in [0, 1], '
                      f'but these are {value.dtype} from {low} to {high}')
  return value.astype(np.float32 if floating else np.uint8)


def _numbered(labels: Mapping[str, np.ndarray], classes: tuple[str, ...], file: str):
  """Labels by split, those that are names as numbers, and the classes."""
  named = {split: _names(value) for split, value in labels.items() if value.dtype.kind in 'US'}
  if not named:
    return labels, classes
  if len(named) < len(labels):
    raise ConfigError(f'{file}: the labels of {", ".join(sorted(named))} are names, of '
                      f'{", ".join(sorted(set(labels) - set(named)))} numbers; expected one kind')
  numbers, classes = number_labels([name for own in named.values() for name in own], classes, file)
  ends = np.cumsum([len(own) for own in named.values()])
  return dict(zip(named, np.split(numbers, ends[:-1]), strict=True)), classes


def _names(value: np.ndarray) -> list[str]:
  """Names (n,) or (n 1), of text or of bytes in UTF-8."""
  value = value[:, 0] if value.ndim == 2 and value.shape[1] == 1 else value
  if value.ndim != 1:
    raise ValueError(f'labels that are names are (n,), not {value.shape}')
  return [name.decode() if isinstance(name, bytes) else name for name in value.tolist()]


def _target(value: np.ndarray, ignore: int | None, where: str) -> tuple[str, np.ndarray]:
  if value.ndim == 2 and value.shape[1] == 1 and np.issubdtype(value.dtype, np.integer):
    value = value[:, 0]  # Keras' CIFAR
  if value.ndim not in (1, 3) or not np.issubdtype(value.dtype, np.integer):
    return 'target', value.astype(np.float32)
  if value.size and value.max() > np.iinfo(np.int32).max:
    raise ConfigError(f'{where}: labels are numbers of classes, but the largest is {value.max()}')
  label = value.astype(np.int32)
  if value.ndim == 3 and ignore is not None:
    label[label == ignore] = IGNORE
  if label.size and label.min() < 0:
    raise ConfigError(f'{where}: labels start at 0, but the smallest is {label.min()}')
  return ('label' if value.ndim == 1 else 'label_map'), label


def _largest(label: np.ndarray) -> int:
  counted = label if label.ndim == 1 else label[label != IGNORE]
  return int(counted.max(initial=-1))
