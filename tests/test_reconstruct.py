"""Autoencoders: what they minimise, against closed forms."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from visionlab.config import ConfigError
from visionlab.data.source import Arrays
from visionlab.evaluate import per_image
from visionlab.measures.codes import probe_accuracy
from visionlab.models.autoencoder import AutoEncoder
from visionlab.tasks.reconstruct import Reconstruct, reconstruct

SHAPE = (4, 4, 1)


def task_of(model=None, **options):
  example = dict(image=jax.ShapeDtypeStruct((1, *SHAPE), np.float32))
  make = lambda **given: AutoEncoder(codes=3, **{'widths': (), **(model or {})}, **given)
  return reconstruct(make_model=make, example=example, **options)


def batch_of(images, seed=0):
  return dict(image=images, valid=np.ones(len(images), bool),
              draw=jax.random.split(jax.random.key(seed), len(images)))


def scalars(task, **own):
  return {k: jnp.float32(v) for k, v in (task.hyperparameters() | own).items()}


def test_a_linear_variational_one_is_probabilistic_principal_components():
  """Tipping and Bishop 1999: at the optimum, known in closed form, the bound is the likelihood."""
  rng, sigma, d = np.random.default_rng(0), .2, 3
  x = rng.normal(size=(400, 16)) @ rng.normal(size=(16, 16)) * .2 + .5
  mean = x.mean(0)
  values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
  values, vectors = values[::-1][:d], vectors[:, ::-1][:, :d]
  loading = vectors * np.sqrt(values - sigma ** 2)
  likelihood = stats.multivariate_normal(mean, loading @ loading.T + sigma ** 2 * np.eye(16))
  to_codes = loading / values                                # the posterior mean is (x - mean) @ it
  params = dict(
      encoder=dict(codes=dict(
          kernel=np.concatenate([to_codes, np.zeros((16, d))], 1),
          bias=np.concatenate([-mean @ to_codes, np.log(sigma ** 2 / values)]))),
      decoder=dict(pixels=dict(kernel=loading.T, bias=mean)))
  task = task_of(variational=True, likelihood='gaussian', sigma=sigma)
  params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), params)
  assert (jax.tree.structure(params)
          == jax.tree.structure(jax.eval_shape(task.init, jax.random.key(0), batch_of(
              np.zeros((1, *SHAPE), np.float32)))['params']))
  images = x.reshape(-1, *SHAPE).astype(np.float32)
  bound = np.mean([elbo(task, params, batch_of(images, seed)) for seed in range(20)])
  assert bound == pytest.approx(likelihood.logpdf(x).mean(), abs=.02)
  # Any other encoder's bound is lower.
  params['encoder']['codes']['bias'] += .3
  assert elbo(task, params, batch_of(images)) < bound - .1


def elbo(task, params, batch):
  terms = terms_of(task, params, batch, scalars(task))
  return -float(terms['reconstruction'].value + terms['kl'].value)


@partial(jax.jit, static_argnums=0)
def terms_of(task, params, batch, hp):
  return task.loss({'params': params}, batch, jax.random.key(0), hp, train=True)[0]


def test_the_divergence_by_sampling():
  task = task_of(variational=True)
  moments = jnp.array([[.7, -1., .1, -.5, .4, 0.]])
  keys = jax.random.split(jax.random.key(1), 40_000)
  codes, kl = task.drawn(jnp.tile(moments, (len(keys), 1)), keys)
  mean, deviation = np.array(moments[0, :3]), np.exp(.5 * np.array(moments[0, 3:]))
  drawn = np.asarray(codes, np.float64)
  ratio = (stats.norm(mean, deviation).logpdf(drawn) - stats.norm.logpdf(drawn)).sum(1)
  assert float(kl[0]) == pytest.approx(ratio.mean(), abs=4 * ratio.std() / 200)
  np.testing.assert_allclose(drawn.mean(0), mean, atol=.02)
  np.testing.assert_allclose(drawn.std(0), deviation, rtol=.02)


def test_free_bits_are_the_least_that_a_code_costs():
  moments = jnp.zeros((2, 6)).at[1, 0].set(2.)
  keys = jax.random.split(jax.random.key(1), 2)
  _, kl = task_of(variational=True).drawn(moments, keys, .5)
  np.testing.assert_allclose(kl, [1.5, 2 + 1.])


@pytest.mark.parametrize('likelihood, expected', [
  ('bernoulli', lambda made, x: -(x * np.log(p(made)) + (1 - x) * np.log(1 - p(made)))),
  ('gaussian', lambda made, x: -stats.norm(made, .3).logpdf(x)),
  ('squared', lambda made, x: (made - x) ** 2)])
def test_the_distance_of_an_image_is_a_sum_over_its_pixels(likelihood, expected):
  rng = np.random.default_rng(0)
  made, x = rng.normal(size=(3, *SHAPE)), rng.random((3, *SHAPE))
  found = task_of(likelihood=likelihood, sigma=.3).distance(jnp.float32(made), jnp.float32(x))
  np.testing.assert_allclose(found, expected(made, x).sum((1, 2, 3)), rtol=1e-5)


def p(logits):
  return 1 / (1 + np.exp(-logits))


def test_noise_is_of_the_deviation_that_hp_says_and_the_image_is_wanted_clean():
  task = task_of(denoising=True, model=dict(widths=(4,)))
  images = np.full((500, *SHAPE), .5, np.float32)
  batch = batch_of(images)
  seen = task.disturbed(jnp.asarray(images), batch['draw'], dict(noise_sigma=.2))
  assert float((seen - images).std()) == pytest.approx(.2, rel=.03)
  variables = jax.jit(task.init)(jax.random.key(0), batch)
  terms, aux = task.loss(variables, batch, jax.random.key(0), scalars(task, noise_sigma=.2),
                         train=True)
  made = task.decoded(variables, task.encoded(variables, seen))
  np.testing.assert_allclose(terms['reconstruction'].value,
                             ((made - images) ** 2).sum((1, 2, 3)).mean(), rtol=1e-5)


def test_sparsity_is_the_sum_of_the_sizes_of_codes():
  task = task_of()
  batch = batch_of(np.random.default_rng(0).random((5, *SHAPE), np.float32))
  variables = jax.jit(task.init)(jax.random.key(0), batch)
  terms, _ = task.loss(variables, batch, jax.random.key(0), scalars(task), train=True)
  codes = task.predict(variables, batch)['codes']
  np.testing.assert_allclose(terms['sparsity'].value, np.abs(codes).sum(1).mean(), rtol=1e-6)


def test_samples_are_images_of_normal_codes():
  task = task_of(variational=True, model=dict(widths=(4,)))
  variables = jax.jit(task.init)(jax.random.key(0), batch_of(np.zeros((1, *SHAPE), np.float32)))
  key = jax.random.key(7)
  expected = task.images(variables, jax.random.normal(key, (6, 3)))
  np.testing.assert_array_equal(task.sample(variables, key, 6), expected)
  assert expected.shape == (6, *SHAPE) and expected.min() >= 0 and expected.max() <= 1
  with pytest.raises(ConfigError, match='not variational'):
    task_of().sample(variables, key, 6)


@pytest.mark.parametrize('enlarge', ['resize', 'transposed'])
@pytest.mark.parametrize('shape', [(8, 8, 1), (12, 20, 3)])
def test_the_network_gives_images_of_the_size_that_it_takes(enlarge, shape):
  model = AutoEncoder(shape=shape, codes=5, widths=(4, 6), hidden=7, enlarge=enlarge)
  x = jnp.zeros((2, *shape))
  made, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
  assert made.shape == x.shape
  h, w, c = shape
  cells = h // 4 * (w // 4) * 6
  taps = 9 if enlarge == 'resize' else 16
  size = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables))
  encoder = (16 * c + 1) * 4 + (16 * 4 + 1) * 6 + (cells + 1) * 7 + (7 + 1) * 5
  decoder = ((5 + 1) * 7 + (7 + 1) * cells + (taps * 6 + 1) * 4 + (taps * 4 + 1) * 4
             + (9 * 4 + 1) * c)
  assert size == encoder + decoder


def test_what_does_not_fit_is_said():
  with pytest.raises(ConfigError, match='4 x 4 pixels are no multiple of 8'):
    task_of(model=dict(widths=(2, 2, 2)))
  with pytest.raises(ConfigError, match='weighs nats'):
    task_of(variational=True, likelihood='squared')
  with pytest.raises(ConfigError, match='enlarge'):
    task_of(model=dict(enlarge='bigger'))
  with pytest.raises(ConfigError, match='encodes and decodes'):
    reconstruct(make_model=lambda **given: object(),
                example=dict(image=jax.ShapeDtypeStruct((1, *SHAPE), np.float32)))


def test_what_is_unlike_the_rest_is_made_again_worst():
  """Linear, of eight principal components: digits, among them some whose pixels were shuffled."""
  digits = pytest.importorskip('sklearn.datasets').load_digits().images / 16
  learnt, others = digits[:1000].reshape(1000, -1), digits[1000:1060]
  mean = learnt.mean(0)
  vectors = np.linalg.svd(learnt - mean, full_matrices=False)[2][:8]
  layer = lambda kernel, bias: dict(kernel=jnp.float32(kernel), bias=jnp.float32(bias))
  params = dict(encoder=dict(codes=layer(vectors.T, -mean @ vectors.T)),
                decoder=dict(pixels=layer(vectors, mean)))
  odd = np.random.default_rng(0).permuted(others[:6].reshape(6, -1), axis=1).reshape(6, 8, 8)
  images = np.concatenate([others, odd])[..., None].astype(np.float32)
  label = np.r_[np.zeros(60, np.int32), np.ones(6, np.int32)]
  run = SimpleNamespace(
      task=reconstruct(make_model=lambda **given: AutoEncoder(codes=8, widths=(), **given),
                       example=dict(image=jax.ShapeDtypeStruct((1, 8, 8, 1), np.float32))),
      variables={'params': params}, batch=40, classes=('digit', 'odd'),
      config=SimpleNamespace(pipeline=SimpleNamespace(workers=0)))
  rows = per_image([run], Arrays(dict(image=images, label=label)))
  assert [row['label'] for row in rows[:6]] == ['odd'] * 6
  assert {row['file'] for row in rows[:6]} == {str(i) for i in range(60, 66)}
  left = images.reshape(66, -1) - mean
  left = ((left - left @ vectors.T @ vectors) ** 2).mean(1)
  np.testing.assert_allclose([row['error'] for row in rows], np.sort(left)[::-1], rtol=1e-3)
  assert len(rows[0]['codes']) == 8


def test_codes_that_are_constant_are_not_active():
  task = Reconstruct(AutoEncoder(shape=SHAPE, codes=3), False, False, 'squared', .1)
  code, n = np.array([[1., 0, 5], [1, 1, 5], [1, 2, 5]]), 3.
  ratio = lambda value: type('Ratio', (), dict(value=value, count=n))()
  found = task._finish(dict(error=ratio(.1), code=code.sum(0), code_squared=(code ** 2).sum(0)))
  assert found['active_codes'] == 1
  np.testing.assert_allclose(found['code_variance'], [0, 2 / 3, 0], atol=1e-12)


def test_the_probe_is_least_squares_on_the_other_parts():
  """Against scikit-learn's."""
  linear_model = pytest.importorskip('sklearn.linear_model')
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 3, 200)
  codes = np.eye(3)[labels] + rng.normal(size=(200, 3)) * .8
  part, right = np.arange(200) % 5, 0
  for k in range(5):
    fit = linear_model.RidgeClassifier(alpha=1e-9).fit(codes[part != k], labels[part != k])
    right += (fit.predict(codes[part == k]) == labels[part == k]).sum()
  assert probe_accuracy(codes, labels, ridge=0.) == right / 200
  assert np.isnan(probe_accuracy(codes[:3], labels[:3]))
