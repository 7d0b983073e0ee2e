"""TPUs and Kubernetes: the commands that would be run, and what becomes of them; containers; the
page with the commands for each kind of machine."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from launch import gke, ray_cluster, slurm, tpu
from visionlab.config import ConfigError

ROOT = Path(__file__).parents[1]
TPU = ('launch.tpu', '--config=configs/digits_cnn.py', '--config.hp.lr=.1', '--workdir=/s/run',
       '--tpu.name=t', '--tpu.zone=us-west4-a')
GKE = ('launch.gke', '--config=configs/digits_cnn.py', '--workdir=/shared/run', '--gke.name=digits',
       '--gke.image=registry/visionlab')


def launched(path, *arguments):
  """Runs with `path` alone to find programs in: nothing real is ever begun."""
  done = subprocess.run([sys.executable, '-m', *arguments], text=True, cwd=ROOT,
                        capture_output=True, env={**os.environ, 'PATH': str(path)})
  return done.returncode, done.stdout, done.stderr


def program(folder, name, code=0):
  """A program that writes down what it is given."""
  path = folder / name
  path.write_text(f'#!{sys.executable}\nimport json, sys\n'
                  f'with open({str(folder / "called")!r}, "a") as file:\n'
                  '  stdin = "" if sys.stdin.isatty() else sys.stdin.read()\n'
                  '  print(json.dumps([sys.argv[1:], stdin]), file=file)\n'
                  f'sys.exit({code})\n')
  path.chmod(0o755)


def called(folder):
  path = folder / 'called'
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_tpu_slice_step_by_step(tmp_path):
  code, shown, _ = launched(tmp_path, *TPU, '--tpu.type=v5litepod-16', '--tpu.spot', '--dry_run',
                            '--tpu.steps=create,copy,install,train,delete')
  assert code == 0
  lines = [shlex.split(line) for line in shown.splitlines()]
  vm = ['gcloud', 'compute', 'tpus', 'tpu-vm']
  assert [line[4] for line in lines if line[:4] == vm] == ['create', 'scp', 'ssh', 'ssh', 'ssh',
                                                            'delete']
  assert all('--zone=us-west4-a' in line for line in lines if line[0] == 'gcloud')
  assert {'t', '--accelerator-type=v5litepod-16', '--version=v2-alpha-tpuv5-lite',
          '--spot'} < set(lines[0])
  train = next(word for word in lines[-2] if word.startswith('--command='))
  assert '--worker=all' in lines[-2] and train.endswith(
      'python -m visionlab.train --config=configs/digits_cnn.py --config.hp.lr=.1 --workdir=/s/run'
      ' --distributed')


def test_what_is_shown_is_run_until_something_fails(tmp_path):
  program(tmp_path, 'gcloud')
  steps = '--tpu.steps=create,train,delete'
  code, shown, _ = launched(tmp_path, *TPU, steps)
  assert code == 0
  assert [shlex.split(line)[1:] for line in shown.splitlines()] == [c for c, _ in called(tmp_path)]
  (tmp_path / 'called').unlink()
  program(tmp_path, 'gcloud', code=3)
  code, _, said = launched(tmp_path, *TPU, steps)
  assert code == 1 and said == 'error: gcloud compute tpus tpu-vm create ...: exit code 3\n'
  assert len(called(tmp_path)) == 1


def test_a_job_of_several_pods(tmp_path):
  program(tmp_path, 'kubectl')
  arguments = *GKE, '--gke.pods=2', '--gke.gpus=8', '--gke.claim=disk', '--gke.spot'
  code, shown, _ = launched(tmp_path, *arguments, '--dry_run')
  assert code == 0 and not called(tmp_path)
  assert launched(tmp_path, *arguments)[:2] == (0, shown)
  ((words, text),) = called(tmp_path)
  assert words == ['apply', '-f', '-'] and text in shown
  service, job = json.loads(text)['items']
  pod = job['spec']['template']['spec']
  (container,) = pod['containers']
  assert service['spec']['clusterIP'] == 'None'
  assert service['spec']['selector'] == {'job-name': job['metadata']['name']}
  assert pod['subdomain'] == service['metadata']['name'] == 'digits'
  assert job['spec']['completions'] == job['spec']['parallelism'] == 2
  assert container['args'] == [
      '--config=configs/digits_cnn.py', '--workdir=/shared/run',
      '--coordinator=digits-0.digits:8476', '--processes=2', '--process=$(PROCESS)']
  assert container['env'][0]['name'] == 'PROCESS'
  assert container['resources']['limits'] == {'nvidia.com/gpu': 8}
  assert pod['nodeSelector'] == {'cloud.google.com/gke-spot': 'true'}
  assert container['volumeMounts'][0]['name'] == pod['volumes'][0]['name']


def test_a_tpu_slice_in_kubernetes():
  given = gke.Options(name='a', image='b', pods=4, tpu='tpu-v5-lite-podslice', topology='4x4')
  spec = gke.pod(given, ['--config=c'])
  assert spec['nodeSelector'] == {
      'cloud.google.com/gke-tpu-accelerator': 'tpu-v5-lite-podslice',
      'cloud.google.com/gke-tpu-topology': '4x4'}
  assert spec['containers'][0]['args'] == ['--config=c', '--distributed']
  assert spec['containers'][0]['resources']['limits'] == {'google.com/tpu': 4}
  assert gke.together(gke.Options(pods=1, gpus=8)) == []


@pytest.mark.parametrize('given, said', [
    (gke.Options(name='a'), '--gke.image: missing'),
    (gke.Options(name='My_job', image='b'), 'small letters'),
    (gke.Options(name='a', image='b', gpus=1, tpu='t', topology='2x2'), 'one or the other'),
    (gke.Options(name='a', image='b', tpu='t'), '--gke.topology'),
])
def test_mistakes_with_kubernetes(given, said):
  with pytest.raises(ConfigError, match=said):
    gke.manifest(given, [])


def test_mistakes_with_tpus():
  with pytest.raises(ConfigError, match='--tpu.zone: missing'):
    tpu.plan(tpu.Options(name='t'), [])
  with pytest.raises(ConfigError, match='did you mean "train"'):
    tpu.plan(tpu.Options(name='t', zone='z', steps='trian'), [])


@pytest.mark.parametrize('arguments, name', [(TPU, 'gcloud'), (GKE, 'kubectl')])
def test_programs_that_are_not_installed(tmp_path, arguments, name):
  code, shown, said = launched(tmp_path, *arguments)
  assert code == 2 and not shown and said.startswith(f'error: {name} is not installed here')
  assert '--dry_run' in said


@pytest.mark.parametrize('name', ['Dockerfile.cpu', 'Dockerfile.gpu'])
def test_dockerfiles_name_what_there_is(name):
  text = (ROOT / 'launch' / name).read_text()
  for line in re.findall(r'^COPY (.*)$', text, re.M):
    *sources, _ = line.split()
    assert all((ROOT / source).exists() for source in sources)
  extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
  chosen = re.search(r'^ARG EXTRAS=(.*)$', text, re.M)[1].split(',')
  assert set(chosen) <= set(extras) and ('gpu' in chosen) == (name == 'Dockerfile.gpu')
  assert 'ENTRYPOINT ["python", "-m", "visionlab.train"]' in text


def test_the_page_names_flags_and_files_that_exist():
  text = (ROOT / 'launch' / 'README.md').read_text()
  known = {'slurm': slurm.Options, 'ray': ray_cluster.Options, 'tpu': tpu.Options,
           'gke': gke.Options}
  found = re.findall(r'--(slurm|ray|tpu|gke)\.(\w+)', text)
  assert {launcher for launcher, _ in found} == set(known)
  for launcher, key in found:
    assert key in known[launcher]._fields, key
  for path in re.findall(r'--config=(\S+?\.py)|\]\((colab[^)]*)\)', text):
    assert (ROOT / path[0] if path[0] else ROOT / 'launch' / path[1]).exists()
