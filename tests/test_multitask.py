"""Several tasks at once: their terms and scores, and which stops when."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from driven import difference, driven, with_hp
from scipy import ndimage
from scipy.special import log_softmax
from sklearn.metrics import r2_score
from test_adapt import TEN, Backbone
from tiny import config

from visionlab import build
from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.source import Info
from visionlab.data.sources.digit_measures import digit_measures, measure
from visionlab.data.sources.digits import digits
from visionlab.models.multitask import MultiHead
from visionlab.ops.early_stopping import CAP, stopping_measure
from visionlab.tasks.multitask import multitask
from visionlab.training.evaluation import compile_evaluation

DATA = dict(name='digit_measures', of=dict(name='digits'))
TARGETS = dict(label=dict(kind='softmax'), ink=dict(mean=.3, std=.03), centre=dict(std=.04))
STOPPING = dict(main='label', every=2, strips=3)


@cache
def job(stopping=True, **parallel):
  return build.assemble(config(
      data=DATA, evals={}, augment={}, hp=dict(lr=.02, momentum=.9),
      task=dict(name='multitask', targets=TARGETS, **dict(stopping=STOPPING) if stopping else {},
                model=dict(name='multitask', backbone=dict(name='cnn', widths=(4, 8)),
                           shared=(16,))),
      parallel=dict(devices=1) | parallel))


@cache
def compiled(stopping=True):
  it = job(stopping)
  return it.init(), jax.jit(build.make_step(it.task, it.optimizer, total=it.total))


def stepped(steps, spoil=lambda batch: batch, hp=None, stopping=True):
  """The state and the metrics after each step."""
  state, step = compiled(stopping)
  state = with_hp(state, hp or {})
  seen = []
  for i in range(steps):
    state, metrics = step(state, spoil(job(stopping).batches.loader(i)))
    seen.append({k: float(v.value) for k, v in metrics.items()})
  return state, seen


# --- the data ---


def test_measures_against_scipy():
  image = digits('test').arrays['image'][:20]
  found = measure(image)
  for i, grey in enumerate(image[..., 0].astype(np.float64)):
    y, x = ndimage.center_of_mass(grey)
    np.testing.assert_allclose(found['centre'][i], [(x - 3.5) / 8, (y - 3.5) / 8], atol=1e-6)
    np.testing.assert_allclose(found['ink'][i], grey.mean() / 255, rtol=1e-6)


def test_slant_is_that_of_a_shear():
  """A bar sheared by s pixels a row leans by s."""
  for shear in (-1, 0, 1, 2):
    image = np.zeros((1, 9, 31, 1), np.uint8)
    for row in range(9):
      image[0, row, 15 + shear * (4 - row)] = 255
    np.testing.assert_allclose(measure(image)['slant'], shear, atol=1e-6)


def test_what_is_held_out_is_a_share_of_any_slice():
  held_out = [open_split(lambda split: digit_measures(split, of=dict(name='digits')), split)
              .arrays['held_out'].mean() for split in ('train', 'train[:50%]')]
  assert held_out[0] == pytest.approx(.2, abs=1e-3) and held_out[1] == pytest.approx(.2, abs=.04)
  with pytest.raises(ConfigError, match='held_out must lie in'):
    digit_measures('train', of=dict(name='digits'), held_out=1.)


# --- the criterion ---


def test_the_measure_is_the_papers_formula():
  history, best, held_out, weight = np.array([4., 1.5, 1., .8, 2.]), .8, 1.1, .5
  median = 5 * np.median(history)
  expected = median / (history.sum() - median) * (held_out - best) / (weight * best)
  np.testing.assert_allclose(stopping_measure(history, best, held_out, weight), expected, rtol=1e-5)


def test_what_no_longer_falls_weighs_most_and_never_less():
  for history in ([1., 1, 1], [1., 1, .5], [1., 1, 1.001]):
    found = stopping_measure(jnp.array(history), 1., 1.2, 1.)
    np.testing.assert_allclose(found, CAP * .2, rtol=1e-4)


# --- the task ---


def test_terms_against_numpy():
  it = job(False)
  batch, state = it.batches.loader(0), it.init()
  state = dataclasses.replace(state, params=jax.tree.map(lambda x: 3 * x, state.params))
  terms, _ = it.task.loss(state.variables, batch, state.key, state.hp, train=True)
  said = {k: np.asarray(v) for k, v in it.task.outputs(state.variables, batch)[0].items()}
  own = log_softmax(said['label'], -1)[np.arange(32), batch['label']]
  np.testing.assert_allclose(terms['label'].value, -own.mean(), rtol=1e-5)
  ink = (batch['ink'] - .3) / .03
  np.testing.assert_allclose(terms['ink'].value, ((said['ink'][:, 0] - ink) ** 2).mean(), rtol=1e-5)
  centre = batch['centre'] / .04
  np.testing.assert_allclose(terms['centre'].value, ((said['centre'] - centre) ** 2).mean(),
                             rtol=1e-5)


def test_an_evaluation_agrees_with_scikit_learn():
  it = job(False)
  state, _ = stepped(15, stopping=False)
  source = digit_measures('test', of=dict(name='digits'))
  batch = source[np.arange(100)] | dict(valid=np.arange(100) < 90)        # the rest is padding
  results = compile_evaluation(it.task, it.mesh)(state.variables, state.hp | dict(
      progress=jnp.float32(1)), [batch])
  said = jax.tree.map(lambda x: np.asarray(x)[:90], it.task.predict(state.variables, batch))
  np.testing.assert_allclose(results['label_accuracy'],
                             (said['prediction'] == batch['label'][:90]).mean(), rtol=1e-6)
  for name in 'ink', 'centre':
    truth = batch[name][:90].reshape(90, -1)
    expected = r2_score(truth, said[name], multioutput='variance_weighted')
    np.testing.assert_allclose(results[f'{name}_r2'], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(results[f'{name}_rmse'], np.sqrt(((truth - said[name]) ** 2).mean()),
                               rtol=1e-4)


class Copies:
  """A network whose `ink` is a thousand and the image's only pixel."""

  def apply(self, variables, x, **options):
    return {'ink': 1000 + x[:, 0, 0]}


def test_r2_of_numbers_far_from_zero():
  """1000 +- 1, where a sum of squares in float32 ends before the comma; in batches, the last of
  which is padded."""
  rng = np.random.default_rng(0)
  x = rng.standard_normal(700).astype(np.float32)
  ink = (1000 + x + .5 * rng.standard_normal(700)).astype(np.float32)
  task = multitask(make_model=lambda **_: MultiHead({}, Backbone()), info=TEN, example=example(),
                   targets=dict(ink={}))
  task = dataclasses.replace(task, model=Copies())

  def batch(first):
    index = np.arange(first, first + 64)
    rows = np.minimum(index, 699)
    return dict(image=x[rows, None, None, None], ink=ink[rows], valid=index < 700)
  evaluate = compile_evaluation(task, job(False).mesh)
  results = evaluate({}, dict(lr=jnp.float32(0), progress=jnp.float32(1)),
                     [batch(i) for i in range(0, 700, 64)])
  said = (np.float32(1000) + x).astype(np.float64)
  np.testing.assert_allclose(results['ink_r2'], r2_score(ink, said), rtol=1e-6)
  np.testing.assert_allclose(results['ink_rmse'], np.sqrt(((ink - said) ** 2).mean()), rtol=1e-6)


def test_what_is_held_out_is_not_learnt_from():
  def spoil(batch):
    wrong = {name: np.where(batch['held_out'].reshape(-1, *[1] * (batch[name].ndim - 1)),
                            np.zeros_like(batch[name]), batch[name]) for name in TARGETS}
    return batch | wrong
  never = dict(stop_above=1e9)
  state, seen = stepped(4, hp=never)
  spoilt, others = stepped(4, spoil, hp=never)
  assert difference(state.params, spoilt.params) == 0
  assert seen[-1]['ink'] == others[-1]['ink'] != seen[-1]['ink_held_out']
  assert seen[-1]['ink_held_out'] != others[-1]['ink_held_out']


def test_no_task_stops_before_its_strips_are_full_and_the_main_one_never():
  """With a threshold that everything exceeds; 3 strips of 2 updates."""
  state, seen = stepped(9, hp=dict(stop_above=-1e9))
  assert [metrics['ink_stopped'] for metrics in seen] == [0] * 6 + [1] * 3
  assert all(metrics['label_stopped'] == 0 for metrics in seen)
  assert seen[6]['ink'] == seen[8]['centre'] == 0 < seen[8]['label'] and seen[5]['ink'] > 0
  six, _ = stepped(6, hp=dict(stop_above=-1e9))
  momentum = state.params['ink']['head']['kernel'] - six.params['ink']['head']['kernel']
  assert np.abs(momentum).max() < .1          # what momentum had left, and no gradient since


def test_a_strip_counts_updates_and_not_their_microbatches():
  it = job()
  step = jax.jit(build.make_step(it.task, it.optimizer, total=it.total, accumulate=4))
  state, stopped, seen = with_hp(it.init(), dict(stop_above=-1e9)), [], []
  for i in range(8):
    state, metrics = step(state, it.batches.loader(i))
    stopped.append(float(metrics['ink_stopped'].value))
    seen.append(float(state.collections['tasks']['train'][0, 1]))
  learnt = [(~it.batches.loader(i)['held_out']).sum() for i in range(8)]
  assert stopped == [0] * 6 + [1] * 2 and int(state.collections['tasks']['updates']) == 8
  assert seen == [n if i % 2 == 0 else 0 for i, n in enumerate(learnt)]    # strips of 2 updates


def test_what_a_stopped_task_says_moves_nothing():
  state, _ = stepped(6, hp=dict(stop_above=-1e9))
  it, batch = job(), job().batches.loader(6)

  def objective(params, batch):
    terms, _ = it.task.loss({'params': params, **state.collections}, batch, state.key, state.hp,
                            train=True)
    return sum(term.value for term in terms.values())
  gradient = jax.jit(jax.grad(objective))
  found = gradient(state.params, batch)
  assert max(np.abs(x).max() for x in jax.tree.leaves(found['ink'])) == 0
  other = gradient(state.params, batch | dict(ink=batch['ink'] + 1, centre=batch['centre'] - 1))
  assert difference(found, other) == 0


def test_the_state_is_that_of_a_loop_on_the_host():
  state, seen = stepped(9, hp=dict(stop_above=1e9))
  kept = {k: np.asarray(v) for k, v in state.collections['tasks'].items()}
  it = job()
  losses = []
  for i in range(8):
    before, _ = stepped(i, hp=dict(stop_above=1e9)) if i else (compiled()[0], None)
    batch = it.batches.loader(i)
    output = it.task.outputs(before.variables, batch)[0]['ink'][:, 0]
    losses.append(((np.asarray(output) - (batch['ink'] - .3) / .03) ** 2)[~batch['held_out']])
  strips = [np.concatenate(losses[i:i + 2]).mean() for i in (6, 4, 2, 0)]    # the newest first
  np.testing.assert_allclose(kept['history'][1], strips[:3], rtol=1e-4)
  np.testing.assert_allclose(kept['best'][1], min(strips), rtol=1e-4)
  assert kept['updates'] == 9 and kept['train'][1, 1] == (~it.batches.loader(8)['held_out']).sum()


def test_pmap_over_devices_equals_jit_on_one():
  found = []
  for parallel in {}, dict(devices=2, mode='pmap'):
    state, _ = driven(job(**parallel), 5)
    found.append(jax.device_get((state.params, state.collections['tasks'])))
  finite = jax.tree.map(lambda x: np.nan_to_num(x, posinf=0), found)
  assert difference(*finite) < 1e-3           # sums of losses among them


def example(**more):
  spec = jax.ShapeDtypeStruct
  return dict(image=spec((1, 8, 8, 1), np.uint8), valid=spec((1,), bool),
              label=spec((1,), np.int32), ink=spec((1,), np.float32)) | more


@pytest.mark.parametrize('options, said', [
    (dict(targets={}), 'config.task.targets: at least one'),
    (dict(targets=dict(inc={})), 'config.task.targets.*did you mean "ink"'),
    (dict(targets=dict(ink=dict(kind='l1'))), 'config.task.targets.ink.kind'),
    (dict(targets=dict(ink=dict(kind='softmax'))), 'softmax is for a label'),
    (dict(targets=dict(label=dict(kind='softmax')), info=Info()), 'softmax is for a label'),
    (dict(targets=dict(ink=dict(std=0.))), 'config.task.targets.ink.std'),
    (dict(targets=dict(ink=dict(sdt=1.))), 'config.task.targets.ink.sdt.*did you mean "std"'),
    (dict(stopping=dict(main='lable')), 'config.task.stopping.main'),
    (dict(stopping=dict(main='ink', every=0)), 'every and strips must be at least 1'),
    (dict(stopping=dict(main='ink')), 'no `held_out` to stop by'),
    (dict(model=lambda **_: Backbone()), 'config.task.model: multitask needs .* not Backbone'),
])
def test_mistakes_name_the_key(options, said):
  given = dict(targets=dict(ink={}), info=TEN, model=lambda outputs, classes: MultiHead(
      outputs, Backbone())) | options
  model = given.pop('model')
  with pytest.raises(ConfigError, match=said):
    multitask(make_model=model, example=example(), **given)


def test_labels_that_are_hidden_are_not_learnt():
  example = dict(label=np.zeros(1, np.int32), labelled=np.ones(1, bool))
  with pytest.raises(ConfigError, match=r'config\.task\.targets\.label: is hidden in part'):
    multitask(make_model=None, info=TEN, example=example, targets=dict(label=dict(kind='softmax')))
