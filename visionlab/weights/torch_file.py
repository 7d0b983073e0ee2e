"""Files of torch.save, read without torch and without running any code that they carry.

A state dict is a pickle in which each tensor is a call that rebuilds it from a storage. Only the
calls that make tensors, ordered dicts and plain values are followed. Whatever else a pickle asks
for, such as the argparse.Namespace of a training script or a whole module, becomes an `Opaque`: it
keeps what it was given, and nothing is imported or called. Both formats are read, the zip archive
of torch 1.6 and later, and the stream before it; a tensor's numbers only once they are asked for.
"""

import collections
import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from visionlab.config import ConfigError

DTYPES = {'Float': np.float32, 'Double': np.float64, 'Half': np.float16, 'Long': np.int64,
          'Int': np.int32, 'Short': np.int16, 'Char': np.int8, 'Byte': np.uint8, 'Bool': np.bool_,
          'BFloat16': jnp.bfloat16}
# Bytes of numbers of other kinds, which are passed over.
OTHERS = {'QInt8': 1, 'QUInt8': 1, 'QInt32': 4, 'ComplexFloat': 8, 'ComplexDouble': 16,
          'Untyped': 1}
MAGIC = 0x1950a86a20f9469cfc6c
EXPANDED = 2 ** 28          # the most elements of a tensor that has more than its storage


class Storage:
  """A run of numbers that tensors are views of. dtype: of the numbers, or how many bytes each of
  them has, where they are of no kind known here."""

  def __init__(self, dtype: Any, read: Callable[[], bytes]):
    self.dtype, self.read = dtype, read

  @cached_property
  def numbers(self) -> np.ndarray:
    """(n,), read when it is first asked for."""
    return np.frombuffer(self.read(), self.dtype)


@dataclass(eq=False)
class Tensor:
  """A view of a storage; `array` gives its numbers."""
  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  def array(self) -> np.ndarray:
    """Raises ValueError for a view that reaches beyond its storage."""
    flat, size = self.storage.numbers, math.prod(self.shape)
    reach = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
    whole = 0 in self.shape or self.offset + reach < len(flat)
    if min(self.offset, *self.shape, *self.strides, 0) < 0 or not whole:
      raise ValueError('a tensor reaches beyond its storage')
    if size > max(len(flat), EXPANDED):
      raise ValueError(f'a tensor of {size:,} numbers has a storage of {len(flat):,}')
    steps = [s * flat.itemsize for s in self.strides]
    return np.lib.stride_tricks.as_strided(flat[self.offset:], self.shape, steps).copy()


class Opaque:
  """What an object of a file was made from, in place of the object.

  Attributes:
    name: 'argparse.Namespace', of a subclass that stands for one foreign class or function.
    args: what it was called with.
    state: what its attributes were to be.
    entries, members: what was put into it as into a dict, or as into a list or set.
  """
  name = ''

  def __new__(cls, *args, **_):
    self = super().__new__(cls)
    self.args, self.state, self.entries, self.members = args, None, {}, []
    return self

  def __init__(self, *_, **__):
    pass                                            # a pickle may give arguments of any kind

  def __call__(self, *args, **_):
    return Opaque(self, *args)

  def __setitem__(self, key, value):
    self.entries[key] = value

  def append(self, value):
    self.members.append(value)

  def extend(self, values):
    self.members.extend(values)

  add = append


def read_torch(path: Path) -> Any:
  """What torch.save wrote: tensors as `Tensor`, and objects that are not plain data as `Opaque`.

  Raises:
    ConfigError: it is no such file, or is damaged.
  """
  try:
    with open(path, 'rb') as stream:
      return _read_zip(path) if stream.read(2) == b'PK' else _read_stream(path)
  except Exception as e:      # noqa: BLE001 - a damaged pickle or archive may fail in any way
    raise ConfigError(f'{path}: cannot be read as a file of torch.save: '
                      f'{str(e) or "it is cut off"}') from e


def _read_zip(path: Path):
  archive = zipfile.ZipFile(path)                   # tensors keep it open
  record = next((n for n in archive.namelist() if n.endswith('data.pkl')), None)
  if record is None:
    raise ValueError('the archive has no data.pkl')
  folder, storages = record.removesuffix('data.pkl'), {}
  if f'{folder}byteorder' in archive.namelist() and archive.read(f'{folder}byteorder') == b'big':
    raise ValueError('its numbers are big-endian')

  def storage(dtype, key):
    read = lambda: archive.read(f'{folder}data/{key}')
    return storages.setdefault((key, dtype), Storage(dtype, read))
  return _Unpickler(io.BytesIO(archive.read(record)), storage).load()


def _read_stream(path: Path):
  stream, storages = io.BytesIO(path.read_bytes()), {}
  if pickle_of(stream) != MAGIC:
    raise ValueError('it does not begin as one')
  pickle_of(stream), pickle_of(stream)              # protocol version, endianness and such
  storage = lambda dtype, key: storages.setdefault(key, Storage(dtype, bytes))
  tree = _Unpickler(stream, storage).load()
  for key in pickle_of(stream):
    count, = struct.unpack('<q', stream.read(8))
    dtype = storages[key].dtype
    size = count * (dtype if isinstance(dtype, int) else np.dtype(dtype).itemsize)
    content = stream.read(size)
    if len(content) != size:
      raise EOFError('it is truncated')
    storages[key].read = lambda content=content: content
  return tree


def pickle_of(stream):
  """The next pickle of a stream, of plain values."""
  return _Unpickler(stream, None).load()


def _tensor(storage, offset, shape, strides, *_):
  if isinstance(storage, Storage) and not isinstance(storage.dtype, int):
    return Tensor(storage, offset, tuple(shape), tuple(strides))
  return Opaque(storage)


def _same(tensor, *_):
  return tensor


def _subclassed(make, _, args, *__):
  return make(*args) if make in (_tensor, _same) else Opaque(make)


def _latin1(text, *_):
  """How pickles of protocol 2 spell bytes."""
  return text.encode('latin1')


FOLLOWED = {
  ('torch._utils', '_rebuild_tensor'): _tensor, ('torch._utils', '_rebuild_tensor_v2'): _tensor,
  ('torch._utils', '_rebuild_parameter'): _same,
  ('torch._utils', '_rebuild_parameter_with_state'): _same,
  ('torch._tensor', '_rebuild_from_type_v2'): _subclassed,
  ('torch', 'Size'): tuple, ('_codecs', 'encode'): _latin1,
  ('collections', 'OrderedDict'): collections.OrderedDict,
}


class _Unpickler(pickle._Unpickler):                # noqa: SLF001
  """Follows `FOLLOWED` alone.

  In Python, because that in C lets a few damaged bytes fill the memory, and sets attributes on
  whatever a pickle names.
  """

  dispatch = dict(pickle._Unpickler.dispatch)       # noqa: SLF001

  def __init__(self, stream, storage: Callable | None):
    super().__init__(stream)
    self.storage, self.unknown = storage, {}

  def persistent_load(self, saved):
    what, kind, *rest = saved
    if what == 'module':                            # a class, with its source
      return kind
    if what != 'storage' or self.storage is None or (rest[3:] and rest[3] is not None):
      raise pickle.UnpicklingError(f'unknown record {what!r}')
    if not any(kind is dtype for dtype in DTYPES.values()):
      name = getattr(kind, 'name', '').rpartition('.')[2].removesuffix('Storage')
      if name not in OTHERS:
        raise pickle.UnpicklingError(f'a storage of unknown kind: {name or kind!r}')
      kind = OTHERS[name]
    return self.storage(kind, rest[0])

  def find_class(self, module, name):
    if (module, name) in FOLLOWED:
      return FOLLOWED[module, name]
    if module in ('torch', 'torch.storage') and name.removesuffix('Storage') in DTYPES:
      return DTYPES[name.removesuffix('Storage')]
    full = f'{module}.{name}'
    if full not in self.unknown:
      self.unknown[full] = type('Opaque', (Opaque,), dict(name=full))
    return self.unknown[full]

  def load_build(self):
    """Attributes: kept for an Opaque, of no use to anything else."""
    state = self.stack.pop()
    if isinstance(self.stack[-1], Opaque):
      self.stack[-1].state = state

  dispatch[pickle.BUILD[0]] = load_build


def numpy_array(thing: Opaque) -> Tensor | None:
  """The NumPy array that an `Opaque` stands for, if it is one of numbers."""
  state = thing.state
  if not thing.name.endswith('multiarray._reconstruct') or not isinstance(state, tuple):
    return None
  _, shape, dtype, columns_first, content = state
  code = next(iter(dtype.args), '') if isinstance(dtype, Opaque) else ''
  if not isinstance(code, str) or code[:1] not in 'fiub' or not isinstance(content, bytes):
    return None
  kind = np.dtype(code).newbyteorder(dtype.state[1] if dtype.state else '<')
  strides = [math.prod(shape[:i] if columns_first else shape[i + 1:]) for i in range(len(shape))]
  return Tensor(Storage(kind, lambda: content), 0, shape, tuple(strides))
