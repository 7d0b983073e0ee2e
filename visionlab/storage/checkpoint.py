"""Checkpoints: written by orbax in the background, verified when read.

<workdir>/checkpoints/<step>/ holds three items, so that the weights can be read alone: `model`
(params, other collections, averages of both, hp), `optimizer` (its state) and `loop` (step, key);
beside them `tally`, what was added up since the last line of the log. <workdir>/best/<step>/ is the
same for the best step so far, without a tally, and without an optimiser: nobody trains on from it.

Runs that were trained in one program (visionlab.sweeps.together) share one checkpoint, in which
every array has a leading member axis; `member.json` in a run's own folder says where it is, and
which row.
"""

import contextlib
import dataclasses
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from visionlab.config import ConfigError
from visionlab.data.text.text_files import read_json
from visionlab.parallel.distributed import agreed
from visionlab.state import State, Tally, averageable
from visionlab.storage.fingerprint import fingerprint

MEMBER, TALLY = 'member.json', 'tally'
ITEMS = {'model': ('params', 'collections', 'ema', 'hp'), 'optimizer': ('opt_state',),
         'loop': ('step', 'key')}
USED = ('model', 'loop')       # what is needed of a state to use it, not to train on


def manager(folder: Path, keep: int | None, best: bool = False) -> ocp.CheckpointManager:
  """Of the checkpoints in a folder, of which it keeps the last, or best, `keep`."""
  # Several processes meet at barriers known by name; two folders may be written at the same time.
  meeting = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=folder.name)
  handlers = {k: ocp.StandardCheckpointHandler(multiprocessing_options=meeting) for k in ITEMS}
  texts = {k: ocp.JsonCheckpointHandler(multiprocessing_options=meeting)
           for k in (TALLY, 'metrics')}
  return ocp.CheckpointManager(
      folder.absolute(), item_handlers={**handlers, **texts},
      options=ocp.CheckpointManagerOptions(
          max_to_keep=keep, multiprocessing_options=meeting,
          best_fn=(lambda metrics: metrics['value']) if best else None))


@contextlib.contextmanager
def writing(files: ocp.CheckpointManager, state: State | None = None):
  """An OSError where there is no room for `state`, or for whatever orbax makes of a disk that is
  full or gone, perhaps one save later."""
  needed = sum(x.nbytes for x in jax.tree.leaves(state))
  free = shutil.disk_usage(files.directory).free
  if free < needed:
    raise OSError(f'cannot write a checkpoint in {files.directory}: it takes '
                  f'{needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free')
  try:
    yield
  except Exception as e:
    raise OSError(f'cannot write a checkpoint in {files.directory}: {reason(e)}') from e


def reason(error: Exception) -> str:
  """What orbax and tensorstore raise, in a line: what the operating system says, if it is that.

  >>> reason(ValueError("OUT_OF_RANGE: Error writing ...: File too large [os_error_code='27']"))
  'File too large'
  """
  said = re.search(r"([^:\[]+) \[os_error_code=", str(error))
  lines = str(error).splitlines() or [type(error).__name__]
  return said[1].strip() if said else lines[0][:300]


def to_use(state: State) -> State:
  """The state without its optimiser's, which is as large as the weights or larger."""
  return dataclasses.replace(state, opt_state=())


def to_save(state: State, tally: Tally | None = None, names: Sequence[str] = tuple(ITEMS)):
  """A state as orbax wants it, in the items of a checkpoint."""
  items = {}
  if tally is not None:
    items[TALLY] = ocp.args.JsonSave({
        name: np.asarray(jax.device_get([v.sum, v.count])).tolist()
        for name, v in tally.metrics.items()})
  for item in names:
    tree = {f: getattr(state, f) for f in ITEMS[item]}
    items[item] = ocp.args.StandardSave({**tree, 'fingerprint': fingerprint(tree)})
  return ocp.args.Composite(**items)


class Home(NamedTuple):
  """Where a run's checkpoints are: a folder and, where it is shared, which of how many rows."""
  folder: Path
  row: int | None = None
  rows: int = 0


def home(workdir: Path) -> Home:
  """Where the checkpoints of `workdir` are: in itself, if it has some or nothing else is said."""
  if steps_of(workdir / 'checkpoints') or not (workdir / MEMBER).exists():
    return Home(workdir)
  saved = read_json(workdir / MEMBER)
  try:
    return Home(workdir / saved['program'], saved['row'], saved['rows'])
  except (KeyError, TypeError) as e:
    raise ConfigError(f'{workdir / MEMBER} does not say where the checkpoints are (program, row, '
                      'rows); the same sweep again writes it anew') from e


def read_row(place: Home, kind: str, step: int, items: Sequence[str], like: State | None = None):
  """`read` from `place`.folder/kind; of a shared checkpoint the run's own row."""
  if place.row is None:
    return read(place.folder / kind, step, items, like)

  def stacked(x):
    return jax.ShapeDtypeStruct((place.rows, *x.shape), x.dtype, sharding=x.sharding)

  def own(x):
    return x[place.row]
  if like is not None:
    wanted = dataclasses.replace(jax.tree.map(stacked, like), step=like.step)
    fields = read(place.folder / kind, step, items, wanted)
  else:
    fields = read(place.folder / kind, step, items)
  return {k: v if k == 'step' and not v.ndim else jax.tree.map(own, v) for k, v in fields.items()}


def read(folder: Path, step: int, items: Sequence[str], like: State | None = None):
  """The fields of some items of a checkpoint: name -> tree.

  Args:
    like: a state whose shapes, types and shardings they are to have; without one they come as they
      were saved, on the first device, however many they were on.

  Raises:
    ValueError: it does not hold what its fingerprint says.
    Exception: whatever orbax raises when it cannot be read.
  """
  with contextlib.closing(manager(folder, None)) as files:
    if like is not None:
      if like.ema and 'model' in items and _of_params_alone(files.item_metadata(step)['model']):
        like = dataclasses.replace(like, ema=like.ema['params'])
      specs = {item: {f: jax.tree.map(_spec, getattr(like, f)) for f in ITEMS[item]}
               for item in items}
      here = like.step.sharding
    else:
      here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
      saved = files.item_metadata(step)
      specs = {item: {f: jax.tree.map(lambda x: _spec(x, here), saved[item][f])
                      for f in ITEMS[item]} for item in items}
    mark = jax.ShapeDtypeStruct((), jnp.uint32, sharding=here)
    restored = files.restore(step, args=ocp.args.Composite(**{
        item: ocp.args.StandardRestore({**specs[item], 'fingerprint': mark}) for item in items}))
  found = {}
  for item in items:
    fields = dict(restored[item])
    if int(fields.pop('fingerprint')) != int(fingerprint(fields)):
      raise ValueError(f'{item}: the data differ from what was written')
    found |= fields
  return _with_averaged_statistics(found)


def _of_params_alone(model: Mapping) -> bool:
  """Whether averages are an older run's, which had none of BatchNorm's statistics."""
  return bool(model.get('ema')) and 'params' not in model['ema']


def _with_averaged_statistics(fields: dict) -> dict:
  """The fields as they are saved today: an older run was measured with the newest statistics."""
  if not _of_params_alone(fields):
    return fields
  # A copy: the loop donates all of a state.
  statistics = jax.tree.map(jnp.copy, averageable({}, fields['collections']))
  return {**fields, 'ema': {**statistics, 'params': fields['ema']}}


def _spec(x, sharding=None):
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding or x.sharding)


def weights_of(fields: Mapping[str, Any]) -> dict[str, Any]:
  """The variables to use, of an item `model` that was read: averaged where there is an average."""
  return {'params': fields['params'], **fields['collections'], **(fields['ema'] or {})}


def steps_of(folder: Path) -> list[int]:
  """The steps of the complete checkpoints in a folder, oldest first."""
  if not folder.is_dir():
    return []
  return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit() and p.is_dir())


def read_newest(workdir: Path, items: Sequence[str], like: State | None = None, *,
                set_aside: bool = False):
  """(step, fields) of the newest checkpoint that can be read, or None where there is none at all.

  A damaged one is named in a warning and passed over; with `set_aside` it is also moved to
  <workdir>/damaged/, so that its step can be written again. Where none can be read nothing is
  moved: it may be the model that is wrong, and the next try must not start from scratch.

  Raises:
    ConfigError: there are checkpoints, and none can be read.
  """
  place = home(workdir)
  folder = place.folder / 'checkpoints'
  steps, damaged = steps_of(folder), []
  for step in reversed(steps):
    try:
      fields = read_row(place, 'checkpoints', step, items, like)
    except Exception as e:            # orbax has no one class for damage
      logging.warning('checkpoint %s is damaged, trying the one before it: %s', folder / str(step),
                      str(e).splitlines()[0][:200])
      damaged.append(step)
      continue
    own = place.row is None and jax.process_index() == 0
    for bad in damaged if set_aside and own else ():
      aside = workdir / 'damaged' / f'{bad}-{time.time_ns()}'
      aside.parent.mkdir(exist_ok=True)
      (folder / str(bad)).rename(aside)
    if set_aside:
      agreed(bool(damaged))            # nobody looks into the folder again before it is tidy
    return step, fields
  if steps:
    raise ConfigError(f'{folder}: none of the checkpoints {steps} can be read into this model')
  return None


def read_tally(workdir: Path, step: int) -> dict[str, list]:
  """What was added up since the last line of the log when the checkpoint was written: name ->
  [sum, count]. {} of one that has none, as those of older versions, or whose own is damaged."""
  place = home(workdir)
  folder = place.folder / 'checkpoints'
  if not (folder / str(step) / TALLY).is_dir():
    return {}
  with contextlib.closing(manager(folder, None)) as files:
    try:
      saved = files.restore(step, args=ocp.args.Composite(
          **{TALLY: ocp.args.JsonRestore()}))[TALLY]
    except Exception as e:            # orbax has no one class for damage
      logging.warning('%s is damaged; the first line of the log covers fewer steps: %s',
                      folder / str(step) / TALLY, str(e)[:200])
      return {}
  return saved if place.row is None else {
      name: [total[place.row], count[place.row]] for name, (total, count) in saved.items()}
