"""From a config to the things it names: the task, the optimiser, the compiled step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P

from visionlab.augmentation.augment import check_mixing, make_augment
from visionlab.augmentation.mirror_pairs import check_mirror
from visionlab.config import (
  ConfigError,
  bind,
  check_choice,
  resolve,
  whole,
)
from visionlab.data.box_sizes import Anchors, anchors_like
from visionlab.data.images.crop import RandomCrop
from visionlab.data.pipeline import Batches, Sources, open_sources, parts
from visionlab.facts import Facts
from visionlab.models import MODELS
from visionlab.models.from_config import blaming, build_model
from visionlab.optim.optimiser import Optimizer, complete, optimizer_of
from visionlab.optim.update_rules import rule_of
from visionlab.options.durations import parse_steps
from visionlab.parallel import sharding
from visionlab.parallel.sharding import data_mesh, platform
from visionlab.step import (
  AXIS,
  compile_jit,
  compile_pmap,
  compile_swept,
  empty_swept,
  empty_tally,
  init_state,
  init_swept,
  make_run,
  make_step,
  quick_options,
)
from visionlab.task import Task
from visionlab.tasks import TASKS

PRECISIONS = dict(float32=jnp.float32, bfloat16=jnp.bfloat16)


def batch_of(example, n: int, mesh=None):
  """The form of n examples like this one. mesh: on which they are to be, or a trace for them would
  not serve where they are."""
  place = mesh and NamedSharding(mesh, P())
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct((n, *x.shape[1:]), x.dtype, sharding=place),
                      example)


def build_task(config: Mapping, facts: Facts, *, axis: str | None = None) -> Task:
  """The task with its model. axis: the mapped axis under pmap, for BatchNorm's statistics
  and a task's own."""
  check_choice(config['precision'], PRECISIONS, 'config.precision')
  options, where = dict(config['task']), 'config.task'
  if 'name' not in options:
    raise ConfigError(f'{where}.name: missing; there are: {", ".join(TASKS)}')
  model = options.pop('model', {})

  def make_model(**given):
    return build_model(model, f'{where}.model', dtype=PRECISIONS[config['precision']],
                       axis_name=axis, **given)
  task = bind(resolve(options['name'], TASKS, f'{where}.name'), options, where,
              make_model=make_model, info=facts.info, infos=facts.infos, example=facts.example,
              counts=facts.counts, anchors=facts.anchors,
              steering_std=facts.steering_std, axis=axis)
  # Evaluators, pictures, the count of FLOPs and a reloaded run all ask for it, and tracing a
  # detector takes seconds: jitted, it is traced once for all that ask with the same batch.
  object.__setattr__(task, 'predict', jax.jit(task.predict))
  return task


def _anchors(task: Mapping, sources: Sources) -> Anchors | tuple:
  """Those that config.task.fit_anchors asks for; () where it does not."""
  if not task.get('fit_anchors') or isinstance(sources, Mapping):
    return ()
  return anchors_like(sources, build_model(task.get('model', {}), 'config.task.model', classes=1))


def durations(config: Mapping, n: int):
  """(total steps, a function that turns (duration, key) into steps), for epochs of n examples."""
  to_steps = partial(parse_steps, batch=config['batch'], examples=n)
  total = to_steps(config['steps'], 'config.steps')
  return total, partial(to_steps, total=total)


def build_optimizer(config: Mapping, total: int, steps) -> Optimizer:
  return optimizer_of(config['optim'], total, steps)


def devices(parallel: Mapping) -> list:
  """The devices config.parallel asks for; the batch is spread over them."""
  check_choice(parallel['mode'], ('jit', 'pmap'), 'config.parallel.mode')
  found, wanted = jax.devices(), parallel['devices']
  if not 0 <= wanted <= len(found):
    raise ConfigError(f'config.parallel.devices: {wanted} asked for, {len(found)} there (0: all)')
  if jax.process_count() > 1 and wanted not in (0, len(found)):
    raise ConfigError(f'config.parallel.devices: {jax.process_count()} processes train on all of '
                      f'their {len(found)} devices (0), not on {wanted}')
  return found[:wanted or len(found)]


@dataclass(frozen=True)
class Job:
  """All that a config names, built and compiled (at the first call)."""
  facts: Facts
  task: Task
  optimizer: Optimizer
  batches: Batches
  mesh: Any
  total: int
  steps: Callable                # (duration, key) -> steps
  run: Callable                  # (state, tally, data, n) -> (state, tally)
  init: Callable                 # () -> a fresh state
  empty: Callable                # (state) -> a tally of nothing


def assemble(config: Mapping, members: Sequence[Mapping] = ()) -> Job:
  """Builds what the config names; every mistake in it is found here, before anything is trained.

  Args:
    members: configs that differ from `config` in hp, seed and data_seed alone, to be trained
      together, in one program; `config` is the first of them.
  """
  config, members = whole(config), [*map(whole, members)]
  check_choice(config['on_nan'], ('stop', 'skip', 'ignore'), 'config.on_nan')
  _check_parts(config)
  check_choice(config['compile'], ('full', 'quick'), 'config.compile')
  mode = 'swept' if members else config['parallel']['mode']
  spread = devices(config['parallel'])[:len(members) or None]
  rules = sharding.rules_of(config['parallel'], len(spread))
  if members and (rules != sharding.Rules() or config['parallel']['model'] > 1):
    raise ConfigError('config.parallel: members of one program are each on a device of their own; '
                      'leave model, fsdp and shard alone')
  mesh = data_mesh(spread, config['parallel']['model'])
  options = quick_options(mesh) if config['compile'] == 'quick' and mode != 'pmap' else None
  sources = open_sources(config['data'], config['split'])
  facts = Facts.of(sources)
  facts = replace(facts, anchors=_anchors(config['task'], sources))
  total, steps = durations(config, facts.examples)
  optimizer = build_optimizer(config, total, steps)
  task = build_task(config, facts)
  check_mixing(config['augment'], getattr(task, 'mixable', ()), facts.example)
  check_mirror(config['augment'], facts.info.joints, facts.example)
  hps = [complete(c['hp'], optimizer.hyperparameters, task.hyperparameters())
         for c in members or [config]]
  batches = bind(Batches, config['pipeline'], 'config.pipeline', sources=sources,
                 batch=config['batch'], seed=config['data_seed'], mesh=mesh, mode=mode, total=total,
                 accumulate=config['accumulate'])
  axis = AXIS if mode == 'pmap' else None
  make = partial(make_step, optimizer=optimizer, total=total, accumulate=config['accumulate'],
                 skip_nonfinite=config['on_nan'] == 'skip',
                 augment=make_augment(config['augment']) if config['augment'] else None)
  # Jitted, so that its trace serves the form of the tally and the loop. pmap has names for its
  # devices that are known within it alone.
  plain = jax.jit(make(task))
  step = make(build_task(config, facts, axis=axis), axis=axis) if axis else plain
  batch = batch_of(facts.example, config['batch'] // len(parts(sources)), mesh)
  init = partial(init_state, task, optimizer, hps[0], config['seed'], facts.example, mesh)
  blame = partial(blaming, config['task'])
  _check_crop(batches.loader.crop, plain, init, batch)
  # Where members are widened into one operation, one of them cannot stop alone.
  stop = config['on_nan'] == 'stop' and not (members and platform(mesh) != 'cpu')

  def make_loop(seed=None):
    feed = batches.feed
    return make_run(step, feed if seed is None else partial(feed, seed=seed),
                    stop_on_nonfinite=stop)
  job = partial(Job, facts, task, optimizer, batches, mesh, total, steps)
  if members:
    first = partial(init_swept, task, optimizer, _filled(hps, mesh),
                    _filled([c['seed'] for c in members], mesh), facts.example, mesh)
    swept = compile_swept(make_loop, mesh, _data_seeds(members, batches), options=options)
    return job(swept, init=blame(first),
               empty=blame(partial(empty_swept, plain, batch=batch, members=len(members))))
  placed = rules.place(blame(init), mesh)
  return job(compile_pmap(make_loop(), mesh, resident=batches.resident) if axis else
             compile_jit(make_loop(), mesh, placed, options=options),
             init=blame(partial(init, placed)),
             empty=blame(partial(empty_tally, plain, batch=batch)))


def _check_parts(config: Mapping):
  """Raises `ConfigError` for a name that stands for nothing: before data are opened, which can
  take a minute."""
  if 'name' in config['optim']:
    rule_of(config['optim']['name'])
  where, part, table = 'config.task', config['task'], TASKS
  while hasattr(part, 'items') and 'name' in part:
    resolve(part['name'], table, f'{where}.name')
    key = 'model' if where == 'config.task' else 'backbone'
    where, part, table = f'{where}.{key}', part.get(key), MODELS


def _check_crop(crop: RandomCrop | None, step: Callable, init: Callable, batch):
  """Raises `ConfigError` where a network that takes the images of config.data does not take those
  that config.pipeline.crop makes of them."""
  wanted = crop and (crop.size if isinstance(crop.size, tuple) else (crop.size, crop.size))
  images = [x for path, x in jax.tree_util.tree_leaves_with_path(batch) if path[-1].key == 'image']
  if not crop or all(x.shape[1:3] == wanted for x in images):
    return
  cut = jax.tree_util.tree_map_with_path(
      lambda path, x: x.update(shape=(len(x), *wanted, *x.shape[3:]))
      if path[-1].key == 'image' else x, batch)
  try:
    jax.eval_shape(step, jax.eval_shape(init), cut)
  except Exception as e:        # of whatever kind a network or a loss raises
    sizes = '{} x {}, but the images of config.data are {} x {}'.format(
        *wanted, *images[0].shape[1:3])
    raise ConfigError(f'config.pipeline.crop.size: {sizes}, and the network does not take both; '
                      'give them one size') from e


def _filled(members: Sequence, mesh) -> list:
  """As many that they divide over the devices: the first again and again, never trained."""
  return [*members, *[members[0]] * (-len(members) % mesh.size)]


def _data_seeds(members, batches: Batches):
  """The members' data seeds (k,) uint32, or None where it is one and the same."""
  seeds = [c['data_seed'] % 2**32 for c in members]
  if len(set(seeds)) == 1:
    return None
  if not batches.resident:
    raise ConfigError('config.data_seed: members of one program share what is loaded for them')
  return np.array(_filled(seeds, batches.mesh), np.uint32)


def flops(task: Task, variables, batch) -> float | None:
  """Of one example's forward pass, as XLA counts those of a batch before it optimises; None if it
  does not."""
  # On one device, as pictures are made: one trace for both.
  form = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables)
  cost = task.predict.lower(form, batch).cost_analysis()
  total = cost.get('flops') if isinstance(cost, Mapping) else None
  return total and total / len(jax.tree.leaves(batch)[0])
