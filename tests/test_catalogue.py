"""`python -m visionlab list` names all that a config can, with the options it has."""

import subprocess
import sys

import pytest

from visionlab.catalogue import kinds, listing, options
from visionlab.config import ConfigError
from visionlab.data import SOURCES
from visionlab.models import MODELS
from visionlab.tasks import TASKS


def test_everything_is_listed_within_100_columns_and_says_what_it_is():
  rows = [row.split(maxsplit=1) for row in listing().split('\n') if row.startswith('  ')]
  assert {name for name, _ in rows} >= {*SOURCES, *TASKS, *MODELS, 'adamw', 'cosine', 'mixup'}
  assert all(len(row) <= 100 for row in listing().split('\n'))


def test_options_are_those_of_the_signature_without_what_the_program_supplies():
  found = kinds()
  assert ('size', '224') in options(found['data']['folder'])
  assert ('depth', '') not in options(found['models']['cnn'])
  for names in found.values():
    for target in names.values():
      assert not {o.name for o in options(target)} & {'split', 'make_model', 'info', 'key'}


def test_a_page_shows_options_with_their_defaults_and_the_docstring():
  page = listing('data', 'folder')
  assert 'on_broken' in page and "'skip'" in page and 'Raises:' in page
  assert 'hp.eps' in listing('optimizers', 'lamb')


@pytest.mark.parametrize('words, nearest', [(('model',), 'models'), (('data', 'foldr'), 'folder')])
def test_a_mistyped_name_gets_the_nearest(words, nearest):
  with pytest.raises(ConfigError, match=f'did you mean "{nearest}"'):
    listing(*words)


def test_the_command():
  run = [sys.executable, '-m', 'visionlab']
  right = subprocess.run([*run, 'list', 'tasks'], capture_output=True, text=True, check=True)
  assert 'classify' in right.stdout
  wrong = subprocess.run([*run, 'lst'], capture_output=True, text=True, check=False)
  assert wrong.returncode == 2 and wrong.stderr.startswith('usage')


def test_a_reader_that_has_gone_is_no_error():
  started = subprocess.Popen([sys.executable, '-m', 'visionlab', 'list'], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
  started.stdout.close()
  assert started.stderr.read() == b'' and started.wait() == 141
  started.stderr.close()
