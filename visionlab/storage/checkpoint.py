"""Checkpoints: written by orbax in the background, verified when read.

<workdir>/checkpoints/<step>/ holds three items, so that the weights can be read alone: `model`
(params, other collections, averages of both, hp), `optimizer` (its state) and `loop` (step, key).
<workdir>/best/<step>/ is the same for the best step so far.

Runs that were trained in one program (visionlab.sweeps.together) share one checkpoint, in which
every array has a leading member axis; `member.json` in a run's own folder says where it is, and
which row.
"""

import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from absl import logging

from visionlab.config import ConfigError, check_names
from visionlab.distributed import agreed
from visionlab.step import State, averageable
from visionlab.storage.fingerprint import fingerprint

MEMBER = 'member.json'
ITEMS = {'model': ('params', 'collections', 'ema', 'hp'), 'optimizer': ('opt_state',),
         'loop': ('step', 'key')}


class Checkpoints:
  """The checkpoints of a workdir, as config.checkpoint wants them.

  `every` (a duration) and `minutes` say when; the last `keep` stay, and in another folder the best
  by the metric `best`: 'test/accuracy', or '-test/loss' where smaller is better; '' for none.
  Training ends early once the best is `patience`, a duration, old; 0 for never.
  """

  def __init__(self, workdir: Path, options: Mapping, every: int, patience: int):
    best = options['best']
    self.every, self.patience = every, patience
    self.seconds, self.metric = options['minutes'] * 60, best.lstrip('-')
    self.sign = -1 if best.startswith('-') else 1
    self.last = manager(workdir / 'checkpoints', options['keep'])
    self.best = manager(workdir / 'best', 1, best=True) if best else None
    self.clock = time.monotonic()
    self.best_step = self.best.latest_step() if best else None
    self.record = self.best.metrics(self.best_step)['value'] if self.best_step else None

  def due(self, step: int) -> bool:
    """Whether a checkpoint of this step is wanted, by the schedule or by the clock."""
    late = agreed(time.monotonic() - self.clock > self.seconds)   # saved together or not at all
    return step > 0 and (step % self.every == 0 or late)

  def save(self, state: State, step: int):
    """Starts writing; returns once the arrays are copied. Does nothing if the step is there."""
    self.clock = time.monotonic()
    if step not in self.last.all_steps():
      with writing(self.last, state):
        self.last.save(step, args=to_save(state))

  def consider(self, state: State, step: int, name: str, results: Mapping[str, Any]):
    """Keeps `state` as the best if the results of evaluation `name` say so."""
    value = self.value(step, name, results)
    if value is None:
      return
    if (self.best_step is None or value > self.record) and step not in self.best.all_steps():
      self.record, self.best_step = value, step
      with writing(self.best, state):
        self.best.save(step, args=to_save(state), metrics={'value': value})

  def value(self, step: int, name: str, results: Mapping[str, Any]) -> float | None:
    """What the best is chosen by, larger is better, if it is among these results. An untrained
    network is the best of nothing."""
    if self.best is None or step == 0 or self.metric.split('/')[0] != name:
      return None
    results = {f'{name}/{k}': v for k, v in results.items()}
    check_names([self.metric], results, 'config.checkpoint.best')
    return self.sign * results[self.metric]

  def stale(self, step: int) -> bool:
    """Whether to stop early: no better state than the best has been seen for too long. It follows
    from what is on disk, so a resumed run decides as an unbroken one."""
    return bool(self.patience and self.best_step and step - self.best_step >= self.patience)

  def close(self):
    """Waits for what is being written; raises what went wrong in the background."""
    for files in (self.last, self.best):
      if files is not None:
        with writing(files):
          files.wait_until_finished()
          files.close()


def saving_intervals(options: Mapping, steps: Callable) -> tuple[int, int]:
  """config.checkpoint's `every` and `patience` in steps, once all of it is found to make sense."""
  check_names(options, ('every', 'minutes', 'keep', 'best', 'patience'), 'config.checkpoint')
  if options['keep'] < 1:
    raise ConfigError(f'config.checkpoint.keep: must be at least 1, not {options["keep"]}')
  patience = steps(options['patience'], 'config.checkpoint.patience')
  if patience and not options['best']:
    raise ConfigError('config.checkpoint.patience: needs a metric, config.checkpoint.best')
  return max(1, steps(options['every'], 'config.checkpoint.every')), patience


def manager(folder: Path, keep: int | None, best: bool = False) -> ocp.CheckpointManager:
  """Of the checkpoints in a folder, of which it keeps the last, or best, `keep`."""
  # Several processes meet at barriers known by name; two folders may be written at the same time.
  meeting = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=folder.name)
  handlers = {k: ocp.StandardCheckpointHandler(multiprocessing_options=meeting) for k in ITEMS}
  return ocp.CheckpointManager(
      folder.absolute(), item_handlers={**handlers, 'metrics': ocp.JsonCheckpointHandler()},
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
    lines = str(e).splitlines() or [type(e).__name__]
    raise OSError(f'cannot write a checkpoint in {files.directory}: {lines[0][:300]}') from e


def to_save(state: State):
  """A state as orbax wants it, in the items of a checkpoint."""
  items = {}
  for item, fields in ITEMS.items():
    tree = {f: getattr(state, f) for f in fields}
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
  saved = json.loads((workdir / MEMBER).read_text())
  return Home(workdir / saved['program'], saved['row'], saved['rows'])


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
