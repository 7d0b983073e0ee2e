"""One run on several processes: what it computes, and what becomes of it when one is lost."""

import shutil
import signal
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import together
from PIL import Image

from visionlab.config import ConfigError
from visionlab.parallel import distributed
from visionlab.parallel.distributed import DONE, FAILED, Roll, rollcall
from visionlab.runs.load import load
from visionlab.storage.checkpoint import steps_of

STEPS, RESUMED = 12, 4
CONFIG = """
from tiny import config

def get_config():
  return config(steps={steps}, pipeline=dict(resident='never'), parallel=dict(devices=0),
                optim=dict(name='sgd', ema=True), evals=dict(
                    test=dict(split='test', batch=120), one=dict(split='test[:1]', batch=12)),
                log=dict(every='4 steps', tensorboard=False),
                checkpoint=dict(every='4 steps', keep=3, best='-test/loss'))
"""


@pytest.fixture(scope='module')
def config_file(tmp_path_factory):
  path = tmp_path_factory.mktemp('config') / 'digits.py'
  path.write_text(CONFIG.format(steps=STEPS))
  return path


@pytest.fixture(scope='module')
def alone(config_file, tmp_path_factory) -> Path:
  """The workdir of a run on one process and one device."""
  workdir = tmp_path_factory.mktemp('alone') / 'run'
  together.trained(1, workdir, config_file)
  return workdir


@pytest.fixture(scope='module')
def four(config_file, tmp_path_factory) -> Path:
  workdir = tmp_path_factory.mktemp('four') / 'run'
  said = together.trained(4, workdir, config_file)
  assert '4 x cpu in 4 processes' in said
  return workdir


def assert_same_weights(a: Path, b: Path):
  first, second = load(a), load(b)
  assert first.step == second.step == STEPS
  for x, y in zip(*map(jax.tree.leaves, (first.variables, second.variables)), strict=True):
    np.testing.assert_allclose(x, y, atol=1e-5, rtol=0)


def test_four_processes_train_as_one_does(alone, four):
  """The batches bit for bit; weights, averages and statistics to rounding."""
  assert len(together.batches(alone, 1)[0]) == 32
  assert together.batches(four, 4) == together.batches(alone, 1)
  assert_same_weights(alone, four)


def test_pictures_are_of_the_rows_of_all_processes(alone, four):
  """Also of a split of which all but the first have padding alone."""
  one, many = ({path.name: np.asarray(Image.open(path)) for path in (run / 'figures').iterdir()}
               for run in (alone, four))
  assert set(one) == set(many) >= {'test_samples.png', 'one_samples.png', 'learning_curves.png'}
  for name in ('test_samples.png', 'one_samples.png'):
    assert one[name].shape == many[name].shape
    assert np.mean(one[name] != many[name]) < .02             # a digit of a probability


@pytest.mark.parametrize('processes', [1, 2])
def test_a_run_resumes_on_any_number_of_processes(processes, alone, four, config_file, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(four, workdir)
  for step in (8, 12):
    shutil.rmtree(workdir / 'checkpoints' / str(step))
  assert f'resumed from step {RESUMED}' in together.trained(processes, workdir, config_file)
  assert together.batches(workdir, processes) == together.batches(alone, 1)[RESUMED:]
  assert_same_weights(alone, workdir)


def test_two_processes_of_two_devices_with_fsdp_train_as_one_device(alone, config_file, tmp_path):
  """With the set on every device, from which each gathers its own rows."""
  options = '--config.parallel.fsdp', '--config.pipeline.resident=always'
  said = together.trained(2, tmp_path / 'run', config_file, *options, devices=2)
  assert '4 x cpu in 2 processes, each with' in said
  assert_same_weights(alone, tmp_path / 'run')


def test_one_that_is_killed_is_named_and_the_restarted_run_goes_on(tmp_path):
  path, workdir = tmp_path / 'digits.py', tmp_path / 'run'
  path.write_text(CONFIG.format(steps=10**6))
  options = workdir, path, '--config.batch=48'
  processes = together.start(3, *options, patience=5.)
  wait_for(8, workdir, processes)
  processes[1].kill()
  begun = time.monotonic()
  ended = together.finish(processes, timeout=60)
  assert time.monotonic() - begun < 60
  assert [code for code, *_ in ended] == [1, -signal.SIGKILL, 1]
  for _, _, err in (ended[0], ended[2]):
    assert 'error: process 1 of 3 is lost: not heard of for 5 s' in err.splitlines()[-1]

  before = steps_of(workdir / 'checkpoints')[-1]
  processes = together.start(2, *options)
  wait_for(before + 8, workdir, processes)
  processes[1].terminate()                         # told to one, obeyed by all
  (code, said, err), (other, *_) = together.finish(processes)
  assert (code, other) == (0, 0), err
  assert f'resumed from step {before}' in said
  assert f'interrupted; {workdir} holds step {load(workdir).step}' in said


def test_when_the_first_is_killed_the_others_say_so(tmp_path):
  """It holds what the others are heard through."""
  path, workdir = tmp_path / 'digits.py', tmp_path / 'run'
  path.write_text(CONFIG.format(steps=10**6))
  processes = together.start(2, workdir, path)
  wait_for(4, workdir, processes)
  processes[0].kill()
  _, (code, _, err) = together.finish(processes, timeout=60)
  assert code == 1
  assert 'error: process 0 of 2, which the others need, is lost' in err.splitlines()


def wait_for(step, workdir, processes, timeout=300):
  """Until a checkpoint of that step or a later one is there."""
  end = time.monotonic() + timeout
  while (steps_of(workdir / 'checkpoints') or [0])[-1] < step:
    if time.monotonic() > end or any(p.poll() is not None for p in processes):
      for p in processes:
        p.kill()
      pytest.fail('\n'.join(p.communicate()[1] for p in processes))
    time.sleep(.2)


def played(*rounds: dict, patience=10.):
  """The verdicts where the processes say that, one round every 4 seconds."""
  call = rollcall(3, patience)
  return [call(said, 4. * i) for i, said in enumerate(rounds)]


def test_the_roll_is_quiet_while_all_are_heard():
  assert played(*({0: str(i), 1: str(i), 2: str(i)} for i in range(9))) == [None] * 9


def test_silence_is_a_loss_and_outweighs_the_failures_it_leads_to():
  failing = {0: FAILED + 'Gloo', 1: '1'}
  verdicts = played({0: '0', 1: '1'}, *[{**failing, 2: str(i)} for i in range(4)])
  assert verdicts[:3] == [None] * 3
  assert verdicts[3].startswith('process 1 of 3 is lost: not heard of for 10 s')


def test_one_that_never_comes_is_lost():
  verdicts = played(*[{0: str(i), 1: str(i)} for i in range(4)])
  assert verdicts[:3] == [None] * 3 and verdicts[3].startswith('process 2 of 3 is lost')


def test_who_fails_alone_is_named_with_its_error():
  verdicts = played(*[{0: str(i), 1: str(i), 2: FAILED + 'no space left'} for i in range(4)])
  assert verdicts[:3] == [None] * 3
  assert verdicts[3] == 'process 2 of 3 failed: no space left'
  assert played({0: DONE, 1: DONE, 2: FAILED + 'no space left'})[0] == verdicts[3]


def test_where_all_end_alike_nobody_is_to_blame():
  assert played(dict.fromkeys(range(3), FAILED + 'a wrong key')) == ['']
  assert played({0: DONE, 1: '1', 2: DONE}, dict.fromkeys(range(3), DONE)) == [None, '']


class Store(dict):
  """What JAX's key-value store does, within one process."""

  def key_value_set(self, key, value, allow_overwrite=False):
    assert allow_overwrite or key not in self
    self[key] = value

  def key_value_dir_get(self, key):
    return [(k, v) for k, v in self.copy().items() if k.startswith(key + '/')]


@pytest.fixture
def quick(monkeypatch):
  monkeypatch.setattr(distributed, 'PERIOD', .02)


def test_an_error_that_another_is_to_blame_for_is_said_to_be(quick):
  store = Store()
  rolls = [Roll(store, i, 3, patience=.3) for i in range(2)]           # the third has died
  said = {}
  threads = [threading.Thread(target=lambda i=i: said.update(
      {i: rolls[i].failed(RuntimeError('connection closed'))})) for i in range(2)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(5)
  assert [said[i][:23] for i in range(2)] == ['process 2 of 3 is lost:'] * 2
  for roll in rolls:
    roll.leave()


def test_a_mistake_made_by_all_is_theirs(quick):
  store = Store()
  rolls = [Roll(store, i, 2, patience=.3) for i in range(2)]
  said = []
  thread = threading.Thread(target=lambda: said.append(rolls[1].failed(ConfigError('x'))))
  thread.start()
  assert rolls[0].failed(ConfigError('x')) == ''
  thread.join(5)
  assert said == ['']
  for roll in rolls:
    roll.leave()


def test_who_is_done_early_is_not_missed(quick):
  store = Store()
  rolls = [Roll(store, i, 2, patience=.2) for i in range(2)]
  rolls[1].leave()
  time.sleep(.5)
  assert not rolls[0].judged.is_set()
  rolls[0].leave()
  assert rolls[0].verdict == ''


@pytest.mark.parametrize('given, message', [
    (('host:1', None, 0), 'belong together; missing: --processes'),
    (('', 4, 0), 'belong together; missing: --coordinator'),
    (('host', 4, 0), '--coordinator=host: expected host:port'),
    (('http://host:1', 4, 0), 'expected host:port'),
    (('host:1', 4, 4), '--process=4: expected 0 to 3 of --processes=4')])
def test_wrong_addresses_are_refused(given, message):
  with pytest.raises(ConfigError, match=message):
    distributed.check_flags(*given)


def test_addresses_that_are_right():
  distributed.check_flags('', None, None)
  distributed.check_flags('10.0.0.1:1234', 4, 3)
  distributed.check_flags('[fe80::1]:1234', 1, 0)


def test_processes_that_never_come_are_waited_for_no_longer_than_said(config_file, tmp_path):
  (process, *others) = together.start(2, tmp_path / 'run', config_file, '--join_timeout=2')
  others[0].kill()
  (code, _, err), _ = together.finish([process, *others], timeout=60)
  assert code == 1
  assert 'error: not all 2 processes came to localhost:' in err
  assert 'within 2 s' in err


def test_mistakes_are_found_before_training(config_file, tmp_path):
  """By every process, and these have learnt from SLURM who they are: a batch that does not divide.
  """
  ended = together.finish(together.start(2, tmp_path / 'run', config_file, '--config.batch=31',
                                         slurm=True))
  assert [code for code, *_ in ended] == [2, 2]
  for *_, err in ended:
    assert ('error: config.batch: 31 must be a multiple of 2 (2 devices in 2 processes x 1 '
            'microbatches x 1 sources)') in err
  assert not (tmp_path / 'run').exists()
