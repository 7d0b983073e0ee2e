"""How good attributions are, by right values; and the pictures of them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.understand.attribute import gradient_times_input, saliency
from visionlab.understand.heatmaps import heatmaps, overlaid, strength
from visionlab.understand.measures import (
  cascade,
  completeness,
  deletion,
  insertion,
  iou,
  pointing_game,
  randomised_modules,
  ranks,
  redrawn,
)
from visionlab.understand.subject import Subject


class Weighed(nn.Module):
  """The logits of two classes, each a weighed sum of the pixels."""

  @nn.compact
  def __call__(self, x):
    return nn.Dense(2, use_bias=False, name='head')(x.reshape(len(x), -1))


def weighed(weights):
  """(n 2) as an image of 1 x n grey pixels."""
  return Subject.of((Weighed(), {'params': {'head': {'kernel': jnp.array(weights, jnp.float32)}}}),
                    (1, len(weights), 1))


def test_deletion_and_insertion_by_hand():
  subject = weighed([[4, 0], [1, 0], [3, 0], [2, 0]])
  x = np.ones((1, 1, 4, 1), np.float32)
  right, wrong = np.array([[[4, 1, 3, 2]]]), np.array([[[1, 4, 2, 3]]])
  for maps, gone in ((right, [10, 6, 3, 1, 0]), (wrong, [10, 9, 7, 4, 0])):
    curve = deletion(subject, x, maps, 0, steps=4)
    np.testing.assert_allclose(curve.scores[0], gone, atol=1e-5)
    np.testing.assert_allclose(curve.shares, [0, .25, .5, .75, 1])
    shown = insertion(subject, x, maps, 0, steps=4, fill='black')
    np.testing.assert_allclose(shown.scores[0], 10 - np.array(gone), atol=1e-5)
  assert deletion(subject, x, right, 0, steps=4).area == pytest.approx((5 + 6 + 3 + 1) / 4)
  halves = deletion(subject, x, right, 0, steps=2).scores[0]
  np.testing.assert_allclose(halves, [10, 3, 0], atol=1e-5)


def test_probabilities_are_of_the_class_of_the_whole_image():
  """Hiding the first pixel makes the other class the larger."""
  subject = weighed([[2, 0], [0, 1]])
  x = np.ones((1, 1, 2, 1), np.float32)
  curve = deletion(subject, x, np.array([[[2, 1]]]), None, steps=2, scale='softmax')
  chance = lambda a, b: np.exp(a) / (np.exp(a) + np.exp(b))
  np.testing.assert_allclose(curve.scores[0], [chance(2, 1), chance(0, 1), .5], rtol=1e-5)
  sigmoid = deletion(subject, x, np.array([[[2, 1]]]), 1, steps=2, scale='sigmoid').scores[0]
  np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp([-1., -1, 0])), rtol=1e-5)


def test_equal_pixels_are_ranked_in_reading_order():
  assert ranks(np.zeros((1, 2, 2))).tolist() == [[[0, 1], [2, 3]]]
  assert ranks(np.array([[[-1., 7, 7]]])).tolist() == [[[2, 0, 1]]]


def test_the_pointing_game():
  masks = np.zeros((3, 5, 5), bool)
  masks[:, 1, 1] = True
  maps = np.zeros((3, 5, 5))
  maps[0, 1, 1] = maps[1, 1, 3] = maps[2, 4, 4] = 1
  assert pointing_game(maps, masks).tolist() == [True, False, False]
  assert pointing_game(maps, masks, tolerance=2).tolist() == [True, True, False]
  signed = np.zeros((1, 5, 5, 2))
  signed[0, 0, 0, 0], signed[0, 1, 1, 1] = 1, -2            # sizes count
  assert pointing_game(signed, masks[:1]).tolist() == [True]
  assert not pointing_game(maps[:1], np.zeros((1, 5, 5)), tolerance=9).any()
  with pytest.raises(ConfigError, match=r'\(3, 5, 5\); got \(1, 5, 5\)'):
    pointing_game(maps[:1], masks)


def test_iou_with_a_mask():
  masks = np.zeros((1, 4, 4), bool)
  masks[0, :2] = True
  maps = masks.astype(float)
  assert iou(maps, masks).tolist() == [1.] and iou(1 - maps, masks).tolist() == [0.]
  maps[0, 1] = -1                              # as many pixels as the mask has: a row beside it
  maps[0, 2] = .9
  assert iou(maps, masks).tolist() == [pytest.approx(4 / 12)]
  assert iou(maps, masks, above=.95).tolist() == [pytest.approx(4 / 8)]


def test_completeness_by_hand():
  subject = weighed([[4, 0], [1, 0]])
  x = np.ones((1, 1, 2, 1), np.float32)
  assert completeness(subject, x, gradient_times_input(subject, x, 0), 0) == pytest.approx(0)
  assert completeness(subject, x, np.array([[[4., 0]]]), 0) == pytest.approx(.2)
  half = gradient_times_input(subject, x, 0, baseline=.5)
  assert completeness(subject, x, half, 0, baseline=.5) == pytest.approx(0)


class Deep(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.softplus(nn.Conv(4, (3, 3), name='first')(x))
    x = nn.softplus(nn.Conv(4, (3, 3), name='second')(x))
    return nn.Dense(3, name='head')(x.reshape(len(x), -1))


@pytest.fixture(scope='module')
def deep():
  variables = jax.jit(Deep().init)(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
  return Subject.of((Deep(), variables), (8, 8, 1))


def test_a_cascade_draws_one_layer_after_the_other(deep):
  x = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
  drawn = []

  def method(subject, images):
    drawn.append([name for name, own in subject.variables['params'].items() if not np.array_equal(
        own['kernel'], deep.variables['params'][name]['kernel'])])
    return saliency(subject, images, 0)
  found = list(cascade(method, deep, x))
  assert [name for name, _ in found] == ['head', 'second', 'first']
  assert drawn == [[], ['head'], ['head', 'second'], ['first', 'head', 'second']]
  assert all(own.shape == (3,) and abs(own).max() < .7 for _, own in found)


def test_what_looks_at_the_image_alone_stays_as_it_is(deep):
  x = np.random.default_rng(0).random((2, 8, 8, 1), np.float32)
  for name, same in cascade(lambda _, images: images, deep, x, modules=['second']):
    assert name == 'second'
    np.testing.assert_allclose(same, 1, rtol=1e-6)
  turned = iter([x, 1 - x])
  (_, opposite), = cascade(lambda *_: next(turned), deep, x, modules=['head'])
  np.testing.assert_allclose(opposite, -1, rtol=1e-6)
  with pytest.raises(ConfigError, match='second'):
    list(cascade(lambda _, images: images, deep, x, modules=['secnd']))


def test_drawn_weights_have_the_mean_and_deviation_of_those_before(deep):
  wide = {'params': {'a': {'kernel': 3 + 2 * jax.random.normal(jax.random.key(0), (100, 100)),
                           'bias': jnp.zeros(7)}, 'b': {'kernel': jnp.ones(2)}}}
  new = redrawn(wide, 'a', jax.random.key(1))['params']
  assert new['a']['kernel'].mean() == pytest.approx(3, abs=.1)
  assert new['a']['kernel'].std() == pytest.approx(2, abs=.1)
  correlation = np.corrcoef(new['a']['kernel'].ravel(), wide['params']['a']['kernel'].ravel())
  assert abs(correlation[0, 1]) < .1
  assert not new['a']['bias'].any() and (new['b']['kernel'] == 1).all()


def test_layers_beside_a_map_of_their_name_are_drawn_too():
  from test_understand_subject import Small
  variables = jax.jit(Small().init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
  subject = Subject.of((Small(), variables), (8, 8, 3))
  assert randomised_modules(subject) == ['head', 'block/conv', 'stem']


def test_a_picture_shows_what_each_method_says():
  images = np.full((2, 10, 12, 3), .5, np.float32)
  maps = {name: np.zeros((2, 10, 12)) for name in ('one', 'two')}
  maps['one'][:, 3, 4], maps['two'][:, 3, 4] = 1, -1
  masks = np.zeros((2, 10, 12), bool)
  masks[:, 6:8, 6:8] = True
  picture = heatmaps(images, maps, captions=['the first', 'the second'], title='both', masks=masks)
  assert picture.dtype == np.uint8 and picture.shape[2] == 3
  assert picture.shape[0] > 2 * 160 and picture.shape[1] > 3 * 12 * 16
  at = lambda values: overlaid(images[0], values)[3, 4].astype(int)
  up, down = at(maps['one'][0]), at(maps['two'][0])
  assert up[0] > up[2] + 50 and down[2] > down[0] + 50             # warm, and cold
  assert len(set(map(tuple, overlaid(images[0], np.zeros((10, 12))).reshape(-1, 3)))) == 1


def test_the_strongest_of_a_map_are_at_full_strength():
  values = np.linspace(-2, 1, 1001)
  assert strength(values).min() == -1 and strength(values)[-1] == pytest.approx(.5, abs=.01)
  assert not strength(np.zeros(3)).any()
  one = np.zeros(10_000)
  one[0] = 5
  assert strength(one)[0] == 1


def test_a_cascade_leaves_the_weights_as_they_were(deep):
  before = jax.tree.map(np.array, deep.variables)
  list(cascade(lambda _, images: images, deep, np.ones((1, 8, 8, 1))))
  jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.array, deep.variables))
