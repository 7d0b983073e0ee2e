"""Soft labels, and a target of which few examples are labelled."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from driven import difference, with_hp
from scipy.special import log_softmax, softmax
from test_adapt import example, make
from tiny import config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.source import Subset
from visionlab.data.sources.digits import digits
from visionlab.data.sources.partly_labelled import PartlyLabelled, partly_labelled
from visionlab.ops.soft_labels import class_sums, soft_cross_entropy, updated_table

PLAIN = dict(name='digits', size=8, channels=3)


FEW = dict(name='partly_labelled', of=dict(name='digits_m', size=8), per_class=3)


# --- the source ---


def test_so_many_of_each_class_keep_their_label_and_no_other_does():
  source = partly_labelled('train', of=PLAIN, per_class=4).arrays
  plain = digits('train', size=8, channels=3).arrays
  labelled = source['labelled']
  assert np.bincount(plain['label'][labelled], minlength=10).tolist() == [4] * 10
  np.testing.assert_array_equal(source['label'][labelled], plain['label'][labelled])
  assert not source['label'][~labelled].any()
  np.testing.assert_array_equal(source['image'], plain['image'])


def test_which_ones_is_decided_by_the_seed_alone():
  chosen = [partly_labelled('train', of=PLAIN, per_class=4, seed=seed).arrays['labelled']
            for seed in (0, 0, 1)]
  np.testing.assert_array_equal(chosen[0], chosen[1])
  assert (chosen[0] != chosen[2]).any()


def test_a_source_that_is_read_piece_by_piece_hides_the_same_labels(monkeypatch):
  whole = partly_labelled('train', of=PLAIN, per_class=4)
  plain = digits('train', size=8, channels=3)
  lazy = Subset(plain, np.arange(len(plain)))
  monkeypatch.setattr('visionlab.data.sources.partly_labelled.open_sources', lambda *_: lazy)
  source = partly_labelled('train', of=PLAIN, per_class=4)
  assert isinstance(source, PartlyLabelled) and source.info == plain.info
  indices = np.arange(0, len(plain), 7)
  expected = whole[indices]
  for key, found in source[indices].items():
    np.testing.assert_array_equal(found, expected[key])


def test_slices_are_of_the_whole():
  part = open_split(partial(partly_labelled, of=PLAIN, per_class=4), 'train[:50%]')
  assert 5 < part.arrays['labelled'].sum() < 35


@pytest.mark.parametrize('options, said', [
    (dict(per_class=500), 'per_class is 500, and label 0 has only 142'),
    (dict(per_class=-1), 'must not be negative'),
    (dict(per_class=1, of=dict(name='digit')), 'config.data.of.name.*did you mean "digits"'),
    (dict(per_class=1, of=dict(name='digits', sise=8)), 'config.data.of.sise'),
])
def test_mistakes_of_the_source(options, said):
  with pytest.raises(ConfigError, match=said):
    partly_labelled('train', **dict(of=PLAIN) | options)


# --- the numbers ---


def test_sums_and_table_are_those_of_a_loop():
  rng = np.random.default_rng(0)
  logits, label = rng.normal(size=(9, 4)), np.array([0, 1, 1, 3, 0, 3, 3, 1, 2])
  valid = np.array([1, 1, 1, 1, 0, 1, 1, 1, 0], bool)         # class 2 has none that counts
  table = softmax(rng.normal(size=(4, 4)), -1)
  expected = table.copy()
  for c in (0, 1, 3):
    mean = softmax(logits[valid & (label == c)] / 3., -1).mean(0)
    expected[c] = .9 * table[c] + .1 * mean
  found = updated_table(table, *class_sums(logits, label, valid, 3.), .9)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_cross_entropy_is_the_papers_equation():
  rng = np.random.default_rng(1)
  logits, label = rng.normal(size=(5, 4)), np.array([3, 0, 1, 1, 2])
  table = softmax(rng.normal(size=(4, 4)), -1)
  expected = [-(table[y] * log_softmax(x / 2.)).sum() for x, y in zip(logits, label)]
  np.testing.assert_allclose(soft_cross_entropy(logits, label, table, 2.), expected, rtol=1e-5)
  assert not jax.grad(lambda t: soft_cross_entropy(logits, label, t, 2.).sum())(table).any()


# --- the task ---


@cache
def job(method='confusion', soft=True):
  network = dict(name='dann', backbone=dict(name='test_adapt:Backbone'), pool='flatten',
                 domain_hidden=(8,))
  return build.assemble(config(
      steps=200, data=dict(source=PLAIN, target=FEW), evals={}, augment={},
      hp=dict(lr=.1, momentum=.9), parallel=dict(devices=1),
      task=dict(name='adapt', method=method, model=network, **dict(soft_labels=soft) if soft
                else {})))


@cache
def compiled(**which):
  it = job(**which)
  return it.init(), jax.jit(build.make_step(it.task, it.optimizer, total=it.total))


def batch_of(it, i=0, labelled=4):
  """A batch of 16 + 16 in which the first of the target are labelled, if at random."""
  batch = it.batches.loader(i)
  target = batch['target']
  label = np.random.default_rng(i).integers(0, 10, 16).astype(np.int32)
  return batch | dict(target=target | dict(label=label, labelled=np.arange(16) < labelled))


def stepped(steps=3, spoil=lambda target: target, hp=None, labelled=4, **which):
  it, (state, step) = job(**which), compiled(**which)
  state = with_hp(state, hp or {})
  for i in range(steps):
    batch = batch_of(it, i, labelled)
    state, metrics = step(state, batch | dict(target=spoil(batch['target'])))
  return state, {k: float(v.value) for k, v in metrics.items()}


def wrong_where(known):
  def spoil(target):
    chosen = target['labelled'] == known
    return target | dict(label=np.where(chosen, (target['label'] + 3) % 10, target['label']))
  return spoil


def test_labels_of_unlabelled_targets_are_never_read():
  state, metrics = stepped()
  hidden, hidden_metrics = stepped(spoil=wrong_where(False))
  assert difference(state.params, hidden.params) == 0 and metrics == hidden_metrics
  assert difference(state.collections, hidden.collections) == 0
  assert difference(state.params, stepped(spoil=wrong_where(True))[0].params) > 1e-4


def test_the_upper_bound_too_learns_only_what_is_labelled():
  which = dict(method='target', soft=False)
  state, _ = stepped(**which)
  assert difference(state.params, stepped(spoil=wrong_where(False), **which)[0].params) == 0
  assert difference(state.params, stepped(spoil=wrong_where(True), **which)[0].params) > 1e-4


def test_terms_against_numpy():
  """After the first batch: terms by the fresh table, which is uniform; then the new table."""
  it, (state, _) = job(), compiled()
  batch = batch_of(it)
  hp = state.hp | dict(progress=jnp.float32(.5))
  terms, aux = it.task.loss(state.variables, batch, state.key, hp, train=True)
  assert terms['target_cross_entropy'].count == terms['soft'].count == 4
  logits = {name: np.asarray(it.task.predict(state.variables, batch[name])['logits'])
            for name in batch}
  own = log_softmax(logits['target'][:4], -1)[np.arange(4), batch['target']['label'][:4]]
  np.testing.assert_allclose(terms['target_cross_entropy'].sum, -own.sum(), rtol=1e-5)
  soft = -log_softmax(logits['target'][:4] / 2, -1).mean(-1).sum()
  np.testing.assert_allclose(terms['soft'].sum, soft, rtol=1e-5)
  table, label = aux.collections['soft_labels']['table'], batch['source']['label']
  for c in range(10):
    mean = softmax(logits['source'][label == c] / 2, -1)
    mean = mean.mean(0) if len(mean) else np.full(10, .1)
    np.testing.assert_allclose(table[c], .99 * .1 + .01 * mean, rtol=1e-5)


def test_the_table_comes_to_be_what_the_source_is_taken_for():
  alone = dict(soft_weight=0., target_cross_entropy_weight=0., lambda_max=0.)
  state, _ = stepped(80, hp=alone | dict(soft_momentum=.8, temperature=1.))
  table = np.asarray(state.collections['soft_labels']['table'])
  np.testing.assert_allclose(table.sum(-1), 1, rtol=1e-5)
  assert (table.argmax(-1) == np.arange(10)).sum() >= 7


def test_a_batch_without_labelled_targets_is_nothing_special():
  state, metrics = stepped(labelled=0)
  assert metrics['target_cross_entropy'] == metrics['soft'] == 0
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))


def test_weights_of_zero_leave_labelled_targets_out():
  off = dict(soft_weight=0., target_cross_entropy_weight=0.)
  state, _ = stepped(hp=off)
  assert difference(state.params, stepped(hp=off, spoil=wrong_where(True))[0].params) == 0


@pytest.mark.parametrize('options, said', [
    (dict(), 'config.task.soft_labels: they are for labelled'),
    (dict(target=example(labelled=jax.ShapeDtypeStruct((1,), bool)), method='source'),
     'not "source"'),
])
def test_soft_labels_need_labelled_targets(options, said):
  with pytest.raises(ConfigError, match=said):
    make(soft_labels=True, **options)
