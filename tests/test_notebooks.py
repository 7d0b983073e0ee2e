"""Notebooks run from top to bottom, and the .ipynb is what their source says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[1] / 'launch' / 'colab').glob('*.py'))


@pytest.mark.parametrize('source', SOURCES, ids=lambda p: p.stem)
def test_runs(source, tmp_path):
  done = subprocess.run([sys.executable, source], capture_output=True, text=True, timeout=300,
                        cwd=source.parent, env={**os.environ, 'MPLBACKEND': 'agg',
                                                'VISIONLAB_STEPS': '60'})
  assert done.returncode == 0, done.stderr
  assert '60 steps, 10 classes, Classify' in done.stdout


@pytest.mark.parametrize('source', SOURCES, ids=lambda p: p.stem)
def test_ipynb_is_made_from_its_source(source):
  jupytext = pytest.importorskip('jupytext')
  cells = lambda path: [(c.cell_type, c.source) for c in jupytext.read(path).cells]
  assert cells(source) == cells(source.with_suffix('.ipynb'))
