"""Two columns: where they start, what moves which, and attributes of digits."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from driven import difference, driven, with_hp
from scipy.special import log_expit
from test_adapt import TEN, Backbone, example
from tiny import config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.data.sources.digit_attributes import ATTRIBUTES, digit_attributes
from visionlab.data.sources.digits import digits
from visionlab.models.two_column import TwoColumn
from visionlab.tasks.two_column import two_column

SOURCE = dict(name='digit_attributes', of=dict(name='digits', size=8, channels=3))
TARGET = dict(name='digit_attributes', of=dict(name='digits_m', size=8))
FEW = dict(name='partly_labelled', of=TARGET, per_class=9)


@cache
def job(few=False, cost='mmd', **parallel):
  network = dict(name='two_column', backbone=dict(name='cnn', widths=(4, 8)), hidden=(8,))
  return build.assemble(config(
      data=dict(source=SOURCE, target=FEW if few else TARGET), evals={}, augment={},
      hp=dict(lr=.1, momentum=.9),
      task=dict(name='two_column', cost=cost, model=network),
      parallel=dict(devices=1) | parallel))


@cache
def compiled(**which):
  it = job(**which)
  return it.init(), jax.jit(build.make_step(it.task, it.optimizer, total=it.total))


def stepped(steps=3, spoil=lambda target: target, hp=None, **which):
  state, step = compiled(**which)
  state = with_hp(state, hp or {})
  for i in range(steps):
    batch = job(**which).batches.loader(i)
    state, metrics = step(state, batch | dict(target=spoil(batch['target'])))
  return state.params, {k: float(v.value) for k, v in metrics.items()}


def inverted(target):
  return target | dict(label=1 - target['label'])


def inverted_where_unlabelled(target):
  return target | dict(label=np.where(target['labelled'][:, None], target['label'],
                                      1 - target['label']))


def test_attributes_of_digits():
  """By what they mean, digit by digit."""
  source = digit_attributes('test', of=dict(name='digits'))
  named = digits('test').arrays['label']
  assert source.info.classes == tuple(ATTRIBUTES)
  label = dict(zip(ATTRIBUTES, source.arrays['label'].T.astype(bool), strict=True))
  np.testing.assert_array_equal(label['even'], named % 2 == 0)
  np.testing.assert_array_equal(label['multiple of three'], named % 3 == 0)
  np.testing.assert_array_equal(label['above four'], named > 4)
  prime = [n > 1 and all(n % d for d in range(2, n)) for n in named]
  np.testing.assert_array_equal(label['prime'], prime)
  assert len(np.unique(source.arrays['label'], axis=0)) == 10          # they tell digits apart


def test_attributes_are_of_digits_alone():
  for of in dict(name='scenes'), SOURCE:
    with pytest.raises(ConfigError, match='expected a source of ten digits'):
      digit_attributes('train', of=of)


def test_columns_start_alike_and_part():
  params = compiled()[0].params
  assert difference(params['source'], params['target']) == 0
  moved, _ = stepped()
  assert difference(moved['source'], moved['target']) > 1e-4


def test_the_networks_numbers_of_parameters():
  """Two columns of 3x3 convolutions, 3 -> 4 -> 8, and 2 x 2 x 8 -> 8 -> 6 in common."""
  column = 3 * 9 * 4 + 4 + 4 * 9 * 8 + 8
  count = sum(x.size for x in jax.tree.leaves(compiled()[0].params))
  assert count == 2 * column + (32 * 8 + 8) + (8 * 6 + 6)


def test_labels_of_the_target_are_not_read():
  assert difference(stepped()[0], stepped(spoil=inverted)[0]) == 0


def test_but_where_some_are_labelled_those_are():
  params, metrics = stepped(few=True)
  hidden, hidden_metrics = stepped(few=True, spoil=inverted_where_unlabelled)
  assert difference(params, hidden) == 0 and metrics == hidden_metrics
  assert difference(params, stepped(few=True, spoil=inverted)[0]) > 1e-4


def test_without_alignment_an_unlabelled_target_moves_nothing():
  start = compiled()[0].params
  params, metrics = stepped(hp=dict(lambda_max=0.))
  assert difference(start['target'], params['target']) == 0
  assert difference(start['source'], params['source']) > 1e-4
  assert metrics['alignment'] == metrics['lambda'] == 0 < metrics['pool0_distance']


def test_alignment_brings_the_columns_together():
  """By the distances themselves, after 20 steps with strength from the first."""
  off, on = (stepped(20, hp=dict(lambda_max=strength, gamma=1e3, lr=.03))[1]
             for strength in (0., 3.))
  assert on['pool1_distance'] < .8 * off['pool1_distance']


def test_terms_against_numpy():
  """CORAL of what the layers say, and the cross-entropy of attributes."""
  it = job(few=True, cost='coral')
  batch, state = it.batches.loader(0), it.init()
  hp = state.hp | dict(progress=jnp.float32(1e3))                        # lambda is 1
  terms, _ = it.task.loss(state.variables, batch, state.key, hp, train=True)
  images = [batch[domain]['image'] / 255. for domain in ('source', 'target')]
  maps, logits = it.task.model.apply({'params': state.params}, *images, method='both')
  expected = 0.
  for layer in ('pool0', 'pool1'):
    s, t = (np.cov(np.asarray(own[layer]).reshape(16, -1), rowvar=False) for own in maps)
    expected += ((s - t) ** 2).sum() / (4 * len(s) ** 2)
  np.testing.assert_allclose(terms['alignment'].value, expected, rtol=1e-3)
  for name, said, domain in (('cross_entropy', logits[0], 'source'),
                             ('target_cross_entropy', logits[1], 'target')):
    truth, said = batch[domain]['label'], np.asarray(said)
    losses = -(truth * log_expit(said) + (1 - truth) * log_expit(-said)).sum(-1)
    counted = batch[domain].get('labelled', np.ones(16, bool))
    np.testing.assert_allclose(terms[name].sum, losses[counted].sum(), rtol=1e-4)
    assert terms[name].count == counted.sum()


def test_what_is_predicted_is_the_targets_column():
  state, _ = compiled()
  it, batch = job(), job().batches.loader(0)
  doubled = dict(state.params, source=jax.tree.map(lambda x: 2 * x, state.params['source']))
  said = [it.task.predict({'params': p}, batch)['logits'] for p in (state.params, doubled)]
  np.testing.assert_array_equal(*said)
  np.testing.assert_array_equal(said[0], it.task.predict({'params': doubled},
                                                         batch['target'])['logits'])


def test_pmap_over_devices_equals_jit_on_one():
  """A distance is no sum over examples."""
  found = []
  for parallel in {}, dict(devices=2, mode='pmap'):
    state, _ = driven(job(**parallel), 3)
    found.append(jax.device_get(state.params))
  assert difference(*found) < 1e-5


@pytest.mark.parametrize('options, said', [
    (dict(examples=example()), 'config.data: two_column needs two domains'),
    (dict(examples=dict(source=example())), 'config.data.target: missing; two_column needs'),
    (dict(infos=dict(source=TEN, target=Info(('a',)))), 'they must be the same'),
    (dict(cost='mdm'), 'config.task.cost.*did you mean "mmd"'),
    (dict(head='sigmod'), 'config.task.head.*did you mean "sigmoid"'),
    (dict(layers=('conv7',)), 'config.task.layers'),
    (dict(model=Backbone), 'config.task.model: two_column needs .* not Backbone'),
    (dict(info=Info()), 'config.data.source: two_column needs classes'),
])
def test_mistakes_name_the_key(options, said):
  options = dict(options)
  given = dict(examples=dict(source=example(), target=example()), infos={}, info=TEN,
               model=lambda classes: TwoColumn(classes, job().task.model.backbone))
  given |= options
  examples, model = given.pop('examples'), given.pop('model')
  with pytest.raises(ConfigError, match=said):
    two_column(make_model=model, example=examples, **given)
