"""Which settings a sweep has: grids, draws, what --set says, names, mistakes."""

import numpy as np
import pytest
import tiny
from scipy import stats

from visionlab.config import ConfigError
from visionlab.flags.overrides import override
from visionlab.sweeps.settings import (
  arguments,
  grid,
  integers,
  kind_of,
  log_uniform,
  name_of,
  named,
  parse_axis,
  random,
  uniform,
)


def test_grid_is_the_product_in_order():
  assert list(grid({'a': (1, 2), 'b': 'xy'})) == [
      dict(a=1, b='x'), dict(a=1, b='y'), dict(a=2, b='x'), dict(a=2, b='y')]
  assert list(grid({})) == [{}]


def test_what_is_drawn_has_the_distribution_it_should():
  space = {'lr': log_uniform(1e-4, 1e-1), 'x': uniform(-2., 3.), 'n': integers(1, 4),
           'act': ('relu', 'tanh')}
  drawn = list(random(space, 2000))
  assert drawn == list(random(space, 2000)) != list(random(space, 2000, seed=1))
  lr, x, n = (np.array([d[k] for d in drawn]) for k in ('lr', 'x', 'n'))
  assert stats.kstest(np.log10(lr), stats.uniform(-4, 3).cdf).pvalue > .01
  assert stats.kstest(x, stats.uniform(-2, 5).cdf).pvalue > .01
  assert set(n) == {1, 2, 3, 4} and {d['act'] for d in drawn} == {'relu', 'tanh'}
  assert all(float(f'{v:.4g}') == v for v in lr)                 # can be typed
  assert lr.min() >= 1e-4 and lr.max() <= 1e-1


@pytest.mark.parametrize('make', [lambda: uniform(2, 1), lambda: log_uniform(0, 1)])
def test_ranges_that_are_none(make):
  with pytest.raises(ConfigError, match='low must be below high'):
    make()


@pytest.mark.parametrize('text, values', [
    ('hp.lr=1e-3,3e-3,1e-2', (1e-3, 3e-3, 1e-2)),
    ('seed=0..4', (0, 1, 2, 3, 4)),
    ('seed=-1..1', (-1, 0, 1)),
    ('steps=20 epochs', ('20 epochs',)),
    ('log.tensorboard=True,False', (True, False)),
    ('task.model.widths=(16, 32),(8,)', ((16, 32), (8,))),
    ('hp.lr=log_uniform(1e-4, .1)', log_uniform(1e-4, .1)),
    ('n=integers(1,3)', integers(1, 3)),
    ('data.classes=(red,white),(red,)', ('(red,white)', '(red,)')),
])
def test_what_set_says(text, values):
  assert parse_axis(text) == (text.split('=')[0], values)


@pytest.mark.parametrize('text', ['hp.lr = 1, 2', 'config.hp.lr=1,2', '--config.hp.lr=1,2'])
def test_keys_as_they_are_typed_elsewhere(text):
  assert parse_axis(text) == ('hp.lr', (1, 2))


@pytest.mark.parametrize('text, said', [
    ('hp.lr', 'expected key=value'), ('=3', 'expected key=value'), ('hp.lr=', 'expected key=value'),
    ('hp.lr=log_unifrm(1,2)', 'did you mean "log_uniform"'), ('hp.lr=uniform(1)', r'low,high'),
    ('seed=3..1', r'nothing from 3 to 1; did you mean seed=1\.\.3'),
])
def test_mistakes_in_set(text, said):
  with pytest.raises(ConfigError, match=said):
    parse_axis(text)


def test_names_are_folders_and_differ():
  assert name_of({'hp.lr': 1e-5, 'seed': 0}) == 'lr=1e-05,seed=0'
  assert name_of({'a.name': 'x y', 'b.name': '../z'}) == 'a.name=xy,b.name=.._z'
  assert name_of({}) == 'base' and name_of({'name': 'mine', 'seed': 3}) == 'mine'
  settings = named([{'name': 'small', 'batch': 2}, {'batch': 3}])
  assert settings == {'small': {'batch': 2}, 'batch=3': {'batch': 3}}
  with pytest.raises(ConfigError, match="two settings with the same name, 'seed=1'"):
    named([{'seed': 1}, {'seed': 2}, {'seed': 1}])
  with pytest.raises(ConfigError, match='no settings'):
    named([])
  for name in ('../up', 'x' * 300):
    with pytest.raises(ConfigError, match='needs another name'):
      named([{'name': name}])


def test_kinds_are_what_a_program_may_mix():
  base = tiny.config()
  for same in ({'hp.lr': .5}, {'seed': 3}, {'data_seed': 3}):
    assert kind_of(override(base, same)) == kind_of(base)
  for other in ({'batch': 64}, {'optim.schedule.name': 'linear'}, {'split': 'train[:50%]'}):
    assert kind_of(override(base, other)) != kind_of(base)


def test_arguments_are_what_the_command_line_takes():
  assert arguments({'hp.lr': 1e-5, 'steps': '3 epochs'}) == [
      '--config.hp.lr=1e-05', '--config.steps=3 epochs']
