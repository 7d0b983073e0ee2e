"""CIFAR-10 and CIFAR-100 from their original files, as downloaded."""

import codecs
import io
import pickle
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Info, check_root, check_split
from visionlab.data.text.text_files import decode

CIFAR10 = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship',
           'truck')
PIXELS, FINE, COARSE = 3 * 32 * 32, 100, 20
FOLDERS = {'cifar-10': ('cifar-10-batches-bin', 'cifar-10-batches-py'),
           'cifar-100': ('cifar-100-binary', 'cifar-100-python')}


def cifar10(split: str, *, root: str = '') -> Arrays:
  """CIFAR-10 (Krizhevsky 2009), 32x32x3: 50,000 for 'train', 10,000 for 'test'.

  Reads the binary version or the Python version, as `cifar-10-binary.tar.gz` or
  `cifar-10-python.tar.gz` (which is not unpacked) or as the files it holds.

  Args:
    split: 'train' or 'test'.
    root: the folder with the archive, with its unpacked folder, or with the files themselves.

  Returns:
    `image` (n 32 32 3) uint8 and `label` (n,) int32.

  Raises:
    ConfigError: an unknown split, or files that are missing or damaged.
  """
  check_split(split, ('train', 'test'), 'cifar10')
  stems = [f'data_batch_{i}' for i in range(1, 6)] if split == 'train' else ['test_batch']
  files = _read(root, 'cifar-10', [f'{stem}.bin' for stem in stems], stems)
  parts = [_parse(name, files[name], dict(label=len(CIFAR10))) for name in files]
  return Arrays(_join(parts), Info(CIFAR10))


def cifar100(split: str, *, root: str = '') -> Arrays:
  """CIFAR-100 (Krizhevsky 2009): as `cifar10`, with 100 classes in 20 groups.

  Returns:
    `image` (n 32 32 3) uint8, `label` (n,) int32 of 100 and `coarse_label` (n,) int32 of 20.
  """
  check_split(split, ('train', 'test'), 'cifar100')
  files = _read(root, 'cifar-100', [f'{split}.bin', 'fine_label_names.txt'], [split, 'meta'])
  if 'meta' in files:
    classes = _unpickle('meta', files['meta'], lambda meta: tuple(map(
        _text, meta['fine_label_names'])))
  else:
    classes = tuple(decode(files['fine_label_names.txt'], 'fine_label_names.txt').split())
  if len(set(classes)) != FINE:
    raise ConfigError(f'cifar100: {len(set(classes))} names of classes; expected {FINE}')
  name = next(iter(files))
  return Arrays(_parse(name, files[name], dict(coarse_label=COARSE, label=FINE)), Info(classes))


def _join(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
  return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _read(root: str, base: str, *versions: list[str]) -> dict[str, bytes]:
  """The contents of the first version (binary, Python) whose files are all there."""
  archives = [f'{base}-{kind}.tar.gz' for kind in ('binary', 'python')]
  folder = check_root(root, base, f'{" or ".join(archives)}, or with their files')
  for archive, unpacked, names in zip(archives, FOLDERS[base], versions, strict=True):
    for place in (folder, folder / unpacked):
      if all((place / name).is_file() for name in names):
        return {name: (place / name).read_bytes() for name in names}
    if (folder / archive).is_file():
      return _read_tar(folder / archive, names)
  there = ', '.join(sorted(path.name for path in folder.iterdir())[:8]) or 'nothing'
  wanted = ' or '.join(', '.join(names) for names in versions)
  raise ConfigError(f'{folder} holds {there}; expected {" or ".join(archives)}, or {wanted}')


def _read_tar(archive: Path, names: list[str]) -> dict[str, bytes]:
  found = {}
  try:
    with tarfile.open(archive) as tar:
      for member in tar:
        name = Path(member.name).name
        if name in names and member.isfile():
          found[name] = tar.extractfile(member).read()
  except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
    raise ConfigError(f'{archive} cannot be read (is it truncated?): {error}') from error
  missing = [name for name in names if name not in found]
  if missing:
    raise ConfigError(f'{archive} lacks {", ".join(missing)}')
  return {name: found[name] for name in names}


def _parse(name: str, content: bytes, labels: Mapping[str, int]) -> dict[str, np.ndarray]:
  """One batch; `labels` are the label bytes that precede each image of the binary version, each
  with the number of its classes."""
  if name.endswith('.bin'):
    if not content or len(content) % (len(labels) + PIXELS):
      raise ConfigError(f'{name} is damaged: {len(content)} bytes are not a multiple of '
                        f'{len(labels) + PIXELS}')
    rows = np.frombuffer(content, np.uint8).reshape(-1, len(labels) + PIXELS)
    columns = {key: rows[:, i] for i, key in enumerate(labels)}
    pixels = rows[:, len(labels):]
  else:
    spelt = {'label': 'fine_labels' if len(labels) == 2 else 'labels',
             'coarse_label': 'coarse_labels'}
    columns, pixels = _unpickle(name, content, lambda batch: (
        {key: np.asarray(batch[spelt[key]]) for key in labels},
        np.asarray(batch['data'], np.uint8).reshape(-1, PIXELS)))
  for key, column in columns.items():
    if not len(pixels) or column.shape != (len(pixels),) or column.dtype.kind not in 'iu':
      raise ConfigError(f'{name} is damaged: its labels and images differ in number')
    if column.min() < 0 or column.max() >= labels[key]:
      raise ConfigError(f'{name} is damaged: {key} goes from {column.min()} to {column.max()}; '
                        f'expected 0 to {labels[key] - 1}')
  image = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
  return {'image': image, **{key: column.astype(np.int32) for key, column in columns.items()}}


class _ArrayUnpickler(pickle.Unpickler):
  """Admits NumPy arrays and plain values, so that a file cannot run code of its own."""

  def find_class(self, module: str, name: str) -> Any:
    admitted = {'dtype': np.dtype, 'ndarray': np.ndarray,
                '_reconstruct': np.empty(0).__reduce__()[0],
                'encode': codecs.encode}
    known = module.split('.')[0] == 'numpy' or (module, name) == ('_codecs', 'encode')
    if not known or name not in admitted:
      raise pickle.UnpicklingError(f'it asks for {module}.{name}')
    return admitted[name]


def _unpickle(name: str, content: bytes, read: Callable[[dict[str, Any]], Any]) -> Any:
  """What `read` makes of a pickled dict with names for keys."""
  try:
    loaded = _ArrayUnpickler(io.BytesIO(content), encoding='bytes').load()
    return read({_text(key): value for key, value in loaded.items()})
  except Exception as error:  # a damaged pickle raises almost anything
    raise ConfigError(f'{name} is not a pickled batch of CIFAR, or damaged: {error!r}') from error


def _text(value: bytes | str) -> str:
  return value.decode() if isinstance(value, bytes) else str(value)
