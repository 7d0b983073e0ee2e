"""What an installation brings beside the package: configs by their names, launchers, commands."""

import importlib.util
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from visionlab import paths, scripts
from visionlab.config import ConfigError
from visionlab.flags.arguments import config_of

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize('name', ['digits_cnn', 'digits_cnn.py', 'configs/digits_cnn.py'])
def test_a_config_by_its_name_from_any_folder(name, tmp_path, monkeypatch):
  here = config_of(str(ROOT / 'configs' / 'digits_cnn.py:smoke'))
  monkeypatch.chdir(tmp_path)
  assert config_of(f'{name}:smoke') == here
  (tmp_path / 'configs').mkdir()                 # what is in this folder comes first
  for file in ('digits_cnn', 'digits_cnn.py', 'configs/digits_cnn.py'):
    Path(file).write_text('def get_config(variant): raise ValueError("mine")')
  if name.endswith('.py'):
    with pytest.raises(ConfigError, match='mine'):
      config_of(f'{name}:smoke')


@pytest.mark.parametrize('name, said', [
    ('digits_cn', 'did you mean "digits_cnn"'), ('digits_cnn.txt', 'no such file'),
    ('other/digits_cnn.py', 'no such file'), ('', 'no such file')])
def test_a_name_that_is_none(name, said, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ConfigError, match=said):
    config_of(f'{name}:smoke')


def test_a_wheel_holds_configs_and_launchers(tmp_path):
  """Within the package, where it looks for them; notebooks are left out."""
  build = ('from setuptools import setup; '
           f'setup(script_args=["-q", "egg_info", "--egg-base", {str(tmp_path)!r}, "build_py", '
           f'"--build-lib", {str(tmp_path / "lib")!r}])')
  done = subprocess.run([sys.executable, '-c', build], cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  folder = tmp_path / 'lib' / 'visionlab' / '_shipped'
  for kind in ('configs', 'launch'):
    there = {p.name for p in (folder / kind).glob('*') if p.suffix != '.pyc'}
    assert there == {p.name for p in (ROOT / kind).iterdir()} - {'colab', '__pycache__'}
  spec = importlib.util.spec_from_file_location('s', tmp_path / 'lib/visionlab/paths.py')
  built = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(built)
  assert built.shipped() == folder and paths.shipped() == ROOT


def test_every_package_is_listed():
  listed = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['setuptools']['packages']
  there = {'.'.join(p.relative_to(ROOT).parent.parts) for p in (ROOT / 'visionlab').rglob('*.py')}
  assert {name for name in listed if '_shipped' not in name} == there


def test_commands_are_those_of_python_m(monkeypatch, tmp_path):
  named = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['scripts']
  ran = []
  monkeypatch.setattr(runpy, 'run_module', lambda module, **options: ran.append(module))
  monkeypatch.setattr(sys, 'path', list(sys.path))
  monkeypatch.setenv('PYTHONPATH', '')
  monkeypatch.chdir(tmp_path)
  for name, place in named.items():
    module, function = place.split(':')
    assert module == 'visionlab.scripts' and name in (function, f'visionlab-{function}')
    getattr(scripts, function)()
  assert ran == ['visionlab', 'visionlab.train', 'visionlab.evaluate', 'visionlab.predict',
                 'visionlab.understand', 'visionlab.sample', 'visionlab.verify',
                 'visionlab.alerts', 'visionlab.align', 'visionlab.drive',
                 'visionlab.exports', 'launch.sweep', 'launch.results']
  assert all(importlib.util.find_spec(module) for module in ran)
  assert sys.path[0] == str(tmp_path) and os.environ['PYTHONPATH'] == str(ROOT)
