"""Many settings in one program: each member is what it would be alone."""

import json
import shutil

import jax
import numpy as np
import pytest
import tiny
from absl import logging
from driven import difference, driven
from test_parallel import trained
from test_train import Killed, killed_at, logged

import visionlab
from configs import digits_cnn, digits_dann
from experiments.study import changed
from visionlab import build, step, train as train_module
from visionlab.config import ConfigError, TrainingError
from visionlab.storage.workdir import outcome
from visionlab.sweeps.together import train_together
from visionlab.train import train
from visionlab.training.log import OF_THE_MACHINE, read_metrics
from visionlab.training.member_warnings import of_members

pytestmark = pytest.mark.usefixtures('optimised')

LRS, SEEDS = (.1, .03, .01), (0, 1, 0)


def config(lr=.1, seed=0, **changes):
  """On two devices where members share a program; alone, a run has one."""
  options = dict(hp=dict(lr=lr, momentum=.9, weight_decay=1e-3), seed=seed,
                 model=dict(dropout=.3), parallel=dict(devices=2),
                 checkpoint=dict(every='5', keep=3, best='test/accuracy'))
  return tiny.config(**{**options, **changes})


def alone(config):
  return changed(config, parallel__devices=1, checkpoint=config.checkpoint.to_dict())


def together(configs, steps):
  """The members' (params, collections) after some steps, driven as the loop does."""
  job = build.assemble(configs[0], configs)
  state, tally = driven(job, steps)
  assert int(state.step) == steps
  state = jax.device_get((state.params, state.collections))
  return [jax.tree.map(lambda x, k=k: x[k], state) for k in range(len(configs))], tally


def batchnorm(lr, seed, **more):
  return config(lr, seed, steps=50, **more)


def classifier(lr, seed):
  return changed(digits_cnn.get_config('smoke'), hp__lr=lr / 10, seed=seed, batch=16,
                 task=dict(name='classify', model=dict(name='cnn', widths=(4, 8), hidden=32,
                                                       dropout=.5)), parallel__devices=2)


def adversarial(lr, seed):
  return changed(digits_dann.get_config('smoke'), hp__lr=lr / 10, seed=seed, steps=50, batch=8,
                 parallel__devices=2)


def players(lr, seed):
  return tiny.players(hp=dict(lr=lr / 10, critic_rate=.1 / lr), seed=seed, steps=50,
                      parallel=dict(devices=2))


def clips(lr, seed):
  return tiny.clips(hp=dict(lr=lr, momentum=.9), seed=seed, steps=50, parallel=dict(devices=2))


def poses(lr, seed):
  return tiny.poses(hp=dict(lr=lr / 10, momentum=.9, spread=1 + lr), seed=seed, steps=50,
                    parallel=dict(devices=2))


def compared(lr, seed):
  return tiny.compared(hp=dict(lr=lr, momentum=.9, margin=1 - lr), seed=seed, steps=50,
                       parallel=dict(devices=2))


def stories(lr, seed):
  return tiny.aligned_stories(hp=dict(lr=lr, momentum=.9), seed=seed, steps=50,
                              parallel=dict(devices=2))


@pytest.mark.parametrize('make', [classifier, batchnorm, adversarial, players, clips, poses,
                                  compared, stories])
def test_a_member_equals_its_single_run(make):
  """Three on two devices: one of the four places is only filled up."""
  configs = [make(lr, seed) for lr, seed in zip(LRS, SEEDS, strict=True)]
  members, _ = together(configs, 50)
  for own, member in zip(configs, members, strict=True):
    single, _ = trained(alone(own), 50)
    assert difference(single, member) < 1e-5
  assert difference(members[0], members[2]) > 1e-3


def test_widened_members_equal_their_single_runs(monkeypatch):
  """As on accelerators: vmap instead of turns."""
  monkeypatch.setattr(build, 'platform', lambda mesh: 'gpu')
  monkeypatch.setattr(step, 'platform', lambda mesh: 'gpu')
  configs = [config(lr, seed) for lr, seed in zip((*LRS, 1e30), (*SEEDS, 0), strict=True)]
  members, tally = together(configs, 20)
  for own, member in zip(configs[:3], members, strict=False):
    assert difference(trained(alone(own), 20)[0], member) < 1e-5
  assert (np.asarray(tally.bad_step) >= 0).tolist() == [False, False, False, True]


def test_streamed_members_share_their_batches():
  configs = [config(lr, steps=6, pipeline=dict(resident='never')) for lr in LRS]
  members, _ = together(configs, 6)
  single, _ = trained(alone(configs[1]), 6)
  assert difference(single, members[1]) < 1e-5


def test_members_may_have_data_seeds_of_their_own():
  configs = [config(steps=6, data_seed=s) for s in (0, 7)]
  members, _ = together(configs, 6)
  for own, member in zip(configs, members, strict=True):
    assert difference(trained(alone(own), 6)[0], member) < 1e-5
  assert difference(*members) > 1e-4
  streamed = [config(data_seed=s, pipeline=dict(resident='never')) for s in (0, 7)]
  with pytest.raises(ConfigError, match=r'config\.data_seed'):
    build.assemble(streamed[0], streamed)


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
  """A sweep that was stopped at half, and went on without a member that had diverged."""
  folder = tmp_path_factory.mktemp('sweep')
  configs = {f'lr={lr}': config(lr, seed) for lr, seed in zip(LRS, SEEDS, strict=True)}
  stopped = train_together({**configs, 'wild': config(1e30)}, folder, until='50%')
  assert tuple(stopped) == (10, 10, False)
  assert outcome(folder / 'wild')['status'] == 'diverged' and not outcome(folder / 'lr=0.1')
  assert tuple(train_together(configs, folder)) == (20, 20, False)
  return folder, configs


def test_a_member_leaves_what_a_run_leaves(swept, tmp_path):
  folder, configs = swept
  name = 'lr=0.03'
  train(alone(configs[name]), tmp_path / 'alone')
  assert outcome(folder / name) == outcome(tmp_path / 'alone') == dict(status='done', step=20)
  single, member = (read_metrics(path) for path in (tmp_path / 'alone', folder / name))
  for ours, theirs in zip(member, single, strict=True):
    ours, theirs = ({k: v for k, v in line.items() if k not in OF_THE_MACHINE}
                    for line in (ours, theirs))
    assert (ours.pop('eval', ''), list(ours)) == (theirs.pop('eval', ''), list(theirs))
    assert ours == pytest.approx(theirs, rel=1e-5)
  for at in (None, 'best', 15):
    ours, theirs = (visionlab.load(path, step=at) for path in (folder / name, tmp_path / 'alone'))
    assert (ours.step, float(ours.hp['lr'])) == (theirs.step, float(np.float32(.03)))
    assert difference(ours.variables, theirs.variables) < 1e-5
  images = np.zeros((2, 8, 8, 1), np.uint8)
  np.testing.assert_allclose(ours.predict(images)['logits'], theirs.predict(images)['logits'],
                             atol=1e-5)
  events = [p.suffix for p in (folder / name).iterdir()]
  assert sorted(events) == ['.json'] * 5 + ['.jsonl']


def test_members_are_loaded_by_number_or_name(swept):
  folder, configs = swept
  (program,) = [p for p in (folder / 'programs').iterdir()
                if len(json.loads((p / 'members.json').read_text())) == 3]
  found = [visionlab.load(program, member=m) for m in (1, 'lr=0.03')]
  assert [run.config.seed for run in found] == [1, 1]
  assert difference(found[0].variables, visionlab.load(folder / 'lr=0.03').variables) == 0
  with pytest.raises(ConfigError, match='did you mean "lr=0.03"'):
    visionlab.load(program, member='lr=0.04')
  with pytest.raises(ConfigError, match='no sweep here'):
    visionlab.load(folder / 'lr=0.03', member=0)


def test_a_diverging_member_does_not_touch_its_neighbours(swept):
  folder, configs = swept
  assert outcome(folder / 'wild')['step'] < 3
  with pytest.raises(ConfigError, match='diverged at step'):
    visionlab.load(folder / 'wild')
  members, _ = together([*configs.values()], 20)          # never had such a neighbour
  for name, member in zip(configs, members, strict=True):
    run = visionlab.load(folder / name)
    variables = run.variables['params'], {k: v for k, v in run.variables.items() if k != 'params'}
    assert difference(variables, member) == 0


def test_what_is_done_starts_from_its_end(swept, capsys):
  folder, configs = swept
  def lines():
    return [{k: v for k, v in line.items() if k not in OF_THE_MACHINE}
            for line in read_metrics(folder / 'lr=0.1')]
  before = lines()
  train_together(configs, folder)
  assert 'resumed from step 20' in capsys.readouterr().out
  assert lines() == before
  with pytest.raises(ConfigError, match='another config'):
    train_together({**configs, 'lr=0.1': config(.2)}, folder)


def test_when_all_have_diverged_that_is_said(tmp_path):
  with pytest.raises(TrainingError, match='every setting has diverged'):
    train_together({name: config(1e30) for name in 'ab'}, tmp_path)
  assert [outcome(tmp_path / name)['status'] for name in 'ab'] == ['diverged'] * 2


def test_a_full_disk_loses_nothing_that_is_finished(tmp_path, monkeypatch):
  configs = {'a': config(.1, steps=10), 'b': config(.03, steps=10)}
  train_together({'done': config(.1, steps=5)}, tmp_path)
  with monkeypatch.context() as patch:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    patch.setattr(shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(OSError, match='cannot write a checkpoint'):
      train_together(configs, tmp_path)
  assert outcome(tmp_path / 'done') and visionlab.load(tmp_path / 'done').step == 5
  assert not outcome(tmp_path / 'a')
  assert train_together(configs, tmp_path).step == 10


def test_a_killed_sweeps_lines_are_those_of_an_unbroken_one(tmp_path, monkeypatch):
  """Of three members on two devices, and of one that goes on in other company."""
  configs = {f'lr={lr}': config(lr, log=dict(every='7', tensorboard=False)) for lr in LRS}
  train_together(configs, tmp_path / 'whole')
  with monkeypatch.context() as patch:
    killed_at(13, patch)
    with pytest.raises(Killed):
      train_together(configs, tmp_path / 'parts')
  left = {name: configs[name] for name in ('lr=0.1', 'lr=0.01')}
  train_together(left, tmp_path / 'parts')
  train_together({'lr=0.03': configs['lr=0.03']}, tmp_path / 'parts')
  for name in configs:
    whole, parts = (logged(tmp_path / place / name) for place in ('whole', 'parts'))
    assert [list(line) for line in parts] == [list(line) for line in whole]
    for ours, theirs in zip(parts, whole, strict=True):
      assert ours.pop('eval', '') == theirs.pop('eval', '')
      assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize('at_once', [1, 40])
def test_a_member_stops_at_the_step_that_it_would_alone(tmp_path, monkeypatch, at_once):
  monkeypatch.setattr(train_module, 'next_size', lambda last, rate: at_once)
  options = dict(steps=90, augment={}, model=dict(norm=False),
                 evals=dict(test=dict(split='test', every='10', batch=120)),
                 checkpoint=dict(every='80', keep=1, best='-test/loss', patience='23'))
  configs = dict(still=config(0., hp=dict(lr=0.), **options), moving=config(.1, **options))
  assert train_together(configs, tmp_path).step == 33
  assert outcome(tmp_path / 'still') == dict(status='done', step=33, stopped_early=True)


def test_members_stop_early_one_by_one(tmp_path):
  """The first does not move, so that its best is its first; the others go on without it."""
  options = dict(steps=12, evals=dict(test=dict(split='test', every='2', batch=120)),
                 checkpoint=dict(every='2', keep=1, best='-test/loss', patience='4'))
  configs = dict(still=config(0., hp=dict(lr=0.), augment={}, model=dict(norm=False), **options),
                 moving=config(.1, augment={}, model=dict(norm=False), **options))
  assert train_together(configs, tmp_path).step == 6
  ended = dict(status='done', step=6, stopped_early=True)
  assert outcome(tmp_path / 'still') == ended and not outcome(tmp_path / 'moving')
  assert train_together({'moving': configs['moving']}, tmp_path).step == 12
  train(alone(configs['still']), tmp_path / 'alone')
  assert outcome(tmp_path / 'alone') == ended
  assert outcome(tmp_path / 'moving') == dict(status='done', step=12)
  assert [visionlab.load(tmp_path / name).step for name in ('still', 'alone', 'moving')] == [
      2, 2, 12]


def test_what_members_warn_of_alike_comes_once(caplog):
  with of_members(2):
    for share in (0, 7):
      logging.warning('near %d %% of all', share)
    logging.warning('no distance')
    logging.info('seen')
  assert [r.getMessage() for r in caplog.records if r.levelname == 'WARNING'] == [
      'all settings: near 0 % of all', 'some settings: no distance']
  logging.warning('near %d %% of all', 9)
  assert caplog.messages[-1] == 'near 9 % of all'
