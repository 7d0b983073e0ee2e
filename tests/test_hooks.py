"""Others are told of a run's metrics; none of them can end it."""

import contextlib
import json

import pytest
from tiny import config

from visionlab.config import ConfigError
from visionlab.train import train
from visionlab.training.hooks import Hooks, numbers
from visionlab.training.log import Log, read_metrics

told = []


@contextlib.contextmanager
def listener(workdir, config):
  told.append(('begun', workdir.name, config.hp.lr))
  yield told.append
  told.append('ended')


@contextlib.contextmanager
def breaking(workdir, config):
  def write(line):
    raise ConnectionError('the tracker is down')
  yield write


def test_a_hook_gets_every_line_and_is_closed(tmp_path):
  told.clear()
  train(config(steps=4, log=dict(every='2', hooks=('test_hooks:listener',), tensorboard=False)),
        tmp_path / 'run')
  assert (told[0], told[-1]) == (('begun', 'run', .1), 'ended')
  assert told[1:-1] == read_metrics(tmp_path / 'run')


def test_a_hook_that_fails_is_named_once_and_left_out(tmp_path, caplog):
  hooks = Hooks(('test_hooks:breaking', 'test_hooks:listener'), tmp_path, config())
  told.clear()
  log = Log(tmp_path, step=0, total=2, examples=1, tensorboard=False, hooks=hooks)
  for step in (1, 2):
    log.write(step, {'train/loss': 1.})
  log.close()
  assert [line['step'] for line in told[:2]] == [1, 2] and told[2:] == ['ended']
  assert caplog.text.count('test_hooks:breaking failed and is not called again') == 1


def test_a_hook_that_is_not_there_is_named(tmp_path):
  with pytest.raises(ConfigError, match=r'config.log.hooks\[0\].*no_such'):
    Hooks(('test_hooks:no_such',), tmp_path, config())


def lines(tmp_path, hook):
  """Two lines told to a hook: step 1 with a loss, step 2 with one that is not finite."""
  hooks = Hooks((f'visionlab.training.hooks:{hook}',), tmp_path / 'run', config())
  log = Log(tmp_path, step=0, total=2, examples=16, epoch=32, tensorboard=False, hooks=hooks)
  log.write(1, {'train/loss': .5})
  log.write(2, {'train/loss': float('inf')})
  log.close()
  return hooks


def test_weights_and_biases_has_the_values_and_the_config(tmp_path, monkeypatch):
  wandb = pytest.importorskip('wandb')
  monkeypatch.setenv('WANDB_MODE', 'offline')
  monkeypatch.setenv('WANDB_SILENT', 'true')
  (tmp_path / 'run').mkdir()
  seen = []
  real = wandb.sdk.wandb_run.Run.log
  monkeypatch.setattr(wandb.sdk.wandb_run.Run, 'log',
                      lambda run, values, step=None: (seen.append((step, values, dict(run.config))),
                                                      real(run, values, step=step)))
  assert lines(tmp_path, 'wandb').writes
  assert [(step, values['train/loss'], values['epoch']) for step, values, _ in seen] == [
      (1, .5, .5), (2, float('inf'), 1.)]
  assert seen[0][2]['hp']['lr'] == .1
  assert list((tmp_path / 'run').rglob('*.wandb'))         # the file that `wandb sync` sends


def test_mlflow_reads_the_values_back(tmp_path, monkeypatch):
  mlflow = pytest.importorskip('mlflow')
  monkeypatch.setenv('MLFLOW_TRACKING_URI', (tmp_path / 'tracker').as_uri())
  monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
  mlflow.set_tracking_uri((tmp_path / 'tracker').as_uri())
  assert lines(tmp_path, 'mlflow').writes
  client = mlflow.MlflowClient((tmp_path / 'tracker').as_uri())
  run, = client.search_runs(['0'])
  history = client.get_metric_history(run.info.run_id, 'train/loss')
  assert [(m.step, m.value) for m in history] == [(1, .5), (2, float('inf'))]
  assert run.data.params['hp.lr'] == '0.1'


def test_numbers_are_what_a_tracker_plots():
  line = json.loads('{"step": 2, "epoch": 0.5, "time": 1.0, "eval": "test", "test/loss": "nan"}')
  assert list(numbers(line)) == ['epoch', 'test/loss']
