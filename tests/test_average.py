"""Averaged weights, and the statistics of BatchNorm that go with them."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from driven import difference, driven
from tiny import config

from visionlab import build
from visionlab.state import averageable
from visionlab.storage.checkpoint import read_newest, weights_of
from visionlab.storage.saving import Checkpoints
from visionlab.training.resume import resume

pytestmark = pytest.mark.usefixtures('optimised')


def settings(**changes):
  return config(optim=dict(name='sgd', ema=True),
                hp=dict(lr=.1, momentum=.9, ema_decay=.6), evals={}, **changes)


@cache
def job():
  return build.assemble(settings())


def weights(state):
  return {'params': state.params, 'batch_stats': state.collections['batch_stats']}


def test_statistics_are_averaged_as_the_weights_are():
  state = job().init()
  tally, stream = job().empty(state), job().batches.start(0, job().total)
  mean = jax.device_get(weights(state))
  for i in range(6):
    (data, n), = stream.take(1)
    state, tally = job().run(state, tally, data, n)
    decay = min(.6, (1 + i) / (10 + i))
    mean = jax.tree.map(lambda a, b, d=decay: d * a + (1 - d) * np.asarray(b), mean,
                        weights(state))
  assert difference(mean, state.ema) < 1e-6 < difference(state.ema, weights(state))
  assert state.variables == state.ema


def test_an_average_has_nothing_but_weights_and_their_statistics():
  state = dict(tasks=dict(best=jnp.full(2, jnp.inf)), batch_stats=dict(norm=jnp.ones(3)))
  assert sorted(averageable({'kernel': jnp.ones(2)}, state)) == ['batch_stats', 'params']
  assert averageable({}, {}) == {'params': {}}


def test_members_of_a_sweep_have_their_own():
  configs = [settings(seed=seed, parallel=dict(devices=2)) for seed in (0, 1)]
  members = jax.device_get(driven(build.assemble(configs[0], configs), 8)[0].ema)
  first, second = (jax.tree.map(lambda x, k=k: x[k], members) for k in (0, 1))
  assert difference(driven(job(), 8)[0].ema, first) < 1e-5 < .1 < difference(first, second)


@pytest.fixture
def older(tmp_path):
  """A run that was saved when params alone were averaged: its state and workdir."""
  state, _ = driven(job(), 4)
  checkpoints = Checkpoints(tmp_path, dict(keep=1, best='', minutes=10.), 1, 0)
  checkpoints.save(dataclasses.replace(state, ema=state.ema['params']), 4)
  checkpoints.close()
  return state, tmp_path


def test_an_older_run_loads_as_it_was_measured(older):
  state, workdir = older
  _, fields = read_newest(workdir, ('model',))
  assert difference(weights_of(fields), {
      'params': state.ema['params'], 'batch_stats': state.collections['batch_stats']}) == 0


def test_an_older_run_goes_on(older):
  state, workdir = older
  found, origin = resume(workdir, settings(), job().init())
  assert origin == 'resumed from step 4'
  assert jax.tree.structure(found) == jax.tree.structure(state)
  assert difference(found.ema['params'], state.ema['params']) == 0
  data, n = next(iter(job().batches.start(4, job().total).take(1)))
  assert int(job().run(found, job().empty(found), data, n)[0].step) == 5
