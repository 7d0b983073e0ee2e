"""How the state is cut over the devices: FSDP, and tables of regexes over a 2-D mesh.

The mesh has an axis `data`, over which each batch is cut, and, where config.parallel.model is more
than 1, a second one, `model`. A parameter that is cut over `data` (fully sharded data parallelism:
Rajbhandari et al. 2020, ZeRO stage 3) or over `model` (tensor parallelism) takes its optimiser
state and its average with it; XLA gathers it where it is used. All else is on every device.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

from visionlab.config import ConfigError, check_names, nearest
from visionlab.optim.parameter_groups import check_matches, paths

DATA, MODEL = 'data', 'model'


def data_mesh(devices: list, model: int = 1) -> Mesh:
  """The mesh of data parallelism, with a second axis where `model` devices share each part of the
  batch. Its axes are Auto: newer jax would make them Explicit, under which an ordinary gather is
  refused."""
  sizes = {DATA: len(devices) // model} | ({MODEL: model} if model > 1 else {})
  return jax.make_mesh(tuple(sizes.values()), tuple(sizes), devices=devices,
                       axis_types=(AxisType.Auto,) * len(sizes))


def platform(mesh: Mesh) -> str:
  return mesh.devices.flat[0].platform


@dataclasses.dataclass(frozen=True)
class Rules:
  """config.parallel's `fsdp` and `shard`.

  Attributes:
    table: rows of (regex, axes): a parameter in whose path ('stage1/conv/kernel') the regex is
      found is cut as the axes say, one name or None for each of its own axes, e.g.
      ('head/kernel', (None, 'model')). The first row that matches holds.
    fsdp: of the parameters that no row matches, those of two axes or more are cut over `data`
      along the longest axis that divides.
  """
  table: tuple = ()
  fsdp: bool = False

  def specs(self, params, mesh: Mesh) -> dict[str, P]:
    """path -> how that parameter is cut. params: arrays, or their shapes.

    Raises:
      ConfigError: a row is none, names an axis there is not, matches nothing that no
        earlier one does, or does not divide.
    """
    shapes = {path: p.shape for path, p in _named(params).items()}
    rows = [_row(row, f'config.parallel.shard[{i}]', mesh) for i, row in enumerate(self.table)]
    check_matches({f'config.parallel.shard[{i}]': regex.pattern
                   for i, (regex, _) in enumerate(rows)}, tuple(shapes))

    def spec(path, shape):
      for i, (regex, axes) in enumerate(rows):
        if regex.search(path):
          _check_fits(axes, path, shape, mesh, f'config.parallel.shard[{i}]')
          return P(*axes)
      return longest(shape, mesh.shape[DATA]) if self.fsdp else P()
    return {path: spec(path, shape) for path, shape in shapes.items()}

  def place(self, init: Callable, mesh: Mesh):
    """The NamedShardings of the `State` that init() gives, or one that holds for all of it."""
    everywhere = NamedSharding(mesh, P())
    if not self.table and not self.fsdp:
      return everywhere
    state = jax.eval_shape(init)
    specs = self.specs(state.params, mesh)
    shapes = {path: p.shape for path, p in _named(state.params).items()}

    def of_param(path, leaf):
      # The optimiser keeps its own arrays by the paths of the parameters, beside counts.
      name = getattr(path[-1], 'key', None) if path else None
      return NamedSharding(mesh, specs[name]) if shapes.get(name) == leaf.shape else everywhere

    def like_params(tree):
      named = [NamedSharding(mesh, specs[path]) for path in _named(tree)]
      return jax.tree.unflatten(jax.tree.structure(tree), named)
    placed = jax.tree.map(lambda _: everywhere, state)
    averaged = placed.ema and {**placed.ema, 'params': like_params(state.ema['params'])}
    return dataclasses.replace(
        placed, params=like_params(state.params), ema=averaged,
        opt_state=jax.tree_util.tree_map_with_path(of_param, state.opt_state))


def longest(shape: Sequence[int], parts: int) -> P:
  """Cut over `data` along the longest axis that divides; P() for vectors, which are not worth it.

  >>> tuple(longest((3, 3, 64, 128), 4))
  (None, None, None, 'data')
  """
  fit = [axis for axis, size in enumerate(shape) if size and size % parts == 0]
  if parts == 1 or len(shape) < 2 or not fit:
    return P()
  best = max(fit, key=lambda axis: (shape[axis], axis))
  return P(*[DATA if axis == best else None for axis in range(len(shape))])


def _named(tree) -> dict[str, Any]:
  return dict(zip(paths(tree), jax.tree.leaves(tree), strict=True))


def _row(row: Any, where: str, mesh: Mesh) -> tuple[re.Pattern, tuple]:
  fits = isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], str) and isinstance(
      row[1], tuple)
  if not fits:
    raise ConfigError(f'{where}: expected (regex, axes), e.g. ("head/kernel", (None, "model")), '
                      f'got {row!r}')
  try:
    regex = re.compile(row[0])
  except re.error as e:
    raise ConfigError(f'{where}: {row[0]!r} is no regular expression: {e}') from e
  for axis in _names(row[1]):
    if axis not in mesh.shape:
      hint = '; config.parallel.model is 1' if axis == MODEL else nearest(axis, mesh.shape)
      raise ConfigError(f'{where}: the mesh has no axis {axis!r}{hint}; there are: '
                        f'{", ".join(mesh.shape)}')
  return regex, row[1]


def _names(axes: Sequence) -> list[str]:
  """The mesh axes in a spec, whose entries are None, a name or a tuple of names."""
  entries = [axis if isinstance(axis, tuple) else (axis,) for axis in axes if axis is not None]
  return [name for entry in entries for name in entry]


def _check_fits(axes: tuple, path: str, shape: tuple, mesh: Mesh, where: str):
  sides = 'x'.join(map(str, shape)) or '()'
  if len(axes) > len(shape):
    raise ConfigError(f'{where}: {len(axes)} axes for {path}, which is {sides}')
  for i, axis in enumerate(axes):
    parts = int(np.prod([mesh.shape[name] for name in _names([axis])]))
    if shape[i] % parts:
      raise ConfigError(f'{where}: {path} is {sides}, and its axis {i} of {shape[i]} does not '
                        f'divide over {axis!r} of {parts} devices')


def local_rows(mesh: Mesh, batch: int) -> np.ndarray:
  """Of a batch that is cut over `data`, the rows that this process's devices hold, ascending."""
  found = NamedSharding(mesh, P(DATA)).addressable_devices_indices_map((batch,))
  spans = {rows.indices(batch)[:2] for (rows,) in found.values()}
  return np.concatenate([np.arange(*span) for span in sorted(spans)])


def is_cut(tree) -> bool:
  """Whether some of these arrays (or shapes, which are nowhere) are not whole on every device."""
  return any(x.sharding is not None and not x.sharding.is_fully_replicated
             for x in jax.tree.leaves(tree))


def devices_line(mesh: Mesh) -> str:
  """How many devices of what kind, for the log.

  >>> devices_line(jax.sharding.Mesh(jax.devices('cpu')[:1], ('data',)))
  '1 x cpu'
  """
  many = f' in {jax.process_count()} processes' if jax.process_count() > 1 else ''
  return f'{mesh.size} x {mesh.devices.flat[0].device_kind}{many}'


def share(state) -> str:
  """What a device holds of a state that is cut, for the log; '' where each holds all of it."""
  if not is_cut(state):
    return ''
  whole, part = (n / 1e6 for n in bytes_per_device(dataclasses.replace(state, key=None)))
  return f', each with {part:,.2f} of the {whole:,.2f} MB of state'


def bytes_per_device(tree) -> tuple[int, int]:
  """(were it all on every device, as it is cut): the bytes of some arrays on one device."""
  leaves = jax.tree.leaves(tree)
  return (sum(x.nbytes for x in leaves),
          sum(x.dtype.itemsize * int(np.prod(x.sharding.shard_shape(x.shape))) for x in leaves))


def rules_of(parallel: Mapping, devices: int) -> Rules:
  """The rules of config.parallel, found to make sense with that many devices.

  Raises:
    ConfigError: unknown keys; a `model` axis that does not divide; what pmap has not.
  """
  check_names(parallel, ('mode', 'devices', 'model', 'fsdp', 'shard'), 'config.parallel')
  model = parallel['model']
  if model < 1 or devices % model:
    raise ConfigError(f'config.parallel.model: {model} must divide the {devices} devices')
  if parallel['mode'] == 'pmap' and (model > 1 or parallel['fsdp'] or parallel['shard']):
    raise ConfigError('config.parallel.mode: pmap keeps everything on every device; model, fsdp '
                      'and shard need "jit"')
  return Rules(tuple(parallel['shard']), parallel['fsdp'])
