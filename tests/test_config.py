"""Strict configs: durations, near-miss errors, what survives JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from visionlab import build
from visionlab.build import assemble
from visionlab.config import (
  ConfigError,
  bind,
  check_choice,
  check_names,
  difference,
  experiment,
  from_json,
  nearest,
  resolve,
  to_json,
)
from visionlab.options.durations import parse_steps


def small(**changes):
  return experiment(**{**dict(
      steps='2 epochs', batch=4, data=dict(name='digits'),
      task=dict(name='classify', model=dict(name='mlp', hidden=(8, 4))),
      optim=dict(name='sgd', schedule=dict(name='steps', at=('50%', 70)),
                 groups=(dict(match='head', lr=2.), dict(match='.*'))),
      hp=dict(lr=.1)), **changes})


# --- durations ---

@pytest.mark.parametrize('duration, steps', [
  (500, 500), ('500', 500), (' 500 Steps ', 500), ('1 step', 1), ('1e3', 1000), (0, 0),
  ('0%', 0), ('2 epochs', 100), ('1 epoch', 50), ('0.5 epochs', 25), ('3200 examples', 100),
  ('33 examples', 1), ('1 example', 1), ('.001 epochs', 1), ('5%', 50), (' 12.5 % ', 125),
  ('100%', 1000), ('.01%', 1),
])
def test_duration_in_steps(duration, steps):
  got = parse_steps(duration, 'config.steps', batch=32, examples=1600, total=1000)
  assert got == steps and type(got) is int


def test_an_epoch_that_is_no_whole_number_of_batches_is_rounded():
  assert parse_steps('1 epoch', 'config.steps', batch=128, examples=1797) == 14         # 14.04
  assert parse_steps('10 epochs', 'config.steps', batch=128, examples=1797) == 140      # 140.4


@pytest.mark.parametrize('duration', ['', '  ', '%', 'x', 'epochs', '3 weeks', 'five epochs', '-1',
                                      '-5%', 'nan', 'inf epochs', True, None, '1 2',
                                      '3 epochs 2 steps', '3 epochs extra'])
def test_what_is_no_duration_is_an_error_that_names_the_key(duration):
  with pytest.raises(ConfigError, match=r'^config\.log\.every: '):
    parse_steps(duration, 'config.log.every', batch=32, examples=1600, total=1000)


def test_percent_needs_a_total():
  with pytest.raises(ConfigError, match=r"config\.steps: '5%' is no duration") as error:
    parse_steps('5%', 'config.steps', batch=32, examples=1600)
  assert '"5%"' not in str(error.value)        # nor is it offered


# --- experiment ---

def test_defaults_of_an_experiment():
  c = small()
  assert (c.steps, c.seed, c.data_seed, c.split, c.on_nan) == ('2 epochs', 0, 0, 'train', 'stop')
  assert c.log.to_dict() == dict(every='5%', tensorboard=True, hooks=())
  assert c.augment.to_dict() == c.evals.to_dict() == {}
  assert small(steps=500).steps == '500'       # so that '3 epochs' may override it


def test_a_part_given_keeps_the_other_defaults():
  assert small(log=dict(every='10%')).log.to_dict() == dict(every='10%', tensorboard=True, hooks=())
  assert small(checkpoint=dict(best='test/accuracy')).checkpoint.keep == 2


def test_two_experiments_share_nothing():
  one, other = small(), small()
  one.log.every, one.optim.name = '1%', 'adam'
  assert other.log.every == '5%' and other.optim.name == 'sgd'


@pytest.mark.parametrize('changes, says', [
  (dict(log=dict(evry=1)), r'config\.log\.evry: no such key \(did you mean "every"\?\)'),
  (dict(checkpoint=dict(kep=1)), r'config\.checkpoint\.kep: no such key \(did you mean "keep"\?\)'),
  (dict(parallel=dict(device=1)), r'config\.parallel\.device: .*"devices"'),
  (dict(pipeline=dict(worker=1)), r'config\.pipeline\.worker: .*"workers"'),
  (dict(log=dict(xyzzy=1)),
   r'config\.log\.xyzzy: no such key; there are: every, hooks, tensorboard'),
])
def test_unknown_keys_of_an_experiment(changes, says):
  with pytest.raises(ConfigError, match=says):
    small(**changes)


def test_a_misspelt_key_set_later_is_an_error():
  config = small(parallel=dict(devices=1))
  with pytest.raises((ConfigError, AttributeError), match='optin'):
    config.optin = dict(name='adam')
    assemble(config)


# --- JSON ---

def test_tuples_survive_json():
  c = small(profile=(3, 5))
  again = from_json(to_json(c))
  assert again == c and difference(c, again) == []
  assert again.optim.schedule.at == ('50%', 70) and again.task.model.hidden == (8, 4)
  assert again.optim.groups == ({'match': 'head', 'lr': 2.}, {'match': '.*'})
  assert isinstance(again, ConfigDict) and isinstance(again.task.model, ConfigDict)
  assert to_json(again) == to_json(c)


def test_difference_names_what_is_not_the_same():
  old, new = small(), small(hp=dict(lr=.2), log=dict(every='1%'), augment=dict(flip=True))
  new.task.model.hidden = (8, 8)
  assert difference(old, new) == [
      'augment.flip: (absent) -> True', 'hp.lr: 0.1 -> 0.2', 'log.every: 5% -> 1%',
      'task.model.hidden: [8, 4] -> [8, 8]']
  assert difference(new, old)[0] == 'augment.flip: True -> (absent)'
  assert difference(old, small()) == []


# --- names ---

def test_nearest():
  words = ['momentum', 'weight_decay', 'lr']
  assert nearest('wieght_decay', words) == ' (did you mean "weight_decay"?)'
  assert nearest('zzz', words) == nearest('lr', []) == ''
  assert nearest(3, [30, 4]) == ' (did you mean "30"?)'


def test_check_names():
  check_names({'a': 1}, ['a', 'b'], 'config.x')
  with pytest.raises(ConfigError, match=r'^config\.x\.c: no such key; there are: a, b$'):
    check_names({'a': 1, 'c': 2}, ['b', 'a'], 'config.x')
  with pytest.raises(ConfigError, match='there are: none'):
    check_names({'c': 2}, [], 'config.x')


def test_check_choice():
  check_choice('jit', ('jit', 'pmap'), 'config.mode')
  with pytest.raises(ConfigError, match=r"^config\.mode: 'pmp' is not one of 'jit', 'pmap' "
                                        r'\(did you mean "pmap"\?\)$'):
    check_choice('pmp', ('jit', 'pmap'), 'config.mode')


@pytest.mark.parametrize('changes, message', [
  (dict(optim=dict(name='adma')), 'config.optim.name: unknown name .*"adam"'),
  (dict(task=dict(name='classfy')), 'config.task.name: unknown name .*"classify"'),
  (dict(task=dict(name='classify', model=dict(name='cnm'))),
   "config.task.model.name: unknown name 'cnm'"),
  (dict(task=dict(name='detect', model=dict(name='detector', backbone=dict(name='resnot')))),
   'config.task.model.backbone.name: unknown name .*"resnet"'),
])
def test_names_are_looked_up_before_data_are_opened(changes, message, monkeypatch):
  monkeypatch.setattr(build, 'open_sources', lambda *_: pytest.fail('the data were opened'))
  with pytest.raises(ConfigError, match=message):
    assemble(small(**changes))


# --- resolve ---

TABLE = {'decoder': 'json:JSONDecoder'}


@pytest.mark.parametrize('name', ['decoder', 'json:JSONDecoder', 'json.decoder:JSONDecoder'])
def test_resolve_by_table_or_path(name):
  import json
  assert resolve(name, TABLE, 'config.x') is json.JSONDecoder


@pytest.mark.parametrize('name, says', [
  ('decodr', r"config\.x: unknown name 'decodr' \(did you mean \"decoder\"\?\); there are"),
  ('no.such.module:Thing', r"config\.x: cannot load 'no\.such\.module:Thing': No module named"),
  ('json:Missing', r"config\.x: cannot load 'json:Missing': .*no attribute 'Missing'"),
  (':Thing', r"config\.x: unknown name ':Thing'; there are: .*package.module:name"),
])
def test_resolve_errors(name, says):
  with pytest.raises(ConfigError, match=says):
    resolve(name, TABLE, 'config.x')


# --- bind ---

def function(*, size: int, rate: float = .5, sizes: tuple[int, ...] = (), on: bool = False,
             text: str = '', limit: float | None = None, more: Mapping | None = None,
             duration: int | str = 0, free: Any = None, plain=None):
  return dict(locals())


@dataclass(frozen=True)
class Record:
  size: int
  rate: float = .5


class Named(NamedTuple):
  size: int
  rate: float = .5


class Net(nn.Module):
  size: int
  rate: float = .5
  dtype: Any = jnp.float32

  def __call__(self, x):
    return x


@pytest.mark.parametrize('target', [Record, Named, Net])
def test_bind_makes_any_kind_of_class(target):
  made = bind(target, dict(name='for the table', size=3), 'config.x')
  assert isinstance(made, target) and (made.size, made.rate) == (3, .5)


@pytest.mark.parametrize('target', [function, Record, Named, Net])
@pytest.mark.parametrize('options, says', [
  (dict(size=3, rte=.1), r'^config\.x\.rte: no such key \(did you mean "rate"\?\); there are: '),
  (dict(rate=.1), r'^config\.x\.size: missing \((function|Record|Named|Net) needs it\)$'),
  (dict(size='3'), r"^config\.x\.size: expected int, got '3' \(str\)$"),
  (dict(size=3, rate='high'), r"^config\.x\.rate: expected float, got 'high' \(str\)$"),
  (dict(size=True), r'^config\.x\.size: expected int, got True \(bool\)$'),
])
def test_bind_errors(target, options, says):
  with pytest.raises(ConfigError, match=says):
    bind(target, options, 'config.x')


@pytest.mark.parametrize('options', [
  dict(rate=1), dict(rate=.1), dict(sizes=(1, 2)), dict(on=True), dict(limit=None), dict(limit=2),
  dict(more=None), dict(more={'a': 1}), dict(duration='5%'), dict(duration=5), dict(free=object()),
  dict(plain='anything'), dict(text=''),
])
def test_bind_passes_what_fits(options):
  got = bind(function, dict(size=1, **options), 'config.x')
  assert all(got[k] is v for k, v in options.items())


@pytest.mark.parametrize('options, says', [
  (dict(sizes=[1, 2]), r'config\.x\.sizes: expected tuple, got \[1, 2\] \(list\)'),
  (dict(on=1), r'config\.x\.on: expected bool, got 1 \(int\)'),
  (dict(on='no'), r'config\.x\.on: expected bool'),
  (dict(text=5), r'config\.x\.text: expected str'),
  (dict(limit='none'), r'config\.x\.limit: expected float or NoneType'),
  (dict(rate=True), r'config\.x\.rate: expected float'),
  (dict(more=5), r'config\.x\.more: expected Mapping or NoneType'),
  (dict(duration=.5), r'config\.x\.duration: expected int or str'),
  (dict(size=1.), r'config\.x\.size: expected int'),
])
def test_bind_refuses_what_does_not_fit(options, says):
  with pytest.raises(ConfigError, match=says):
    bind(function, {'size': 1, **options}, 'config.x')


def test_bind_gives_only_what_is_taken():
  net = bind(Net, dict(size=3), 'config.x', dtype=jnp.bfloat16, axis_name='data')
  assert net.dtype == jnp.bfloat16
  assert bind(Record, {}, 'config.x', size=4, dtype=jnp.bfloat16) == Record(4)


def test_what_the_program_gives_is_no_option():
  with pytest.raises(ConfigError, match=r'config\.x\.size: no such key; there are: rate'):
    bind(Record, dict(size=3), 'config.x', size=4)


@pytest.mark.parametrize('field', ['parent', 'dtyp'])
def test_flax_own_fields_are_no_options(field):
  with pytest.raises(ConfigError, match=rf'config\.x\.{field}: no such key.*there are: '
                                        r'dtype, rate, size$'):
    bind(Net, {'size': 3, field: None}, 'config.x')
  assert bind(Net, dict(name='net', size=3), 'config.x').name is None


def test_bind_hands_over_plain_dicts():
  got = bind(function, ConfigDict(dict(size=1, more=dict(a=dict(b=2)))), 'config.x')
  assert type(got['more']) is dict and got['more'] == {'a': {'b': 2}}
