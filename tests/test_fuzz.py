"""A sample of the fuzz: no config, however wrong, ends in a traceback."""

import fuzz
import numpy as np
import pytest
import tiny
from ml_collections import ConfigDict

from visionlab.build import assemble
from visionlab.config import ConfigError, experiment, whole
from visionlab.train import train


@pytest.mark.parametrize('place', [
    ('task', 'name'), ('data', 'name'), ('task', 'model', 'name'), ('optim', 'name'), ('seed',),
    ('batch',), ('profile',), ('augment',), ('evals',), ('evals', 'test', 'batch'),
    ('checkpoint', 'keep'), ('parallel', 'model'), ('parallel', 'devices'), ('parallel', 'shard'),
    ('task', 'model', 'widths'), ('steps',), ('log',), ('hp', 'lr'), ('optim', 'schedule'),
], ids='.'.join)
def test_a_place_with_each_wrong_value(place):
  config = tiny.config(task=dict(name='classify', model=dict(name='cnn', widths=(4,), hidden=8)),
                       evals=dict(test=dict(split='test', batch=120))).to_dict()
  said = {value if not isinstance(value, dict) else 'dict': fuzz.answered(config, place, value)
          for value in fuzz.VALUES}
  assert not any(said.values()), '\n'.join(said.values())


def test_a_fixed_sample_of_all_places():
  names = ['digits_cnn', 'digits_regress']
  said = [fuzz.answered(fuzz.config_of(name, variant), place, value)
          for name, variant, place, value in fuzz.some(fuzz.tries(names), 20, seed=0)]
  assert len(said) == 20 and not any(said), '\n'.join(said)


def test_the_fuzz_would_find_a_traceback(monkeypatch):
  monkeypatch.setattr(fuzz, 'assembled', lambda config: config['batch'] + 1)
  assert 'TypeError' in fuzz.answered(dict(batch=3), ('batch',), 'x')
  assert fuzz.answered(dict(batch=3), ('batch',), 4) == ''


def test_places_are_all_there_are():
  tree = dict(a=1, b=dict(c=(1, 2)), d=(dict(e=3),))
  found = list(fuzz.places(tree))
  assert found == [('a',), ('b',), ('b', 'c'), ('d',), ('d', 0), ('d', 0, 'e')]
  assert fuzz.changed(tree, ('d', 0, 'e'), 4) == {**tree, 'd': (dict(e=4),)}
  assert fuzz.changed(tree, ('b', 'c'), None)['b'] == dict(c=None) and tree['b'] == dict(c=(1, 2))


# --- what is no mistake ---

def test_numbers_of_a_notebook():
  config = tiny.config()
  config.steps, config.batch, config.log.every = 4, np.int64(16), 2
  config.hp.lr, config.hp.momentum = np.float32(.1), np.float64(.5)
  config.task.model.dropout, config.task.mean = np.float32(.25), [np.float32(.5)]
  found = whole(config)
  assert (found.steps, found.batch, found.hp.lr, found.task.mean) == ('4', 16, .1, (.5,))
  assert type(found.batch) is int and type(found.hp.lr) is float
  assert assemble(config).total == 4


def test_a_dict_is_a_config_too(monkeypatch, tmp_path):
  options = {**tiny.config().to_dict(), 'steps': 2, 'batch': np.int64(16)}
  del options['parallel']
  assert whole(options) == tiny.config(steps=2, batch=16, parallel={})
  with pytest.raises(ConfigError, match='config.batch: 7 must be a multiple of 8'):
    train({**options, 'batch': 7}, tmp_path)                   # got as far as a ConfigDict does


@pytest.mark.parametrize('options, said', [
    (5, 'config: expected a dict of options, got 5'), (None, 'config: expected a dict'),
    ({1: 2}, 'config: expected words without dots for keys, got 1'),
    ({'data': {'a.b': 1}}, "config.data: expected words without dots for keys, got 'a.b'"),
    ({}, 'config.steps: missing'), (dict(bath=3), r'config.bath: no such key .*"batch"'),
])
def test_what_is_no_config(options, said, tmp_path):
  with pytest.raises(ConfigError, match=said):
    train(options, tmp_path)


def test_a_key_that_is_wrong_is_answered_at_once():
  with pytest.raises(ConfigError, match=r'config.bath: no such key \(did you mean "batch"\?\)'):
    experiment(bath=3)
  with pytest.raises(ConfigError, match=r'config.name: no such key'):
    whole({**tiny.config().to_dict(), 'name': 'mine'})
  with pytest.raises(ConfigError, match=r'config.log.name: no such key'):
    tiny.config(log=dict(name='mine'))
  with pytest.raises(ConfigError, match='config.evals.test.evry: no such key'):
    tiny.config(evals=dict(test=dict(split='test', evry=1)))
  with pytest.raises(ConfigError, match=r'config.profile: expected \(first, last\)'):
    tiny.config(profile=(5, 3))


@pytest.mark.parametrize('task, said', [
    (dict(mean=(.5, .5)), 'config.task.mean: 2 numbers, but the images have 1 channels'),
    (dict(std=(1., 1., 1.)), 'config.task.std: 3 numbers, but the images have 1 channels'),
    (dict(mean=('a',)), r'config.task.mean\[0\]: expected float'),
    (dict(std=(0.,)), 'config.task.std: must be above 0'),
])
def test_mean_and_std_of_another_length(task, said):
  config = tiny.config()
  config.task.update(task)
  with pytest.raises(ConfigError, match=said):
    fuzz.assembled(ConfigDict(config))
