"""The state cut over the devices: what is where, and that training is the same."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from driven import driven
from jax.sharding import PartitionSpec as P
from tiny import config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.parallel.sharding import Rules, bytes_per_device, data_mesh, local_rows, share
from visionlab.storage.saving import Checkpoints
from visionlab.training.parameters import parameter_table
from visionlab.training.resume import resume

TABLE = (('conv/kernel', (None, None, None, 'model')), ('head/kernel', ('data', None)))
SHAPES = {'conv': {'kernel': jnp.zeros((3, 3, 1, 4)), 'bias': jnp.zeros(4)},
          'head': {'kernel': jnp.zeros((64, 10))}}


def settings(resident='auto', rule='sgd', **parallel):
  return config(optim=dict(name=rule, ema=True), hp=dict(lr=.01),
                parallel=dict(devices=4, **parallel), pipeline=dict(resident=resident))


def trained(config, steps=10):
  """The job, and its state after some steps."""
  job = build.assemble(config)
  return job, driven(job, steps)[0]


@pytest.fixture(scope='module')
def plain():
  return trained(settings())[1]


@pytest.mark.parametrize('parallel', [
  dict(fsdp=True), dict(model=2, shard=TABLE), dict(model=2, fsdp=True, shard=TABLE[:1])],
  ids=['fsdp', 'table', 'both'])
@pytest.mark.parametrize('resident', ['always', 'never'])
def test_a_cut_state_trains_as_a_whole_one(plain, parallel, resident):
  job, state = trained(settings(resident, **parallel))
  for a, b in zip(*map(jax.tree.leaves, (plain.variables, state.variables)), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5, rtol=0)
  assert jax.tree.map(lambda x: x.sharding.spec, state) == jax.tree.map(
      lambda x: x.sharding.spec, job.init())                     # it stays where it was put


def test_optimiser_and_average_follow_their_parameters():
  state = build.assemble(settings(rule='adamw', fsdp=True)).init()
  moments = state.opt_state['0'][0]
  for tree in (state.params, state.ema['params']):
    assert tree['head']['kernel'].sharding.spec == P('data', None)
  assert moments.mu['head/kernel'].sharding.spec == P('data', None)
  assert moments.nu['head/kernel'].addressable_data(0).shape == (16, 10)
  for whole in (state.params['head']['bias'], moments.count, state.step,
                state.collections['batch_stats']['norm']['mean'],
                state.ema['batch_stats']['norm']['mean']):
    assert whole.sharding.is_fully_replicated


def test_a_checkpoint_moves_between_ways_of_cutting(tmp_path):
  job, state = trained(settings(rule='adamw', fsdp=True), steps=3)
  options = dict(keep=1, best='', minutes=10., every=1, patience=0)
  checkpoints = Checkpoints(tmp_path, options, 1, 0)
  expected = jax.device_get((state.params, state.ema, state.opt_state))
  checkpoints.save(state, 3)
  checkpoints.close()
  for parallel in (dict(), dict(model=2, shard=TABLE)):
    new = build.assemble(settings(rule='adamw', **parallel)).init()
    found, _ = resume(tmp_path, settings(rule='adamw', **parallel), new)
    moved = found.params, found.ema, found.opt_state
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(moved), strict=True):
      np.testing.assert_array_equal(a, b)
    assert jax.tree.map(lambda x: x.sharding, found) == jax.tree.map(lambda x: x.sharding, new)


def test_the_first_row_that_matches_holds_and_fsdp_takes_the_rest():
  mesh = data_mesh(jax.devices(), model=2)
  rules = Rules((('conv/kernel', ()), ('conv', ('model',))), fsdp=True)
  assert rules.specs(SHAPES, mesh) == {
      'conv/bias': P('model'), 'conv/kernel': P(), 'head/kernel': P('data', None)}
  assert Rules(TABLE).specs(SHAPES, mesh) == {
      'conv/bias': P(), 'conv/kernel': P(None, None, None, 'model'), 'head/kernel': P('data', None)}


@pytest.mark.parametrize('table, model, message', [
    ((('convv/kernal', ('data',)),), 1, "shard[0]: 'convv/kernal' matches no parameter (did you "
     'mean "conv/kernel"?); there are: conv/bias, conv/kernel, head/kernel'),
    ((('head', (None, 'data')),), 1, 'shard[0]: head/kernel is 64x10, and its axis 1 of 10 does '
     "not divide over 'data' of 4 devices"),
    ((('bias', (None, 'data')),), 1, 'shard[0]: 2 axes for conv/bias, which is 4'),
    ((('head', ('model',)),), 1, "shard[0]: the mesh has no axis 'model'; config.parallel.model is "
     '1; there are: data'),
    ((('head', ('date',)),), 2, 'the mesh has no axis \'date\' (did you mean "data"?)'),
    ((('head', 'data'),), 1, 'shard[0]: expected (regex, axes)'),
    ((('head', (None, 'data')), ('head/kernel', ('data', None))), 1,
     "shard[1]: 'head/kernel' never holds: config.parallel.shard[0], 'head'"),
    ((('(head', ('data',)),), 1, "shard[0]: '(head' is no regular expression")])
def test_a_wrong_table_is_refused(table, model, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    Rules(table).specs(SHAPES, data_mesh(jax.devices()[:4], model))


@pytest.mark.parametrize('parallel, message', [
    (dict(model=3), 'parallel.model: 3 must divide the 4 devices'),
    (dict(mode='pmap', fsdp=True), 'parallel.mode: pmap keeps everything'),
    (dict(shards=()), 'parallel.shards: no such key (did you mean "shard"?)')])
def test_wrong_options_are_refused(parallel, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    build.assemble(settings(**parallel))


def test_the_log_says_what_a_device_holds():
  """Parameters, two moments and the average: 4 x 4 bytes for each number, the head's cut in 4."""
  cut, whole = (build.assemble(settings(fsdp=fsdp)).init() for fsdp in (True, False))
  small = 3 * 3 * 1 * 4
  lines = parameter_table(cut.params).splitlines()
  assert lines[-2].split() == ['norm/scale', '4', '4', '16', '->', '16', 'bytes']
  assert [line.split()[-4:] for line in lines if 'conv/kernel' in line] == [
      [f'{4 * small}', '->', f'{small}', 'bytes']]
  before, after = bytes_per_device(cut.params)
  numbers = sum(p.size for p in jax.tree.leaves(whole.params))
  assert before == bytes_per_device(whole.params)[0] == bytes_per_device(whole.params)[1]
  assert before == 4 * numbers and after == before - 3 * (64 * 10 + small)
  assert 'bytes' not in parameter_table(whole.params) and share(whole) == ''
  assert re.fullmatch(r', each with 0.00 of the 0.01 MB of state', share(cut))


def test_rows_of_a_process_are_those_of_its_devices():
  """Here one process holds them all, whatever the mesh."""
  for model in (1, 2, 8):
    assert local_rows(data_mesh(jax.devices(), model), 16).tolist() == list(range(16))
