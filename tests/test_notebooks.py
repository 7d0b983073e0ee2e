"""Notebooks run from top to bottom, and the .ipynb is what their source says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import visionlab

FOLDER = Path(__file__).parents[1] / 'launch' / 'colab'
SOURCES = sorted(FOLDER.glob('*.py'))
SAYS = {
  'reload': '60 steps, 10 classes, Classify',
  'look_into_a_run': 'step 60, 10 classes',
  'compare_a_sweep': 'of 359 images',
  'pretrained': '10 classes, images of 8 x 8',
  'detect_segment_caption': '',
  'what_a_network_sees': '7 layers, the last map is pool1',
}


def executed(name, **environment):
  source = FOLDER / f'{name}.py'
  done = subprocess.run([sys.executable, source], capture_output=True, text=True, timeout=300,
                        cwd=source.parent, env={**os.environ, 'MPLBACKEND': 'agg', **environment})
  assert done.returncode == 0, done.stderr
  assert SAYS[name] in done.stdout, done.stdout


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('notebooks')
  subprocess.run([sys.executable, '-m', 'visionlab.train', f'--workdir={folder / "run"}',
                  '--config=configs/digits_cnn.py:smoke'], cwd=FOLDER.parents[1], check=True,
                 capture_output=True)
  visionlab.export(folder / 'run', folder / 'export', platforms=['cpu'])
  return folder


def test_every_notebook_is_tested():
  assert set(SAYS) == {source.stem for source in SOURCES}


def test_reload():
  executed('reload', VISIONLAB_STEPS='60')


def test_look_into_a_run(run):
  executed('look_into_a_run', VISIONLAB_RUN=str(run / 'run'))


def test_what_a_network_sees(run):
  executed('what_a_network_sees', VISIONLAB_RUN=str(run / 'run'))


def test_compare_a_sweep():
  executed('compare_a_sweep', VISIONLAB_STEPS='40')


def test_pretrained(run):
  executed('pretrained', VISIONLAB_WEIGHTS=str(run / 'export'))


def test_detect_segment_caption():
  executed('detect_segment_caption', VISIONLAB_VARIANT='smoke')


@pytest.mark.parametrize('source', SOURCES, ids=lambda p: p.stem)
def test_ipynb_is_made_from_its_source(source):
  jupytext = pytest.importorskip('jupytext')
  cells = lambda path: [(c.cell_type, c.source) for c in jupytext.read(path).cells]
  assert cells(source) == cells(source.with_suffix('.ipynb'))


@pytest.mark.parametrize('source', SOURCES, ids=lambda p: p.stem)
def test_the_first_code_is_one_line_that_installs(source):
  (line,) = filter(None, source.read_text().split('# %%\n')[1].splitlines())
  assert line.startswith('# %pip install -q -e "../..')
