"""Frames are brought together when and as the papers have it."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from visionlab.config import ConfigError
from visionlab.models.alexnet import AlexNet
from visionlab.models.cnn import CNN
from visionlab.models.fusion import (
  SLOW,
  Extended,
  FrameLSTM,
  Fusion,
  central,
  for_flow,
  halved,
  stacked,
  starts_of,
)
from visionlab.models.resnet import CifarResNet
from visionlab.weights.files import Weights, flat
from visionlab.weights.fit import fit

CLIPS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 10, 16, 16, 3)), jnp.float32)
BACKBONE = CNN(1, (4, 5, 6))


def shapes(model, clips=CLIPS):
  return jax.tree.map(jnp.shape, jax.eval_shape(model.init, jax.random.key(0), clips)['params'])


def saying(model):
  """The model with parameters, compiled: clips -> logits."""
  variables = jax.jit(model.init)(jax.random.key(0), CLIPS)
  return jax.jit(lambda clips: model.apply(variables, clips))


def changed(frames):
  """The clips with some frames replaced by others."""
  return CLIPS.at[:, jnp.array(frames)].multiply(-1.)


def test_karpathys_slow_fusion_leaves_4_2_and_1_responses_of_ten_frames():
  seen = []

  class Watched(nn.Module):
    @nn.compact
    def features(self, x, train=False):
      for i in range(3):
        x = nn.Conv(4, (3, 3), name=f'conv{i}')(x)
        seen.append(x.shape[0] // 2)
      return {'last': x}
  shapes(Fusion(5, Watched(), 'slow'))
  assert seen == [4, 2, 1]
  kernels = {k: v['kernel'][2] for k, v in shapes(Fusion(5, BACKBONE))['backbone'].items()}
  assert kernels == dict(conv0=4 * 3, conv1=2 * 4, conv2=2 * 5)


def test_a_convolution_over_channels_side_by_side_is_one_over_time():
  """Against XLA's convolution in three dimensions."""
  layer = nn.Conv(6, (3, 3), name='conv')
  flat = jnp.concatenate(list(jnp.moveaxis(CLIPS, 1, 0)))
  with nn.intercept_methods(Extended(SLOW, 10)):
    variables = layer.init(jax.random.key(1), flat)
  with nn.intercept_methods(Extended(SLOW, 10)):
    found = layer.apply(variables, flat)
  kernel = variables['params']['kernel'].reshape(3, 3, 4, 3, 6)       # (h w t i o)
  true = lax.conv_general_dilated(CLIPS, jnp.moveaxis(kernel, 2, 0), (2, 1, 1),
                                  [(0, 0), (1, 1), (1, 1)],
                                  dimension_numbers=('NDHWC', 'DHWIO', 'NDHWC'))
  np.testing.assert_allclose(found.reshape(4, 2, 16, 16, 6), jnp.moveaxis(true, 1, 0), atol=1e-5)


@pytest.mark.parametrize('fusion, seen', [
    ('single', [5]), ('early', range(10)), ('late', [0, 9]), ('slow', range(10))])
def test_which_frames_are_seen(fusion, seen):
  said = saying(Fusion(3, BACKBONE, fusion))
  plain = said(CLIPS)
  unseen = [t for t in range(10) if t not in seen]
  if unseen:
    np.testing.assert_array_equal(said(changed(unseen)), plain)
  for t in (min(seen), max(seen)):
    assert abs(said(changed([t])) - plain).max() > 1e-6


@pytest.mark.parametrize('moments', range(4, 12))
def test_slow_fusion_leaves_no_frame_out_whatever_their_number(moments):
  for extent, stride in SLOW:
    extent = min(extent, moments)
    starts = starts_of(moments, extent, stride)
    assert {i + k for i in starts for k in range(extent)} == set(range(moments))
    moments = len(starts)
  assert moments == 1 or starts == [0, 1]


def test_the_towers_of_late_fusion_share_their_layers():
  model = Fusion(3, BACKBONE, 'late', hidden=())
  assert shapes(model)['backbone']['conv0']['kernel'] == (3, 3, 3, 4)
  assert shapes(model)['predictor']['head']['kernel'] == (2 * 2 * 2 * 6, 3)


def test_fovea_and_context_see_the_centre_and_the_whole():
  context, fovea = halved(CLIPS), central(CLIPS)
  np.testing.assert_array_equal(fovea, CLIPS[:, :, 4:12, 4:12])
  np.testing.assert_allclose(context[:, :, 1, 2], CLIPS[:, :, 2:4, 4:6].mean((2, 3)), atol=1e-6)
  layers = shapes(Fusion(3, BACKBONE, fovea=True))
  assert layers['centre'] == layers['context'] and 'backbone' not in layers
  with pytest.raises(ConfigError, match='halves frames, which 15 x 16 pixels cannot be'):
    halved(CLIPS[:, :, 1:])


def test_flow_is_stacked_as_simonyan_and_zisserman_do():
  """Channel 2k - 1 is dx of field k, channel 2k its dy, counted from 1."""
  flow = np.arange(3 * 2).reshape(1, 3, 1, 1, 2)
  assert stacked(flow)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
  fields = np.random.default_rng(1).normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
  for k in range(3):
    np.testing.assert_array_equal(stacked(fields)[..., 2 * k:2 * k + 2], fields[:, k])


@pytest.mark.parametrize('fusion', ['early', 'slow'])
def test_of_one_image_repeated_inflated_kernels_make_what_its_network_makes(fusion):
  image, clips = CLIPS[:, 3], CLIPS[:, [3] * 10]
  trained = jax.tree.map(lambda x: x + .01, jax.jit(BACKBONE.init)(jax.random.key(1), image))
  model = Fusion(3, BACKBONE, fusion)
  weights = Weights('w', flat(trained), [], {}, {}, {})
  fresh = jax.jit(model.init)(jax.random.key(0), clips)
  with pytest.raises(ConfigError, match='backbone/conv0/kernel'):
    fit(weights, fresh)
  variables, report = fit(weights, fresh, model.widened)
  layers = dict(early=['conv0'], slow=['conv0', 'conv1', 'conv2'])[fusion]
  assert report.widened == [f'params/backbone/{layer}/kernel' for layer in layers]
  found = jax.jit(lambda v: model.apply(
      v, clips, method=lambda self, x: self.fused(self.backbone, x, False)))(variables)
  true = jax.jit(lambda v: BACKBONE.apply(v, image, method='features')['pool2'])(trained)
  np.testing.assert_allclose(found, true, atol=1e-5)
  assert abs(true).max() > .1


def test_a_first_layer_for_flow_sees_the_mean_of_its_colours():
  kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 4))
  made = for_flow(kernel, 20)
  assert made.shape == (3, 3, 20, 4)
  grey, fields = np.random.default_rng(1).normal(size=(3, 3)), np.full(20, 1 / 20)
  np.testing.assert_allclose(np.einsum('hw,c,hwco->o', grey, fields, made),
                             np.einsum('hw,hwco->o', grey, kernel) / 3)


def test_an_lstm_reads_frames_in_their_order():
  model = FrameLSTM(3, BACKBONE, width=8)
  said = saying(model)
  assert abs(said(CLIPS) - said(CLIPS[:, ::-1])).max() > 1e-3
  assert shapes(model)['reader']['layer0']['input_kernel'] == (2 * 2 * 6, 4 * 8)


def test_moments_seen_one_by_one_have_the_same_gradient_in_less_memory():
  clips, memory, found = jnp.tile(CLIPS, (1, 3, 1, 1, 1)), [], []
  for remat in (False, True):
    model = FrameLSTM(3, CNN(1, (8, 8)), width=8, remat=remat)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda s, rng=rng: rng.normal(size=s.shape).astype(np.float32) / 5,
                             jax.eval_shape(model.init, jax.random.key(0), clips))
    gradient = jax.jit(jax.grad(lambda v, m=model: m.apply(v, clips)[:, 1].sum()))
    program = gradient.lower(variables).compile()
    memory.append(program.memory_analysis().temp_size_in_bytes)
    found.append(program(variables))
  jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), *found)
  assert memory[1] < memory[0] / 3, memory


def test_backbones_of_the_zoo():
  for backbone in (AlexNet(1), CifarResNet(1, depth=20)):
    for fusion in ('single', 'early', 'late'):
      clips = jnp.zeros((2, 4, 64, 64, 3))
      assert jax.eval_shape(Fusion(3, backbone, fusion, pool='mean').init, jax.random.key(0), clips)
  shapes(Fusion(3, AlexNet(1), 'slow'), jnp.zeros((2, 4, 64, 64, 3)))
  with pytest.raises(ConfigError, match='slow fusion needs a chain of convolutions'):
    shapes(Fusion(3, CifarResNet(1, depth=20), 'slow'))


@pytest.mark.parametrize('options, said', [
    (dict(fusion='slower'), 'model.fusion'), (dict(pool='max'), 'model.pool of fusion'),
    (dict(backbone=None), 'model.backbone')])
def test_options_that_are_none_are_named(options, said):
  with pytest.raises(ConfigError, match=said):
    Fusion(**{**dict(classes=3, backbone=BACKBONE), **options})
