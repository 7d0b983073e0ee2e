"""Which states are saved: the best by a metric that is checked, in runs and in sweeps alike."""

import dataclasses
import math
from functools import cache
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Info
from visionlab.runs.load import load
from visionlab.storage.checkpoint import steps_of, to_save
from visionlab.storage.saving import Checkpoints, improves, saving_intervals
from visionlab.sweeps.checkpoints import SharedCheckpoints
from visionlab.sweeps.together import train_together
from visionlab.train import train

OPTIONS = dict(every='5', minutes=10., keep=2, best='test/accuracy', patience='3')


@cache
def begun(members):
  """(state, empty tally, mesh) of a run, or of several together."""
  job = build.assemble(config(), [config() for _ in range(members)])
  state = job.init()
  return state, job.empty(state), job.mesh


class Alone:
  """The checkpoints of one run."""

  def __init__(self, folder, **options):
    self.state, _, _ = begun(0)
    self.checkpoints = Checkpoints(folder, OPTIONS | options, 5, 3)

  def see(self, step, value, name='test', key='accuracy'):
    self.checkpoints.consider(self._at(step), step, name, {key: value})

  def _at(self, step):
    return dataclasses.replace(self.state, step=jnp.int32(step))

  def best(self):
    """Its step, its value, and when training ends if nothing better comes."""
    found = self.checkpoints
    return found.best_step, found.record, found.deadline()

  def close(self):
    self.checkpoints.close()


class Swept(Alone):
  """Of one run in a sweep of two, whose other never gives a number."""

  def __init__(self, folder, **options):
    self.state, tally, mesh = begun(2)
    paths = [folder / 'a', folder / 'b']
    for path in paths:
      path.mkdir(exist_ok=True)
    self.checkpoints = SharedCheckpoints(
        SimpleNamespace(paths=paths, alive=[0, 1]), folder, OPTIONS | options,
        SimpleNamespace(save=5, patience=3), mesh)
    self.checkpoints.take_over(self.state, 0, tally)

  def see(self, step, value, name='test', key='accuracy'):
    self.checkpoints.consider(self._at(step), step, name, [{key: value}, {key: math.nan}])

  def best(self):
    found = self.checkpoints
    step = int(np.asarray(found.best_state.step)[0])
    return step or None, found.values[0], found.deadline()


@pytest.mark.parametrize('kind', [Alone, Swept])
def test_the_best_is_a_number_and_larger_than_the_best_before(tmp_path, kind):
  run = kind(tmp_path)
  expected = [(0, .9, None), (1, math.nan, None), (2, -math.inf, 2), (3, .5, 3), (4, math.nan, 3),
              (5, .5, 3), (6, .4, 3), (7, .6, 7)]
  for step, value, best in expected:
    run.see(step, value)
    assert run.best()[0] == best
  run.see(8, .9, name='train')
  assert run.best() == (7, .6, 10)
  run.close()
  assert steps_of(tmp_path / 'best') == [7]


@pytest.mark.parametrize('kind', [Alone, Swept])
def test_after_a_resume_from_before_the_best_a_better_one_is_kept(tmp_path, kind):
  first = kind(tmp_path)
  first.see(20, .9)
  first.close()
  again = kind(tmp_path)
  again.see(12, .8)
  assert again.best() == (20, .9, 23) and steps_of(tmp_path / 'best') == [20]
  again.see(15, .95)
  again.see(20, .9)
  again.close()
  assert steps_of(tmp_path / 'best') == [15]
  third = kind(tmp_path)
  assert third.best() == (15, .95, 18)
  third.see(15, .97)                                    # on another machine
  third.close()
  assert kind(tmp_path).best() == (15, .97, 18)


@pytest.mark.parametrize('kind', [Alone, Swept])
def test_the_best_holds_no_optimiser(tmp_path, kind):
  """Momentum alone is as large as the weights. A best of before, which has it, is read as well."""
  run = kind(tmp_path)
  run.see(5, .5)
  run.close()
  kept = tmp_path / 'best' / '5'
  assert {'model', 'loop', 'optimizer'} & {p.name for p in kept.iterdir()} == {'model', 'loop'}
  older = kind(tmp_path)
  best = older.checkpoints.best
  best.delete(5)
  metrics = dict(value=.7, metric='test/accuracy', values=[.7, None])
  step = jnp.full(2 if kind is Swept else (), 7, jnp.int32)
  best.save(7, args=to_save(dataclasses.replace(older.state, step=step)), metrics=metrics)
  older.close()
  assert (tmp_path / 'best' / '7' / 'optimizer').is_dir()
  if kind is Swept:
    return
  again = kind(tmp_path)
  assert again.best()[:2] == (7, .7)
  again.see(9, .8)
  again.close()
  assert steps_of(tmp_path / 'best') == [9]


def test_what_another_metric_chose_is_no_record(tmp_path):
  first = Alone(tmp_path)
  first.see(5, .9)
  first.close()
  second = Alone(tmp_path, best='-test/loss')
  assert second.best() == (None, None, math.inf)
  assert steps_of(tmp_path / 'best') == [5]             # until there is another
  second.see(10, .2, key='loss')
  second.close()
  assert steps_of(tmp_path / 'best') == [10]
  assert Alone(tmp_path, best='-test/loss').best() == (10, -.2, 13)


def test_a_record_that_is_no_number_is_none(tmp_path):
  older = Alone(tmp_path)
  older.checkpoints.keep(older.state, 5, dict(value=math.nan))
  older.close()
  run = Alone(tmp_path)
  run.see(10, .1)
  run.close()
  assert steps_of(tmp_path / 'best') == [10] and run.best()[:2] == (10, .1)


def test_better_is_more_and_nan_is_nothing():
  assert improves(.1, None) and improves(.2, .1) and improves(-math.inf, None)
  assert not improves(.1, .1) and not improves(None, None) and not improves(math.nan, None)


@pytest.mark.parametrize('best, said', [
    ('tset/accuracy', 'is of no evaluation (did you mean "test"?); there are: test'),
    ('accuracy', 'is of no evaluation; there are: test; write e.g. "-test/loss"'),
    ('--test/loss', 'is of no evaluation (did you mean "test"?)'),
    ('test/acuracy', 'is not measured (did you mean "test/accuracy"?); there are: test/'),
    ('-test/lss', 'is not measured (did you mean "test/loss"?)'),               # in a sweep
    ('test', 'is not measured'), ('test/', 'is not measured'),
    ('test/confusion', 'is not measured')])                       # which is no number
def test_what_is_not_measured_is_refused_before_training(tmp_path, best, said):
  settings = config(checkpoint=dict(best=best), evals=dict(test=dict(
      split='test', every='100%', batch=120)))
  with pytest.raises(ConfigError) as caught:
    train_together({'a': settings}, tmp_path) if 'lss' in best else train(
        settings, tmp_path / 'a')
  assert str(caught.value).startswith(f'config.checkpoint.best: {best!r} {said}')
  assert not (tmp_path / 'a').exists()


def test_a_best_without_evaluations_is_refused(tmp_path):
  with pytest.raises(ConfigError, match='but there are no evaluations'):
    train(config(evals={}, checkpoint=dict(best='test/loss')), tmp_path)


@pytest.mark.parametrize('options, said', [
    (dict(keep=0), 'keep: must be at least 1'), (dict(keep=True), 'keep: expected int'),
    (dict(minutes=0.), 'minutes: must be more than 0'),
    (dict(minutes=math.nan), 'minutes: expected'),
    (dict(best=1), 'best: expected str'), (dict(every='0'), 'every: \'0\' is no time between two'),
    (dict(evry='5'), 'evry: no such key (did you mean "every"?)')])
def test_options_that_make_no_sense(options, said):
  with pytest.raises(ConfigError) as caught:
    saving_intervals(OPTIONS | options, lambda duration, where: int(duration))
  assert f'config.checkpoint.{said}' in str(caught.value)


def animals(split: str, classes: tuple = (), words: tuple = (), joints: tuple = ()):
  """Images of whatever is named."""
  return Arrays({'image': np.zeros((40, 8, 8, 1), np.uint8), 'label': np.zeros(40, np.int32)},
                Info(classes=classes, words=words, joints=joints))


def measured(trained, there, **more):
  def data(names):
    return dict(name='test_saving:animals', **names)
  return config(data=data(trained), split='all', evals=dict(pets=dict(
      split='all', data=data(there), batch=40)), **more)


@pytest.mark.parametrize('trained, there, said', [
    (dict(classes=('cat', 'dog')), dict(classes=('dog', 'cat')),
     'config.evals.pets: its classes (dog, cat) are not those of config.data (cat, dog): 0 is '
     "'dog' there and 'cat' in config.data"),
    (dict(classes=('cat', 'dog')), dict(classes=('cat', 'dog', 'cow')),
     "its classes (cat, dog, cow) are not those of config.data (cat, dog): 2 is 'cow' there, and "
     'there is none in config.data'),
    (dict(classes=('cat', 'dog'), words=tuple('abcdefgh')),
     dict(classes=('cat', 'dog'), words=tuple('abcdefhg')),
     "its words (a, b, c, d, e, f, ... 8 in all) are not those of config.data (a, b, c, d, e, f, "
     "... 8 in all): 6 is 'h' there and 'g' in config.data"),
    (dict(classes=('cat', 'dog'), joints=('nose', 'tail')),
     dict(classes=('cat', 'dog'), joints=('tail', 'nose')), 'its joints (tail, nose)')])
@pytest.mark.parametrize('swept', [False, True])
def test_what_numbers_stand_for_is_the_same_where_it_is_measured(tmp_path, trained, there, said,
                                                                 swept):
  settings = measured(trained, there)
  with pytest.raises(ConfigError) as caught:
    train_together({'a': settings}, tmp_path) if swept else train(settings, tmp_path / 'a')
  assert said in str(caught.value)
  assert not (tmp_path / 'a').exists()


def test_fewer_classes_in_the_same_order_are_measured(tmp_path):
  train(measured(dict(classes=('cat', 'dog', 'cow')), dict(classes=('cat', 'dog')), steps=1),
        tmp_path)
  assert load(tmp_path).classes == ('cat', 'dog', 'cow')
