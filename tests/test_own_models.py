"""Networks of one's own: with or without train= and classes=, and what is missing is said."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
import tiny

from visionlab.build import assemble
from visionlab.config import ConfigError
from visionlab.options.parts import bind


class Plain(nn.Module):
  """Neither train= nor classes=."""
  width: int = 10

  @nn.compact
  def __call__(self, x):
    return nn.Dense(self.width)(x.reshape(len(x), -1))


def stacked(classes, *unused, hidden: int = 4, **more):
  assert not unused and not more
  return nn.Sequential([lambda x: x.reshape(len(x), -1), nn.Dense(hidden), nn.relu,
                        nn.Dense(classes)])


class WithTrain(nn.Module):
  classes: int

  @nn.compact
  def __call__(self, x, *rest, train, **more):
    assert not rest and not more
    x = nn.BatchNorm(not train)(nn.Dense(8)(x.reshape(len(x), -1)))
    return nn.Dense(self.classes)(nn.Dropout(.5, deterministic=not train)(x))


def job(name, **options):
  return assemble(tiny.config(augment=None, steps=2, data=dict(name='digits'), task=dict(
      name='classify', model=dict(name=f'test_own_models:{name}', **options))))


@pytest.mark.parametrize('name, options', [('Plain', {}), ('stacked', dict(hidden=6)),
                                           ('WithTrain', {})])
def test_it_can_be_trained(name, options):
  it = job(name, **options)
  state = it.init()
  assert set(state.collections) == ({'batch_stats'} if name == 'WithTrain' else set())
  assert set(it.empty(state).metrics) >= {'loss', 'cross_entropy', 'accuracy'}    # it was traced


class NoInput(nn.Module):
  def __call__(self):
    return 0


class TwoInputs(nn.Module):
  def __call__(self, x, y, *, train=False):
    return x


class Wrong(nn.Module):
  classes: int

  @nn.compact
  def __call__(self, x):
    return nn.Dense(self.classes)(x.reshape(len(x), -1)) @ jnp.zeros((3, 3))


class Noisy(nn.Module):
  classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    noise = jax.random.normal(self.make_rng('noise'), (10,)) if train else 0
    return nn.Dense(self.classes)(x.reshape(len(x), -1)) + noise


def no_module(classes):
  return lambda x: x


def fails(classes):
  return {}['depth']


@pytest.mark.parametrize('name, options, said', [
    ('Plian', {}, r'\.name: cannot load .*no attribute .Plian. \(did you mean "Plain"'),
    ('Plain', dict(width=7), r': Plain gives \(\d+, 7\), and this task needs \(\d+, 10\), logits '
                             'of the classes; a model that takes `classes` is told the last'),
    ('Plain', dict(widht=7), r'\.widht: no such key \(did you mean "width"'),
    ('stacked', dict(more=7), r'\.more: no such key'),
    ('NoInput', {}, r': test_own_models:NoInput: its __call__\(self\) must take images'),
    ('TwoInputs', {}, r": .*TwoInputs: its __call__.*missing a required argument: 'y'"),
    ('Wrong', {}, r': test_own_models:Wrong: .*test_own_models.py, line \d+: TypeError: '),
    ('Noisy', {}, r': test_own_models:Noisy: .*test_own_models.py, line \d+: InvalidRngError'),
    ('no_module', {}, r': test_own_models:no_module gave .*; expected a flax.linen.Module'),
    ('fails', {}, r': test_own_models:fails: .*test_own_models.py, line \d+: KeyError: .depth.')])
def test_mistakes_name_the_key_and_the_part(name, options, said):
  with pytest.raises(ConfigError, match=f'^config.task.model{said}'):
    it = job(name, **options)
    it.empty(it.init())


@pytest.mark.parametrize('text, said', [
    ('import flax\nx = 1 +', r'line 2: invalid syntax'),
    ('import flax\nnn = flax.lynen\nclass Net:\n  pass', r"line 2: AttributeError: .*'lynen'"),
    ('import no_such_package', r"line 1: ModuleNotFoundError: No module named 'no_such_package'"),
    ('Net = 3', r" is 3; expected a function or a class")])
def test_a_module_that_cannot_be_imported_says_where(text, said, tmp_path, monkeypatch):
  name = f'broken_{abs(hash(text))}'
  (tmp_path / f'{name}.py').write_text(text)
  monkeypatch.syspath_prepend(tmp_path)
  with pytest.raises(ConfigError, match=rf"^config.task.model.name: .*{name}:Net'.*{said}"):
    assemble(tiny.config(task=dict(name='classify', model=dict(name=f'{name}:Net'))))


def test_what_a_task_of_ones_own_raises_names_it():
  def task(make_model, info, *others, **more):
    return make_model(classes=3, words=4)
  assert bind(task, {}, 'config.task', make_model=dict, info=0, infos=0) == dict(classes=3, words=4)
  with pytest.raises(ConfigError, match=r'^config.task: test_own_models:task: .*KeyError'):
    bind(task, {'name': 'test_own_models:task'}, 'config.task', make_model=fails_with, info=0)


def fails_with(**given):
  return {}[min(given)]
