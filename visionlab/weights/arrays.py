"""Files of arrays, in whatever format: what is in them by name, read once it is asked for."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import safe_open

from visionlab.config import ConfigError, nearest
from visionlab.weights.torch_file import Opaque, Tensor, numpy_array, read_torch

TORCH = ('.pth', '.pt', '.th', '.bin', '.ckpt', '.tar', '.pkl')
FORMATS = ('.npz', '.safetensors', *TORCH)
MOST = 100_000           # dicts, lists and objects in a file
STRANGERS = (            # how files begin that are often found under a name of weights
  (b'version https://git-lfs', 'is a pointer of Git LFS and not the weights; fetch them by '
                               '`git lfs pull`'),
  (b'<', 'is a page of the web and not weights: the download went wrong'),
  (b'\x89HDF', 'is HDF5, which is not read; save the arrays by np.savez as "layer/kernel"'),
  (b'\x1f\x8b', 'is compressed by gzip; unpack it first'),
)


class Stored(NamedTuple):
  """An array of a file. Attributes: its shape, and what reads it."""
  shape: tuple[int, ...]
  read: Callable[[], np.ndarray]


def open_arrays(path: Path) -> dict[str, Stored]:
  """The arrays of numbers in a file, by name; those of nested dicts as 'model.conv1.weight'.

  Raises:
    ConfigError: there is no such file, it is damaged, or of no format known here.
  """
  form = file_format(path)
  try:
    if form == '.npz':
      return _npz(path)
    if form == '.safetensors':
      return _safetensors(path)
  except Exception as e:      # noqa: BLE001 - a damaged file may fail in any way
    raise ConfigError(f'{path}: cannot be read as {form}: {e}') from e
  tree = read_torch(path)
  try:
    return {name: Stored(tensor.shape, tensor.array) for name, tensor in _entries(tree, '', ())}
  except Exception as e:      # noqa: BLE001 - as above
    raise ConfigError(f'{path}: holds no state dict: {e}') from e


def read_arrays(path: Path) -> dict[str, np.ndarray]:
  """All that `open_arrays` finds."""
  return taken(path, open_arrays(path))


def taken(path: Path, arrays: Mapping[str, Stored]) -> dict[str, np.ndarray]:
  """The arrays, read. Raises `ConfigError`, which names the first that cannot be."""
  read = {}
  for name, stored in arrays.items():
    try:
      read[name] = stored.read()
    except Exception as e:    # noqa: BLE001 - a damaged file may fail in any way
      raise ConfigError(f'{path}: cannot be read: {name}: {e}') from e
  return read


def file_format(path: Path) -> str:
  """'.npz', '.safetensors' or '.pth', by what is in the file, else by its name."""
  if not path.is_file():
    raise ConfigError(f'{path}: no such weights (a run, a file {", ".join(FORMATS)}, or hf://...)')
  try:
    with open(path, 'rb') as file:
      begin = file.read(32)
  except OSError as e:
    raise ConfigError(f'{path}: cannot be read: {e.strerror}') from e
  for mark, what in STRANGERS:
    if begin.startswith(mark):
      raise ConfigError(f'{path} {what}')
  suffix = path.suffix.lower()
  if begin.startswith(b'PK'):
    return '.npz' if _holds_npy(path) else '.pth'
  if begin[4:9] == b'\0\0\0\0{':                    # a header in JSON, after its length
    return '.safetensors'
  if begin[:1] == b'\x80' and begin[1:2] <= b'\5':   # a pickle, and its protocol
    return '.pth'
  if suffix not in FORMATS:
    raise ConfigError(f'{path}: not a format of weights known here{nearest(suffix, FORMATS)}; '
                      f'there are: {", ".join(FORMATS)}')
  return '.pth' if suffix in TORCH else suffix


def _holds_npy(path):
  try:
    with zipfile.ZipFile(path) as archive:
      return any(name.endswith('.npy') for name in archive.namelist())
  except Exception:           # noqa: BLE001 - whoever reads it will say what is wrong
    return path.suffix.lower() == '.npz'


def _npz(path):
  arrays = {}
  with open(path, 'rb') as file, np.load(file, allow_pickle=False) as archive:
    for name in archive.files:
      try:
        array = archive[name]
      except ValueError as e:
        if 'Object arrays' not in str(e):           # those are pickles, which nobody needs
          raise
        continue
      if array.dtype.kind in 'fiub':
        arrays[name] = Stored(array.shape, lambda array=array: array)
  return arrays


def _safetensors(path):
  file = safe_open(path, framework='np')            # arrays keep it open

  def stored(name):
    part = file.get_slice(name)

    def read():
      if part.get_dtype().startswith(('F8', 'F4', 'F6')):
        raise ValueError(f'numbers of {part.get_dtype()} mean nothing without their scales; save '
                         'them as float16')
      return file.get_tensor(name)
    return Stored(tuple(part.get_shape()), read)
  return {name: stored(name) for name in file.keys()}  # noqa: SIM118 - it is no dict


def _entries(tree: Any, prefix: str, above: tuple) -> Iterator[tuple[str, Tensor]]:
  """(name, tensor) of nested dicts and lists, and of the attributes of objects."""
  holders = 0
  for name, tensor in _nested(tree, prefix, above):
    holders += tensor is None
    if holders > MOST:
      raise ValueError(f'more than {MOST:,} dicts and lists')
    if tensor is not None:
      yield name, tensor


def _nested(tree, prefix, above):
  """As `_entries`, and (name, None) for whatever holds others. above: what holds `tree`; what holds
  itself is entered once."""
  if isinstance(tree, Opaque):
    tree = numpy_array(tree) or tree
  if isinstance(tree, Tensor):
    yield prefix, tree
  if not isinstance(tree, Mapping | list | tuple | Opaque) or id(tree) in above:
    return
  yield prefix, None
  for key, child in _children(tree):
    yield from _nested(child, f'{prefix}.{key}' if prefix else str(key), (*above, id(tree)))


def _children(tree):
  if isinstance(tree, Mapping):
    return tree.items()
  if isinstance(tree, list | tuple):
    return enumerate(tree) if len(tree) <= 64 else ()       # longer ones are histories
  if not isinstance(tree, Opaque):
    return ()
  state = tree.state if isinstance(tree.state, Mapping) else {}
  parts = [state.get(part) for part in ('_parameters', '_buffers', '_modules')]
  if any(isinstance(part, Mapping) for part in parts):      # a torch.nn.Module, saved whole
    return [item for part in parts if isinstance(part, Mapping) for item in part.items()]
  return [*tree.entries.items(), *state.items(), *enumerate(tree.members[:64])]
