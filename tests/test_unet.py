"""U-Net: the paper's arithmetic, torch's layers, sizes, and that it learns."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.alexnet import AlexNet
from visionlab.models.cnn import CNN
from visionlab.models.network import Style
from visionlab.models.resnet import ResNet
from visionlab.models.unet import Block, UNet, fits, margin
from visionlab.models.vgg import VGG


def shapes(model, size=(32, 32), channels=3):
  x = jax.ShapeDtypeStruct((1, *size, channels), jnp.float32)
  return jax.eval_shape(model.init_with_output, jax.random.key(0), x)


def count(model, **options):
  return sum(x.size for x in jax.tree.leaves(shapes(model, **options)[1]['params']))


def start(model, size=(16, 16), channels=3, batch=2):
  x = np.random.default_rng(0).random((batch, *size, channels), np.float32)
  return jax.jit(model.init)(jax.random.key(0), x), x


def apply(model, variables, x, **options):
  return jax.jit(lambda v, x: model.apply(v, x, **options))(variables, x)


def test_the_papers_network():
  """Section 2: 23 convolutional layers, 572 pixels in, 388 out; counted layer by layer."""
  model = UNet(2, padding='valid')
  down = [(1, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512),
          (512, 1024), (1024, 1024)]
  enlarge = [(1024, 512), (512, 256), (256, 128), (128, 64)]
  up = [pair for i, o in enlarge for pair in ((i, o), (o, o))]
  want = (sum(9 * i * o + o for i, o in down + up) + sum(4 * i * o + o for i, o in enlarge)
          + 64 * 2 + 2)
  assert len(down + up + enlarge) + 1 == 23
  assert count(model, size=(572, 572), channels=1) == want == 31_030_658
  assert shapes(model, (572, 572), 1)[0].shape == (1, 388, 388, 2)
  assert margin(4) == (572 - 388) // 2


def test_parameter_counts():
  assert count(UNet(21)) == 31_033_045
  assert count(UNet(21, norm=True)) == 31_038_933
  # bilinear: 1x1 instead of 2x2 up-convolutions
  assert count(UNet(21)) - count(UNet(21, up='bilinear')) == 3 * sum(
      i * i // 2 for i in (1024, 512, 256, 128))


@pytest.mark.parametrize('depth', [1, 2, 3, 4])
def test_the_sizes_that_fit_are_those_that_halve_evenly(depth):
  """Against following the paths down and up."""
  def followed(side):
    levels = []
    for _ in range(depth):
      levels.append(side - 4)
      if levels[-1] <= 0 or levels[-1] % 2:
        return None
      side = levels[-1] // 2
    side -= 4
    for level in reversed(levels):
      if side <= 0:
        return None
      assert 2 * side <= level
      side = 2 * side - 4
    return side if side > 0 else None
  for side in range(1, 300):
    assert fits(side, depth) == (followed(side) is not None), side
    if fits(side, depth):
      assert followed(side) == side - 2 * margin(depth)


@pytest.mark.parametrize('size', [(1, 1), (7, 33), (16, 24)])
@pytest.mark.parametrize('up', ['transposed', 'bilinear'])
def test_any_size_comes_back(size, up):
  logits, _ = shapes(UNet(3, width=2, depth=3, up=up), size)
  assert logits.shape == (1, *size, 3) and logits.dtype == jnp.float32


def test_filling_up_keeps_the_grid():
  """The image sits at the upper left of what is filled up: its own zeros change nothing."""
  model = UNet(3, width=4, depth=2)
  variables, x = start(model, (13, 10))
  whole = jnp.pad(x, ((0, 0), (0, 3), (0, 2), (0, 0)))
  np.testing.assert_allclose(apply(model, variables, x),
                             apply(model, variables, whole)[:, :13, :10], rtol=1e-5, atol=1e-6)


def test_valid_is_the_middle_of_same():
  """Far from the border padding is not seen."""
  same, valid = UNet(3, width=4, depth=1), UNet(3, width=4, depth=1, padding='valid')
  variables, x = start(same, (32, 36))
  said = apply(valid, variables, x)
  assert said.shape == (2, 16, 20, 3)
  np.testing.assert_allclose(apply(same, variables, x)[:, 8:-8, 8:-8], said, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('padding', ['same', 'valid'])
def test_equals_torch(padding):
  torch = pytest.importorskip('torch')
  model = UNet(3, width=4, depth=2, padding=padding)
  variables, x = start(model, (60, 52))
  rng = np.random.default_rng(0)
  variables = jax.tree.map(lambda p: np.float32(p + .1 * rng.standard_normal(p.shape)), variables)
  params = jax.tree.map(lambda p: torch.tensor(np.asarray(p, np.float64)), variables['params'])
  conv = torch.nn.functional.conv2d

  def block(x, p):
    for name in ('conv1', 'conv2'):
      x = conv(x, p[name]['kernel'].permute(3, 2, 0, 1), p[name]['bias'],
               padding=1 if padding == 'same' else 0).relu()
    return x
  y, skipped = torch.tensor(np.asarray(x, np.float64)).permute(0, 3, 1, 2), []
  for i in range(2):
    skipped.append(block(y, params[f'down{i}']))
    y = torch.nn.functional.max_pool2d(skipped[-1], 2)
  y = block(y, params['down2'])
  for i in (1, 0):
    p = params[f'enlarge{i}']
    y = torch.nn.functional.conv_transpose2d(y, p['kernel'].permute(2, 3, 0, 1), p['bias'], 2)
    top, left = ((a - b) // 2 for a, b in zip(skipped[i].shape[2:], y.shape[2:], strict=True))
    cut = skipped[i][:, :, top:top + y.shape[2], left:left + y.shape[3]]
    y = block(torch.cat([cut, y], 1), params[f'up{i}'])
  want = conv(y, params['head']['kernel'].T[..., None, None], params['head']['bias'])
  np.testing.assert_allclose(apply(model, variables, x), want.permute(0, 2, 3, 1), rtol=1e-4,
                             atol=1e-5)


def test_the_signal_keeps_its_scale():
  """He et al.'s initialisation: neither vanishing nor exploding on the way through."""
  model = UNet(4, width=8, depth=3)
  variables, _ = start(model)
  x = np.random.default_rng(0).standard_normal((2, 32, 32, 3), np.float32)
  _, state = apply(model, variables, x, capture_intermediates=True)
  said = state['intermediates']
  for name in ('down0', 'down3', 'up2', 'up0'):
    assert .2 < float(jnp.sqrt((said[name]['__call__'][0] ** 2).mean())) < 5, name


def test_norm_and_dropout_only_in_training():
  model = UNet(3, width=4, depth=1, norm=True, dropout=.5)
  variables, x = start(model)
  said, updated = apply(model, variables, x, train=True, mutable=['batch_stats'],
                        rngs={'dropout': jax.random.key(0)})
  assert not np.allclose(said, apply(model, variables, x))
  changed = jax.tree.map(lambda a, b: bool((a != b).any()), updated['batch_stats'],
                         variables['batch_stats'])
  assert all(jax.tree.leaves(changed))
  frozen = UNet(3, width=4, depth=1, norm=True, frozen_norm=True)
  said, updated = apply(frozen, variables, x, train=True, mutable=['batch_stats'])
  np.testing.assert_allclose(said, apply(frozen, variables, x), rtol=1e-5, atol=1e-6)
  jax.tree.map(np.testing.assert_array_equal, updated['batch_stats'], variables['batch_stats'])


def test_act_and_dtype():
  variables, x = start(UNet(3, width=4, depth=1))
  relu = apply(UNet(3, width=4, depth=1), variables, x)
  assert not np.allclose(relu, apply(UNet(3, width=4, depth=1, act='gelu'), variables, x))
  half = apply(UNet(3, width=4, depth=1, dtype=jnp.bfloat16), variables, x)
  assert half.dtype == jnp.float32
  np.testing.assert_allclose(half, relu, rtol=0, atol=.02 * np.abs(relu).max())  # of bf16's 8 bits


@pytest.mark.parametrize('options, size, says', [
  (dict(padding='vaild'), (16, 16), 'did you mean "valid"'),
  (dict(up='nearest'), (16, 16), "model.up: 'nearest'"),
  (dict(depth=0), (16, 16), 'at least once'),
  (dict(act='rleu'), (16, 16), 'did you mean "relu"'),
  (dict(padding='valid'), (572, 600), '572x600 does not halve evenly; sides such as 588, 604'),
  (dict(padding='valid'), (20, 20), 'sides such as 188, 204'),
])
def test_errors(options, size, says):
  with pytest.raises(ConfigError, match=says):
    shapes(UNet(2, **options), size)


class Contracting(nn.Module):
  """The paper's contracting path as a backbone: whatever of U-Net's it is given to, it is that."""

  strides = dict(down0=1, pool0=2, down1=2, pool1=4, down2=4)

  @nn.compact
  def features(self, x, *, train=False):
    maps = {}
    for i in range(3):
      x = maps[f'down{i}'] = Block(4 * 2 ** i, 'same', Style(), name=f'down{i}')(x, train=train)
      if i < 2:
        x = maps[f'pool{i}'] = nn.max_pool(x, (2, 2), (2, 2))
    return maps


def test_a_backbone_takes_the_place_of_the_contracting_path():
  whole = UNet(5, width=4, depth=2)
  variables, x = start(whole, size=(18, 27))
  params = variables['params']
  ours = {name: p for name, p in params.items() if not name.startswith('down')}
  ours['backbone'] = {name: p for name, p in params.items() if name.startswith('down')}
  model = UNet(5, width=4, depth=2, backbone=Contracting())
  assert jax.tree.all(jax.tree.map(lambda a, b: a.shape == b.shape, ours,
                                   shapes(model)[1]['params']))
  expected = apply(whole, variables, x)
  assert np.abs(expected).max() > .1
  np.testing.assert_allclose(apply(model, {'params': ours}, x), expected, rtol=1e-5, atol=1e-6)


def test_a_classifier_is_its_backbone_with_its_weights():
  x = jnp.zeros((1, 70, 64, 3))
  model = UNet(3, width=2, depth=5, up='bilinear', norm=True, backbone=ResNet(1, depth=18))
  logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
  assert logits.shape == (1, 70, 64, 3)
  classifier = jax.eval_shape(ResNet(1, depth=18).init, jax.random.key(0), x)['params']
  assert variables['params']['backbone'] == {k: v for k, v in classifier.items() if k != 'head'}
  # No map of stride 1: what is enlarged goes on alone. Of stride 2 there is the stem's.
  inputs = [variables['params'][f'up{i}']['conv1']['kernel'].shape[2] for i in range(5)]
  assert inputs == [2, 4 + 64, 8 + 64, 16 + 128, 32 + 256]


@pytest.mark.parametrize('backbone, depth', [
  (AlexNet(1, hidden=2), 3), (VGG(1, depth=11, hidden=2), 5), (CNN(1, widths=(2, 2)), 1)],
  ids=lambda m: type(m).__name__)
def test_any_backbone_gives_logits_of_the_image(backbone, depth):
  model = UNet(3, width=2, depth=depth, backbone=backbone)
  assert shapes(model, (75, 97))[0].shape == (1, 75, 97, 3)


@pytest.mark.parametrize('options, said', [
  (dict(padding='valid'), 'model.padding of unet: "same" with a backbone'),
  (dict(depth=6), 'stride 64; the backbone has those of strides 2, 4, 8, 16, 32'),
  (dict(backbone=nn.Dropout(.5)), 'model.backbone: unet needs a network')])
def test_what_a_backbone_does_not_go_with(options, said):
  with pytest.raises(ConfigError, match=said):
    UNet(3, **{**dict(depth=5, backbone=ResNet(1, depth=18)), **options})
