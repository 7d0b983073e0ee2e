"""Runs that were saved by earlier versions of this library still load and go on."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

import visionlab
from visionlab.config import from_json
from visionlab.train import train


@pytest.fixture
def workdir(tmp_path):
  """Of 60 steps, saved when all modules lay side by side: `fcn` on a backbone that its config
  names by path, with what it said then of two random images, at every fourth pixel."""
  with zipfile.ZipFile(Path(__file__).parent / 'golden' / 'run_before_rooms.zip') as archive:
    archive.extractall(tmp_path)
  return tmp_path


def test_a_run_from_before_modules_moved_says_the_same(workdir):
  run = visionlab.load(workdir)
  assert run.config.task.model.backbone.name == 'visionlab.models.segnet:Encoder'
  assert run.step == 60 and run.metrics[-1]['step'] == 60
  images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
  predictions, expected = run.predict(images), np.load(workdir / 'expected.npz')
  for name in expected.files:
    np.testing.assert_allclose(predictions[name][:, ::4, ::4], expected[name], atol=1e-5)


def test_a_run_from_before_modules_moved_goes_on(workdir, capsys):
  config = from_json((workdir / 'config.json').read_text())
  config.steps, config.evals = '62', {}
  state = train(config, workdir, change_config=True)
  assert int(state.step) == 62
  assert 'resumed from step 60' in capsys.readouterr().out
