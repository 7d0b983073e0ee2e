"""Folders of this machine, and buckets that are none."""

from pathlib import Path

import pytest
from tiny import config

import visionlab
from visionlab import build
from visionlab.config import ConfigError
from visionlab.paths import local
from visionlab.train import train


@pytest.mark.parametrize('path', ['gs://bucket/run', 's3://bucket', Path('gs://bucket/run')])
def test_a_bucket_is_refused(path, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ConfigError, match='--workdir: .* is no folder of this machine; mount'):
    train(config(), path)
  assert not list(tmp_path.iterdir())                 # and no folder 'gs:' is made


def test_data_and_runs_to_resume_are_refused_too(tmp_path):
  with pytest.raises(ConfigError, match='config.data.root: gs://b/voc is no folder'):
    build.assemble(config(data=dict(name='voc', root='gs://b/voc')))
  with pytest.raises(ConfigError, match='config.resume: s3://b/run is no folder'):
    train(config(resume='s3://b/run'), tmp_path / 'run')


@pytest.mark.parametrize('path', ['runs/a', '/data/x', 'C:/data', '~/runs', 'a:b'])
def test_folders_are_what_they_are(path):
  assert local(path, '--workdir') == Path(path)


def test_a_run_in_a_bucket_is_not_loaded():
  with pytest.raises(ConfigError, match='load: gs://b/run is no folder'):
    visionlab.load('gs://b/run')
