"""`train --dry_run` says what would be trained, and leaves nothing behind."""

import json

import pytest
from tiny import config

from visionlab.config import ConfigError
from visionlab.training.preview import preview


def test_the_config_the_parameters_and_the_splits(tmp_path):
  text = preview(config(), tmp_path / 'run')
  shown = json.JSONDecoder().raw_decode(text)[0]
  assert shown['pipeline']['prefetch'] == 2 and shown['hp']['lr'] == .1       # defaults too
  assert 'train: train, 1,438 examples, 20 steps of 32, resident; a line each 5 steps' in text
  assert 'test: test, 359 examples, each 10 steps' in text and text.count('examples: ') == 2
  assert 'conv/kernel' in text and 'state: 0.0 MiB' in text
  assert not (tmp_path / 'run').exists()


def test_what_is_wrong_is_found(tmp_path):
  with pytest.raises(ConfigError, match='config.checkpoint.best'):
    preview(config(checkpoint=dict(best='tset/loss')), tmp_path)
