"""ResNets give torch's logits when they are given torch's weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.models.resnet import CifarResNet, ResNet
from visionlab.weights.files import read_weights
from visionlab.weights.translate import LEAVES

torch = pytest.importorskip('torch', reason='compares with torch, which is not installed')
nn, relu = torch.nn, torch.nn.functional.relu

# A torch layer's name in a block -> ours; the block's own is layer1.0 -> stage1/block0.
NAMES = {'bn1': 'norm1', 'bn2': 'norm2', 'bn3': 'norm3', 'downsample.0': 'shortcut',
         'downsample.1': 'shortcut_norm'}


def our_variables(state_dict):
  """A torch ResNet's state as the variables of CifarResNet or ResNet."""
  variables = {}
  for name, value in state_dict.items():
    module, leaf = name.removeprefix('module.').rsplit('.', 1)
    if leaf == 'num_batches_tracked':
      continue
    if module.startswith('layer'):
      stage, block, layer = module.split('.', 2)
      path = [f'stage{stage[-1]}', f'block{block}', NAMES.get(layer, layer)]
    else:
      path = [{'conv1': 'stem', 'bn1': 'stem_norm', 'linear': 'head', 'fc': 'head'}[module]]
    collection, ours, axes = LEAVES[leaf, value.ndim]
    node = variables.setdefault(collection, {})
    for key in path:
      node = node.setdefault(key, {})
    node[ours] = jnp.asarray(value.numpy().transpose(axes))
  return variables


class Block(nn.Module):
  """A basic block or a bottleneck of torch; `pad` is the shortcut without parameters."""

  def __init__(self, inputs, width, stride, bottleneck, pad, groups=1, base_width=64):
    super().__init__()
    out = 4 * width if bottleneck else width
    shapes = [(inputs, width, 3, stride), (width, width, 3, 1)]
    if bottleneck:
      inner = int(width * (base_width / 64.)) * groups
      shapes = [(inputs, inner, 1, 1), (inner, inner, 3, stride), (inner, out, 1, 1)]
    self.n = len(shapes)
    for i, (a, b, size, s) in enumerate(shapes, 1):
      setattr(self, f'conv{i}', nn.Conv2d(a, b, size, s, size // 2, bias=False,
                                          groups=groups if i == 2 else 1))
      setattr(self, f'bn{i}', nn.BatchNorm2d(b))
    self.stride, self.extra = stride, out - inputs
    if not pad and (stride != 1 or self.extra):
      self.downsample = nn.Sequential(nn.Conv2d(inputs, out, 1, stride, bias=False),
                                      nn.BatchNorm2d(out))

  def forward(self, x):
    y = x
    for i in range(1, self.n + 1):
      y = getattr(self, f'bn{i}')(getattr(self, f'conv{i}')(y))
      y = relu(y) if i < self.n else y
    if hasattr(self, 'downsample'):
      return relu(y + self.downsample(x))
    x = x[:, :, ::self.stride, ::self.stride]
    return relu(y + nn.functional.pad(x, (0, 0, 0, 0, self.extra // 2, self.extra // 2)))


class Stages(nn.Module):
  def __init__(self, blocks, width, bottleneck, pad, **wide):
    super().__init__()
    inputs = width
    for i, n in enumerate(blocks):
      layers = []
      for j in range(n):
        layers.append(Block(inputs, width * 2 ** i, 2 if i and j == 0 else 1, bottleneck, pad,
                            **wide))
        inputs = width * 2 ** i * (4 if bottleneck else 1)
      setattr(self, f'layer{i + 1}', nn.Sequential(*layers))
    self.count, self.channels = len(blocks), inputs

  def forward(self, x):
    for i in range(self.count):
      x = getattr(self, f'layer{i + 1}')(x)
    return x.mean((2, 3))


class TorchCifar(Stages):
  def __init__(self, n):
    super().__init__((n, n, n), 16, False, True)
    self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
    self.linear = nn.Linear(64, 10)

  def forward(self, x):
    return self.linear(super().forward(relu(self.bn1(self.conv1(x)))))


class TorchImageNet(Stages):
  def __init__(self, blocks, bottleneck, classes, channels=3, **wide):
    super().__init__(blocks, 64, bottleneck, False, **wide)
    self.conv1, self.bn1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
    self.fc = nn.Linear(self.channels, classes)

  def forward(self, x):
    x = nn.functional.max_pool2d(relu(self.bn1(self.conv1(x))), 3, 2, 1)
    return self.fc(super().forward(x))


def assert_same_logits(model, reference, image, train=False):
  """The same logits, and with `train` from the batch's own statistics and the same new ones."""
  x = np.random.default_rng(0).standard_normal((4, *image)).astype(np.float32)
  variables = our_variables(reference.state_dict())
  expected_shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(x))
  assert (jax.tree.map(jnp.shape, variables) ==
          jax.tree.map(lambda leaf: leaf.shape, expected_shapes))
  logits = jax.jit(lambda v, x: model.apply(v, x, train=train, mutable=['batch_stats'])[0])(
    variables, x)
  reference.train(train)
  with torch.no_grad():
    expected = reference(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
  assert np.ptp(expected) > .1  # a constant would agree too


def scatter_statistics(reference):
  """Random scales, biases and statistics, so that a mistaken mapping can't go unseen."""
  torch.manual_seed(0)
  for module in reference.modules():
    if isinstance(module, nn.BatchNorm2d):
      nn.init.uniform_(module.weight, .5, 1.)
      nn.init.uniform_(module.bias, -.5, .5)
      nn.init.uniform_(module.running_mean, -.2, .2)
      nn.init.uniform_(module.running_var, .5, 1.5)
  return reference


@pytest.mark.parametrize('name, depth',
                         [('resnet20-12fca82f.th', 20), ('resnet56-4bfd9763.th', 56)])
def test_published_cifar_resnet(shared_data, name, depth):
  path = shared_data / 'weights' / name
  if not path.is_file():
    pytest.skip(f'no weights at {path}')
  reference = TorchCifar((depth - 2) // 6)
  published = torch.load(path, map_location='cpu', weights_only=True)['state_dict']
  reference.load_state_dict({k.removeprefix('module.'): v for k, v in published.items()},
                            strict='num_batches_tracked' in str(published))
  assert_same_logits(CifarResNet(classes=10, depth=depth), reference, (32, 32, 3))


@pytest.mark.parametrize('depth, image', [(18, (64, 64, 3)), (50, (64, 64, 3)), (18, (65, 70, 3))])
def test_imagenet_resnet_with_random_weights(depth, image):
  blocks = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
  reference = scatter_statistics(TorchImageNet(blocks, depth == 50, 13))
  assert_same_logits(ResNet(classes=13, depth=depth), reference, image)


@pytest.mark.parametrize('wide, name, count', [
  (dict(groups=32, base_width=4), 'resnext50_32x4d', 25_028_904),
  (dict(base_width=128), 'wide_resnet50_2', 68_883_240)])
def test_wider_resnets(tmp_path, wide, name, count):
  """Parameters as torchvision counts them; the logits of torch; and recognised by its shapes."""
  shapes = jax.eval_shape(ResNet(classes=1000, depth=50, **wide).init, jax.random.key(0),
                          np.zeros((1, 32, 32, 3), np.float32))['params']
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count, name
  reference = scatter_statistics(TorchImageNet((3, 4, 6, 3), True, 13, **wide))
  assert_same_logits(ResNet(classes=13, depth=50, **wide), reference, (32, 32, 3))
  torch.save(reference.state_dict(), tmp_path / 'wide.pth')
  weights = read_weights(tmp_path / 'wide.pth')
  assert weights.model == dict(name='resnet', depth=50, **wide) and not weights.skipped
  with pytest.raises(ConfigError, match='groups and base_width are for bottlenecks'):
    ResNet(classes=3, depth=18, **wide)


def test_training_mode_normalises_by_the_batch():
  reference = scatter_statistics(TorchCifar(3))
  assert_same_logits(CifarResNet(classes=10), reference, (32, 32, 3), train=True)
