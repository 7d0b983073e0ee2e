"""Folders of this machine, and buckets that are none."""

from pathlib import Path

import numpy as np
import pytest
from tiny import config

import visionlab
from visionlab import build
from visionlab.config import ConfigError
from visionlab.data.pipeline import open_sources
from visionlab.paths import local, output_file
from visionlab.runs.load import load
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


@pytest.mark.parametrize('path', ['runs/a', '/data/x', 'C:/data', 'a:b', 'a~b', '.'])
def test_folders_are_what_they_are(path):
  assert local(path, '--workdir') == Path(path)


@pytest.mark.parametrize('path', ['', ' ', '\t'])
def test_an_empty_path_is_not_the_current_folder(path, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ConfigError, match='--workdir: empty, as from a variable that is not set'):
    train(config(), path)
  assert not list(tmp_path.iterdir())


def test_the_home_of_a_user_is_found_wherever_a_path_is_given(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  monkeypatch.chdir(tmp_path)
  train(config(steps=1, evals={}), '~/run')
  train(config(steps=2, evals={}, resume='~/run'), Path('~/next'))
  assert load('~/next').step == 2
  np.savez(tmp_path / 'home' / 'own.npz', x_train=np.zeros((4, 8, 8), np.uint8),
           y_train=np.arange(4))
  options = [dict(root='~', path='own.npz'), dict(path='~/own.npz')]
  assert [len(open_sources(dict(name='arrays', **o), 'train')) for o in options] == [4, 4]
  assert [p.name for p in tmp_path.iterdir()] == ['home']
  with pytest.raises(ConfigError, match='--workdir: ~nobody-here/run begins with ~'):
    local('~nobody-here/run', '--workdir')


def test_a_run_in_a_bucket_is_not_loaded():
  with pytest.raises(ConfigError, match='load: gs://b/run is no folder'):
    visionlab.load('gs://b/run')


def test_a_file_to_write_is_in_a_folder_that_is_there(tmp_path):
  assert output_file('', '--csv') is None
  assert output_file(str(tmp_path / 'a.csv'), '--csv') == tmp_path / 'a.csv'
  with pytest.raises(ConfigError, match='^--csv=.*: there is no folder .*none'):
    output_file(str(tmp_path / 'none' / 'a.csv'), '--csv')
  with pytest.raises(ConfigError, match='^--csv=.*: is a folder'):
    output_file(str(tmp_path), '--csv')
