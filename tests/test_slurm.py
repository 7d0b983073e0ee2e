"""Jobs on SLURM: submitit's local and debug executors, and programs that play the cluster."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import slurm_played
from jobs import DONE, job
from slurm_played import until

from launch import processes, slurm
from launch.slurm import Options
from visionlab.config import ConfigError
from visionlab.storage.workdir import outcome
from visionlab.training.log import read_metrics

submitit = pytest.importorskip('submitit')
submitit_local = pytest.importorskip('submitit.local.local')

ROOT = Path(__file__).parents[1]
CONFIG = """
import tiny

def get_config():
  return tiny.config(batch=16, steps=1000, checkpoint=dict(every='20'), augment={}, evals={},
                     model=dict(norm=False))
"""


@pytest.fixture(autouse=True)
def path(monkeypatch):
  monkeypatch.setenv('PYTHONPATH', f'{ROOT}:{ROOT / "tests"}')
  monkeypatch.chdir(ROOT)


@pytest.fixture
def local(tmp_path, monkeypatch):
  started, start = [], submitit_local.start_controller
  monkeypatch.setattr(submitit_local, 'start_controller',
                      lambda *args, **more: started.append(start(*args, **more)) or started[-1])
  executor = submitit.LocalExecutor(tmp_path / 'slurm')
  executor.update_parameters(timeout_min=60)
  yield executor
  for process in started:
    process.wait(timeout=30)


def test_jobs_are_retried_and_failures_reported(tmp_path, local):
  jobs = [job(tmp_path, 'good', DONE),
          job(tmp_path, 'again', 'if not tries: sys.exit("lost")\n' + DONE),
          job(tmp_path, 'bad', 'sys.exit("error: no such thing")')]
  said = []
  failed = slurm.run(jobs, local, retries=1, poll=.1, say=said.append)
  assert failed == {'bad': 'finished: error: no such thing'}
  assert said[0].startswith('3 submitted')
  assert any(line.endswith('again: done') for line in said)
  log = next((tmp_path / 'slurm').glob('*_log.err'))
  assert slurm.run(jobs[:2], local, poll=.1, say=said.append) == {}
  assert said[-1].startswith('0 submitted') and log.exists()


def test_a_preempted_job_is_queued_again_and_goes_on(tmp_path, local):
  """As SLURM does it, the signal goes to every process of the job, the training included."""
  config = tmp_path / 'config.py'
  config.write_text(CONFIG)
  run = processes.Job.train(str(config), {}, tmp_path / 'run')
  assert slurm.run([run], local, watch=False, say=lambda line: None) is None
  (number,) = [int(n) for n in slurm.submitted(local).values()]
  task = until(lambda: slurm_played.children(number))[0]
  until(lambda: [p for p in (run.workdir / 'checkpoints').glob('*') if p.name.isdigit()])
  (training,) = slurm_played.children(task)
  os.kill(training, signal.SIGUSR2)
  os.kill(task, signal.SIGUSR2)
  until(lambda: outcome(run.workdir))
  log = processes.log_of(run).read_text()
  assert 'interrupted' in log and 'resumed from step' in log
  steps = [line['step'] for line in read_metrics(run.workdir) if 'train/loss' in line]
  assert steps == sorted(set(steps)) and outcome(run.workdir) == dict(status='done', step=1000)
  said = next((tmp_path / 'slurm').glob(f'{number}_0_log.*')).with_suffix('.err').read_text()
  assert 'this job is preempted' in said and 'Bypassing' not in said


def test_a_second_signal_does_not_disturb_a_job_that_saves(tmp_path, local):
  """SLURM's SIGTERM has the training save, and SIGUSR2 comes before it has: both in peace."""
  run = job(tmp_path, 'run', """
from visionlab.training.interrupt import told_to_stop
if tries:
  conclude(w, 'done', 1)
  sys.exit()
with told_to_stop() as told:
  (w / 'ready').touch()
  while not told():
    time.sleep(.05)
  time.sleep(.5)
  (w / 'saved').touch()
""")
  slurm.run([run], local, watch=False, say=lambda line: None)
  (number,) = [int(n) for n in slurm.submitted(local).values()]
  task = until(lambda: slurm_played.children(number))[0]
  until(lambda: (run.workdir / 'ready').exists())
  (training,) = slurm_played.children(task)
  for process in (training, task):
    os.kill(process, signal.SIGTERM)
  os.kill(task, signal.SIGUSR2)
  until(lambda: outcome(run.workdir))
  assert (run.workdir / 'saved').exists()


# It never closes its logs.
@pytest.mark.filterwarnings('ignore:.*DEBUG_:pytest.PytestUnraisableExceptionWarning')
def test_debug_executor(tmp_path):
  run = job(tmp_path, 'run', DONE)
  executor = submitit.AutoExecutor(tmp_path / 'slurm', cluster='debug')
  assert slurm.run([run], executor, poll=.01, say=lambda line: None) == {}
  assert outcome(run.workdir)['status'] == 'done'


def launched(folder, *arguments):
  environment = {**os.environ, **slurm_played.install(folder / 'played')}
  done = subprocess.run([sys.executable, '-m', *map(str, arguments)], text=True, cwd=ROOT,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
  return done.returncode, done.stdout


def test_a_sweep_as_an_array_is_what_dry_run_showed(tmp_path):
  config = tmp_path / 'config.py'
  config.write_text(CONFIG.replace(' evals={},', ''))
  folder = tmp_path / 'sweep'
  arguments = ('launch.sweep', f'--config={config}', f'--workdir={folder}', '--set=hp.lr=.1,.2',
               '--config.steps=4', '--on=slurm', '--slurm.partition=gpu', '--slurm.time=1-0',
               '--slurm.setup=export SET_UP=1', '--slurm.more=reservation=a b,exclusive')
  code, shown = launched(tmp_path, *arguments, '--dry_run')
  assert code == 0 and not folder.exists(), shown
  script, _, commands = shown.partition('# what the jobs run\n')
  code, said = launched(tmp_path, *arguments)
  assert code == 0, said
  assert (tmp_path / 'played' / 'submitted.sh').read_text().strip() == script.strip()
  assert "--reservation='a b'" in script and '--time=1440' in script and '0-1%2' in script
  assert commands.splitlines()[1].endswith(f'--config.hp.lr=0.2 --workdir={folder / "lr=0.2"}')
  assert {outcome(folder / f'lr={lr}')['step'] for lr in (.1, .2)} == {4}
  assert '2/2' in said and 'best setting: ' in said


def test_one_run_on_several_nodes(tmp_path):
  config = tmp_path / 'config.py'
  config.write_text(CONFIG)
  arguments = ('launch.slurm', f'--config={config}', f'--workdir={tmp_path / "run"}',
               '--config.steps=4', '--config.parallel.devices=0', '--slurm.nodes=2')
  code, shown = launched(tmp_path, *arguments, '--slurm.gpus_per_node=8', '--slurm.mem=64G',
                         '--dry_run')
  assert code == 0 and shown.strip().endswith('--distributed')
  for line in ('--nodes=2', '--ntasks-per-node=8', '--gpus-per-node=8', '--mem=64G', '--requeue',
               '--job-name=run'):
    assert f'#SBATCH {line}\n' in shown
  code, said = launched(tmp_path, *arguments)
  assert code == 0 and '1/1  run: done' in said, said
  assert 'in 2 processes' in (tmp_path / 'run' / 'log.txt').read_text()


@pytest.mark.parametrize('arguments, said', [
    (('--slurm.time=4h',), '--slurm.time=4h: expected minutes'),
    (('--slurm.partion=gpu',), 'Did you mean: slurm.partition'),
    (('--search=3',), '--on=slurm: processes of their own are neither'),
])
def test_mistakes(tmp_path, arguments, said):
  code, output = launched(tmp_path, 'launch.sweep', '--config=configs/digits_cnn.py:smoke',
                          f'--workdir={tmp_path}', '--set=hp.lr=.1,.2', '--on=slurm', '--dry_run',
                          *arguments)
  assert code == 2 and said in output and output.startswith('error: '), output


def test_without_slurm(monkeypatch, tmp_path):
  monkeypatch.setenv('PATH', str(tmp_path))
  with pytest.raises(ConfigError, match='no sbatch here'):
    slurm.executor_of(tmp_path, Options(), name='a')
