"""The one training step, and the three ways it is compiled: jit, pmap, swept.

`make_step` gives a pure function of (state, batch). Under jit its reductions become collectives by
XLA's own reckoning; under pmap it adds over the mapped axis itself; a sweep maps it over stacked
states. What runs is a loop of it (`make_run`), so that a set which lives on the device is trained
on for many steps in one dispatch.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from visionlab.metrics import Ratio
from visionlab.optim.optimiser import Optimizer
from visionlab.parallel.sharding import DATA, platform
from visionlab.state import State, Tally, averageable
from visionlab.task import Task

AXIS = DATA                # the mapped axis under pmap
# XLA's older emitters of elementwise kernels, and LLVM without its dearer passes.
QUICK = dict(xla_cpu_use_fusion_emitters=False, xla_backend_optimization_level=1)


def init_state(task: Task, optimizer: Optimizer, hp: Mapping[str, float], seed: int,
               batch: Any, mesh: Mesh, placed: Any = None) -> State:
  """A fresh state, on every device of the mesh or as the shardings `placed` say. `batch` may be
  shapes only."""
  init = jax.jit(partial(_fresh, task, optimizer, batch),
                 out_shardings=placed or NamedSharding(mesh, P()))
  return init(jax.random.key(seed), {k: jnp.float32(v) for k, v in hp.items()})


def init_swept(task: Task, optimizer: Optimizer, hps: Sequence[Mapping[str, float]],
               seeds: Sequence[int], batch: Any, mesh: Mesh) -> State:
  """The fresh states of several settings, stacked (see `compile_swept`)."""
  def init(member):
    return dataclasses.replace(_fresh(task, optimizer, batch, *member), step=None)
  keys = jnp.stack([jax.random.key(seed) for seed in seeds])
  hp = {k: jnp.stack([jnp.float32(hp[k]) for hp in hps]) for k in hps[0]}
  state = jax.jit(each_member(init, mesh))((keys, hp))
  return dataclasses.replace(state, step=jax.device_put(jnp.int32(0), NamedSharding(mesh, P())))


def _fresh(task, optimizer, batch, key, hp) -> State:
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), batch)
  collections = dict(task.init(jax.random.fold_in(key, 0), zeros))
  params = collections.pop('params')
  ema = jax.tree.map(jnp.copy, averageable(params, collections)) if optimizer.ema else None
  return State(jnp.int32(0), params, collections, optimizer.init(params, hp), ema, hp,
               jax.random.fold_in(key, 1))


def make_step(task: Task, optimizer: Optimizer, *, total: int, augment: Callable | None = None,
              accumulate: int = 1, axis: str | None = None, skip_nonfinite: bool = False):
  """step(state, batch) -> (state, metrics), pure.

  metrics holds `loss` (the weighted sum of the terms), every term, the task's own metrics,
  `grad_norm` and `lr`, each as a Ratio over the whole batch.

  Args:
    total: steps of the whole training, of which hp['progress'] is the part done.
    augment: (key, batch, index of the batch's first example) -> batch.
    accumulate: microbatches. The loss is computed over all of them as one objective, so it is
      exact where counts differ between them; only BatchNorm sees the microbatch.
    axis: the mapped axis under pmap.
    skip_nonfinite: an update whose loss or gradient is not finite is left out.
  """
  def over_devices(tree):
    return tree if axis is None else lax.psum(tree, axis)

  def step(state: State, batch):
    key = jax.random.fold_in(state.key, state.step)
    hp = {**state.hp, 'progress': state.step / total}
    device = 0 if axis is None else lax.axis_index(axis)
    examples = jax.tree.leaves(batch)[0].shape[0]
    if augment is not None:
      batch = augment(jax.random.fold_in(key, 0), batch, device * examples)
    if getattr(task, 'draws', False):
      batch = {**batch, 'draw': _draws(jax.random.fold_in(key, 2), device * examples, examples)}
    key = jax.random.fold_in(jax.random.fold_in(key, 1), device)     # dropout differs by device

    def terms_of(params, collections, batch, key, ends=True):
      return task.loss({'params': params, **collections}, batch, key, {**hp, 'update_ends': ends},
                       train=True)

    def objective(params, phase):
      params = optimizer.freeze(params, phase)
      if accumulate == 1:
        terms, aux = terms_of(params, state.collections, batch, key)
        collections, watched = aux
      else:
        terms, watched, collections = _accumulated(terms_of, params, state.collections, batch, key,
                                                   accumulate)
      counts = {k: over_devices(lax.stop_gradient(t.count)) for k, t in terms.items()}
      weighted = {k: state.hp.get(f'{k}_weight', 1.) * Ratio(t.sum, counts[k]).value
                  for k, t in terms.items()}
      return sum(weighted.values()), (terms, watched, collections)

    def gradient(phase, params):
      return jax.value_and_grad(partial(objective, phase=phase), has_aux=True)(params)
    # One branch for each phase: what is not trained in it has no backward pass.
    phases = [partial(gradient, i) for i in range(optimizer.phases)]
    (loss, (terms, watched, collections)), grads = lax.switch(optimizer.phase(state.step), phases,
                                                              state.params)
    loss, terms, watched, grads = over_devices((loss, terms, watched, grads))
    norm = optax.tree.norm(grads)
    params, opt_state = optimizer.update(grads, state.opt_state, state.params, hp, state.step)
    ema = state.ema
    if optimizer.ema:    # shorter at the start, or it would remember the initialisation
      decay = jnp.minimum(hp['ema_decay'], (1 + state.step) / (10 + state.step))
      newest = averageable(params, collections)
      ema = jax.tree.map(lambda e, x: e + (1 - decay) * (x - e), ema, newest)
    new = dataclasses.replace(state, params=params, collections=collections, opt_state=opt_state,
                              ema=ema)
    if skip_nonfinite:
      finite = jnp.isfinite(loss) & jnp.isfinite(norm)
      new = jax.tree.map(partial(jnp.where, finite), new, state)
    scalars = dict(loss=loss, grad_norm=norm, lr=hp['lr'] * optimizer.schedule(state.step))
    metrics = {**terms, **watched, **{k: Ratio(v, jnp.float32(1)) for k, v in scalars.items()}}
    if skip_nonfinite:
      metrics = jax.tree.map(lambda x: jnp.where(finite, x, 0), metrics)
      metrics['skipped'] = Ratio(jnp.float32(~finite), jnp.float32(1))
    return dataclasses.replace(new, step=state.step + 1), metrics

  return step


def _draws(key, first, n):
  """Keys (n,) of what is drawn of the examples from the batch's `first` on, on whichever device."""
  return jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(n))


def _accumulated(terms_of, params, collections, batch, key, n):
  """The terms over n microbatches, added; each is computed again in the backward pass.

  Microbatch i is examples i, i + n, ...: a batch that is cut into contiguous parts over devices
  stays so.
  """
  size = jax.tree.leaves(batch)[0].shape[0] // n
  micro = jax.tree.map(lambda x: x.reshape(size, n, *x.shape[1:]).swapaxes(0, 1), batch)

  def body(collections, xs):
    i, batch = xs
    terms, aux = jax.checkpoint(terms_of)(params, collections, batch, jax.random.fold_in(key, i),
                                          i == n - 1)
    return aux.collections, (terms, aux.metrics)
  collections, stacked = lax.scan(body, collections, (jnp.arange(n), micro))
  terms, watched = jax.tree.map(lambda x: x.sum(0), stacked)
  return terms, watched, collections


def make_run(step: Callable, feed: Callable | None, *, stop_on_nonfinite: bool = True):
  """run(state, tally, data, n) -> (state, tally): n steps in one dispatch.

  Args:
    step: as `make_step` gives it, perhaps jitted: then it is traced once for all who call it.
    feed: (data, step) -> batch, traced. Without one `data` is a batch, and one step is made.
    stop_on_nonfinite: ends the loop after the first step whose loss is not finite.
  """
  def advance(state, tally, batch):
    new, metrics = step(state, batch)
    return new, tally.add(state.step, metrics)

  def run(state, tally, data, n):
    if feed is None:
      return advance(state, tally, data)

    def more(carry):
      i, _, tally = carry
      return (i < n) & (tally.bad_step < 0) if stop_on_nonfinite else i < n

    def body(carry):
      i, state, tally = carry
      return (i + 1, *advance(state, tally, feed(data, state.step)))
    return lax.while_loop(more, body, (jnp.int32(0), state, tally))[1:]

  return run


def empty_tally(step: Callable, state: State, batch: Any) -> Tally:
  """A tally of nothing, in the form of what `step` reports of a batch, where the state is."""
  _, metrics = jax.eval_shape(step, state, batch)
  tally = Tally({k: Ratio(np.float32(0), np.float32(0)) for k in metrics}, np.int32(-1),
                {k: np.float32(0) for k in metrics})
  # Placed as `run` returns it, or the second call of `run` would be compiled anew.
  return jax.device_put(tally, state.step.sharding)


def empty_swept(step: Callable, state: State, batch: Any, members: int) -> Tally:
  """`empty_tally` for each of the stacked states. Those after the first `members` only fill the
  mesh: they count as gone wrong, and are not trained where one can stop alone."""
  alone = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype),
                       dataclasses.replace(state, step=None))
  alone = dataclasses.replace(alone, step=state.step)
  rows = state.hp['lr']
  tally = jax.tree.map(lambda x: np.repeat(np.asarray(x), len(rows)),
                       empty_tally(step, alone, batch))
  tally.bad_step[members:] = 0
  return jax.device_put(tally, rows.sharding)


def quick_options(mesh: Mesh) -> dict:
  """What XLA's CPU backend is told to compile a step in a third of the time; {} elsewhere.

  Of a network that is mostly convolutions and products of matrices, which are not compiled but
  called, the steps take no longer; of a small one they may take a third longer.
  """
  # Who asks jax for no optimisations at all has less compiled than this.
  if platform(mesh) != 'cpu' or jax.config.read('jax_disable_most_optimizations'):
    return {}
  try:
    jax.jit(jnp.sin, compiler_options=QUICK).lower(0.).compile()
  except jax.errors.JaxRuntimeError as e:           # these are no interface that XLA would keep
    logging.warning("config.compile: this XLA has no such options as 'quick' gives, and compiles "
                    'fully: %s', str(e).partition('\n')[0])
    return {}
  return QUICK


def compile_jit(run: Callable, mesh: Mesh, placed: Any = None, *,
                options: Mapping | None = None) -> Callable:
  """Data parallel over the mesh, collectives by XLA. The state, which is donated, stays where it is
  `placed`: on every device, or as its shardings say. options: for XLA, see `quick_options`."""
  everywhere = NamedSharding(mesh, P())
  return jax.jit(run, donate_argnums=0, out_shardings=(placed or everywhere, everywhere),
                 compiler_options=options)


def compile_pmap(run: Callable, mesh: Mesh, *, resident: bool) -> Callable:
  """Data parallel by pmap. A streamed batch has a leading device axis; a resident set has none."""
  mapped = jax.pmap(run, AXIS, in_axes=(None, None, None if resident else 0, 0), out_axes=None,
                    devices=list(mesh.devices.flat), donate_argnums=0)
  local = mesh.size // jax.process_count()
  # Something has to be mapped over, and with a resident set there is nothing else.
  return lambda state, tally, data, n: mapped(state, tally, data, np.full(local, n, np.int32))


def compile_swept(make: Callable, mesh: Mesh, seeds: jax.Array | None = None, *,
                  options: Mapping | None = None) -> Callable:
  """Trains many settings in one program. Every leaf of state and tally has a leading member axis,
  cut over the mesh; but for state.step, which all share.

  A member that diverges does not touch the others.

  Args:
    make: (data seed) -> a run, as `make_run` gives it.
    seeds: of each member's order of examples, (members,) uint32; None where they share one, and
      so each batch.
  """
  def one(member, step, data, n):
    state, tally, seed = member
    state, tally = make(seed)(dataclasses.replace(state, step=step), tally, data, n)
    return dataclasses.replace(state, step=None), tally

  def swept(state, tally, data, n):
    members = dataclasses.replace(state, step=None), tally, seeds
    members, tally = each_member(one, mesh)(members, state.step, data, n)
    return dataclasses.replace(members, step=state.step + n), tally
  return jax.jit(swept, donate_argnums=0, compiler_options=options)


def each_member(f: Callable, mesh: Mesh) -> Callable:
  """(stacked, *shared) -> the results of f(member, *shared), stacked as the members are.

  Devices work on their own members, without a word to each other: shard_map outside, for jit(vmap)
  alone adds all-gathers. On a CPU the members of a device take turns, which is faster than widening
  each operation: a member's weights stay in the cache.
  """
  member = P(mesh.axis_names[0])
  in_turn = platform(mesh) == 'cpu'

  def call(stacked, *shared):
    def own(stacked, *shared):
      if in_turn:
        return lax.map(lambda member: f(member, *shared), stacked)
      return jax.vmap(lambda member: f(member, *shared))(stacked)
    return jax.shard_map(own, mesh=mesh, in_specs=(member, *[P()] * len(shared)),
                         out_specs=member, check_vma=False)(stacked, *shared)
  return call
