"""DeepFace and TCDCN: their layers against what they should be."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.deepface import DeepFace
from visionlab.models.layers import activation
from visionlab.models.tcdcn import TCDCN
from visionlab.ops.pool import max_pool

FACE = jax.ShapeDtypeStruct((1, 152, 152, 3), jnp.float32)


def test_maps_have_the_papers_sizes():
  model = DeepFace(classes=4030)
  maps = jax.eval_shape(lambda key, x: model.init_with_output(key, x, method='features')[0],
                        jax.random.key(0), FACE)
  assert {name: x.shape[1:] for name, x in maps.items()} == dict(
      M2=(71, 71, 32), C3=(63, 63, 16), L4=(55, 55, 16), L5=(25, 25, 16), L6=(21, 21, 16))
  small = TCDCN(classes=3)
  maps = jax.eval_shape(lambda key, x: small.init_with_output(key, x, method='features')[0],
                        jax.random.key(0), jnp.zeros((1, 40, 40, 1)))
  assert {name: x.shape[1:] for name, x in maps.items()} == dict(
      pool0=(18, 18, 16), pool1=(8, 8, 48), pool2=(3, 3, 64), conv3=(2, 2, 64))


def test_tied_local_kernels_are_a_convolution():
  rng = np.random.default_rng(0)
  model = DeepFace(classes=3, widths=(3, 4, 4, 4, 4), kernels=(3, 3, 3, 3, 2), hidden=5)
  image = jnp.asarray(rng.normal(size=(2, 24, 26, 2)), jnp.float32)
  params = jax.tree.map(lambda x: .2 * rng.normal(size=x.shape).astype(np.float32),
                        jax.eval_shape(model.init, jax.random.key(0), image)['params'])
  plain = {}
  for name in ('L4', 'L5', 'L6'):
    shape = params[name]['kernel'].shape           # (rows columns, taps of the patch, features)
    one = rng.normal(size=shape[2:]).astype(np.float32) / 4
    params[name] = dict(kernel=jnp.broadcast_to(one, shape),
                        bias=jnp.full(params[name]['bias'].shape, .1))
    size = 2 if name == 'L6' else 3
    # A patch has its taps channel by channel.
    plain[name] = one.reshape(4, size, size, 4).transpose(1, 2, 0, 3)
  maps = jax.jit(partial(model.apply, method='features'))(dict(params=params), image)
  x = np.asarray(maps['C3'])
  for name, kernel in plain.items():
    step = 2 if name == 'L5' else 1
    x = jax.nn.relu(.1 + jax.lax.conv_general_dilated(
        x, kernel, (step, step), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')))
    np.testing.assert_allclose(maps[name], x, rtol=1e-3, atol=1e-4)


def test_first_weights_are_the_papers():
  model = DeepFace(classes=7, kernels=(5, 3, 3, 3, 3), hidden=64, widths=(32, 8, 8, 8, 8))
  params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))['params']
  for name in ('C1', 'C3', 'L4', 'L6', 'F7'):
    assert float(params[name]['kernel'].std()) == pytest.approx(.01, rel=.05)
    assert (params[name]['bias'] == .5).all()


def test_tcdcn_layer_by_layer():
  model = TCDCN(classes=3)
  image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 40, 40, 1)), jnp.float32)
  variables = jax.jit(model.init)(jax.random.key(0), image)
  x, params = image, variables['params']
  for i in range(4):
    kernel, bias = params[f'conv{i}']['kernel'], params[f'conv{i}']['bias']
    x = abs(jnp.tanh(bias + jax.lax.conv_general_dilated(
        x, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))))
    x = max_pool(x, 2) if i < 3 else x
  x = abs(jnp.tanh(x.reshape(2, 256) @ params['dense']['kernel'] + params['dense']['bias']))
  expected = x @ params['head']['kernel'] + params['head']['bias']
  np.testing.assert_allclose(model.apply(variables, image), expected, rtol=1e-3, atol=1e-5)
  np.testing.assert_allclose(activation('abs_tanh')(jnp.array([-.5, .5])), np.tanh(.5), rtol=1e-6)


def test_images_that_are_too_small():
  with pytest.raises(ConfigError, match=r'none left for L4 of images of 40 pixels'):
    jax.eval_shape(DeepFace(classes=2).init, jax.random.key(0), jnp.zeros((1, 72, 40, 1)))
  with pytest.raises(ConfigError, match='tcdcn needs images of at least 32 x 32 pixels'):
    jax.eval_shape(TCDCN(classes=2).init, jax.random.key(0), jnp.zeros((1, 31, 40, 1)))
