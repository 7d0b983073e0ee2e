"""What is read of a network, and what is explained of its answer."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.alexnet import AlexNet
from visionlab.models.cnn import CNN
from visionlab.models.dann import dann_cnn
from visionlab.models.fcn import FCN
from visionlab.models.googlenet import GoogLeNet
from visionlab.models.layers import point
from visionlab.models.resnet import CifarResNet, ResNet
from visionlab.models.segnet import Encoder
from visionlab.models.vgg import VGG
from visionlab.models.zfnet import ZFNet
from visionlab.understand import Subject, grad_cam, saliency
from visionlab.understand.attribute import gradient
from visionlab.understand.subject import in_chunks
from visionlab.understand.targets import LARGEST, scores


class Linear(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Dense(3, name='head')(x.reshape(len(x), -1))


def subject_of(model, shape, seed=0, classes=()):
  x = jnp.zeros((1, *shape))
  variables = jax.jit(model.init)(jax.random.key(seed), x)
  return Subject.of((model, variables), shape, classes)


def images(n, shape, seed=0):
  return np.random.default_rng(seed).random((n, *shape), np.float32)


@pytest.mark.parametrize('model, side', [
  (CNN(5, widths=(2, 3), hidden=4), 8), (CifarResNet(5), 8), (ResNet(5, depth=18), 32),
  (VGG(5, depth=11, hidden=4), 32), (AlexNet(5, hidden=4), 63), (ZFNet(5, hidden=4), 63),
  (GoogLeNet(5, aux=False), 32), (dann_cnn(5), 28)], ids=lambda m: type(m).__name__)
def test_every_map_of_features_can_be_read(model, side):
  shape = (side, side, 3)
  x = jnp.zeros((1, *shape))
  variables = jax.eval_shape(model.init, jax.random.key(0), x)
  backbone = getattr(model, 'backbone', None)
  bound = type(model).features if backbone is None else lambda m, x: m.backbone.features(x)
  maps = jax.eval_shape(lambda v: model.apply(v, x, method=bound), variables)
  layers = Subject.of((model, variables), shape).layers()
  prefix = '' if backbone is None else 'backbone/'
  assert {f'{prefix}{k}': v.shape for k, v in maps.items()}.items() <= layers.items()
  assert layers['head' if backbone is None else 'label/head'] == (1, 5)


class Small(nn.Module):
  """A map and a convolution of one name, and a block."""

  @nn.compact
  def __call__(self, x):
    x = point('stem', nn.softplus(nn.Conv(3, (3, 3), name='stem')(x)))
    x = nn.softplus(Inner(name='block')(x))
    return nn.Dense(3, name='head')(x.mean((1, 2)))


class Inner(nn.Module):
  @nn.compact
  def __call__(self, x):
    return nn.Conv(4, (3, 3), name='conv')(x)


@pytest.mark.parametrize('at', ['stem', 'stem.conv', 'block', 'block/conv'])
def test_the_gradient_by_an_offset_is_that_by_the_map(at):
  """A finite difference of the loss along a random direction of the map."""
  shape = (8, 8, 3)
  subject = subject_of(Small(), shape)
  x = jnp.asarray(images(2, shape))
  direction = jax.random.normal(jax.random.key(1), (2, *subject.layers()[at][1:]))

  @jax.jit
  def answered(step):
    return (subject.read(x, [], offsets={at: step * direction})[0]['logits'] ** 2).sum()
  with jax.default_matmul_precision('highest'):
    slope = jax.grad(answered)(0.)
    difference = (answered(.05) - answered(-.05)) / .1
  assert abs(slope) > 1e-3
  np.testing.assert_allclose(slope, difference, rtol=2e-2)


def test_a_map_and_the_layer_of_its_name_are_two():
  shape = (8, 8, 3)
  subject = subject_of(Small(), shape)
  assert list(subject.layers()) == ['stem.conv', 'stem', 'block/conv', 'block', 'head']
  _, maps = subject.read(images(1, shape), ['stem', 'stem.conv'])
  assert float(maps['stem.conv'].min()) < 0
  np.testing.assert_allclose(maps['stem'], np.logaddexp(maps['stem.conv'], 0), rtol=1e-6)


def test_a_layer_is_found_by_the_end_of_its_name():
  subject = subject_of(FCN(3, backbone=Encoder((2, 3), (1, 1)), stride=1), (8, 8, 3))
  assert subject.layer('pool2') == 'backbone/pool2'
  assert subject.last_map() == 'backbone/pool2'
  with pytest.raises(ConfigError, match='none .did you mean "backbone/pool2"'):
    subject.layer('backbone/pol2')


def test_the_last_map_is_one_that_the_answer_hangs_on():
  """A backbone's last map may be left out: there the gradient of any answer is zero."""
  class Net(nn.Module):
    backbone: nn.Module

    @nn.compact
    def __call__(self, x):
      return nn.Dense(2)(self.backbone.features(x)['conv2'].mean((1, 2)))
  subject = subject_of(Net(Encoder((2, 3, 4), (1, 1, 1))), (16, 16, 3))
  assert 'backbone/pool3' in subject.layers() and subject.last_map() == 'backbone/conv2'
  assert grad_cam(subject, images(2, (16, 16, 3))).max() > .9


def test_what_is_wrong_is_said():
  shape = (4, 4, 1)
  subject = subject_of(Linear(), shape, classes=('ant', 'bee', 'cow'))
  with pytest.raises(ConfigError, match='no maps'):
    grad_cam(subject, images(1, shape))
  with pytest.raises(ConfigError, match="'be'.*bee"):
    saliency(subject, images(1, shape), 'be')
  with pytest.raises(ConfigError, match='class 3: this network has 3 classes, 0 to 2'):
    saliency(subject, images(1, shape), 3)
  with pytest.raises(ConfigError, match='no field `act`'):
    subject.with_act(nn.relu)
  with pytest.raises(ConfigError, match='gelu'):
    subject_of(CNN(3, widths=(2,), hidden=4, act='gelu'), (8, 8, 1)).with_act(nn.relu)
  with pytest.raises(ConfigError, match='shape'):
    Subject.of((Linear(), {}))


@pytest.mark.parametrize('target', [0, 2, 'cow', [2, 0, 1], None])
def test_the_saliency_of_a_linear_network_is_its_weights(target):
  shape = (4, 4, 2)
  subject = subject_of(Linear(), shape, classes=('ant', 'bee', 'cow'))
  x = images(3, shape)
  kernel = np.asarray(subject.variables['params']['head']['kernel'])
  chosen = {'cow': [2, 2, 2], None: np.asarray(subject.answer(x)['logits']).argmax(-1)}.get(
      target if not isinstance(target, list) else 'all', np.broadcast_to(target or 0, 3)
      if not isinstance(target, list) else target)
  if target in (0, 2):
    chosen = [target] * 3
  expected = np.stack([kernel[:, k].reshape(shape) for k in chosen])
  np.testing.assert_allclose(gradient(subject, x, target, chunk=2), expected, rtol=1e-6)
  np.testing.assert_allclose(saliency(subject, x, target), np.abs(expected).max(-1), rtol=1e-6)


def test_grad_cam_by_hand():
  """One convolution, its mean, a linear head: the gradient of a class by a map is its weight over
  the number of places."""
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
      x = nn.relu(nn.Conv(3, (1, 1), name='conv')(x))
      return nn.Dense(2, name='head')(x.mean((1, 2)))
  shape = (2, 2, 1)
  subject = subject_of(Net(), shape)
  x = images(1, shape)
  _, maps = subject.read(x, ['conv'])
  weights = np.asarray(subject.variables['params']['head']['kernel'])[:, 1]
  slopes = (np.asarray(maps['conv']) > 0) * weights / 4
  cam = np.maximum((slopes.mean((1, 2))[:, None, None] * maps['conv']).sum(-1), 0)
  np.testing.assert_allclose(grad_cam(subject, x, 1, at='conv'), cam / (cam.max() + 1e-7),
                             atol=1e-6)


def test_nothing_but_zeros_where_nothing_speaks_for_a_class():
  subject = subject_of(Small(), (8, 8, 3))
  silent = dataclasses.replace(subject, variables=jax.tree.map(jnp.zeros_like, subject.variables))
  assert not grad_cam(silent, images(1, (8, 8, 3))).any()


def test_scores():
  logits = jnp.array([[1., 5, 3], [4., 2, 0]])
  assert scores({'logits': logits}, None, LARGEST).tolist() == [5, 4]
  assert scores({'logits': logits}, None, jnp.array([2, 1])).tolist() == [3, 2]
  words = {'log_likelihoods': -logits}
  assert scores(words, None, LARGEST).tolist() == [-9, -6]
  assert scores(words, None, 0).tolist() == [-1, -4]
  pixels = jnp.array([[[[3., 0], [1., 2]], [[5., 0], [0, 0]]]])      # 3 of class 0, 1 of class 1
  assert scores({'logits': pixels}, None, 1).tolist() == [2]
  np.testing.assert_allclose(scores({'logits': pixels}, None, LARGEST), [8 / 3])
  with pytest.raises(ConfigError, match='shape, size'):
    scores({'size': logits, 'shape': logits}, None, 0)
  assert scores({'size': logits}, lambda answer: answer['size'][:, 0], 0).tolist() == [1, 4]


def test_chunks_give_all_rows_once():
  sizes = []

  def double(x, y):
    sizes.append(len(x))
    return 2 * x
  x = np.arange(7)
  np.testing.assert_array_equal(in_chunks(double, 3, x, None), 2 * x)
  assert sizes == [3, 3, 3]


def test_another_class_or_another_subject_of_a_network_compiles_nothing_new():
  from visionlab.understand import attribute
  shape = (4, 4, 1)
  first, second = (subject_of(CNN(3, widths=(2,), hidden=4), shape, seed) for seed in (0, 1))
  saliency(first, images(2, shape), 0)
  programs = attribute.gradient_program._cache_size()
  saliency(first, images(2, shape), 2)
  saliency(second, images(2, shape), [1, 0])
  saliency(second, images(5, shape), None, chunk=2)
  assert attribute.gradient_program._cache_size() == programs


def test_what_is_read_is_of_the_answer_and_not_of_what_was_found_before():
  """A network that first looks for something, by the same layers, and then answers about it."""
  model = Linear()
  variables = model.init(jax.random.key(0), jnp.zeros((1, 2, 2, 1)))
  ask = lambda v, x, given: dict(logits=model.apply(v, x * given['size'][:, None, None, None]))
  find = lambda v, x: dict(size=1 + model.apply(v, jnp.concatenate([x, x]))[:len(x), 0] ** 2)
  subject = Subject(variables, ask, find, model, None, (2, 2, 1))
  x = images(2, (2, 2, 1))
  answer, maps = subject.read(x, ['head'], offsets={'head': 1.})
  np.testing.assert_array_equal(maps['head'], answer['logits'])
  np.testing.assert_allclose(answer['logits'], subject.answer(x)['logits'] + 1, rtol=1e-6)
