"""Domain adaptation: what each method may read, what it may move, and two domains' mistakes."""

from functools import cache, partial

import driven
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from driven import difference, with_hp
from tiny import config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Info
from visionlab.data.sources.digits import digits
from visionlab.data.sources.digits_m import digits_m
from visionlab.facts import Facts
from visionlab.metrics import Ratio
from visionlab.models.dann import DANN
from visionlab.tasks.adapt import ADVERSARIAL, DISTANCES, METHODS, adapt
from visionlab.training.evaluation import Evaluations

plain = cache(partial(digits, size=8, channels=3))
blended = cache(partial(digits_m, size=8))


def lettered(split):
  return Arrays(blended(split).arrays, Info(tuple('abcdefghij')))


class Backbone(nn.Module):
  """A layer seeing the whole image, with BatchNorm where it is `norm`ed, as one 1 x 1 map."""
  classes: int = 1
  norm: bool = False
  axis_name: str | None = None

  @nn.compact
  def features(self, x, *, train=False):
    x = nn.Dense(16, name='dense')(x.reshape(len(x), -1))
    if self.norm:
      x = nn.BatchNorm(not train, momentum=.9, axis_name=self.axis_name, name='norm')(x)
    return {'map': nn.relu(x)[:, None, None]}


# The options that most tests share, and with them what is compiled: it takes most of their time.
FULL = dict(norm='separate', normed=True, dropout=.2)


@cache
def job(method, norm='joint', normed=False, dropout=0., **parallel):
  """What a config of that method comes to; batches of 16 + 16."""
  network = dict(name='dann', backbone=dict(name='test_adapt:Backbone', norm=normed),
                 pool='flatten', label_hidden=(8,), domain_hidden=(8,), dropout=dropout)
  data = dict(source=dict(name='test_adapt:plain'), target=dict(name='test_adapt:blended'))
  return build.assemble(config(
      data=data, augment={}, hp=dict(lr=.1, momentum=.9), evals={},
      task=dict(name='adapt', method=method, norm=norm, model=network),
      parallel=dict(devices=1) | parallel))


@cache
def compiled(accumulate=1, **which):
  """(fresh state, step) of a job."""
  it = job(**which)
  return it.init(), jax.jit(build.make_step(it.task, it.optimizer, total=it.total,
                                          accumulate=accumulate))


def trained(steps=10, spoil=None, hp=None, **which):
  """(params, collections) after some steps, and the last step's metrics."""
  state, step = compiled(**which)
  state = with_hp(state, hp or {})
  for i in range(steps):
    batch = loaded(i)
    state, metrics = step(state, spoil(batch) if spoil else batch)
  return (state.params, state.collections), {k: float(v.value) for k, v in metrics.items()}


@cache
def loaded(i=0):
  return job('source').batches.loader(i)


def fresh(method, **which):
  """A task, its first batch, its fresh state and that in the middle of training."""
  state, _ = compiled(method=method, **which)
  return job(method, **which).task, loaded(), state, state.hp | {'progress': jnp.float32(.5)}


@cache
def losses(method, train=True, **which):
  """The task's loss, compiled."""
  return jax.jit(partial(job(method, **which).task.loss, train=train))


def spoilt_labels(batch):
  garbage = np.random.default_rng(0).integers(-99, 99, len(batch['target']['label']))
  return batch | {'target': batch['target'] | {'label': garbage.astype(np.int32)}}


# --- what is read ---


def whitened(batch):
  white = np.full_like(batch['target']['image'], 255)
  return batch | {'target': batch['target'] | {'image': white}}


@pytest.mark.parametrize('method', METHODS)
def test_target_labels_are_read_by_the_upper_bound_alone(method):
  """Its images are read by all but the lower bound."""
  params, metrics = trained(method=method, **FULL)
  spoilt, spoilt_metrics = trained(method=method, spoil=spoilt_labels, **FULL)
  if method == 'target':
    assert difference(params, spoilt) > 1e-3
  else:
    assert difference(params, spoilt) == 0 and metrics == spoilt_metrics
  moved = difference(params, trained(method=method, spoil=whitened, **FULL)[0])
  assert moved == 0 if method == 'source' else moved > 0


def test_labels_are_learnt_from_the_sources_half_alone():
  """And what is not valid counts in neither term."""
  _, batch, state, hp = fresh('dann')
  masks = dict(source=np.arange(16) >= 5, target=np.arange(16) >= 3)
  batch = {k: v | {'valid': masks[k]} for k, v in batch.items()}
  terms, aux = losses('dann')(state.variables, batch, state.key, hp)
  assert terms['cross_entropy'].count == aux.metrics['accuracy'].count == 11
  assert terms['domain'].count == aux.metrics['domain_accuracy'].count == 24


# --- lambda ---


@pytest.mark.parametrize('method', [*ADVERSARIAL, *DISTANCES])
def test_with_lambda_zero_features_and_labels_train_as_from_the_source_alone(method):
  """BatchNorm and dropout included: the source goes through the network by itself."""
  (alone, _), _ = trained(20, method='source', **FULL)
  (params, _), metrics = trained(20, hp=dict(lambda_max=0.), method=method, **FULL)
  assert max(difference(alone[k], params[k]) for k in ('backbone', 'label')) < 5e-7
  assert metrics['lambda'] == 0
  if method in ADVERSARIAL:
    start = compiled(method=method, **FULL)[0].params['domain']
    assert difference(start, params['domain']) > .05          # its classifier learns all the same


def test_with_lambda_zero_a_joint_pass_does_so_too():
  """The target's gradients are zeros in them; without BatchNorm, which would see the target."""
  (alone, _), _ = trained(20, method='source')
  (params, _), metrics = trained(20, hp=dict(lambda_max=0.), method='dann')
  assert max(difference(alone[k], params[k]) for k in ('backbone', 'label')) < 2e-6
  (adapted, _), _ = trained(20, method='dann')
  assert difference(alone['backbone'], adapted['backbone']) > 1e-4


@cache
def differentiated(method):
  """(params, hp) -> {term: its gradient}, on one batch."""
  task, batch, state, _ = fresh(method)

  def terms(params, hp):
    found, _ = task.loss({'params': params}, batch, state.key, hp, train=True)
    return {name: term.value for name, term in found.items()}
  return jax.jit(jax.jacrev(terms))


def gradients(method, progress, lambda_max=1.):
  """{term: its gradient} for thrice the fresh parameters: heads start too small for anything to
  come through them."""
  _, _, state, hp = fresh(method)
  changed = dict(progress=jnp.float32(progress), lambda_max=jnp.float32(lambda_max))
  return differentiated(method)(jax.tree.map(lambda x: 3 * x, state.params), hp | changed)


def largest(tree):
  return max(float(np.abs(x).max()) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize('method', [*ADVERSARIAL, *DISTANCES])
def test_lambda_scales_what_reaches_the_features_and_nothing_else(method):
  """By the paper's schedule: p = .07 against p = .5, and lambda_max = 1 against .5."""
  term = dict(dann='domain').get(method, method)
  ramp = lambda p: 2 / (1 + np.exp(-10 * p)) - 1
  early, half, late = gradients(method, .07), gradients(method, .07, .5), gradients(method, .5)
  close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7)
  assert largest(early[term]['backbone']) > 1e-6
  for other, factor in ((half, .5), (late, ramp(.5) / ramp(.07))):
    jax.tree.map(lambda a, b, f=factor: close(b, f * a), early[term]['backbone'],
                 other[term]['backbone'])
    assert difference(early['cross_entropy'], other['cross_entropy']) < 1e-7
    if method in ADVERSARIAL:
      assert difference(early['domain']['domain'], other['domain']['domain']) < 1e-7


def test_dann_climbs_the_domain_loss_by_the_features_and_descends_it_by_the_classifier():
  """Against the loss written out, with nothing reversed; lambda is 1 late in training."""
  task, batch, state, _ = fresh('dann')
  images = jnp.concatenate([batch['source']['image'], batch['target']['image']]) / 255.
  sign = np.repeat([-1., 1.], 16)

  def loss(params):
    domain = lambda model, x: model.domain_logits(model.features(x))
    return jnp.logaddexp(0, -sign * task.model.apply({'params': params}, images,
                                                     method=domain)).mean()
  expected = jax.grad(loss)(jax.tree.map(lambda x: 3 * x, state.params))
  found = gradients('dann', 1e6)['domain']
  close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-7)
  jax.tree.map(close, found['domain'], expected['domain'])
  jax.tree.map(lambda a, b: close(a, -b), found['backbone'], expected['backbone'])


def test_confusion_moves_features_by_one_term_and_the_classifier_by_the_other():
  found = gradients('confusion', 1e6)
  assert largest(found['confusion']['domain']) == largest(found['domain']['backbone']) == 0
  assert min(largest(found['confusion']['backbone']), largest(found['domain']['domain'])) > 1e-6
  _, batch, state, hp = fresh('confusion')
  nothing = jax.tree.map(jnp.zeros_like, state.params['domain'])     # says one half of everything
  terms, aux = losses('confusion')({'params': state.params | {'domain': nothing}}, batch,
                                   state.key, hp)
  np.testing.assert_allclose([terms['confusion'].value, terms['domain'].value], np.log(2),
                             rtol=1e-6)
  assert aux.metrics['domain_accuracy'].value == .5


# --- the rest of the contract ---


def test_evaluations_see_one_domain_and_so_does_predict():
  task, batch, state, hp = fresh('dann')
  for domain in batch.values():
    terms, aux = losses('dann', train=False)(state.variables, domain, state.key, hp)
    assert set(terms) == {'cross_entropy'} and set(aux.metrics) == {'accuracy'}
    said = task.predict(state.variables, domain)
    own = np.asarray(said['probabilities'])[np.arange(16), domain['label']]
    np.testing.assert_allclose(terms['cross_entropy'].value, -np.log(own).mean(), rtol=1e-5)


@pytest.mark.parametrize('norm', ['joint', 'separate'])
def test_batchnorm_sees_what_its_option_says(norm):
  """The running mean after one step, from 0 and with a momentum of .9, by hand."""
  which = FULL | dict(norm=norm)
  _, batch, state, hp = fresh('dann', **which)
  _, aux = losses('dann', **which)(state.variables, batch, state.key, hp)
  layer = state.params['backbone']['dense']
  source, target = ((batch[d]['image'].reshape(16, -1) / 255. @ layer['kernel']).mean(0)
                    for d in ('source', 'target'))
  expected = .05 * (source + target) if norm == 'joint' else .9 * .1 * source + .1 * target
  found = aux.collections['batch_stats']['backbone']['norm']['mean']
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('method', ['dann', 'mmd'])
def test_pmap_over_devices_equals_jit_on_one(method):
  """A sum over examples, and a distance, which is none."""
  single, metrics = driven.trained(job(method, normed=True), 10)
  several, means = driven.trained(job(method, normed=True, devices=2, mode='pmap'), 10)
  assert difference(single, several) < 1e-5
  assert means == pytest.approx(metrics, rel=1e-3, abs=1e-5)


def test_accumulation_equals_the_whole_batch():
  whole, _ = trained(5, method='dann')
  assert difference(whole, trained(5, method='dann', accumulate=4)[0]) < 1e-5


def test_mixed_labels_of_the_source_are_shared_as_its_images_are():
  _, batch, state, hp = fresh('dann')
  loss = lambda source: losses('dann')(state.variables, batch | {'source': source}, state.key,
                                       hp)[0]['cross_entropy'].value
  source, other = batch['source'], batch['source']['label'][::-1]
  mixed = loss(source | dict(label_mixed=other, mix_weight=np.full(16, .25, np.float32)))
  np.testing.assert_allclose(mixed, .25 * loss(source) + .75 * loss(source | dict(label=other)),
                             rtol=1e-6)


@pytest.mark.parametrize('method', METHODS)
def test_what_is_reported_are_sums_and_counts(method):
  task, batch, state, hp = fresh(method)
  terms, aux = jax.eval_shape(partial(task.loss, train=True), state.variables, batch, state.key, hp)
  assert all(isinstance(t, Ratio) for t in (*terms.values(), *aux.metrics.values()))
  assert set(terms) == {'cross_entropy'} | {'dann': {'domain'}, 'confusion': {'domain', method},
                                            'mmd': {method}, 'coral': {method}}.get(method, set())


# --- mistakes ---

TEN = Info(tuple('0123456789'))


def example(size=12, channels=3, **more):
  spec = jax.ShapeDtypeStruct
  return dict(image=spec((1, size, size, channels), np.uint8), label=spec((1,), np.int32),
              valid=spec((1,), bool)) | more


def make(source=None, target=None, infos=None, info=TEN, examples=None, model=None, **options):
  examples = examples or dict(source=source or example(), target=target or example())
  model = model or (lambda classes: DANN(classes, Backbone()))
  return adapt(make_model=model, info=info, example=examples,
               infos=infos or {}, **options)


@pytest.mark.parametrize('options, said', [
    (dict(examples=example()), 'needs two domains'),
    (dict(examples=dict(source=example())), 'config.data.target: missing'),
    (dict(examples=dict(source=example(), taget=example())),
     r'config.data.target: missing.*did you mean "taget"'),
    (dict(examples=dict(source=example(), target=example(), third=example())),
     'config.data.third: adapt takes source and target only'),
    (dict(source=example(channels=1)),
     'config.data.target: its images have 3 channels, those of config.data.source 1'),
    (dict(target=example(size=16)),
     'config.data.target: its images are 16 x 16 pixels, those of config.data.source 12 x 12'),
    (dict(infos=dict(source=TEN, target=Info(('cat', 'dog')))),
     'config.data.target: its classes are cat, dog, those of config.data.source 0, 1, 2'),
    (dict(info=Info()), 'config.data.source: adapt needs classes'),
    (dict(target={'image': example()['image']}, method='target'),
     'config.data.target: method "target" learns its labels, and it has only image'),
    (dict(method='dan'), 'config.task.method.*did you mean "dann"'),
    (dict(norm='seperate'), 'config.task.norm.*did you mean "separate"'),
    (dict(model=Backbone), 'config.task.model: method "dann" needs a network .*not Backbone'),
])
def test_mistakes_name_the_key(options, said):
  with pytest.raises(ConfigError, match=said):
    make(**options)


def test_a_target_may_come_without_labels():
  task = make(target={'image': example()['image']}, infos=dict(source=TEN, target=Info()))
  assert task.classes == TEN.classes


def test_bounds_need_no_special_network():
  assert make(model=Backbone, method='source').method == 'source'


@pytest.mark.parametrize('method, known', [('dann', True), ('source', False)])
def test_lambda_is_an_option_of_what_reads_it(method, known):
  assert ('lambda_max' in make(method=method).hyperparameters()) == known


@pytest.mark.parametrize('path', ['digits_dann', 'mnist_mnistm_dann'])
@pytest.mark.parametrize('variant', ['dann', 'source', 'smoke'])
def test_configs_name_what_there_is(path, variant):
  import importlib
  made = importlib.import_module(f'configs.{path}').get_config(variant)
  assert made.task.method == ('dann' if variant == 'smoke' else variant)
  for name in ('source', 'target'):              # a root on the command line is that of both
    made.data[name].root = f'{name}s'
    assert made.evals[name].data.root == f'{name}s'
  if path == 'digits_dann' or variant == 'smoke':
    build.assemble(made)


def test_domains_of_other_classes_are_refused():
  data = dict(source=dict(name='test_adapt:plain'), target=dict(name='test_adapt:lettered'))
  task = dict(name='adapt', model=dict(name='dann', backbone=dict(name='cnn')))
  with pytest.raises(ConfigError, match='config.data.target: its classes are a, b, c'):
    build.assemble(config(data=data, task=task, augment={}, evals={}))


def test_evaluations_name_the_domain_they_measure():
  settings = config(data=dict(source=dict(name='digits'), target=dict(name='digits')))
  with pytest.raises(ConfigError, match='config.evals.test.data: missing'):
    Evaluations(settings, job('dann').task, job('dann').mesh, 20, None)


def test_facts_of_several_sources_survive_being_saved():
  facts = job('dann').facts
  assert Facts.from_json(facts.to_json()) == facts
  assert set(facts.infos) == set(facts.example) == {'source', 'target'}
  assert facts.image.shape == (1, 8, 8, 3)
