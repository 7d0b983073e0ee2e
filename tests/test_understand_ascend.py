"""The one loop, its optimisers, transformations and tiles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from understood import Linear, Smooth, photos, subject_of

from visionlab.config import ConfigError
from visionlab.understand import ascend as loop
from visionlab.understand.ascend import adam, ascend, lbfgs, normalised, score
from visionlab.understand.images import fourier, generator, pixels
from visionlab.understand.objectives import (
  channel,
  energy,
  features_like,
  gram_like,
  guided,
  neuron,
  output,
)
from visionlab.understand.regularisers import alpha_norm, total_variation
from visionlab.understand.tiles import sums_by_tiles
from visionlab.understand.transforms import Jitter, Noise, Turn


@pytest.fixture(scope='module')
def subject():
  return subject_of(Smooth())


def test_gradient_ascent_on_a_linear_network():
  """Ten steps of rate r go 10 r times the weights, and the curve is what they say on the way."""
  subject = subject_of(Linear(), (2, 2, 1))
  kernel = np.asarray(subject.variables['params']['head']['kernel'])
  start = photos(2, (2, 2, 1))
  images, curve = ascend(subject, output(subject, [0, 2]), pixels(start, 'none'), steps=10,
                         optimizer=optax.sgd(.01))
  slopes = kernel.T[[0, 2]].reshape(2, 2, 2, 1)
  np.testing.assert_allclose(images, start + .1 * slopes, atol=1e-6)
  np.testing.assert_allclose(curve[0], (start * slopes).sum((1, 2, 3)), atol=1e-5)
  np.testing.assert_allclose(np.diff(curve, axis=0),
                             np.tile(.01 * (slopes ** 2).sum((1, 2, 3)), (9, 1)), rtol=1e-2)


@pytest.mark.parametrize('form', [
  pixels(photos(2)), pixels(photos(2), 'sigmoid'), fourier(2, (8, 8, 3), jax.random.key(0)),
  generator(2, (8, 8, 3), jax.random.key(0), hidden=4, layers=2)],
  ids=['clip', 'sigmoid', 'fourier', 'generator'])
def test_every_form_rises_and_stays_in_range(subject, form):
  images, curve = ascend(subject, output(subject, 1), form, steps=20)
  assert (curve[-1] > curve[0]).all() and np.isfinite(curve).all()
  assert images.min() >= 0 and images.max() <= 1 and images.shape == (2, 8, 8, 3)


def test_a_seeded_run_is_bit_equal_and_has_nothing_of_its_chunk(subject):
  start = fourier(3, (8, 8, 3), jax.random.key(1))
  run = lambda key, chunk: ascend(subject, channel(subject, 'second', [0, 1, 2]), start, steps=7,
                                  transforms=(Jitter(2), Noise()), key=jax.random.key(key),
                                  chunk=chunk)
  first, again, other, apart = run(0, 16), run(0, 16), run(1, 16), run(0, 2)
  np.testing.assert_array_equal(first.images, again.images)
  np.testing.assert_array_equal(first.curve, again.curve)
  assert np.abs(first.images - other.images).max() > 1e-3
  np.testing.assert_allclose(first.images, apart.images, atol=1e-4)
  np.testing.assert_allclose(first.curve, apart.curve, rtol=1e-4)


def test_another_target_start_or_number_of_steps_compiles_nothing(subject):
  start = photos(2)
  ascend(subject, output(subject, 0) - .1 * total_variation(), pixels(start), steps=11)
  programs = loop._climb._cache_size()
  ascend(subject, output(subject, [2, 1]) - .5 * total_variation(), pixels(photos(2, seed=1)),
         steps=4, key=jax.random.key(3))
  ascend(subject_of(Smooth(), seed=1), output(subject, 2) - total_variation(), pixels(start),
         steps=23)
  assert loop._climb._cache_size() == programs


def test_a_large_penalty_gives_back_its_centre(subject):
  wanted = output(subject, 0) - 1e4 * alpha_norm(2.)
  images, _ = ascend(subject, wanted, pixels(photos(1)), steps=200, optimizer=adam(.02))
  np.testing.assert_allclose(images, .5, atol=.01)


def test_lbfgs_finds_the_minimum_that_adam_goes_to(subject):
  target = photos(2, seed=3)
  wanted = features_like(subject, 'first', target)
  start = np.full((2, 8, 8, 3), .5, np.float32)
  _, slow = ascend(subject, wanted, pixels(start, 'none'), steps=30)
  _, fast = ascend(subject, wanted, pixels(start, 'none'), steps=30, optimizer=lbfgs())
  assert fast.shape == slow.shape == (30, 2)
  np.testing.assert_allclose(fast[0], slow[0], rtol=1e-5)
  assert (fast[-1] > slow[-1] / 4).all() and (np.diff(fast, axis=0) > -1e-6).all()


def test_steps_of_deep_dream_have_one_mean_size():
  update, _ = normalised(.5).update(jnp.array([[1., -3], [20, 20]]), None)
  np.testing.assert_allclose(update, [[-.25, .75], [-.5, -.5]], rtol=1e-6)


def test_progress_is_told_and_an_interrupt_has_the_last_image(subject):
  told = []

  def stop(done, of, images):
    told.append((done, of, images.shape))
    if len(told) == 3:
      raise KeyboardInterrupt
  with pytest.raises(KeyboardInterrupt):
    ascend(subject, output(subject, 0), pixels(photos(3)), steps=5, every=4, chunk=2,
           callback=stop)
  assert told == [(4, 10, (2, 8, 8, 3)), (5, 10, (2, 8, 8, 3)), (9, 10, (1, 8, 8, 3))]


def test_transformations():
  images = jnp.asarray(photos(2, (9, 9, 1)))
  keys = jax.random.split(jax.random.key(0), 2)
  rolled = np.asarray(jax.jit(Jitter(2))(keys, images))
  assert any((np.roll(images[0], (y, x), (0, 1)) == rolled[0]).all()
             for y in range(-2, 3) for x in range(-2, 3))
  np.testing.assert_allclose(jax.jit(Turn(0., (1., 1.)))(keys, images), images, atol=1e-5)
  spot = jnp.zeros((1, 9, 9, 1)).at[0, 4, 4].set(1.)
  larger = np.asarray(jax.jit(Turn(0., (3., 3.)))(keys[:1], spot))
  np.testing.assert_allclose(larger.sum(), 9, rtol=.01)         # a factor of 3 either way
  np.testing.assert_allclose(jax.jit(Turn(45.))(keys, jnp.full((2, 9, 9, 1), .3)), .3, atol=1e-5)
  assert abs(float((Noise(.1)(keys, images) - images).std()) - .1) < .02


OBJECTIVES = {
  'energy': lambda s: energy(s, 'second'), 'channel': lambda s: channel(s, 'first', 1),
  'neuron': lambda s: neuron(s, 'second', 1, (5, 3), (20, 28)),
  'features': lambda s: features_like(s, 'second', photos(2, (20, 28, 3), 5)),
  'style': lambda s: gram_like(s, 'second', photos(1, (12, 12, 3), 5)),
  'guide': lambda s: guided(s, 'second', photos(1, (12, 12, 3), 5)[0]),
  'all': lambda s: (2 * energy(s, 'first') - gram_like(s, 'second', photos(1, (12, 12, 3), 5))
                    * channel(s, 'second', 3) - total_variation())}


@pytest.mark.parametrize('wanted', OBJECTIVES.values(), ids=OBJECTIVES)
def test_by_tiles_it_is_the_same(subject, wanted):
  """Value and gradient, everywhere: the network looks 4 pixels far, tiles overlap by 8."""
  objective = wanted(subject)
  images = jnp.asarray(photos(2, (20, 28, 3)))

  @jax.jit
  def whole(x):
    return score(subject, objective, x, x).sum()

  @jax.jit
  def parts(x):
    return score(subject, objective, x, x, None, 12, 8).sum()
  with jax.default_matmul_precision('highest'):
    (a, da), (b, db) = (jax.value_and_grad(f)(images) for f in (whole, parts))
  np.testing.assert_allclose(a, b, rtol=1e-5)
  np.testing.assert_allclose(da, db, atol=1e-5 * float(jnp.abs(da).max()))


def test_tiles_too_small_for_the_network_differ(subject):
  """So the test above can fail."""
  images = jnp.asarray(photos(1, (24, 36, 3)))
  objective = energy(subject, 'second')
  a, b = (float(score(subject, objective, images, images, None, *tile)[0])
          for tile in ((None, None), (12, 0)))
  assert abs(a - b) > 1e-5 * abs(a)


def test_odd_sizes_by_tiles(subject):
  """All places of the whole image, and no more of those beyond than a stride makes."""
  images = jnp.asarray(photos(1, (21, 29, 3)))
  _, places = sums_by_tiles(subject, channel(subject, 'second', 0), images, 12, 8)
  assert places.tolist() == [11 * 15]
  images, curve = ascend(subject, energy(subject, 'second'), pixels(images), steps=3, tile=12)
  assert images.shape == (1, 21, 29, 3) and (np.diff(curve[:, 0]) > 0).all()


def test_what_is_wrong_is_said(subject):
  with pytest.raises(ConfigError, match='3 images.*2 rows'):
    ascend(subject, output(subject, [0, 1]), pixels(photos(3)), steps=1)
  with pytest.raises(ConfigError, match='whole image'):
    ascend(subject, output(subject, 0), pixels(photos(1, (20, 20, 3))), steps=1, tile=12)
  with pytest.raises(ConfigError, match='multiple of its stride'):
    ascend(subject, energy(subject, 'second'), pixels(photos(1, (20, 20, 3))), steps=1, tile=13)
  with pytest.raises(ConfigError, match='not finite from step 0'):
    ascend(subject, float('nan') * output(subject, 0), pixels(photos(1)), steps=1)


def test_an_image_that_does_not_change_is_told(warned):
  silent = subject_of(Linear())
  silent = dataclasses.replace(silent, variables=jax.tree.map(jnp.zeros_like, silent.variables))
  ascend(silent, output(silent, 0), pixels(photos(2)), steps=3)
  assert '2 of 2 images do not change' in warned[0]
