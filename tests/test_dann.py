"""The paper's networks, counted by hand, and DANN on any backbone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.build import build_model
from visionlab.config import ConfigError
from visionlab.models.dann import DANN, Convolutions, dann_cnn


def everything(model, x, *, train=False):
  features = model.features(x, train=train)
  return features, model.label_logits(features), model.domain_logits(features)


def shapes(model, size, batch=2):
  x = jax.ShapeDtypeStruct((batch, size, size, 3), jnp.float32)
  variables = jax.eval_shape(partial(model.init, method=everything), jax.random.key(0), x)
  return variables, jax.eval_shape(partial(model.apply, method=everything), variables, x)


def conv(side, inputs, outputs):
  return (side * side * inputs + 1) * outputs


def dense(*widths):
  return sum((i + 1) * o for i, o in zip(widths[:-1], widths[1:], strict=True))


@pytest.mark.parametrize('network, size, classes, features, count', [
    # 28 - 4 = 24, 12 - 4 = 8, 4 x 4 x 48
    ('mnist', 28, 10, 768, conv(5, 3, 32) + conv(5, 32, 48)
     + dense(768, 100, 100, 10) + dense(768, 100, 1)),
    # 32, 16, 8 x 8 x 128
    ('svhn', 32, 10, 8192, conv(5, 3, 64) + conv(5, 64, 64) + conv(5, 64, 128)
     + dense(8192, 3072, 2048, 10) + dense(8192, 1024, 1024, 1)),
    # 40 - 4 = 36, 18 - 2 = 16, 8 - 4 = 4, 2 x 2 x 256
    ('gtsrb', 40, 43, 1024, conv(5, 3, 96) + conv(3, 96, 144) + conv(5, 144, 256)
     + dense(1024, 512, 43) + dense(1024, 1024, 1024, 1))])
def test_the_papers_networks_have_their_parameters(network, size, classes, features, count):
  variables, out = shapes(dann_cnn(classes, network), size)
  assert sum(x.size for x in jax.tree.leaves(variables)) == count
  assert f'{count:,}' in dann_cnn.__doc__
  assert [x.shape for x in out] == [(2, features), (2, classes), (2,)]
  maps = Convolutions(network).strides
  assert list(maps.values())[-1] == (4 if network == 'svhn' else 2 ** len(maps))


def test_a_classifier_alone_has_no_domain_classifier():
  model = dann_cnn(10)
  key, x = jax.random.key(0), jnp.zeros((1, 28, 28, 3))
  alone, whole = (jax.jit(partial(model.init, method=m))(key, x) for m in (None, everything))
  assert set(whole['params']) - set(alone['params']) == {'domain'}
  # What both have starts alike, so that bounds and adaptation may be compared seed by seed.
  for name in alone['params']:
    jax.tree.map(np.testing.assert_array_equal, alone['params'][name], whole['params'][name])


@pytest.mark.parametrize('backbone, features', [
    (dict(name='cnn', widths=(4, 6)), 6),
    (dict(name='cifar_resnet', depth=20), 64)])
@pytest.mark.parametrize('bottleneck', [0, 16])
def test_any_backbone_will_do(backbone, features, bottleneck):
  model = build_model(dict(name='dann', backbone=backbone, bottleneck=bottleneck,
                           domain_hidden=(8,)), 'config.task.model', classes=5)
  variables, out = shapes(model, 16)
  assert [x.shape for x in out] == [(2, bottleneck or features), (2, 5), (2,)]
  assert 'head' not in variables['params']['backbone']


def test_dropout_acts_in_training_only():
  model = dann_cnn(10, dropout=.5)
  x = jnp.ones((2, 28, 28, 3))
  variables = jax.jit(model.init)(jax.random.key(0), x)
  say = lambda key, **options: model.apply(variables, x, rngs=dict(dropout=jax.random.key(key)),
                                           **options)
  np.testing.assert_array_equal(say(0), say(1))
  assert (say(0, train=True) != say(1, train=True)).any()


@pytest.mark.parametrize('make, said', [
    (lambda: dann_cnn(10, 'mnits'), 'mnist'),
    (lambda: DANN(10, backbone=None), 'dict\\(name="cnn"\\)'),
    (lambda: DANN(10, Convolutions(), pool='max'), "'mean', 'flatten'"),
    (lambda: DANN(10, Convolutions(), act='rellu'), 'relu'),
    (lambda: shapes(dann_cnn(10), 12), '12 x 12 pixels are too small')])
def test_mistakes(make, said):
  with pytest.raises(ConfigError, match=said):
    make()
