"""Files of torch.save, read without torch and without running any code that they carry.

A state dict is a pickle in which each tensor is a call that rebuilds it from a storage. Here only
the calls that make tensors, ordered dicts and plain values are followed; whatever else a pickle
asks for is refused. Both formats are read: the zip archive of torch 1.6 and later, and the stream
before it.
"""

import collections
import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError

DTYPES = {'Float': np.float32, 'Double': np.float64, 'Half': np.float16, 'Long': np.int64,
          'Int': np.int32, 'Short': np.int16, 'Char': np.int8, 'Byte': np.uint8, 'Bool': np.bool_,
          'BFloat16': jnp.bfloat16}
MAGIC = 0x1950a86a20f9469cfc6c


class Storage(NamedTuple):
  """A run of numbers that tensors are views of; `data` is filled in once it has been read."""
  dtype: np.dtype
  data: bytearray


def read_torch(path: Path) -> dict[str, Any]:
  """What torch.save wrote, tensors as NumPy arrays.

  Raises:
    ConfigError: it is no such file, is damaged, or holds objects that are not plain data.
  """
  try:
    with open(path, 'rb') as stream:
      return _read_zip(path) if stream.read(2) == b'PK' else _read_stream(path)
  except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, KeyError, ValueError, IndexError,
          AttributeError, TypeError, struct.error, ImportError, OSError) as e:
    raise ConfigError(f'{path}: cannot be read as a file of torch.save: {e}') from e


def _read_zip(path: Path):
  with zipfile.ZipFile(path) as archive:
    record = next((n for n in archive.namelist() if n.endswith('data.pkl')), None)
    if record is None:
      raise ValueError('the archive has no data.pkl (TorchScript files are not read)')
    folder = record.removesuffix('data.pkl')

    def load(kind, key):
      return Storage(kind, bytearray(archive.read(f'{folder}data/{key}')))
    return _Unpickler(io.BytesIO(archive.read(record)), load).load()


def _read_stream(path: Path):
  with open(path, 'rb') as stream:
    if pickle_of(stream) != MAGIC:
      raise ValueError('it does not begin as one')
    pickle_of(stream), pickle_of(stream)            # protocol version, endianness and such
    storages = {}

    def load(kind, key):
      return storages.setdefault(key, Storage(kind, bytearray()))
    lazy = _Unpickler(stream, load, deferred=True).load()
    for key in pickle_of(stream):
      count, = struct.unpack('<q', stream.read(8))
      size = count * np.dtype(storages[key].dtype).itemsize
      content = stream.read(size)
      if len(content) != size:
        raise EOFError('it is truncated')
      storages[key].data.extend(content)
    return _resolved(lazy)


def pickle_of(stream):
  """The next pickle of a stream, of plain values."""
  return _Unpickler(stream, None).load()


class _View(NamedTuple):
  """A tensor before its storage has been read."""
  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  def array(self) -> np.ndarray:
    flat = np.frombuffer(self.storage.data, self.storage.dtype)[self.offset:]
    reach = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
    if 0 not in self.shape and reach >= len(flat) or min(self.strides, default=0) < 0:
      raise ValueError('a tensor reaches beyond its storage')
    steps = [s * flat.itemsize for s in self.strides]
    return np.lib.stride_tricks.as_strided(flat, self.shape, steps).copy()


class _Unpickler(pickle.Unpickler):

  def __init__(self, stream, load, deferred: bool = False):
    super().__init__(stream)
    self.load_storage, self.deferred = load, deferred

  def persistent_load(self, saved):
    what, kind, key, *_ = saved
    if what != 'storage' or self.load_storage is None:
      raise pickle.UnpicklingError(f'unknown record {what!r}')
    return self.load_storage(kind, key)

  def find_class(self, module, name):
    def rebuild(storage, offset, shape, strides, *_):
      view = _View(storage, offset, tuple(shape), tuple(strides))
      return view if self.deferred else view.array()
    if module == 'torch._utils' and name in ('_rebuild_tensor', '_rebuild_tensor_v2'):
      return rebuild
    if (module, name) == ('torch._utils', '_rebuild_parameter'):
      return lambda tensor, *_: tensor
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    if module in ('torch', 'torch.storage') and name.removesuffix('Storage') in DTYPES:
      return DTYPES[name.removesuffix('Storage')]
    if (module, name) == ('torch', 'Size'):
      return tuple
    raise pickle.UnpicklingError(f'it holds {module}.{name}, which is not plain data')


def _resolved(tree):
  if isinstance(tree, _View):
    return tree.array()
  if isinstance(tree, dict):
    return {k: _resolved(v) for k, v in tree.items()}
  if isinstance(tree, list | tuple):
    return type(tree)(map(_resolved, tree)) if not hasattr(tree, '_fields') else tree
  return tree
