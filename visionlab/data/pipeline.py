"""From sources to batches on the devices: resident, or streamed by Grain.

Both ways give the same batches: batch i holds the examples that `order` names for (data_seed, i).
A resident set is put on the device once and gathered from by index inside the compiled loop; a
streamed one is loaded by threads or worker processes, which need no more than the step number.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from visionlab.config import ConfigError, bind, check_choice, check_mapping, resolve
from visionlab.data import SOURCES, open_split
from visionlab.data.balance import balanced
from visionlab.data.images.crop import RandomCrop
from visionlab.data.order import batch_indices, traced_indices
from visionlab.data.own import adapted, check_split_taken
from visionlab.data.proposals import with_proposals
from visionlab.data.source import Source
from visionlab.parallel.sharding import DATA, local_rows
from visionlab.paths import local

RESIDENT_BYTES = 2**30         # 'auto' keeps a set on the device up to this size
Sources = Source | Mapping[str, Source]


def open_sources(options: Mapping, split: str, where: str = 'config.data') -> Sources:
  """The source that config.data names; or, where it has no `name`, a dict of sources, one for each
  of its entries (two-domain tasks), which share each batch equally. `proposals` among the options
  are those of `visionlab.data.proposals.with_proposals`."""
  check_mapping(options, where)
  if 'name' in options:
    named = resolve(options['name'], SOURCES, f'{where}.name')
    own = {k: _path(v, f'{where}.{k}') for k, v in options.items() if k != 'proposals'}

    def open_plain(plain):
      if options['name'] in SOURCES:
        return bind(named, own, where, split=plain)
      check_split_taken(named, plain, f'{where}.name')
      return adapted(bind(named, own, where, split=plain), where)
    source = open_split(open_plain, split)
    if options.get('proposals') is None:
      return source
    check_mapping(options['proposals'], f'{where}.proposals')
    return with_proposals(source, dict(options['proposals']), f'{where}.proposals')
  if not options or not all(isinstance(v, Mapping) or hasattr(v, 'keys')
                            for v in options.values()):
    raise ConfigError(f'{where}.name: missing; there are: {", ".join(SOURCES)}')
  return {k: open_sources(options[k], split, f'{where}.{k}') for k in options}


def _path(option, where: str):
  """An option which, if it is text, may be a path: with the user's home in it, and no bucket."""
  if isinstance(option, str) and option.startswith('~/'):
    return str(local(option, where))
  if isinstance(option, str) and option and option[0] != '~':
    local(option, where)
  return option


def parts(sources: Sources, seed: int = 0) -> dict[str, tuple[Source, int]]:
  """Each source by name ('' when there is one) with the seed of its own order."""
  if not isinstance(sources, Mapping):
    return {'': (sources, seed)}
  return {k: (s, seed + 1000003 * i) for i, (k, s) in enumerate(sources.items())}


def examples(sources: Sources) -> int:
  """Examples in an epoch: those of the largest source."""
  return max(len(source) for source, _ in parts(sources).values())


def load(source: Source, indices: np.ndarray, *cut) -> dict[str, np.ndarray]:
  """The examples, with `valid` (n,) added where the source has nothing to say of it; with `cut`,
  which are a `RandomCrop` and its draws, random parts of them."""
  loaded = source.crops(indices, *cut) if cut else source[indices]
  return {'valid': np.ones(len(indices), bool), **loaded}


def _join(named: Mapping[str, Any]):
  return named[''] if '' in named else dict(named)


@dataclass(frozen=True)
class Loader:
  """step -> this process's rows of the batch. Picklable: worker processes call it."""
  sources: Sources
  batch: int
  seed: int
  rows: np.ndarray
  crop: RandomCrop | None = None

  def __call__(self, step: int):
    named = parts(self.sources, self.seed)
    size = self.batch // len(named)

    def rows_of(source, seed):
      cut = (self.crop, self.crop.draws(seed, int(step), size)[self.rows]) if self.crop else ()
      return load(source, batch_indices(int(step), size, len(source), seed)[self.rows], *cut)
    return _join({name: rows_of(source, seed) for name, (source, seed) in named.items()})


class Batches:
  """The training batches, ready for `run(state, tally, data, n)` of `step.make_run`.

  Args:
    batch: examples over all processes.
    mode: 'jit', 'pmap', or 'swept': every device is given the whole batch.
    total: steps of the whole training.
    resident: 'always', 'never', or 'auto': if it is in memory and below `RESIDENT_BYTES`.
    workers: processes that load batches; 0: threads of this one.
    prefetch: batches loaded, and moved to the devices, ahead of their use.
    crop: options of `visionlab.data.images.crop.RandomCrop`: of each image a random part is loaded.
    balance: repeats the examples of rare classes until all are as frequent, see
      `visionlab.data.balance.balanced`.

  Raises:
    ConfigError: a batch that does not divide over devices, processes, sources and microbatches;
      a crop of a source that has no image files.
  """

  def __init__(self, sources: Sources, *, batch: int, seed: int, mesh: Mesh, mode: str, total: int,
               accumulate: int = 1, resident: str = 'auto', workers: int = 0,
               prefetch: int = 2, crop: Mapping | None = None, balance: bool = False):
    if balance:
      sources = _balanced(sources)
    self.sources, self.mesh, self.mode = sources, mesh, mode
    self.workers, self.prefetch = workers, prefetch
    named = parts(sources, seed)
    cut = 1 if mode == 'swept' else mesh.shape[DATA]
    divisor = cut * len(named) * accumulate
    if batch <= 0 or batch % divisor:
      many = f' in {jax.process_count()} processes' if jax.process_count() > 1 else ''
      raise ConfigError(f'config.batch: {batch} must be a multiple of {divisor} ({cut} '
                        f'devices{many} x {accumulate} microbatches x {len(named)} sources)')
    size = batch // len(named)
    rows = np.arange(size) if mode == 'swept' else local_rows(mesh, size)
    self.loader = Loader(sources, batch, seed, rows, _make_crop(named, crop))
    self.resident = _is_resident(named, resident, batch * total)

  @property
  def feed(self):
    """(arrays, step[, seed]) -> batch, traced; None when batches are streamed. `seed` takes the
    place of data_seed, and may be traced (uint32)."""
    if not self.resident:
      return None
    size = self.loader.batch // len(parts(self.sources))

    def feed(arrays, step, seed=None):
      named = parts(self.sources, self.loader.seed if seed is None else seed)

      def gather(name):
        source, seed = named[name]
        indices = traced_indices(step, size, len(source), seed)
        if self.mode == 'pmap':
          local = size // self.mesh.size
          indices = lax.dynamic_slice_in_dim(indices, lax.axis_index(DATA) * local, local)
        batch = source.gather(arrays[name], indices)
        # All of them; made of the indices to be where they are, which a constant is not.
        return {'valid': indices >= 0, **batch}
      batch = _join({name: gather(name) for name in named})
      if self.mode != 'jit' or self.mesh.size == 1:
        return batch
      return lax.with_sharding_constraint(batch, NamedSharding(self.mesh, P(DATA)))
    return feed

  def arrays(self):
    """The resident set on every device."""
    named = {name: source.arrays for name, (source, _) in parts(self.sources).items()}
    return jax.device_put(named, NamedSharding(self.mesh, P()))

  def start(self, step: int, total: int) -> 'Stream':
    """From batch `step` on, in O(1)."""
    return Stream(self, step, total)

  def put(self, local):
    """A process's rows -> the global batch on its devices."""
    if self.mode == 'pmap':
      devices = self.mesh.size // jax.process_count()
      return jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), local)
    if self.mode == 'swept':
      return jax.device_put(local, NamedSharding(self.mesh, P()))
    return put(local, self.mesh)


class Stream:
  """Batches from a step on. `take(n)` yields (data, k) pairs whose k add up to n: the whole set
  once and k = n when resident, each batch and k = 1 when streamed."""

  def __init__(self, batches: Batches, step: int, total: int):
    self.resident = batches.arrays() if batches.resident else None
    if not batches.resident:
      ahead = prefetched(batches.loader, step, total, batches.workers, batches.prefetch)
      self.queue = _on_device(ahead, batches.put, batches.prefetch)

  def take(self, n: int) -> Iterator[tuple[Any, int]]:
    if self.resident is not None:
      yield self.resident, n
    else:
      for _ in range(n):
        yield next(self.queue), 1


def put(local, mesh: Mesh):
  """Host rows of this process -> global arrays with axis 0 cut over the mesh."""
  sharding = NamedSharding(mesh, P(DATA))
  return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), local)


def prefetched(load_one, start: int, stop: int, workers: int, ahead: int) -> Iterator:
  """load_one(i) for i in start..stop-1, in order, loaded ahead by threads or processes."""
  import grain  # noqa: PLC0415 - half a second that resident runs save
  from absl import flags  # noqa: PLC0415
  if workers and not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()        # Grain reads absl flags, which notebooks never parse
  read = grain.ReadOptions(num_threads=0 if workers else 4, prefetch_buffer_size=max(ahead, 1) * 2)
  dataset = grain.MapDataset.range(start, stop).map(load_one).to_iter_dataset(read)
  if workers:
    dataset = dataset.mp_prefetch(grain.multiprocessing.MultiprocessingOptions(
        num_workers=workers, per_worker_buffer_size=max(ahead, 1)))
  iterator = iter(dataset)
  try:
    yield from iterator
  finally:
    iterator.close()                    # ends the workers and frees what they had in store


def _on_device(iterator: Iterator, to_device, ahead: int) -> Iterator:
  """Keeps `ahead` transfers in flight: a put returns before its copy is done."""
  queue = deque()
  for item in iterator:
    queue.append(to_device(item))
    if len(queue) > ahead:
      yield queue.popleft()
  yield from queue


def _balanced(sources: Sources) -> Sources:
  where = 'config.pipeline.balance'
  if isinstance(sources, Mapping):
    return {name: balanced(source, where) for name, source in sources.items()}
  return balanced(sources, where)


def _make_crop(named, options: Mapping | None) -> RandomCrop | None:
  if not options:
    return None
  for name, (source, _) in named.items():
    if not hasattr(source, 'crops'):
      raise ConfigError(f'config.pipeline.crop: config.data{"." + name if name else ""} has no '
                        'image files to cut from; use config.augment.resized_crop')
  return bind(RandomCrop, options, 'config.pipeline.crop')


def _is_resident(named, wanted, places: int) -> bool:
  check_choice(wanted, ('auto', 'always', 'never'), 'config.pipeline.resident')
  whole = all(hasattr(source, 'gather') for source, _ in named.values())
  if wanted == 'always' and not whole:
    raise ConfigError('config.pipeline.resident: this source is not held in memory; use "auto"')
  if wanted == 'always' and places >= 2**32:
    raise ConfigError('config.pipeline.resident: steps x batch must be below 2^32; use "never"')
  size = sum(a.nbytes for source, _ in named.values() if whole
             for a in jax.tree.leaves(source.arrays))
  fits = whole and size <= RESIDENT_BYTES and places < 2**32
  return wanted == 'always' or wanted == 'auto' and fits


def eval_batches(source: Source, batch: int, workers: int,
                 rows: np.ndarray | None = None) -> Iterator[dict]:
  """The examples in order, in batches whose last is filled up with copies of example 0 that are not
  `valid`. rows: those of each batch that are wanted, by default all."""
  n, rows = len(source), np.arange(batch) if rows is None else rows

  def load_one(i):
    indices = i * batch + rows
    loaded = load(source, np.where(indices < n, indices, 0))
    return {**loaded, 'valid': loaded['valid'] & (indices < n)}
  count = -(-n // batch)
  if hasattr(source, 'gather'):
    return map(load_one, range(count))
  return prefetched(load_one, 0, count, workers, ahead=2)
