"""Data sources by name, and splits by tfds' slicing syntax."""

import re
from collections.abc import Callable

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Source, concat, subset

SOURCES = {
    'digits': 'visionlab.data.sources.digits:digits',
    'digits_m': 'visionlab.data.sources.digits_m:digits_m',
    'digit_attributes': 'visionlab.data.sources.digit_attributes:digit_attributes',
    'digit_measures': 'visionlab.data.sources.digit_measures:digit_measures',
    'partly_labelled': 'visionlab.data.sources.partly_labelled:partly_labelled',
    'partners': 'visionlab.data.sources.partners:partners',
    'open_set': 'visionlab.data.sources.open_set:open_set',
    'landmark_files': 'visionlab.data.sources.landmark_files:landmark_files',
    'landmark_list': 'visionlab.data.sources.landmark_lists:landmark_list',
    'landmark_json': 'visionlab.data.sources.landmark_lists:landmark_json',
    'lsp': 'visionlab.data.sources.lsp:lsp',
    'face_pairs': 'visionlab.data.sources.face_pairs:face_pairs',
    'strips': 'visionlab.data.sources.strips:strips',
    'scenes': 'visionlab.data.scenes.scenes:scenes',
    'faces': 'visionlab.data.faces.faces:faces',
    'crowds': 'visionlab.data.faces.crowds:crowds',
    'roads': 'visionlab.data.roads.roads:roads',
    'driving_log': 'visionlab.data.sources.driving_log:driving_log',
    'behaviour': 'visionlab.data.behaviour.behaviour:behaviour',
    'event_logs': 'visionlab.data.behaviour.event_logs:event_logs',
    'actions': 'visionlab.data.actions.actions:actions',
    'aligned': 'visionlab.runs.aligned:aligned',
    'stories': 'visionlab.runs.similarities:stories',
    'arrays': 'visionlab.data.sources.arrays:arrays',
    'mnist': 'visionlab.data.sources.mnist:mnist',
    'mnist_m': 'visionlab.data.sources.mnist_m:mnist_m',
    'usps': 'visionlab.data.sources.usps:usps',
    'svhn': 'visionlab.data.sources.svhn:svhn',
    'synnumbers': 'visionlab.data.sources.synnumbers:synnumbers',
    'fashion_mnist': 'visionlab.data.sources.mnist:fashion_mnist',
    'cifar10': 'visionlab.data.sources.cifar:cifar10',
    'cifar100': 'visionlab.data.sources.cifar:cifar100',
    'folder': 'visionlab.data.sources.folder:folder',
    'videos': 'visionlab.data.sources.videos:videos',
    'table': 'visionlab.data.sources.table:table',
    'hf': 'visionlab.data.sources.hf:hf',
    'webdataset': 'visionlab.data.sources.webdataset:webdataset',
    'pairs': 'visionlab.data.sources.pairs:pairs',
    'captions': 'visionlab.data.sources.captions:captions',
    'text': 'visionlab.data.sources.text:text',
    'docstrings': 'visionlab.data.sources.docstrings:docstrings',
    'voc': 'visionlab.data.sources.voc:voc',
    'voc_objects': 'visionlab.data.sources.voc:voc_objects',
    'coco': 'visionlab.data.sources.coco:coco',
    'yolo': 'visionlab.data.sources.yolo:yolo',
    'pennfudan': 'visionlab.data.sources.pennfudan:pennfudan',
    'tfds': 'visionlab.data.sources.tfds:tfds',
}

_PART = re.compile(r'([\w.-]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?')


def open_split(open_named: Callable[[str], Source], split: str) -> Source:
  """Opens a split, a slice of one, or a sum of those.

  Slices are taken of a fixed pseudo-random order of the split, the same on every machine, because
  files and folders are often sorted by class: `[:90%]` of the sorted order would lack whole
  classes. So `train[:90%]` and `train[90%:]` are disjoint, cover `train`, and are representative.

  Args:
    open_named: opens a plain split by its name.
    split: e.g. 'train', 'train[:90%]', 'train[-1000:]', 'train[10%:20%]', 'train+test'. Bounds
      are counts or whole per cents; negative ones count from the end.

  Raises:
    ConfigError: the syntax is wrong, or the slice holds no example.

  >>> from visionlab.data.source import Arrays
  >>> count = lambda name: Arrays({'label': np.arange(100)})
  >>> len(open_split(count, 'train[:90%]')), len(open_split(count, 'train[-7:]+test'))
  (90, 107)
  """
  parts = [_PART.fullmatch(part.strip()) for part in str(split).split('+')]
  if not all(parts):
    raise ConfigError(f'split "{split}" is not understood; expected e.g. "train", "train[:90%]", '
                      '"train[1000:2000]" or "train+test"')
  # Sources are opened once each: 'train[:10%]+train[20%:]' reads one set of files.
  named = {part[1]: None for part in parts}
  named = {name: open_named(name) for name in named}
  opened = [_slice(named[part[1]], part) for part in parts]
  return opened[0] if len(opened) == 1 else concat(opened)


def _slice(source: Source, part: re.Match) -> Source:
  if '[' not in part[0]:
    return source
  size = len(source)
  start, stop = _bound(part[2], size, 0), _bound(part[3], size, size)
  if start >= stop:
    raise ConfigError(f'split "{part[0]}" holds none of the {size} examples of "{part[1]}"')
  order = np.random.Generator(np.random.PCG64(0)).permutation(size)
  return subset(source, order[start:stop])


def _bound(text: str | None, size: int, default: int) -> int:
  if text is None:
    return default
  if text.endswith('%'):
    percent = int(text[:-1])
    if abs(percent) > 100:
      raise ConfigError(f'{text} of a split: per cents go from -100% to 100%')
    # Half up, in integers: the two sides of one bound meet exactly.
    bound = (size * percent + 50) // 100
  else:
    bound = int(text)
  return min(max(bound + size if text.startswith('-') else bound, 0), size)
