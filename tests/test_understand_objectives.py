"""What is wanted of an image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from understood import Linear, Smooth, photos, subject_of

from visionlab.config import ConfigError
from visionlab.understand.ascend import score
from visionlab.understand.objectives import (
  channel,
  direction,
  energy,
  features_like,
  gram_like,
  guided,
  neuron,
  output,
  read,
)
from visionlab.understand.regularisers import alpha_norm, roughness, total_variation
from visionlab.understand.terms import GramLike, gram

IMAGES = photos(3)


@pytest.fixture(scope='module')
def subject():
  return subject_of(Smooth())


@pytest.fixture(scope='module')
def maps(subject):
  return read(subject, IMAGES, ['first', 'second'])


def said(subject, objective, images=IMAGES):
  return np.asarray(score(subject, objective, jnp.asarray(images), jnp.asarray(images)))


def test_parts_of_a_map(subject, maps):
  second = maps['second']
  np.testing.assert_allclose(said(subject, channel(subject, 'second', 2)),
                             second[..., 2].mean((1, 2)), rtol=1e-5)
  np.testing.assert_allclose(said(subject, channel(subject, 'second', [0, 1, 5])),
                             [second[i, ..., k].mean() for i, k in enumerate([0, 1, 5])], rtol=1e-5)
  np.testing.assert_allclose(said(subject, neuron(subject, 'second', 2)), second[:, 2, 2, 2],
                             rtol=1e-5)
  np.testing.assert_allclose(said(subject, neuron(subject, 'second', 2, (3, 0))),
                             second[:, 3, 0, 2], rtol=1e-5)
  np.testing.assert_allclose(said(subject, energy(subject, 'second')),
                             (second ** 2).mean((1, 2, 3)), rtol=1e-5)
  vector = np.arange(6.) - 3
  np.testing.assert_allclose(said(subject, direction(subject, 'second', vector)),
                             (second @ vector).mean((1, 2)), rtol=1e-4)


def test_outputs(subject):
  logits = np.asarray(subject.answer(IMAGES)['logits'])
  np.testing.assert_allclose(said(subject, output(subject, 'bee')), logits[:, 1], rtol=1e-6)
  np.testing.assert_allclose(said(subject, output(subject, ['cow', 'ant', 'bee'])),
                             logits[[0, 1, 2], [2, 0, 1]], rtol=1e-6)
  np.testing.assert_allclose(said(subject, neuron(subject, 'head', 1)), logits[:, 1], rtol=1e-6)


def test_they_are_added_subtracted_and_multiplied(subject):
  a, b = output(subject, 0), energy(subject, 'first')
  x, y = said(subject, a), said(subject, b)
  np.testing.assert_allclose(said(subject, a + 2 * b), x + 2 * y, rtol=1e-5)
  np.testing.assert_allclose(said(subject, a - b * .5), x - y / 2, rtol=1e-4)
  np.testing.assert_allclose(said(subject, -(a * b)), -x * y, rtol=1e-5)
  np.testing.assert_allclose(said(subject, [1, 2, 3] * a), [1, 2, 3] * x, rtol=1e-5)
  assert (a * b + energy(subject, 'second')).reads == ('first', 'second')


def test_features_are_most_like_themselves(subject, maps):
  other = photos(3, seed=1)
  second = read(subject, other, ['second'])['second']
  distance = ((maps['second'] - second) ** 2).sum((1, 2, 3))
  relative = features_like(subject, 'second', other)
  np.testing.assert_allclose(said(subject, relative),
                             -distance / (second ** 2).sum((1, 2, 3)), rtol=1e-4)
  half = features_like(subject, 'second', other, relative=False)
  np.testing.assert_allclose(said(subject, half), -distance / 2, rtol=1e-4)
  np.testing.assert_allclose(said(subject, relative, other), 0, atol=1e-9)


def test_a_gram_matrix_does_not_know_places():
  features = photos(2, (4, 5, 3))
  order = np.random.default_rng(0).permutation(20)
  mixed = features.reshape(2, 20, 3)[:, order].reshape(2, 4, 5, 3)
  np.testing.assert_allclose(gram(features), gram(mixed), rtol=1e-5)
  np.testing.assert_allclose(gram(features)[0, 0, 1],
                             (features[0, ..., 0] * features[0, ..., 1]).sum(), rtol=1e-5)


def test_the_style_term_is_that_of_gatys(subject, maps):
  other = photos(1, seed=1)
  f = maps['second'].reshape(3, -1, 6)
  p = read(subject, other, ['second'])['second'].reshape(-1, 6)
  g, a = f.transpose(0, 2, 1) @ f, p.T @ p
  n, m = 6, f.shape[1]
  expected = -((g - a) ** 2).sum((1, 2)) / (4 * n ** 2 * m ** 2)
  np.testing.assert_allclose(said(subject, gram_like(subject, 'second', other)), expected,
                             rtol=2e-3)


def test_a_style_may_be_of_another_size(subject):
  """The same picture twice as wide, by periodic repetition of one colour, has the same style."""
  even = np.full((1, 8, 8, 3), .3, np.float32)
  a, b = (gram_like(subject, 'first', np.tile(even, (1, 1, n, 1))) for n in (3, 5))
  assert isinstance(a, GramLike)
  np.testing.assert_allclose(a.gram, b.gram, rtol=.2)


def test_a_guide_is_followed_where_it_fits_best(subject, maps):
  guide = photos(1, (6, 4, 3), seed=2)[0]
  vectors = read(subject, guide[None], ['second'])['second'].reshape(-1, 6)
  expected = (maps['second'] @ vectors.T).max(-1).mean((1, 2))
  np.testing.assert_allclose(said(subject, guided(subject, 'second', guide)), expected, rtol=1e-4)


@pytest.mark.parametrize('power', [1., 2., 3.])
def test_the_total_variation_of_a_constant_is_0(power):
  """So is its gradient, which is finite."""
  even = jnp.full((1, 5, 5, 2), .3)
  term = total_variation(power)
  assert float(term.score((), even)[0]) == 0
  assert not np.asarray(jax.grad(lambda x: term.score((), x).sum())(even)).any()


def test_regularisers_by_hand():
  ramp = np.broadcast_to(np.arange(4) * .1, (1, 4, 4))[..., None].astype(np.float32)
  both = ramp + ramp.transpose(0, 2, 1, 3)
  np.testing.assert_allclose(total_variation().score((), ramp), [.0075], rtol=1e-4)
  np.testing.assert_allclose(total_variation(1.).score((), both), [(.9 * 2 ** .5 + .6) / 16],
                             rtol=1e-4)
  np.testing.assert_allclose(total_variation(2., .1).score((), both), [1.5], rtol=1e-4)
  x = np.array([.5, 1, 0, .75], np.float32).reshape(1, 2, 2, 1)
  np.testing.assert_allclose(alpha_norm(6., .5).score((), x), [(1 + 1 + .5 ** 6) / 4], rtol=1e-5)
  np.testing.assert_allclose(alpha_norm(2., 1., [0.]).score((), x), [(.25 + 1 + .5625) / 4],
                             rtol=1e-5)
  rough = roughness(1.)
  assert float(rough.score((), jnp.full((1, 12, 12, 1), .4))[0]) < 1e-12
  assert float(rough.score((), jnp.asarray(photos(1, (12, 12, 1))))[0]) > .01


def test_what_is_wrong_is_said(subject):
  with pytest.raises(ConfigError, match='did you mean "second"'):
    energy(subject, 'secnd')
  with pytest.raises(ConfigError, match='channels are 0 to 5, and there is no 6'):
    channel(subject, 'second', [2, 6])
  with pytest.raises(ConfigError, match='no place'):
    neuron(subject, 'second', 2, (4, 0))
  with pytest.raises(ConfigError, match='6 channels, and the direction 2'):
    direction(subject, 'second', [1, 2])
  with pytest.raises(ConfigError, match='bee'):
    output(subject, 'be')
  with pytest.raises(ConfigError, match='of one size'):
    said(subject, features_like(subject, 'second', photos(3, (6, 8, 3))))
  flat = subject_of(Linear())
  assert neuron(flat, 'head', 2).vector.tolist() == [[0, 0, 1]]
