"""What detectors and segmenters build upon: the maps of networks, their activations and norms."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_models import SMALL, build, shapes, variables_of

from visionlab.config import ConfigError
from visionlab.models.layers import ACTIVATIONS, activation

MAPS = [  # model, fields, what it calls its maps, from the largest to the smallest
  ('cnn', {}, 'pool0 pool1'),
  ('alexnet', {}, 'conv1 pool1 conv2 pool2 conv3 conv4 conv5 pool5'),
  ('alexnet', dict(towers=2), 'conv1 pool1 conv2 pool2 conv3 conv4 conv5 pool5'),
  ('zfnet', {}, 'conv1 pool1 conv2 pool2 conv3 conv4 conv5 pool5'),
  ('vgg', dict(depth=11), 'conv1 pool1 conv2 pool2 conv3 pool3 conv4 pool4 conv5 pool5'),
  ('googlenet', {}, 'conv1 pool1 conv3 pool2 inception3a inception3b pool3 inception4a inception4b '
                    'inception4c inception4d inception4e pool4 inception5a inception5b'),
  ('cifar_resnet', {}, 'stem stage1 stage2 stage3'),
  ('resnet', dict(depth=18), 'stem stage1 stage2 stage3 stage4'),
  ('vit', dict(depth=2), 'embed block0 block1'),
  ('tcdcn', {}, 'pool0 pool1 pool2 conv3'),
]
NORMED = [('vgg', dict(depth=11, norm=True, dropout=0.)),
          ('googlenet', dict(dropout=0., aux=False)), ('cifar_resnet', {}),
          ('resnet', dict(depth=18))]


class Dense(nn.Module):
  """A model that uses another's maps."""
  backbone: nn.Module
  map: str

  @nn.compact
  def __call__(self, x, train=False):
    return nn.Conv(1, (1, 1), name='score')(self.backbone.features(x, train=train)[self.map])


def noise(*shape):
  return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def test_every_convolutional_model_has_maps():
  # Those of DeepFace's local layers are for images of one size.
  assert {name for name, *_ in MAPS} == set(SMALL) - {'mlp', 'deepface', 'hog_mlp'}


@pytest.mark.parametrize('name, fields, names', MAPS)
def test_maps_have_the_named_strides(name, fields, names):
  model, x = build(name, classes=3, **fields), jax.ShapeDtypeStruct((1, 192, 256, 3), jnp.float32)
  maps = {}

  def record(variables, x):
    maps.update(model.apply(variables, x, method='features'))

  jax.eval_shape(record, shapes(model, (64, 64, 3)), x)
  assert list(maps) == list(model.strides) == names.split()
  for key, y in maps.items():
    stride = model.strides[key]
    # Windows without padding leave out some places at the border.
    lost = dict(alexnet=2, zfnet=2, tcdcn=3).get(name, 0)
    assert y.ndim == 4
    assert 192 // stride - lost <= y.shape[1] <= 192 // stride
    assert 256 // stride - lost <= y.shape[2] <= 256 // stride


@pytest.mark.parametrize('name, fields, names', MAPS)
def test_a_backbone_has_no_classifier(name, fields, names):
  backbone, last = build(name, classes=3, **fields), names.split()[-1]
  model = Dense(backbone, last)
  whole, part = shapes(backbone, (64, 64, 3)), shapes(model, (64, 64, 3))
  classifier = {'head', 'fc6', 'fc7', 'dense', 'aux1', 'aux2', 'norm'}
  expected = {k: v for k, v in whole['params'].items() if k not in classifier}
  assert part['params']['backbone'] == expected and len(expected) < len(whole['params'])
  if 'batch_stats' in part:
    own = {k: v for k, v in whole['batch_stats'].items() if k not in classifier}
    assert part['batch_stats']['backbone'] == own


def test_logits_are_those_of_the_last_map():
  fields, image = SMALL['cifar_resnet']
  model = build('cifar_resnet', classes=3, **fields)
  variables, x = variables_of(model, image), noise(2, *image)
  y = jax.jit(partial(model.apply, method='features'))(variables, x)['stage3']
  head = variables['params']['head']
  np.testing.assert_allclose(jax.jit(model.apply)(variables, x),
                             np.mean(y, (1, 2)) @ head['kernel'] + head['bias'], rtol=1e-4)


@pytest.mark.parametrize('name', SMALL)
def test_activation_is_a_name_or_a_function(name):
  fields, image = SMALL[name]
  calls = []

  def counted(x):
    calls.append(x.shape)
    return jnp.tanh(x)

  def program(act):
    model = build(name, classes=3, act=act, **fields)
    x = jax.ShapeDtypeStruct((2, *image), jnp.float32)
    return str(jax.make_jaxpr(model.apply)(variables, x))

  variables = shapes(build(name, classes=3, **fields), image)
  tanh = program('tanh')
  assert program(counted) == tanh and tanh.count(' = tanh ') == len(calls) > 1
  assert 'relu' not in tanh and 'relu' in program('relu')
  with pytest.raises(ConfigError, match=r'model.act: no activation .*did you mean "relu"'):
    build(name, classes=3, act='rellu', **fields)


def test_another_activation_gives_other_logits():
  model, x = build('cifar_resnet', classes=3), noise(2, 8, 8, 3)
  variables = variables_of(model, (8, 8, 3))
  relu, gelu = (jax.jit(build('cifar_resnet', classes=3, act=act).apply)(variables, x)
                for act in ('relu', 'gelu'))
  assert jnp.abs(relu - gelu).max() > 1e-3


def test_activations_are_jaxs_and_elementwise():
  x = jnp.linspace(-3, 3, 12).reshape(3, 4)
  for name in ACTIVATIONS:
    y = activation(name)(x)
    assert y.shape == x.shape
    np.testing.assert_allclose(y[1], activation(name)(x[1]), rtol=1e-6)
  assert activation(jnp.sin) is jnp.sin


@pytest.mark.parametrize('name, fields', NORMED)
def test_frozen_norms_make_training_the_program_of_evaluation(name, fields):
  model = build(name, classes=3, frozen_norm=True, **fields)
  image = SMALL[name][1]
  variables, x = shapes(model, image), jax.ShapeDtypeStruct((2, *image), jnp.float32)
  train, test = (str(jax.make_jaxpr(lambda v, x, train=train: model.apply(
    v, x, train=train, mutable=['batch_stats']))(variables, x)) for train in (True, False))
  assert train == test


def test_frozen_norms_keep_and_use_their_statistics():
  model, x = build('cifar_resnet', classes=3, frozen_norm=True), noise(2, 8, 8, 3)
  variables = variables_of(model, (8, 8, 3))
  trained, updates = jax.jit(partial(model.apply, train=True, mutable=['batch_stats']))(
    variables, x)
  jax.tree.map(np.testing.assert_array_equal, updates['batch_stats'], variables['batch_stats'])
  thawed = build('cifar_resnet', classes=3)
  np.testing.assert_allclose(trained, jax.jit(thawed.apply)(variables, x), rtol=1e-5)


@pytest.mark.parametrize('name, fields', NORMED)
def test_statistics_are_shared_over_the_axis_in_training_alone(name, fields):
  image = SMALL[name][1]
  model = build(name, classes=3, axis_name='data', **fields)
  variables, x = shapes(model, image), jax.ShapeDtypeStruct((2, *image), jnp.float32)

  def trace(train):
    return jax.eval_shape(lambda v, x: model.apply(
      v, x, train=train, mutable=['batch_stats'], rngs={'dropout': jax.random.key(0)}),
      variables, x)

  trace(False)
  with pytest.raises(NameError, match='data'):
    trace(True)


def test_an_auxiliary_classifier_teaches_the_layers_in_front_of_it():
  model = build('googlenet', classes=3, dropout=0., aux_dropout=0.)
  assert model.auxiliary == {'aux1': .3, 'aux2': .3}
  variables, x = variables_of(model, (15, 15, 3)), noise(2, 15, 15, 3)
  learnt = {k: variables['params'][k] for k in ('inception4a', 'inception4b', 'aux1', 'head')}

  @jax.jit
  def reached(learnt):
    def loss(learnt):
      params = {**variables['params'], **learnt}
      outputs, _ = model.apply({**variables, 'params': params}, x, train=True,
                               mutable=['batch_stats'])
      return jnp.sum(outputs['aux1'] ** 2)
    grads = jax.grad(loss)(learnt)
    return {k: jax.tree.reduce(jnp.logical_or, jax.tree.map(jnp.any, v)) for k, v in grads.items()}

  assert {k for k, v in reached(learnt).items() if v} == {'inception4a', 'aux1'}


def test_without_auxiliary_classifiers():
  model = build('googlenet', classes=3, aux=False)
  assert model.auxiliary == {}
  variables = shapes(model, (32, 32, 3))
  assert not {'aux1', 'aux2'} & set(variables['params'])
  logits, _ = jax.eval_shape(lambda v, x: model.apply(
    v, x, train=True, mutable=['batch_stats'], rngs={'dropout': jax.random.key(0)}),
    variables, jnp.zeros((2, 32, 32, 3)))
  assert logits.shape == (2, 3)


@pytest.mark.parametrize('name, smallest', [
  ('cnn', 4), ('alexnet', 63), ('zfnet', 23), ('vgg', 32), ('googlenet', 15), ('cifar_resnet', 1),
  ('resnet', 1)])
def test_the_smallest_image(name, smallest):
  model = build(name, classes=3)
  logits, maps = jax.eval_shape(
    lambda v, x: (model.apply(v, x), model.apply(v, x, method='features')),
    shapes(model, (smallest, smallest, 3)), jnp.zeros((2, smallest, smallest + 1, 3)))
  assert logits.shape == (2, 3) and all(0 not in y.shape for y in maps.values())
  if smallest > 1:
    with pytest.raises(ConfigError, match=rf'{name} needs .* at least {smallest} x {smallest} '
                                          rf'pixels, not {smallest - 1} x 99'):
      jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, smallest - 1, 99, 3)))


def test_plain_networks_do_not_start_at_zero():
  model = build('cifar_resnet', classes=3, shortcut='none')
  x = noise(2, 16, 16, 3)
  variables = jax.jit(model.init)(jax.random.key(0), x)
  assert all(scale.min() == 1 for path, scale in jax.tree.leaves_with_path(variables)
             if path[-1].key == 'scale')
  y = model.apply(variables, x, method='features')['stage3']
  assert jnp.std(y) > .1


def test_googlenet_drops_before_each_of_its_classifiers():
  model = build('googlenet', classes=3)
  variables = shapes(model, (15, 15, 3))

  def masks(train):
    return str(jax.make_jaxpr(lambda v, x: model.apply(
      v, x, train=train, rngs={'dropout': jax.random.key(0)}, mutable=['batch_stats']))(
        variables, jnp.zeros((2, 15, 15, 3)))).count('name=_bernoulli')

  assert masks(True) == 3 and masks(False) == 0


def test_dropout_falls_on_the_outputs_of_both_hidden_layers():
  model = build('vgg', classes=3, depth=11, hidden=400, dropout=.25)
  x = noise(1, 32, 32, 3)
  variables = variables_of(model, (32, 32, 3))
  _, captured = jax.jit(lambda v, x: model.apply(
    v, x, train=True, rngs={'dropout': jax.random.key(0)}, mutable=['intermediates'],
    capture_intermediates=lambda m, _: isinstance(m, nn.Dropout | nn.Dense)))(variables, x)
  captured = captured['intermediates']
  masks = []
  for layer, dropped in zip(('fc6', 'fc7'), captured['drop']['__call__'], strict=True):
    before = np.maximum(captured[layer]['__call__'][0], 0)
    on = before > 0
    np.testing.assert_allclose(dropped[dropped != 0], before[dropped != 0] / .75, rtol=1e-5)
    assert abs((dropped[on] == 0).mean() - .25) < .12
    masks.append(dropped == 0)
  assert (masks[0] != masks[1]).any()
