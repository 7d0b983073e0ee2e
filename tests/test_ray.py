"""Settings as tasks of a Ray cluster: a local one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import job, mixed

from launch import ray_cluster
from launch.ray_cluster import Options
from visionlab.config import ConfigError
from visionlab.storage.workdir import outcome

ROOT = Path(__file__).parents[1]


def test_without_ray(monkeypatch):
  monkeypatch.setitem(sys.modules, 'ray', None)
  with pytest.raises(ConfigError, match=r'visionlab\[ray\]'):
    ray_cluster.run([], Options())


def test_what_would_be_run():
  done = subprocess.run(
      [sys.executable, '-m', 'launch.sweep', '--config=configs/digits_cnn.py', '--workdir=runs/s',
       '--set=hp.lr=.1,.2', '--on=ray', '--ray.gpus=1', '--dry_run'],
      cwd=ROOT, capture_output=True, text=True)
  first, *commands = done.stdout.splitlines()
  assert first == '# 2 tasks with 1 CPUs and 1 GPUs each, on this machine'
  assert commands[1] == ('python -m visionlab.train --config=configs/digits_cnn.py '
                         '--config.hp.lr=0.2 --workdir=runs/s/lr=0.2')


@pytest.mark.filterwarnings('default')
def test_tasks_are_retried_and_failures_reported(tmp_path, monkeypatch):
  pytest.importorskip('ray')
  monkeypatch.setenv('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
  jobs = mixed(tmp_path, 'again', 'sys.exit("lost")')
  said = []
  failed = ray_cluster.run(jobs, Options(), retries=1, say=said.append)
  assert failed == {'bad': 'error: no such thing'}
  assert all(outcome(j.workdir)['status'] == 'done' for j in jobs[:2])
  assert 'bad: failed: error: no such thing' in said and len(said) == 3


@pytest.mark.filterwarnings('default')
def test_an_interrupted_sweep_has_its_tasks_save(tmp_path):
  pytest.importorskip('ray')
  run = job(tmp_path, 'run', f"""
from visionlab.training.interrupt import told_to_stop
with told_to_stop() as told:
  os.kill({os.getpid()}, signal.SIGTERM)
  while not told():
    time.sleep(.05)
(w / 'saved').touch()
""")
  assert ray_cluster.run([run], Options(), say=lambda line: None) is None
  assert (run.workdir / 'saved').exists() and not outcome(run.workdir)
