"""Attributions against Captum on a twin in torch, closed forms, and passes by hand."""

import dataclasses
import warnings
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.layers import point
from visionlab.ops.pool import max_pool
from visionlab.understand.attribute import (
  grad_cam,
  gradient,
  gradient_times_input,
  integrated_gradients,
  saliency,
  smooth_grad,
)
from visionlab.understand.backward import deconvnet, guided_backprop, guided_grad_cam
from visionlab.understand.baselines import baseline
from visionlab.understand.explained import judged
from visionlab.understand.measures import completeness
from visionlab.understand.occlusion import covers, occlusion
from visionlab.understand.subject import Subject
from visionlab.understand.visual_backprop import Window, enlarged, visual_backprop

SHAPE = (12, 12, 3)


class Vgg(nn.Module):
  """Convolution, ReLU, pooling, twice; then two layers."""
  act: Callable = nn.relu

  @nn.compact
  def __call__(self, x):
    for i, width in enumerate((4, 6)):
      x = point(f'conv{i}', self.act(nn.Conv(width, (3, 3), name=f'conv{i}')(x)))
      x = point(f'pool{i}', max_pool(x, 2))
    x = self.act(nn.Dense(8, name='hidden')(x.reshape(len(x), -1)))
    return nn.Dense(5, name='head')(x)


class Linear(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3, name='head')(x.reshape(len(x), -1))


def subject_of(model, shape, seed=0, classes=()):
  variables = jax.jit(model.init)(jax.random.key(seed), jnp.zeros((1, *shape)))
  return Subject.of((model, variables), shape, classes)


def random_images(n, shape=SHAPE, seed=0):
  return np.random.default_rng(seed).random((n, *shape), np.float32)


@pytest.fixture(scope='module')
def vgg():
  """With biases: without any, a network of ReLUs is linear along each ray from black."""
  subject = subject_of(Vgg(), SHAPE)
  biased = jax.tree.map(lambda w: w + .2 * jax.random.normal(jax.random.key(w.size), w.shape)
                        * (w.ndim == 1), subject.variables)
  return dataclasses.replace(subject, variables=biased)


@pytest.fixture(scope='module')
def twin(vgg):
  """The same network in torch, for images (b c h w)."""
  torch = pytest.importorskip('torch')
  pytest.importorskip('captum')
  layers = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 6, 3, padding=1),
            torch.nn.Linear(54, 8), torch.nn.Linear(8, 5)]
  with torch.no_grad():
    for layer, name in zip(layers, ('conv0', 'conv1', 'hidden', 'head'), strict=True):
      own = jax.tree.map(np.array, vgg.variables['params'][name])
      kernel = own['kernel']
      if name == 'hidden':                       # flattened there with the channels first
        kernel = kernel.reshape(3, 3, 6, 8).transpose(2, 0, 1, 3).reshape(54, 8)
      turned = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
      layer.weight.copy_(torch.tensor(turned.copy()))
      layer.bias.copy_(torch.tensor(own['bias']))
  conv0, conv1, hidden, head = layers
  nets = torch.nn
  return nets.Sequential(conv0, nets.ReLU(), nets.MaxPool2d(2), conv1, nets.ReLU(),
                         nets.MaxPool2d(2), nets.Flatten(), hidden, nets.ReLU(), head).eval()


def captum(twin, kind, images, layer=None, **options):
  """What a method of Captum says of images (b h w c), in that order."""
  import torch
  from captum import attr
  given = torch.tensor(images.transpose(0, 3, 1, 2).copy())
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    made = getattr(attr, kind)(*[twin] if layer is None else [twin, twin[layer]])
    found = made.attribute(given, **options)
  return found.detach().numpy().transpose(0, 2, 3, 1)


def close(ours, theirs):
  assert abs(theirs).max() > 1e-3                  # else anything is
  np.testing.assert_allclose(ours, theirs, atol=1e-5 * abs(theirs).max())


CLASSES = [1, 4, 0]


def test_gradients_are_captums(vgg, twin):
  x = random_images(3)
  close(gradient(vgg, x, CLASSES), captum(twin, 'Saliency', x, target=CLASSES, abs=False))
  close(gradient_times_input(vgg, x, CLASSES), captum(twin, 'InputXGradient', x, target=CLASSES))


def test_guided_backpropagation_and_the_deconvnet_are_captums(vgg, twin):
  x = random_images(3)
  close(guided_backprop(vgg, x, CLASSES), captum(twin, 'GuidedBackprop', x, target=CLASSES))
  close(deconvnet(vgg, x, CLASSES), captum(twin, 'Deconvolution', x, target=CLASSES))


@pytest.mark.parametrize('start, level', [('black', 0.), ('grey', .5)])
def test_integrated_gradients_are_captums(vgg, twin, start, level):
  x = random_images(3)
  theirs = captum(twin, 'IntegratedGradients', x, target=CLASSES, baselines=level, n_steps=64,
                  method='riemann_middle')
  close(integrated_gradients(vgg, x, CLASSES, baseline=start).values, theirs)


@pytest.mark.parametrize('name, layer', [('conv1', 4), ('conv1.conv', 3), ('pool0', 2)])
def test_grad_cam_is_captums(vgg, twin, name, layer):
  import torch
  x = random_images(3)
  maps = captum(twin, 'LayerGradCam', x, layer, target=CLASSES, relu_attributions=True)
  large = torch.nn.functional.interpolate(torch.tensor(maps.transpose(0, 3, 1, 2).copy()), (12, 12),
                                          mode='bilinear', align_corners=False)[:, 0].numpy()
  close(grad_cam(vgg, x, CLASSES, at=name), large / (large.max((1, 2), keepdims=True) + 1e-7))


def test_guided_grad_cam_is_captums(vgg, twin):
  """Captum enlarges without our division by the map's maximum."""
  x = random_images(3)
  theirs = captum(twin, 'GuidedGradCam', x, 4, target=CLASSES, interpolate_mode='bilinear')
  ours = guided_grad_cam(vgg, x, CLASSES, at='conv1')
  largest = lambda y: abs(y).max((1, 2, 3), keepdims=True)
  close(ours / largest(ours), theirs / largest(theirs))


@pytest.mark.parametrize('window, stride', [(3, 2), ((5, 2), (3, 1)), (12, 5)])
def test_occlusion_is_captums(vgg, twin, window, stride):
  x = random_images(3)
  sides, strides = ((3, *(n if isinstance(n, tuple) else (n, n))) for n in (window, stride))
  theirs = captum(twin, 'Occlusion', x, target=CLASSES, sliding_window_shapes=sides,
                  strides=strides, baselines=.5)[..., 0]
  close(occlusion(vgg, x, CLASSES, window=window, stride=stride, chunk=7), np.nan_to_num(theirs))


def test_of_a_linear_network_all_say_the_weights():
  """Its answer is the sum of value times weight, whatever path is taken."""
  shape = (4, 4, 2)
  subject, x = subject_of(Linear(), shape), random_images(3, shape)
  weights = np.asarray(subject.variables['params']['head']['kernel'])[:, 2].reshape(shape)
  for method in (gradient, smooth_grad):
    np.testing.assert_allclose(method(subject, x, 2), np.broadcast_to(weights, x.shape), rtol=1e-5)
  np.testing.assert_allclose(gradient_times_input(subject, x, 2), x * weights, rtol=1e-5)
  mean = x.mean((1, 2), keepdims=True)
  values, residual = integrated_gradients(subject, x, 2, baseline='mean', steps=3)
  np.testing.assert_allclose(values, (x - mean) * weights, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(residual, 0, atol=1e-6)
  hidden = occlusion(subject, x, 2, window=1, stride=1, fill='mean')
  np.testing.assert_allclose(hidden, ((x - mean) * weights).sum(-1), rtol=1e-3, atol=1e-6)


def test_integrated_gradients_are_complete():
  """To a thousandth of the change, where a network has no kinks; they say how far off they are."""
  class Smooth(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = nn.softplus(nn.Conv(4, (3, 3))(4 * x))
      return nn.Dense(2)(nn.tanh(nn.Dense(8)(x.reshape(len(x), -1))))
  subject, x = subject_of(Smooth(), SHAPE), random_images(4)
  change = [np.asarray(subject.answer(y)['logits'])[:, 1] for y in (x, np.zeros_like(x))]
  change = change[0] - change[1]
  values, residual = integrated_gradients(subject, x, 1)
  np.testing.assert_allclose(values.sum((1, 2, 3)), change, rtol=1e-3)
  rough = integrated_gradients(subject, x, 1, steps=2)
  np.testing.assert_allclose(rough.values.sum((1, 2, 3)) + rough.residual, change, atol=1e-5)
  assert abs(rough.residual).max() > 5 * abs(residual).max()
  np.testing.assert_allclose(completeness(subject, x, rough.values, 1), rough.residual / change,
                             atol=1e-4)


def test_smooth_grad_without_noise_is_the_gradient(vgg):
  x = random_images(3)
  close(smooth_grad(vgg, x, sigma=0., samples=3), gradient(vgg, x))
  noisy = [smooth_grad(vgg, x, samples=4, seed=seed) for seed in (0, 0, 1)]
  np.testing.assert_array_equal(*noisy[:2])
  assert abs(noisy[0] - noisy[2]).max() > 1e-3 * abs(noisy[0]).max()


def test_the_deconvnet_of_one_unit_is_its_kernel():
  """All weights back from a place of a map are those of the kernel, ReLU open or not."""
  class Net(nn.Module):
    act: Callable = nn.relu

    @nn.compact
    def __call__(self, x):
      return self.act(nn.Conv(2, (3, 3), name='conv')(x))
  shape = (7, 7, 1)
  subject, x = subject_of(Net(), shape), -random_images(1, shape)
  kernel = np.asarray(subject.variables['params']['conv']['kernel'])[..., 1]
  unit = lambda answer: answer['logits'][:, 3, 2, 1]
  expected = np.zeros((1, *shape), np.float32)
  expected[0, 2:5, 1:4] = kernel
  np.testing.assert_allclose(deconvnet(subject, x, unit), expected, atol=1e-6)
  is_open = float(unit(subject.answer(x))[0]) > 0
  np.testing.assert_allclose(guided_backprop(subject, x, unit), expected * is_open, atol=1e-6)


class Changing(nn.Module):
  """Two classes: the light above, and twice the light below."""

  @nn.compact
  def __call__(self, x):
    return jnp.stack([x[:, :2].sum((1, 2, 3)), 2 * x[:, 2:].sum((1, 2, 3))], -1)


def test_the_class_stays_that_of_the_whole_image():
  """Hiding what speaks for the largest class makes another the largest."""
  x = np.full((1, 4, 2, 1), 1., np.float32)
  subject = Subject.of((Changing(), {}), (4, 2, 1))
  expected = np.array([[0, 0], [0, 0], [2, 2], [2, 2]], np.float32)
  kinds = dict(window=1, stride=1, fill='black')
  np.testing.assert_allclose(occlusion(subject, x, **kinds)[0], expected)
  start = np.array([0.5, 0.5, 0., 0.], np.float32).reshape(4, 1, 1)      # there the first is larger
  values, residual = integrated_gradients(subject, x, baseline=start)
  np.testing.assert_allclose(values[0, ..., 0], expected)
  np.testing.assert_allclose(residual, 0, atol=1e-6)


def test_the_pixels_of_a_class_stay_those_of_the_whole_image():
  """Of a segmenter's answer (b h w k) too: pixels that are hidden become another class."""
  def network(variables, x):
    return jnp.concatenate([x, jnp.full_like(x, .5)], -1)
  subject = Subject.of((network, {}), (2, 2, 1))
  x = np.array([[[[1.], [.8]], [[.1], [.2]]]], np.float32)
  fallen = occlusion(subject, x, 0, window=1, stride=1, fill='black')
  np.testing.assert_allclose(fallen[0], [[.5, .4], [0, 0]], atol=1e-6)


def test_visual_backprop_by_hand():
  """Two layers: a strided convolution without padding, and one that keeps its size."""
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = point('a', nn.relu(nn.Conv(2, (3, 3), 2, padding='VALID', name='a')(x)))
      x = point('b', nn.relu(nn.Conv(3, (3, 3), padding='VALID', name='b')(x)))
      return nn.Dense(2)(x.mean((1, 2)))
  shape = (11, 11, 1)
  subject, x = subject_of(Net(), shape), random_images(1, shape)
  _, maps = subject.read(x, ['a', 'b'])
  a, b = (np.asarray(maps[name]).mean(-1)[0] for name in ('a', 'b'))
  middle = np.zeros((5, 5))
  for i in range(3):
    for j in range(3):
      middle[i:i + 3, j:j + 3] += b[i, j]
  middle *= a
  mask = np.zeros((11, 11))
  for i in range(5):
    for j in range(5):
      mask[2 * i:2 * i + 3, 2 * j:2 * j + 3] += middle[i, j]
  mask -= mask.min()
  np.testing.assert_allclose(visual_backprop(subject, x, at=['a', 'b'])[0], mask / mask.max(),
                             atol=1e-6)


def test_enlarging_by_ones():
  mask = jnp.array([[[1., 2.]]])
  assert enlarged(mask, Window((1, 3), (1, 2)), (1, 5))[0, 0].tolist() == [1, 1, 3, 2, 2]
  assert enlarged(mask, Window((1, 2), (1, 2)), (1, 5))[0, 0].tolist() == [1, 1, 2, 2, 0]
  assert enlarged(mask, Window((1, 3), (1, 1)), (1, 2))[0, 0].tolist() == [3, 3]


@pytest.mark.parametrize('top, left', [(0, 8), (8, 0), (8, 8), (4, 4)])
def test_visual_backprop_sees_where_there_is_something(top, left):
  """With pooling before a convolution, and after one: neither moves what is seen."""
  subject = subject_of(Vgg(), (16, 16, 1))
  ones = jax.tree.map(lambda w: jnp.ones_like(w) * (w.ndim > 1), subject.variables)
  x = np.zeros((1, 16, 16, 1), np.float32)
  x[:, top + 2:top + 6, left + 2:left + 6] = 1
  mask = visual_backprop(dataclasses.replace(subject, variables=ones), x, at=['conv0', 'pool1'])[0]
  assert mask.max() == pytest.approx(1) and mask.min() == 0
  centre = np.einsum('hw,khw->k', mask, np.indices(mask.shape)) / mask.sum()
  np.testing.assert_allclose(centre, [top + 3.5, left + 3.5], atol=.75)


def test_the_blocks_that_cover_a_pixel():
  assert covers(12, 5, 3).sum(0).tolist() == [1, 1, 1, 2, 2, 1, 2, 2, 1, 2, 2, 1]
  assert covers(4, 4, 2).tolist() == [[1] * 4]
  assert covers(5, 1, 3).sum(0).tolist() == [1, 0, 0, 1, 0]           # some are left out


def test_baselines():
  x = random_images(2)
  assert (baseline(x, 'black') == 0).all() and (baseline(x, 'grey') == .5).all()
  np.testing.assert_allclose(baseline(x, 'mean')[1, 5, 5], x[1].mean((0, 1)), rtol=1e-5)
  np.testing.assert_array_equal(baseline(x, (.1, .2, .3))[1, 2, 3], np.float32([.1, .2, .3]))
  np.testing.assert_allclose(baseline(np.full((1, 9, 9, 1), .3), 'blur'), .3, rtol=1e-5)
  with pytest.raises(ConfigError, match='did you mean "black"'):
    baseline(x, 'blck')
  with pytest.raises(ConfigError, match='shape'):
    baseline(x, np.zeros((3, 3)))


def test_what_cannot_be_explained_is_said(vgg):
  x = random_images(2)
  x[1, 0, 0] = np.nan
  with pytest.raises(ConfigError, match='image 1 has pixels that are NaN'):
    saliency(vgg, x)
  with pytest.raises(ConfigError, match=r'8 x 12 x 3: this network is made for 12 x 12 x 3'):
    saliency(vgg, random_images(1, (8, 12, 3)))
  with pytest.raises(ConfigError, match=r'give images\[None\]'):
    grad_cam(vgg, x[0])
  with pytest.raises(ConfigError, match='3 of them for 2 images'):
    saliency(vgg, random_images(2), [0, 1, 2])
  with pytest.raises(ConfigError, match='window'):
    occlusion(vgg, random_images(1), window=13)
  with pytest.raises(ConfigError, match="'pool1' is to come after"):
    visual_backprop(vgg, random_images(1), at=['pool1', 'pool1'])
  broken = dataclasses.replace(vgg, variables=jax.tree.map(lambda w: w * np.nan, vgg.variables))
  for method in (saliency, grad_cam, occlusion, integrated_gradients):
    with pytest.raises(ConfigError, match='explains image 0 is NaN'):
      method(broken, random_images(1))


def test_other_activations_have_no_guided_backpropagation():
  subject = subject_of(Vgg(act=nn.gelu), SHAPE)
  with pytest.raises(ConfigError, match='gelu'):
    guided_backprop(subject, random_images(1))


def test_a_slope_of_zero_is_said(vgg, warned):
  silent = dataclasses.replace(vgg, variables=jax.tree.map(jnp.zeros_like, vgg.variables))
  assert not saliency(silent, random_images(2)).any()
  assert len(warned) == 1 and 'images 0, 1 is zero everywhere' in warned[0]
  grad_cam(silent, random_images(1))
  assert "image 0 is zero everywhere: no place of 'pool1' speaks for the target" in warned[1]
  judged(np.ones((2, 3)))
  assert len(warned) == 2


def test_another_class_compiles_nothing_new(vgg):
  from visionlab.understand import attribute, occlusion as hiding
  programs = [attribute.gradient_program, attribute._integrated, attribute._smooth,
              attribute._grad_cam, hiding._covered]

  def all_of(target, **more):
    integrated_gradients(vgg, random_images(2), target, **more)
    smooth_grad(vgg, random_images(2), target)
    guided_backprop(vgg, random_images(2), target)
    grad_cam(vgg, random_images(2), target)
    occlusion(vgg, random_images(2), target)
  all_of(0)
  before = [program._cache_size() for program in programs]
  all_of([3, 1], steps=9, baseline='grey')
  assert [program._cache_size() for program in programs] == before
