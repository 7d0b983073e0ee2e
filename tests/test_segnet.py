"""SegNet: its arithmetic, torch's layers with switches, and the other ways to enlarge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.segnet import UNPOOLS, Encoder, SegNet
from visionlab.models.vgg import VGG


def shapes(model, size=(64, 64), **options):
  x = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
  return jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, **options), x)


def count(model, **options):
  return sum(x.size for x in jax.tree.leaves(shapes(model, **options)[1]['params']))


def start(model, size=(16, 24), batch=2):
  rng = np.random.default_rng(0)
  x = rng.random((batch, *size, 3), np.float32)
  form = jax.eval_shape(model.init, jax.random.key(0), x)

  def draw(path, s):
    if 'var' in jax.tree_util.keystr(path):
      return np.float32(1 + rng.random(s.shape))
    return np.float32(rng.standard_normal(s.shape) * np.sqrt(2 / max(1, np.prod(s.shape[:-1]))))
  return jax.tree_util.tree_map_with_path(draw, form), x


def apply(model, variables, x, **options):
  return jax.jit(lambda v, x: model.apply(v, x, **options))(variables, x)


def test_the_papers_parameters():
  """26 convolutions of VGG-16's widths, there and back, each with a BatchNorm, and the classes."""
  there = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
  back = [512, 512, 512, 512, 512, 512, 256, 256, 256, 128, 128, 64, 64, 64]
  pairs = [*zip(there[:-1], there[1:], strict=True), *zip(back[:-1], back[1:], strict=True)]
  assert len(pairs) == 26
  want = sum(9 * i * o + 2 * o for i, o in pairs) + 64 * 11 + 11
  assert count(SegNet(11)) == want == 29_472_779
  for unpool in ('nails', 'nearest', 'bilinear'):
    assert count(SegNet(11, unpool=unpool)) == want
  learnt = sum(16 * c * c for c in (64, 128, 256, 512, 512))
  assert count(SegNet(11, unpool='transposed')) == want + learnt
  # without BatchNorm, biases
  assert count(SegNet(11, norm=False)) == want - sum(o for _, o in pairs)


def test_the_encoder_is_vggs():
  """Its paths and sizes, so that VGG-16's weights fit; biases go into BatchNorm's means."""
  vgg = shapes(VGG(1, norm=True), method='features')[1]
  ours = shapes(SegNet(2))[1]
  for layer, arrays in ours['params']['backbone'].items():
    for name, array in arrays.items():
      assert array.shape == vgg['params'][layer][name].shape
  assert set(ours['params']['backbone']) == set(vgg['params'])
  assert jax.tree.map(jnp.shape, ours['batch_stats']['backbone']) == jax.tree.map(
      jnp.shape, vgg['batch_stats'])
  assert Encoder().strides == VGG.strides


@pytest.mark.parametrize('norm', [False, True])
def test_equals_torch(norm):
  torch = pytest.importorskip('torch')
  functional = torch.nn.functional
  model = SegNet(3, widths=(4, 6), convs=(2, 1), norm=norm)
  variables, x = start(model)
  to_torch = lambda a: torch.tensor(np.asarray(a, np.float64))  # noqa: E731
  params, stats = (jax.tree.map(to_torch, variables.get(k, {})) for k in ('params', 'batch_stats'))

  def layer(x, conv, norm_name, *where):
    p, s = params, stats
    for key in where:
      p, s = p[key], s.get(key, {})
    x = functional.conv2d(x, p[conv]['kernel'].permute(3, 2, 0, 1), p[conv].get('bias'), padding=1)
    if norm:
      x = functional.batch_norm(x, s[norm_name]['mean'], s[norm_name]['var'],
                                p[norm_name]['scale'], p[norm_name]['bias'], eps=1e-5)
    return x.relu()
  y = torch.tensor(np.asarray(x, np.float64)).permute(0, 3, 1, 2)
  y = layer(layer(y, 'conv1_1', 'norm1_1', 'backbone'), 'conv1_2', 'norm1_2', 'backbone')
  y, first = functional.max_pool2d(y, 2, return_indices=True)
  y, second = functional.max_pool2d(layer(y, 'conv2_1', 'norm2_1', 'backbone'), 2,
                                    return_indices=True)
  y = layer(functional.max_unpool2d(y, second, 2), 'decode2_1', 'decode_norm2_1')
  y = layer(functional.max_unpool2d(y, first, 2), 'decode1_2', 'decode_norm1_2')
  y = layer(y, 'decode1_1', 'decode_norm1_1').permute(0, 2, 3, 1)
  want = y @ params['head']['kernel'] + params['head']['bias']
  np.testing.assert_allclose(apply(model, variables, x), want, rtol=1e-4, atol=1e-4)


def test_each_way_to_enlarge_is_itself():
  """With convolutions that do nothing, the logits show the enlargement of what was pooled."""
  x = np.random.default_rng(0).random((1, 4, 6, 1), np.float32)
  blocks = x.reshape(2, 2, 3, 2).transpose(0, 2, 1, 3).reshape(2, 3, 4)
  top, place = blocks.max(-1), blocks.argmax(-1)
  there = np.eye(4)[place] * top[..., None]
  corner = np.eye(4)[np.zeros_like(place)] * top[..., None]
  whole = np.ones(4) * top[..., None]
  want = {name: a.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3).reshape(4, 6)
          for name, a in dict(switches=there, nails=corner, nearest=whole).items()}
  quarters = .75 * top[:, 1] + .25 * top[:, 0], .75 * top[:, 1] + .25 * top[:, 2]
  for unpool in UNPOOLS:
    model = SegNet(1, widths=(1,), convs=(1,), kernel=1, norm=False, unpool=unpool)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    ones = {k: {n: jnp.full_like(a, n == 'kernel') for n, a in v.items()}
            for k, v in variables['params'].items() if 'unpool' not in k and k != 'backbone'}
    encoder = {'backbone': {'conv1_1': dict(kernel=jnp.ones((1, 1, 1, 1)), bias=jnp.zeros(1))}}
    said = apply(model, {'params': {**variables['params'], **ones, **encoder}}, x)[0, ..., 0]
    if unpool in want:
      np.testing.assert_allclose(said, want[unpool], atol=1e-6)
    else:                                # between two rows of blocks, the middle two columns
      between = .75 * np.array(quarters).T[0] + .25 * np.array(quarters).T[1]
      np.testing.assert_allclose(said[1, 2:4], between, atol=1e-6)


@pytest.mark.parametrize('unpool', UNPOOLS)
def test_any_size_and_gradients_to_every_parameter(unpool):
  model = SegNet(3, widths=(4, 6), convs=(1, 2), unpool=unpool)
  variables, x = start(model, (13, 18))
  whole = jnp.pad(x, ((0, 0), (0, 3), (0, 2), (0, 0)))
  said = apply(model, variables, x)
  assert said.shape == (2, 13, 18, 3) and said.dtype == jnp.float32
  np.testing.assert_allclose(said, apply(model, variables, whole)[:, :13, :18], rtol=1e-5,
                             atol=1e-5)

  def loss(params):
    logits, _ = model.apply({**variables, 'params': params}, x, train=True, mutable=['batch_stats'])
    return (logits ** 2).sum()
  grads = jax.jit(jax.grad(loss))(variables['params'])
  assert all(jax.tree.leaves(jax.tree.map(lambda g: bool(np.any(g)), grads)))


def test_norm_act_and_dtype():
  options = dict(widths=(4,), convs=(1,), unpool='nearest')   # rounding moves switches
  model = SegNet(3, **options)
  variables, x = start(model)
  full = apply(model, variables, x)
  _, updated = apply(model, variables, x, train=True, mutable=['batch_stats'])
  changed = jax.tree.map(lambda a, b: bool((a != b).any()), updated['batch_stats'],
                         variables['batch_stats'])
  assert all(jax.tree.leaves(changed))
  frozen, updated = apply(SegNet(3, frozen_norm=True, **options), variables, x, train=True,
                          mutable=['batch_stats'])
  np.testing.assert_allclose(frozen, full, rtol=1e-5, atol=1e-6)
  jax.tree.map(np.testing.assert_array_equal, updated['batch_stats'], variables['batch_stats'])
  assert not np.allclose(full, apply(SegNet(3, act='gelu', **options), variables, x))
  half = apply(SegNet(3, dtype=jnp.bfloat16, **options), variables, x)
  assert half.dtype == jnp.float32
  np.testing.assert_allclose(half, full, atol=.05)


@pytest.mark.parametrize('options, says', [
    (dict(unpool='switch'), 'did you mean "switches"'),
    (dict(widths=(4, 4), convs=(1,)), r'a positive number for each stage in both, got \(4, 4\)'),
    (dict(widths=(), convs=()), 'a positive number for each stage'),
    (dict(act='rleu'), 'did you mean "relu"')])
def test_errors(options, says):
  with pytest.raises(ConfigError, match=says):
    SegNet(2, **options)
