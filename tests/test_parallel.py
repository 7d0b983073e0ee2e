"""One step, compiled in every way there is: the results are the same."""

import driven
import jax
import numpy as np
import pytest
from driven import difference
from tiny import clips, config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.step import make_step

pytestmark = pytest.mark.usefixtures('optimised')


def trained(settings, steps=20):
  return driven.trained(build.assemble(settings), steps)


@pytest.fixture(scope='module')
def single():
  return trained(config())


def test_streamed_batches_are_the_resident_ones(single):
  """Bit for bit: the data are the same, and so is the compiled step."""
  assert difference(single, trained(config(pipeline=dict(resident='never')))) == 0


def test_worker_processes_load_the_same_batches(single):
  assert difference(single, trained(config(pipeline=dict(resident='never', workers=2)))) == 0


@pytest.mark.parametrize('devices', [4, 8])
@pytest.mark.parametrize('resident', ['always', 'never'])
def test_jit_over_devices_equals_one_device(single, devices, resident):
  found = trained(config(parallel=dict(devices=devices), pipeline=dict(resident=resident)))
  assert difference(single, found) < 1e-5


@pytest.mark.parametrize('resident', ['always', 'never'])
def test_pmap_over_devices_equals_one_device(single, resident):
  found = trained(config(parallel=dict(mode='pmap', devices=4), pipeline=dict(resident=resident)))
  assert difference(single, found) < 1e-5


@pytest.mark.parametrize('mode', ['jit', 'pmap'])
def test_accumulation_equals_the_whole_batch(mode):
  """Without BatchNorm, whose statistics are a microbatch's own."""
  whole = trained(config(model=dict(norm=False)))
  parallel = dict(mode=mode, devices=2)
  parts = trained(config(model=dict(norm=False), accumulate=4, parallel=parallel))
  assert difference(whole, parts) < 1e-5


RECONSTRUCT = dict(name='reconstruct', variational=True, denoising=True,
                   model=dict(name='autoencoder', codes=3, widths=(4,)))
GENERATE = dict(name='generate', spectral_norm=True, diff_augment=('colour', 'translation'),
                model=dict(name='gan', latent=3, widths=(4,)))


@pytest.mark.parametrize('task, form', [
    (RECONSTRUCT, dict(parallel=dict(devices=4))),
    (RECONSTRUCT, dict(parallel=dict(mode='pmap', devices=2))),
    (GENERATE, dict(parallel=dict(mode='pmap', devices=2))),
    (GENERATE, dict(accumulate=4, parallel=dict(devices=2)))],
    ids=['reconstruct-jit', 'reconstruct-pmap', 'generate-pmap', 'generate-accumulated'])
def test_what_is_drawn_of_an_example_is_so_on_whatever_device(task, form):
  options = dict(task=task, augment={}, evals={}, hp=dict(lr=.01), steps=20)
  assert difference(trained(config(**options)), trained(config(**options, **form))) < 1e-5


@pytest.mark.parametrize('form', [dict(parallel=dict(mode='pmap', devices=2)),
                                  dict(accumulate=4, parallel=dict(devices=2))],
                         ids=['pmap', 'accumulated'])
def test_people_are_told_apart_on_whatever_device(form):
  task = dict(name='verify', loss='arcface', embedding=6,
              model=dict(name='cnn', widths=(4,), hidden=8))
  options = dict(task=task, augment={}, evals={}, hp=dict(lr=.01), steps=20)
  assert difference(trained(config(**options)), trained(config(**options, **form))) < 1e-5


def test_what_differs_within_people_is_summed_alike_on_whatever_device():
  task = dict(name='verify', embedding=6, shrinkage=.1,
              model=dict(name='cnn', widths=(4,), hidden=8))
  options = dict(task=task, augment={}, evals={}, hp=dict(lr=.01), steps=8)
  form = dict(accumulate=4, parallel=dict(mode='pmap', devices=2))
  whole, parted = (jax.tree.leaves(trained(config(**options, **own), 8)) for own in ({}, form))
  for a, b in zip(whole, parted, strict=True):       # sums of products are of any size
    assert np.abs(a - b).max() < 1e-5 * max(np.abs(a).max(), 1)


def test_photographs_of_all_devices_are_compared():
  task = dict(name='verify', loss='triplet', embedding=6,
              model=dict(name='cnn', widths=(4,), hidden=8))
  # Few steps: rounding decides between photographs that are all but as hard.
  options = dict(task=task, augment={}, evals={}, hp=dict(lr=.01), steps=3)
  parted = trained(config(**options, parallel=dict(mode='pmap', devices=2)), 3)
  assert difference(trained(config(**options), 3), parted) < 1e-5


@pytest.mark.parametrize('form', [dict(parallel=dict(mode='pmap', devices=2)),
                                  dict(accumulate=4, parallel=dict(devices=2))],
                         ids=['pmap', 'accumulated'])
def test_poses_are_displaced_alike_on_whatever_device(form):
  task = dict(name='pose', sizes=(8, 8), model=dict(name='cnn', widths=(4,), hidden=8))
  options = dict(data=dict(name='tiny:people'), task=task, augment={}, evals={}, hp=dict(lr=.01),
                 steps=8)
  assert difference(trained(config(**options), 8), trained(config(**options, **form), 8)) < 1e-5


def test_other_sentences_are_drawn_alike_on_whatever_device():
  options = dict(data=dict(name='stories', films=16, shots=8, sentences=20, known=4), batch=16,
                 task=dict(name='align', negatives=3, model=dict(
                     name='context_cnn', widths=(4,), size=(3, 3), dropout=0.)),
                 augment={}, evals={}, hp=dict(lr=.01), steps=8)
  form = dict(accumulate=4, parallel=dict(mode='pmap', devices=2))
  assert difference(trained(config(**options), 8), trained(config(**options, **form), 8)) < 1e-5


@pytest.mark.parametrize('form', [dict(parallel=dict(devices=4)),
                                  dict(accumulate=4, parallel=dict(mode='pmap', devices=2))],
                         ids=['jit', 'pmap-accumulated'])
def test_clips_are_told_apart_on_whatever_device(form):
  assert difference(trained(clips()), trained(clips(**form))) < 1e-5


def test_accumulation_is_exact_where_counts_differ():
  """Means of microbatch means would be wrong: examples that are not valid are unevenly spread."""
  settings = config(model=dict(norm=False), augment={})
  job = build.assemble(settings)
  state = job.init()
  source = job.batches.sources
  batch = {**source[np.arange(32)], 'valid': np.arange(32) % 4 != 1}
  batch['valid'][:16] = True
  steps = [make_step(job.task, job.optimizer, total=20, accumulate=n) for n in (1, 4)]
  (one, _), (four, _) = (jax.jit(step)(state, batch) for step in steps)
  assert difference(one.params, four.params) < 1e-6


def test_a_batch_that_does_not_divide_is_refused():
  with pytest.raises(ConfigError, match='config.batch: 30 must be a multiple of 4'):
    build.assemble(config(batch=30, parallel=dict(devices=4)))
