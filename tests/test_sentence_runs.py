"""Runs of sentences, and of images with them: on whatever device, stopped, and in a sweep."""

import driven
import jax
import pytest
import tiny

from visionlab import build
from visionlab.train import train

STEPS = 4
THOUGHTS = dict(
    data=dict(name='docstrings', packages=('optax',), length=8, words=30, examples=64),
    task=dict(name='skip_thoughts',
              model=dict(name='skip_thoughts', width=8, embedding=4, decoder=4)))
QUICK = dict(THOUGHTS, hp=dict(lr=.1, momentum=0., weight_decay=0., word_dropout=.3),
             task=dict(name='quick_thoughts',
                       model=dict(name='quick_thoughts', encoder='both', width=8, embedding=4)))
MATCH = dict(
    data=dict(name='scenes', size=16, captions=2, examples=64),
    task=dict(name='match', model=dict(name='visual_semantic', width=6, embedding=4,
                                       backbone=dict(name='cnn', widths=(4,)))))
KINDS = dict(skip_thoughts=THOUGHTS, quick_thoughts=QUICK, match=MATCH)


def settings(kind, **changes):
  return tiny.config(**KINDS[kind] | dict(augment={}, evals={}, steps=STEPS, batch=16) | changes)


@pytest.fixture(scope='module', params=KINDS)
def kind(request):
  return request.param


@pytest.fixture(scope='module')
def single(kind):
  return driven.trained(build.assemble(settings(kind)), STEPS)


def test_devices_and_microbatches_change_nothing(kind, single):
  # Of images and sentences those of a microbatch are compared, and of several not.
  accumulate = dict(accumulate=2) if kind == 'skip_thoughts' else {}
  for form in dict(parallel=dict(mode='pmap', devices=2), **accumulate), dict(
      parallel=dict(devices=4)):
    other = driven.trained(build.assemble(settings(kind, **form)), STEPS)
    assert driven.difference(single, other) < 1e-5


def test_members_of_a_sweep_equal_their_single_runs(kind, single):
  hp = dict(lr=.3, momentum=.9, weight_decay=0.)
  configs = [settings(kind), settings(kind, seed=2, hp=hp)]      # the first is the single run
  state = jax.device_get(driven.driven(build.assemble(configs[0], configs), STEPS)[0])
  first = jax.tree.map(lambda x: x[0], (state.params, state.collections))
  assert driven.difference(single[0], first) < 1e-5


def test_a_run_that_was_stopped_ends_as_one_that_was_not(kind, tmp_path):
  steady = dict(optim=dict(name='sgd', schedule=dict(name='constant')))
  whole = train(settings(kind, **steady), tmp_path / 'whole')
  train(settings(kind, **steady, steps=2), tmp_path / 'parts')
  parts = train(settings(kind, **steady), tmp_path / 'parts', change_config=True)
  assert driven.difference(*(
      [s.params, s.collections] for s in jax.device_get((whole, parts)))) == 0
