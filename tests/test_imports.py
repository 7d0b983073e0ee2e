"""Imports run one way: the contracts in pyproject.toml hold, and would be missed."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('importlinter')
ROOT = Path(__file__).parents[1]


def lint(folder: Path):
  program = 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())'
  return subprocess.run([sys.executable, '-c', program], cwd=folder, capture_output=True, text=True)


def test_no_import_goes_up():
  done = lint(ROOT)
  assert done.returncode == 0, done.stdout
  assert '2 kept, 0 broken' in done.stdout


@pytest.mark.parametrize('file, line, said', [
    ('visionlab/ops/nms.py', 'from visionlab.data import source', 'visionlab.ops.nms -> visionlab'),
    ('visionlab/ops/boxes.py', 'from visionlab.ops import nms', 'No cycles are allowed'),
    ('visionlab/training/log.py', 'import launch.page', 'visionlab.training.log -> launch.page'),
])
def test_an_arrow_that_is_turned_is_found(tmp_path, file, line, said):
  for package in ('visionlab', 'launch', 'experiments', 'configs'):
    for path in (ROOT / package).rglob('*.py'):
      copy = tmp_path / path.relative_to(ROOT)
      copy.parent.mkdir(parents=True, exist_ok=True)
      copy.write_text(path.read_text())
  (tmp_path / 'pyproject.toml').write_text((ROOT / 'pyproject.toml').read_text())
  with (tmp_path / file).open('a') as f:
    f.write(f'\n{line}\n')
  done = lint(tmp_path)
  assert done.returncode == 1 and said in done.stdout.replace('\n', ' '), done.stdout
