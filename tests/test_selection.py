"""Which checkpoint of a run is used where none is named, and by which names they go."""

import shutil

import pytest
from tiny import config

import visionlab
from visionlab.config import ConfigError
from visionlab.runs.load import load
from visionlab.storage.workdir import write_members
from visionlab.train import train
from visionlab.weights.files import read_weights


@pytest.fixture(scope='module')
def early(tmp_path_factory):
  """A run whose best is its first, at step 10, for its rate is zero: patience ends it at 33."""
  folder = tmp_path_factory.mktemp('runs') / 'early'
  train(config(steps=200, hp=dict(lr=0.), optim=dict(name='sgd'), model=dict(norm=False),
               evals=dict(test=dict(split='test', every=10, batch=120)),
               checkpoint=dict(every='11', keep=2, best='-test/loss', patience=23)), folder)
  return folder


@pytest.fixture(scope='module')
def plain(early, tmp_path_factory):
  """The same, as if that had been its last step."""
  folder = tmp_path_factory.mktemp('runs') / 'plain'
  shutil.copytree(early, folder)
  (folder / 'outcome.json').write_text('{"status": "done", "step": 33}')
  return folder


def test_where_patience_ended_the_run_its_best_stands_for_it(early, plain, tmp_path):
  assert (load(early).step, load(plain).step) == (10, 33)
  assert (load(early, step='newest').step, load(plain, step='best').step) == (33, 10)
  assert load(early, step=22).step == 22
  assert load(visionlab.export(early, tmp_path / 'a')).step == 10
  assert load(visionlab.export(early, tmp_path / 'b', step=33)).step == 33
  assert read_weights(early).where.endswith(', step 10')              # of config.init_from
  on = tmp_path / 'on'                                       # trained on: it has not ended yet
  shutil.copytree(early, on)
  (on / 'outcome.json').unlink()
  assert load(on).step == 33


def test_a_run_says_which_checkpoint_it_is(early, plain):
  assert load(early).which == ('step 10, the best by -test/loss (the newest is step 33: '
                               '--step=newest)')
  assert load(plain).which == 'step 33 (the best by -test/loss is step 10: --step=best)'
  assert load(early, step=22).which == ('step 22 (the best by -test/loss is step 10: --step=best; '
                                        'the newest is step 33: --step=newest)')
  assert load(early).which in repr(load(early))


def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are(early, tmp_path):
  with pytest.raises(ConfigError, match=r'no checkpoint 7; there are: 22, 33, newest, '
                                        r'best \(step 10\)'):
    load(early, step=7)
  with pytest.raises(ConfigError, match='no checkpoint bset .did you mean "best"'):
    load(early, step='bset')
  bare = tmp_path / 'bare'
  shutil.copytree(early, bare)
  for kind in ('best', 'checkpoints'):
    shutil.rmtree(bare / kind)
  with pytest.raises(ConfigError, match='no checkpoint best; there are: none'):
    load(bare, step='best')
  with pytest.raises(ConfigError, match='no checkpoint yet'):        # early, but nothing is kept
    load(bare)


def test_a_damaged_best_is_named(early, tmp_path):
  hurt = tmp_path / 'hurt'
  shutil.copytree(early, hurt)
  shutil.rmtree(hurt / 'best' / '10' / 'model')
  with pytest.raises(ConfigError, match='best/10: this checkpoint cannot be read'):
    load(hurt)
  assert load(hurt, step='newest').step == 33


def test_the_folder_of_a_sweep_says_that_it_is_one(tmp_path):
  names = [f'hp.lr={rate}' for rate in range(14)]
  for name in names:
    (tmp_path / name).mkdir()
    (tmp_path / name / 'config.json').write_text('{}')
  write_members(tmp_path, [tmp_path / name for name in names])
  with pytest.raises(ConfigError) as caught:
    load(tmp_path)
  first, *listed, last = str(caught.value).splitlines()
  assert first.endswith('It is a sweep: name one of its settings by --member (member= in Python)')
  assert listed == [f'  {i}  hp.lr={i}' for i in range(12)] and last == '  ... 14 in all'
  with pytest.raises(ConfigError, match="no member '99'.*there are 14, by number or name, such as"):
    load(tmp_path, member='99')
