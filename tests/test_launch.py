"""Sweeps as they are launched: whole commands, killed and started again, and mistakes."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import visionlab
from visionlab.storage.workdir import outcome
from visionlab.training.log import read_metrics

ROOT = Path(__file__).parents[1]
CONFIG = """
from visionlab.sweeps.settings import grid
import tiny

def get_config():
  return tiny.config(batch=16, steps=40, checkpoint=dict(every='5'), augment={},
                     model=dict(norm=False), parallel=dict(devices=0))

def sweep():
  yield from grid({'hp.lr': (.01, .1), 'seed': range(2)})

def sweep_long():
  for setting in sweep():
    yield {**setting, 'steps': '4000'}

def sweep_mixed():
  yield {'hp.lr': .1}
  yield {'hp.lr': .2, 'task.model.norm': True}
"""


def launched(*arguments, **options):
  return subprocess.Popen(
      [sys.executable, '-m', 'launch.sweep', *map(str, arguments)], cwd=ROOT, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
      env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "tests"}'}, **options)


def launch(*arguments):
  process = launched(*arguments)
  said = process.communicate(timeout=300)[0]
  return process.returncode, said


@pytest.fixture
def file(tmp_path):
  path = tmp_path / 'config.py'
  path.write_text(CONFIG)
  return f'--config={path}'


def test_a_sweep_by_one_command_and_its_best_line(file, tmp_path):
  code, said = launch(file, f'--workdir={tmp_path / "sweep"}')
  assert code == 0, said
  assert '4 settings in one program' in said
  assert re.search(r'^lr +test/loss ± sd +seeds', said, re.M)
  rows = table_of(tmp_path / 'sweep')
  assert [row['status'] for row in rows] == ['done'] * 4
  (line,) = (tmp_path / 'sweep' / 'best.txt').read_text().splitlines()
  rates = {row['hp.lr']: [float(r['test/loss']) for r in rows if r['hp.lr'] == row['hp.lr']]
           for row in rows}
  rate = min(rates, key=lambda name: sum(rates[name]))
  best = next(row for row in rows if row['hp.lr'] == rate)       # the first seed, not the luckiest
  assert f'--config.hp.lr={rate} --config.seed={best["seed"]}' in line
  done = subprocess.run(line.replace('python', sys.executable, 1).replace(
      'runs/best', str(tmp_path / 'best')), shell=True, cwd=ROOT, capture_output=True, text=True,
      env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "tests"}'})
  assert done.returncode == 0, done.stderr
  loss = read_metrics(tmp_path / 'best')[-1]['test/loss']
  assert loss == pytest.approx(float(best['test/loss']), rel=1e-5)
  assert visionlab.load(tmp_path / 'sweep', member=0).config.hp.lr == .01
  code, said = launch(file, f'--workdir={tmp_path / "sweep"}')
  assert code == 0 and 'in one program' not in said                  # all of it is done


@pytest.mark.parametrize('number, code', [(signal.SIGKILL, -9), (signal.SIGTERM, 0)])
def test_a_sweep_that_is_killed_goes_on(file, tmp_path, number, code):
  folder = tmp_path / 'sweep'
  arguments = file, f'--workdir={folder}', '--sweep=long', '--set=seed=0,1', '--set=steps=600'
  process = launched(*arguments)
  until(lambda: [p for p in folder.glob('programs/*/checkpoints/*') if p.name.isdigit()], process)
  process.send_signal(number)
  said = process.communicate(timeout=120)[0]
  assert process.returncode == code, said
  if number == signal.SIGTERM:
    assert 'interrupted; the same command goes on from there' in said
  steps = max(int(p.name) for p in folder.glob('programs/*/checkpoints/*') if p.name.isdigit())
  assert 0 < steps < 600
  code, said = launch(*arguments)
  assert code == 0 and 'resumed from step' in said, said
  for name in ('seed=0,steps=600', 'seed=1,steps=600'):
    lines = [line['step'] for line in read_metrics(folder / name) if 'train/loss' in line]
    assert lines == sorted(set(lines)) and lines[-1] == 600
    assert outcome(folder / name) == dict(status='done', step=600)


def table_of(folder):
  return list(csv.DictReader((folder / 'results.csv').read_text().splitlines()))


def until(condition, process, seconds=120):
  stop = time.monotonic() + seconds
  while not condition():
    assert process.poll() is None and time.monotonic() < stop, process.stdout.read()
    time.sleep(.02)


@pytest.mark.parametrize('arguments, said', [
    (('--set=hp.lrr=1,2',), 'config.hp.lrr: no such key (did you mean "lr"?)'),
    (('--search=3', '--set=hp.lrr=log_uniform(1e-3,1)'), 'config.hp.lrr: no such key'),
    (('--set=hpp.lr=1,2',), 'config has no \'hpp\' (did you mean "hp"?)'),
    (('--set=seed=1,1',), "two settings with the same name, 'seed=1'"),
    (('--sweep=logn',), 'did you mean "long"'),
    (('--set=hp.lr=uniform(1,2)',), '--random=20'),
    (('--random=3',), 'lists its settings'),
    (('--metric=test/accurcy', '--set=steps=1,2'), 'did you mean "test/accuracy"'),
    (('--metric=tset/accuracy',), 'did you mean "test"'),
    (('--workers=2', '--search=3'), 'neither searched for nor pruned'),
])
def test_mistakes_are_answered_in_one_line(file, tmp_path, arguments, said):
  code, output = launch(file, f'--workdir={tmp_path / "sweep"}', *arguments)
  assert code == 2 and 'Traceback' not in output
  assert said in output.splitlines()[-1] and output.splitlines()[-1].startswith('error: ')


def test_settings_as_processes(file, tmp_path):
  folder = tmp_path / 'sweep'
  code, said = launch(file, f'--workdir={folder}', '--set=hp.lr=.1,.2', '--workers=2',
                      '--config.steps=4')
  assert code == 0, said
  assert {outcome(folder / f'lr={lr}')['step'] for lr in (.1, .2)} == {4}
  assert 'step 4/4' in (folder / 'lr=0.1' / 'log.txt').read_text()
  assert '--config.steps=4 --config.hp.lr=' in (folder / 'best.txt').read_text()


def test_settings_that_differ_otherwise_have_programs_of_their_own(file, tmp_path):
  folder = tmp_path / 'sweep'
  code, said = launch(file, f'--workdir={folder}', '--set=batch=16,32', '--set=hp.lr=.1,.2',
                      '--config.steps=2')
  assert code == 0 and said.count('2 settings in one program') == 2, said
  assert len(list((folder / 'programs').iterdir())) == 2
