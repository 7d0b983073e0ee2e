"""What a unit sees."""

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
from visionlab.models.unet import UNet
from visionlab.models.vgg import VGG
from visionlab.models.zfnet import ZFNet
from visionlab.ops.pool import max_pool
from visionlab.understand import Subject
from visionlab.understand.receptive_field import receptive_fields


def subject_of(model, shape):
  """Arithmetic needs no weights."""
  variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
  return Subject.of((model, variables), shape)


class Stack(nn.Module):
  """Convolutions of a kernel, a stride and a dilation, or where `pool` says so maxima."""
  layers: tuple

  @nn.compact
  def __call__(self, x):
    for i, (kernel, stride, dilation, pool) in enumerate(self.layers):
      x = max_pool(x, kernel, stride) if pool else x
      x = x if pool else nn.Conv(2, (kernel, kernel), stride, 'VALID', kernel_dilation=dilation,
                                 name=f'conv{i}')(x)
      x = nn.relu(x)
    return nn.Dense(2, name='head')(x)


LAYERS = [(3, 1, 1, False), (5, 2, 1, False), (3, 2, 1, True), (2, 2, 1, True), (3, 1, 2, False),
          (3, 1, 1, False)]


@pytest.mark.parametrize('depth', [1, 2, 4, 5, 6])
def test_it_is_the_arithmetic_of_the_literature(depth):
  """r += (k - 1) j, j *= s."""
  r, j = 1, 1
  for kernel, stride, dilation, _ in LAYERS[:depth]:
    r, j = r + (kernel - 1) * dilation * j, j * stride
  field = receptive_fields(subject_of(Stack(tuple(LAYERS[:depth])), (72, 80, 3)))['head']
  h, w, _ = field.boxes.shape
  assert field.size == (r, r) and field.stride == (j, j)
  y, x = np.mgrid[:h, :w] * j
  np.testing.assert_array_equal(field.boxes, np.stack([y, x, y + r, x + r], -1))
  np.testing.assert_array_equal(field.inside, field.boxes)


def test_vgg_and_resnet():
  """VGG-16 has the 212 of https://distill.pub/2019/computing-receptive-fields, table 1. The
  ResNet-50 there shrinks at the end of its stages; with the stride in a stage's first 3 x 3 it is
  11 + 3 * 8 + (8 + 3 * 16) + (16 + 5 * 32) + (32 + 2 * 64) = 427."""
  vgg = receptive_fields(subject_of(VGG(2, depth=16, hidden=2), (64, 64, 3)), ['pool5', 'fc6'])
  assert vgg['pool5'].size == (212, 212) and vgg['pool5'].stride == (32, 32)
  assert vgg['fc6'].inside.tolist() == [[[0, 0, 64, 64]]]
  names = ['stem', 'stage1', 'stage4']
  resnet = receptive_fields(subject_of(ResNet(2, depth=50), (64, 64, 3)), names)
  assert resnet['stem'].size == (7, 7) and resnet['stem'].stride == (2, 2)
  assert resnet['stage4'].size == (427, 427) and resnet['stage4'].stride == (32, 32)
  y, x = resnet['stage1'].centres                   # padding by half the kernels: at the stride
  np.testing.assert_array_equal(y[:3], [0, 4, 8])


@pytest.mark.parametrize('model, side, channels', [
  (CNN(5, widths=(2, 3), hidden=4), 16, 1), (CifarResNet(5), 16, 3), (ResNet(5, depth=18), 64, 3),
  (VGG(5, depth=11, hidden=4), 48, 3), (AlexNet(5, hidden=4), 95, 3), (ZFNet(5, hidden=4), 95, 3),
  (dann_cnn(5), 28, 3), (GoogLeNet(5, aux=False), 96, 3),
  (FCN(3, backbone=Encoder((2, 3), (1, 1)), stride=1), 16, 3), (UNet(2, width=6, depth=2), 48, 1)],
    ids=lambda m: type(m).__name__)
def test_no_gradient_lies_outside_and_some_at_every_side(model, side, channels):
  """Of the unit in the middle of each map; where the network is random some path reaches every
  side of the box."""
  shape = (side, side, channels)
  subject, rng = subject_of(model, shape), np.random.default_rng(0)
  subject = dataclasses.replace(subject, variables=jax.tree_util.tree_map_with_path(
      lambda path, x: np.ones(x.shape, x.dtype) if 'var' in str(path[-1]) else
      rng.normal(size=x.shape).astype(x.dtype) / np.sqrt(max(x.size // x.shape[-1], 1)),
      subject.variables))
  fields = receptive_fields(subject)
  maps = [name for name, field in fields.items() if min(field.boxes.shape[:2]) > 1
          and len(subject.layers()[name]) == 4]
  assert maps
  tested = [maps[0], maps[len(maps) // 2], maps[-1]]
  x = jax.random.uniform(jax.random.key(1), (6, *shape))

  @jax.jit
  def slopes(x):
    def middle(x):
      read = subject.read(x, tested)[1]
      return [jnp.abs(m[:, m.shape[1] // 2, m.shape[2] // 2]).sum() for m in map(read.get, tested)]
    return jax.jacrev(middle)(x)
  for name, slope in zip(tested, slopes(x), strict=True):
    rows, columns = (np.flatnonzero(np.asarray(slope).any(axes)) for axes in ((0, 2, 3), (0, 1, 3)))
    boxes = fields[name].inside
    top, left, bottom, right = boxes[boxes.shape[0] // 2, boxes.shape[1] // 2]
    assert (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) == (top, left, bottom, right), name


def test_layers_that_have_none():
  subject = subject_of(CNN(5, widths=(2,), hidden=4), (8, 8, 1))
  with pytest.raises(ConfigError, match='pol0.*pool0'):
    receptive_fields(subject, ['pol0'])


class Odd(nn.Module):
  """What looks at all, at places by their number, and at none."""

  @nn.compact
  def __call__(self, x):
    spread = point('sorted', jnp.sort(x, 1))
    picked = point('picked', x[:, jnp.array([5, 1])][:, :, ::2])
    up = point('up', nn.ConvTranspose(1, (2, 2), (2, 2), name='wide')(x))
    mixed = point('mixed', jnp.where(x.mean((1, 2), keepdims=True) > 0, x, 0))
    none = point('none', jnp.zeros_like(x))
    return sum(m.mean((1, 2)) for m in (spread, picked, up, mixed, none))


def test_operations_of_other_kinds():
  model = Odd()
  subject = Subject.of((model, model.init(jax.random.key(0), jnp.zeros((1, 6, 6, 1)))), (6, 6, 1))
  fields = receptive_fields(subject, ['sorted', 'picked', 'up', 'mixed', 'none'])
  inside = {name: field.inside for name, field in fields.items()}
  assert (inside['sorted'] == [0, 0, 6, 6]).all() and (inside['mixed'] == [0, 0, 6, 6]).all()
  assert inside['picked'][:, 1].tolist() == [[5, 2, 6, 3], [1, 2, 2, 3]]
  assert inside['up'][5, 2].tolist() == [2, 1, 3, 2]
  assert not inside['none'].any()
