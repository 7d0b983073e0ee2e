"""The record of what a run was made by."""

import subprocess
from datetime import datetime

import jax

from visionlab.storage.versions import commit, versions


def test_packages_command_host_and_time():
  found = versions()
  assert found['jax'] == jax.__version__ and 'python' in found['command'] and found['host']
  assert datetime.fromisoformat(found['date']).utcoffset().total_seconds() == 0
  assert all(isinstance(value, str) for value in found.values())


def test_the_commit_and_what_differs_from_it(tmp_path):
  assert commit(tmp_path) == {}
  git = ['git', '-C', str(tmp_path), '-c', 'user.name=a', '-c', 'user.email=a@b.c']
  (tmp_path / 'a.txt').write_text('one')
  for words in (['init', '-q'], ['add', '.'], ['commit', '-qm', 'one']):
    subprocess.run([*git, *words], check=True)
  found = commit(tmp_path)
  assert len(found['commit']) == 40 and found['uncommitted'] == '0'
  (tmp_path / 'a.txt').write_text('two')
  (tmp_path / 'new.txt').write_text('not of the repository')
  assert commit(tmp_path) == {**found, 'uncommitted': '1'}
