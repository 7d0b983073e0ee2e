"""The task that inverts features."""

import driven
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import config as tiny_config

import visionlab
from visionlab import build
from visionlab.build import build_task
from visionlab.config import ConfigError
from visionlab.data.source import Info
from visionlab.facts import Facts
from visionlab.models.up_convolutional import UpConvolutional, doublings
from visionlab.tasks.invert import read_layers
from visionlab.train import train
from visionlab.weights.files import read_weights
from visionlab.weights.fit import fit

CNN = dict(name='cnn', widths=(4, 4), hidden=8)
UP = dict(hidden=(8,), start=4, widths=(6, 4), convs=1)
IMAGE = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), np.uint8)
BATCH = dict(image=IMAGE, valid=np.ones(5, bool))


def task_of(classes='abc', **options):
  form = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), BATCH)
  own = dict(name='invert', model=CNN, up=UP) | options
  return build_task(tiny_config(task=own), Facts(Info(tuple(classes)), form, 5))


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
  """A run of a classifier."""
  workdir = tmp_path_factory.mktemp('digits')
  train(tiny_config(steps=5, augment=None, task=dict(name='classify', mean=(.2,), model=CNN)),
        workdir)
  return workdir


def test_every_layer_can_be_inverted():
  sizes = dict(conv0=(12, 12), pool0=(6, 6), conv1=(6, 6), pool1=(3, 3), dense=None, head=None)
  for at, size in sizes.items():
    task = task_of(at=at)
    variables = jax.eval_shape(task.init, jax.random.key(0), BATCH)
    features = jax.eval_shape(task.features, variables, BATCH)
    assert features.shape[1:3] == size if size else features.ndim == 2
    assert jax.eval_shape(task.predict, variables, BATCH)['image'].shape == IMAGE.shape
  assert task_of().at == 'pool1'


def test_features_are_those_of_the_network():
  """Of a map the one after the activation, as its `features` gives it."""
  task = task_of()
  variables = jax.jit(task.init)(jax.random.key(0), BATCH)
  network, x = task.model, task.preprocess(IMAGE)
  own = {'params': variables['frozen']}
  maps = network.apply(own, x, method=type(network).features)
  found = read_layers(network, own, x)
  for name, one in maps.items():
    np.testing.assert_array_equal(found[name], one)
  np.testing.assert_array_equal(found['head'], network.apply(own, x))
  assert float(found['pool1'].min()) == 0 > float(found['conv1'].min())


def test_the_network_that_is_looked_into_is_not_trained(digits, tmp_path):
  """Its weights are those of the run after training with decay, to the bit."""
  workdir = tmp_path / 'inverted'
  config = tiny_config(steps=6, augment=None, init_from=str(digits), hp=dict(
      lr=.1, momentum=.9, weight_decay=.1), task=dict(name='invert', model=CNN, up=UP, at='dense'))
  train(config, workdir)
  run, subject = visionlab.load(workdir), visionlab.load(digits)
  assert run.config.task.mean == (.2,)                        # images are prepared alike
  same = jax.tree.map(lambda a, b: bool((a == b).all()), dict(run.variables['frozen']),
                      dict(subject.variables['params']))
  assert all(jax.tree.leaves(same))
  assert set(run.variables['params']['up']) == {'dense0', 'dense1', 'up0', 'up1', 'image'}
  image = run.predict(np.zeros((2, 8, 8, 1), np.uint8))['image']
  assert image.shape == (2, 8, 8, 1) and image.min() >= 0 and image.max() <= 1
  assert {'test/relative_error', 'test/pixel_error'} <= set(run.metrics[-1])


def settings(**changes):
  task = dict(name='invert', model=CNN, up=UP, at='pool0')
  return tiny_config(**dict(augment=None, task=task, steps=6) | changes)


def test_pmap_and_accumulation_equal_jit_on_one_device():
  def trained(**changes):
    return driven.trained(build.assemble(settings(**changes)), 6)
  single = trained()
  for changes in dict(parallel=dict(devices=2, mode='pmap')), dict(accumulate=4):
    assert driven.difference(single, trained(**changes)) < 1e-5


def test_members_of_a_sweep_equal_their_single_runs():
  """Each with a random network of its own that is looked into."""
  configs = [settings(seed=seed, hp=dict(lr=lr, momentum=.9, weight_decay=0.))
             for seed, lr in ((1, .1), (2, .3))]
  job = build.assemble(configs[0], configs)
  state = jax.device_get(driven.driven(job, 6)[0])
  for i, own in enumerate(configs):
    member = jax.tree.map(lambda x, i=i: x[i], (state.params, state.collections))
    single, _ = driven.trained(build.assemble(own), 6)
    assert driven.difference(single, member) < 1e-5


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path):
  steady = dict(optim=dict(name='sgd', schedule=dict(name='constant')), evals={})
  whole = train(settings(**steady), tmp_path / 'whole')
  train(settings(**steady, steps=3), tmp_path / 'parts')
  parts = train(settings(**steady), tmp_path / 'parts', change_config=True)
  assert driven.difference(*(
      [s.params, s.collections] for s in jax.device_get((whole, parts)))) == 0


def test_weights_find_their_place(digits):
  task = task_of(classes=range(10), at='conv0')     # whose up-network has a `conv0` of its own
  variables = jax.jit(task.init)(jax.random.key(0), dict(image=IMAGE[:, :8, :8]))
  fitted, report = fit(read_weights(str(digits)), variables)
  assert not report.skipped and all('frozen/' in path for path in report.loaded)
  kernel = visionlab.load(digits).variables['params']['conv1']['kernel']
  np.testing.assert_array_equal(fitted['frozen']['conv1']['kernel'], kernel)


def test_errors_by_hand():
  task = task_of()
  variables = jax.jit(task.init)(jax.random.key(0), BATCH)
  evaluator = task.evaluators()['inversion']
  stats = jax.jit(lambda b: evaluator.update(variables, b, {}))(
      dict(BATCH, valid=np.arange(5) != 2))
  results = evaluator.finish(jax.device_get(stats))
  kept = [0, 1, 3, 4]
  truth = IMAGE[kept] / 255.
  said = np.asarray(jax.jit(task.predict)(variables, BATCH)['image'])[kept]
  squared = lambda a, b: ((a - b) ** 2).sum((1, 2, 3))
  pairs = np.mean([squared(truth, truth[[i]] * np.ones_like(truth)).mean() for i in range(4)])
  assert results['pixel_error'] == pytest.approx(np.sqrt(((truth - said) ** 2).mean()), rel=1e-5)
  assert results['relative_error'] == pytest.approx(
      np.sqrt(squared(truth, said).mean() / pairs), rel=1e-4)
  of_mean = squared(truth, truth.mean(0)).mean() / pairs
  assert np.sqrt(of_mean) == pytest.approx(.5 ** .5)          # what knows nothing


def test_an_up_convolution_is_unpooling_and_a_convolution():
  """A value becomes the corner of a 2 x 2 block; 5 x 5 taps in reach."""
  network = UpConvolutional(1, convs=0, widths=(3,))
  x = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
  variables = network.init(jax.random.key(0), x, (6, 8))
  unpooled = np.zeros((1, 6, 8, 2), np.float32)
  unpooled[:, ::2, ::2] = x
  expected = jax.lax.conv_general_dilated(
      unpooled, variables['params']['image']['kernel'], (1, 1), 'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  np.testing.assert_allclose(network.apply(variables, x, (6, 8)), expected, atol=1e-5)


@pytest.mark.parametrize('there, size', [((2, 2), (28, 28)), ((3, 5), (20, 33)), ((9, 9), (9, 9)),
                                         ((9, 9), (8, 8)), (None, (17, 30))])
def test_images_of_any_size(there, size):
  shape = (2, *there, 3) if there else (2, 7)
  network = UpConvolutional(3, hidden=(4,), start=2, widths=(4, 4), convs=1)
  out, variables = jax.eval_shape(
      lambda key, x: network.init_with_output(key, x, size), jax.random.key(0),
      jnp.zeros(shape))
  assert out.shape == (2, *size, 3)
  ups = doublings(there, size) if there else 3
  names = {'image', *(f'up{i}' for i in range(ups - 1))} | ({'conv0'} if there else
                                                            {'dense0', 'dense1'})
  assert set(variables['params']) == names


def test_what_is_wrong_is_said():
  with pytest.raises(ConfigError, match="at: CNN has no layer 'pol1' .did you mean \"pool1\""):
    task_of(at='pol1')
  with pytest.raises(ConfigError, match='config.task.up.*widhts'):
    task_of(up=dict(widhts=(3,)))
  with pytest.raises(ConfigError, match='widths: at least one'):
    task_of(up=dict(widths=()))
  with pytest.raises(ConfigError, match='one source with images'):
    form = dict(source=BATCH, target=BATCH)
    form = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype), form)
    build_task(tiny_config(task=dict(name='invert', model=CNN)), Facts(Info(('a',)), form, 5))
