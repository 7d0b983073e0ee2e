"""FCN: against its sums written out in NumPy and torch, for backbones of every family."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.alexnet import AlexNet
from visionlab.models.cnn import CNN
from visionlab.models.fcn import FCN, endpoints, fitted
from visionlab.models.googlenet import GoogLeNet
from visionlab.models.resnet import CifarResNet, ResNet
from visionlab.models.segnet import Encoder
from visionlab.models.vgg import VGG
from visionlab.models.zfnet import ZFNet
from visionlab.ops.upsample import bilinear
from visionlab.weights.files import Weights
from visionlab.weights.fit import fit

SMALL = partial(CNN, 1, widths=(3, 4, 5, 6))        # strides 2, 4, 8, 16


def shapes(model, size=(64, 64)):
  x = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
  return jax.eval_shape(model.init_with_output, jax.random.key(0), x)


def count(model):
  return sum(x.size for x in jax.tree.leaves(shapes(model)[1]['params']))


def start(model, size=(32, 48), batch=2):
  """Random weights in every layer, and images."""
  rng = np.random.default_rng(0)
  x = rng.random((batch, *size, 3), np.float32)
  form = jax.eval_shape(model.init, jax.random.key(0), x)

  def draw(s):
    fan_in = max(1, np.prod(s.shape[:-1]))
    return np.float32(rng.standard_normal(s.shape) * np.sqrt(2 / fan_in))
  return jax.tree.map(draw, form), x


def apply(model, variables, x, **options):
  return jax.jit(lambda v, x: model.apply(v, x, **options))(variables, x)


def test_the_papers_parameters():
  """VGG-16's convolutions, fc6 and fc7, and by arithmetic the scores and enlargements."""
  trunk = 138_357_544 - (4096 + 1) * 1000
  for stride, added in ((32, 0), (16, 513 * 21 + 16 * 21 ** 2),
                        (8, 513 * 21 + 257 * 21 + 2 * 16 * 21 ** 2)):
    assert count(FCN(21, VGG(1), stride)) == trunk + 4097 * 21 + added
  assert count(FCN(21, VGG(1), 32)) == 134_346_581
  assert count(FCN(21, VGG(1), 16)) == 134_364_410
  assert count(FCN(21, VGG(1), 8)) == 134_376_863


def test_a_classifiers_weights_fit_and_say_the_same():
  """At the place where fc6 sees the whole map, the scores are the classifier's logits."""
  classifier = AlexNet(7, hidden=16)
  theirs, x = start(classifier, (224, 224), 1)
  model = FCN(7, AlexNet(1), 32, hidden=16, window=6)
  fresh = jax.tree.map(jnp.asarray, start(model, (224, 224), 1)[0])
  arrays = {f'params/{layer}/{name}': value for layer, leaves in theirs['params'].items()
            for name, value in leaves.items()}
  variables, report = fit(Weights('w', arrays, [], {}, {}, {}), fresh)
  assert sorted(report.missing) == ['params/score32/bias', 'params/score32/kernel']
  assert sorted(report.skipped) == ['params/head/bias', 'params/head/kernel']
  head = theirs['params']['head']
  variables['params']['score32'] = dict(kernel=head['kernel'][None, None], bias=head['bias'])
  _, seen = apply(model, variables, x, capture_intermediates=True)
  scores, = seen['intermediates']['score32']['__call__']
  assert scores.shape == (1, 6, 6, 7)
  # A window of 6 that keeps the size reaches 2 pixels up and 3 down.
  np.testing.assert_allclose(scores[:, 2, 2], apply(classifier, theirs, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('backbone, strides, size', [
    (VGG(1, depth=11), (32, 16, 8, 4, 2), (70, 33)),
    (ResNet(1, depth=18), (32, 16, 8, 4, 2), (65, 97)),
    (CifarResNet(1), (4, 2, 1), (31, 33)),
    (AlexNet(1), (32, 16, 8), (225, 260)),
    (ZFNet(1), (32, 16, 8), (225, 260)),
    (GoogLeNet(1), (32, 16, 8), (100, 111)),
    (CNN(1), (4, 2), (30, 29)),
], ids=lambda x: type(x).__name__ if isinstance(x, nn.Module) else '')
def test_logits_come_at_the_images_size(backbone, strides, size):
  for stride in strides:
    logits, variables = shapes(FCN(3, backbone, stride, hidden=2), size)
    assert logits.shape == (1, *size, 3) and logits.dtype == jnp.float32
    assert 'head' not in variables['params']['backbone']
  with pytest.raises(ConfigError, match=rf'model.stride of fcn: 5 is not one of {strides[0]}, '):
    FCN(3, backbone, 5)


def test_endpoints_are_the_papers():
  assert endpoints(VGG.strides, 8) == {32: 'pool5', 16: 'pool4', 8: 'pool3'}
  assert endpoints(ResNet.strides, 8) == {32: 'stage4', 16: 'stage3', 8: 'stage2'}
  assert endpoints(GoogLeNet.strides, 32) == {32: 'inception5b'}


def test_starts_at_zero_scores_and_bilinear_enlargements():
  model = FCN(3, SMALL(), 4, hidden=5)
  x = jnp.ones((1, 16, 16, 3))
  logits, variables = jax.jit(model.init_with_output)(jax.random.key(0), x)
  assert not np.any(logits)
  params = variables['params']
  assert all(not np.any(p) for n in (16, 8, 4) for p in jax.tree.leaves(params[f'score{n}']))
  quarter = np.array([.25, .75, .75, .25])
  for name in ('up8', 'up4'):
    np.testing.assert_allclose(params[name]['kernel'][:, :, 1, 1], np.outer(quarter, quarter))
    assert not np.any(params[name]['kernel'][:, :, 0, 1])
  assert sorted(params) == ['backbone', 'fc6', 'fc7', 'score16', 'score4', 'score8', 'up4', 'up8']


def test_coarse_scores_are_interpolated():
  """Of stride 16: away from the border the logits are the bilinear interpolation of the scores."""
  model = FCN(3, SMALL(), 16, hidden=0)
  variables, x = start(model, (80, 96))
  top = SMALL().apply({'params': variables['params']['backbone']}, x, method='features')['pool3']
  score = variables['params']['score16']
  scores = np.asarray(top) @ score['kernel'][0, 0] + score['bias']
  want = np.asarray(bilinear(jnp.asarray(scores), (80, 96)))
  got = np.asarray(apply(model, variables, x))
  inside = np.s_[:, 16:-16, 16:-16]
  np.testing.assert_allclose(got[inside], want[inside], rtol=1e-4, atol=1e-5)
  assert want[inside].std() > .01


def test_without_skips_coarse_scores_are_enlarged_by_2_and_2_and_4():
  """16s and 8s start from where 32s stopped: fresh scores add nothing."""
  coarse, fine = FCN(3, SMALL(), 16, hidden=0), FCN(3, SMALL(), 4, hidden=0)
  variables, x = start(coarse, (96, 112))
  fresh = jax.jit(fine.init)(jax.random.key(1), x)
  maps = SMALL().apply({'params': variables['params']['backbone']}, x, method='features')
  score = variables['params']['score16']
  scores = jnp.asarray(np.asarray(maps['pool3']) @ score['kernel'][0, 0] + score['bias'])
  want = bilinear(bilinear(bilinear(scores, (12, 14)), (24, 28)), (96, 112))
  got = apply(fine, {'params': {**fresh['params'], **variables['params']}}, x)
  inside = np.s_[:, 32:-32, 32:-32]
  np.testing.assert_allclose(got[inside], want[inside], rtol=1e-4, atol=1e-5)


def test_equals_torch():
  torch = pytest.importorskip('torch')
  functional = torch.nn.functional
  model = FCN(3, SMALL(), 4, hidden=4, window=3)
  variables, x = start(model)
  p = jax.tree.map(lambda a: torch.tensor(np.asarray(a, np.float64)), variables['params'])

  def conv(x, p):
    kernel = p['kernel'].permute(3, 2, 0, 1)
    return functional.conv2d(x, kernel, p['bias'], padding=kernel.shape[-1] // 2)
  y, maps = torch.tensor(np.asarray(x, np.float64)).permute(0, 3, 1, 2), []
  for i in range(4):
    y = functional.max_pool2d(conv(y, p['backbone'][f'conv{i}']), 2).relu()
    maps.append(y)
  y = conv(conv(conv(y, p['fc6']).relu(), p['fc7']).relu(), p['score16'])
  for i, n in ((2, 8), (1, 4)):
    kernel = p[f'up{n}']['kernel'].permute(2, 3, 0, 1)
    y = functional.conv_transpose2d(y, kernel, stride=2, padding=1) + conv(maps[i], p[f'score{n}'])
  tent = 1 - (torch.arange(8, dtype=torch.float64) - 3.5).abs() / 4
  kernel = torch.outer(tent, tent).expand(3, 1, 8, 8)
  y = functional.conv_transpose2d(y, kernel, stride=4, padding=2, groups=3)
  np.testing.assert_allclose(apply(model, variables, x), y.permute(0, 2, 3, 1), rtol=1e-4,
                             atol=1e-4)


def test_other_sizes_are_filled_up_and_cropped():
  model = FCN(3, SMALL(), 4, hidden=4)
  variables, x = start(model, (21, 39))
  whole = jnp.pad(x, ((0, 0), (0, 11), (0, 9), (0, 0)))
  np.testing.assert_allclose(apply(model, variables, x),
                             apply(model, variables, whole)[:, :21, :39], rtol=1e-5, atol=1e-5)


def test_fitted_is_centred():
  x = np.arange(24.).reshape(1, 4, 6, 1)
  np.testing.assert_array_equal(fitted(jnp.asarray(x), (2, 8)),
                                np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)), 'edge')[:, 1:3])
  np.testing.assert_array_equal(fitted(jnp.asarray(x), (7, 6))[0, :, 0, 0],
                                [0, 0, 6, 12, 18, 18, 18])


def test_dropout_norm_and_dtype():
  backbone = partial(Encoder, (4, 6), (1, 1))
  model = FCN(3, backbone(), 2, hidden=4)
  variables, x = start(model, (8, 8))
  variables = {**variables, 'batch_stats': jax.tree.map(np.ones_like, variables['batch_stats'])}
  run = jax.jit(lambda key: model.apply(variables, x, train=True, mutable=['batch_stats'],
                                        rngs={'dropout': key}))
  (a, updated), (b, _) = run(jax.random.key(0)), run(jax.random.key(1))
  assert not np.allclose(a, b)
  changed = jax.tree.map(lambda a, b: bool((a != b).any()), updated['batch_stats'],
                         variables['batch_stats'])
  assert all(jax.tree.leaves(changed))
  half = FCN(3, backbone(dtype=jnp.bfloat16), 2, hidden=4, dtype=jnp.bfloat16)
  low, full = apply(half, variables, x), apply(model, variables, x)
  assert low.dtype == jnp.float32
  assert 0 < float(jnp.abs(low - full).max()) < .1 * float(jnp.abs(full).max())


def test_errors():
  with pytest.raises(ConfigError, match='fcn needs a network with features'):
    FCN(3, None)
  with pytest.raises(ConfigError, match='did you mean "relu"'):
    FCN(3, SMALL(), 4, act='rleu')
