"""The names other libraries give to the layers of residual networks (see `families`)."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from visionlab.models import resnet

Shapes = Mapping[str, tuple[int, ...]]
Claim = dict[str, Any] | str | None

DEPTHS = {stages: depth for depth, stages in resnet.STAGES.items()}


def blocks(shapes: Shapes, pattern: str) -> tuple[int, ...]:
  """How many different second groups the pattern has for each of its first."""
  seen = {match.groups() for name in shapes if (match := re.match(pattern, name))}
  return tuple(Counter(stage for stage, _ in sorted(seen)).values())


def is_not(name: str, shape: tuple[int, ...], wanted: str) -> str:
  """A reason: 'conv1.weight is (64, 3, 3, 3), not (64, c, 7, 7)'."""
  return f'{name} is {tuple(shape)}, not {wanted}'


def torch_resnet(shapes: Shapes) -> Claim:
  """torchvision's and timm's plain ResNets, ResNeXts and wide ResNets."""
  if 'layer4.0.conv1.weight' not in shapes or 'layer1.0.conv2.weight' not in shapes:
    return None
  stem = shapes.get('conv1.weight')
  if stem is None:
    return 'the first layer is no single convolution (there is no conv1.weight)'
  if len(stem) != 4 or (stem[0], *stem[2:]) != (64, 7, 7):
    return is_not('conv1.weight', stem, '(64, c, 7, 7)')
  counts, bottleneck = blocks(shapes, r'layer(\d)\.(\d+)\.'), 'layer1.0.conv3.weight' in shapes
  if (counts, bottleneck) not in DEPTHS:
    kind = 'bottlenecks' if bottleneck else 'pairs of convolutions'
    return f'its stages have {", ".join(map(str, counts))} blocks ({kind})'
  depth = dict(depth=DEPTHS[counts, bottleneck])
  return _widened(shapes, depth) if bottleneck else depth


def _widened(shapes: Shapes, depth: dict) -> Claim:
  """`depth`, and the groups and widths of its bottlenecks where they are not the plain ones."""
  width, share = shapes['layer1.0.conv2.weight'][:2]
  groups = width // share if share and width % share == 0 else 1
  for stage in range(4):
    name, w = f'layer{stage + 1}.0.conv2.weight', width << stage
    wanted = (w, w // groups, 3, 3)
    if shapes.get(name, wanted) != wanted:
      return is_not(name, shapes[name], str(wanted))
  name = 'layer1.0.conv1.weight'
  if shapes[name] != (width, 64, 1, 1):
    return is_not(name, shapes[name], f'({width}, 64, 1, 1)')
  extra = dict(groups=groups, base_width=width // groups)
  plain = dict(groups=1, base_width=64)
  return depth | {key: value for key, value in extra.items() if value != plain[key]}


def torch_cifar_resnet(shapes: Shapes) -> Claim:
  """The paper's networks for CIFAR; not the wider ones with four stages."""
  if 'linear.weight' not in shapes or 'layer3.0.conv2.weight' not in shapes:
    return None
  stem, counts = shapes.get('conv1.weight', ()), blocks(shapes, r'layer(\d)\.(\d+)\.')
  if len(stem) != 4 or (stem[0], *stem[2:]) != (16, 3, 3):
    return is_not('conv1.weight', stem, '(16, c, 3, 3)')
  depth = 6 * counts[0] + 2
  if len(set(counts)) > 1 or len(counts) != 3 or depth not in resnet.CIFAR_DEPTHS:
    return f'its stages have {", ".join(map(str, counts))} blocks'
  options = 'layer2.0.shortcut.0.weight' in shapes
  return dict(depth=depth, shortcut='B' if options else 'A')


RESIDUAL = (
  (r'conv1', 'stem'), (r'bn1', 'stem_norm'),
  # The head may be another's, put after a dropout: Sequential(Dropout, Linear).
  (r'((cls_)?head\.)?(fc|linear|classifier|head)(\.\d)?', 'head'),
  (r'layer(\d)\.(\d+)\.conv(\d)', r'stage\1/block\2/conv\3'),
  (r'layer(\d)\.(\d+)\.bn(\d)', r'stage\1/block\2/norm\3'),
  (r'layer(\d)\.(\d+)\.(downsample|shortcut)\.0', r'stage\1/block\2/shortcut'),
  (r'layer(\d)\.(\d+)\.(downsample|shortcut)\.1', r'stage\1/block\2/shortcut_norm'),
)


def keras_resnet(shapes: Shapes) -> Claim:
  """Keras' ResNets of the first version."""
  if 'bn_conv1/gamma' not in shapes or 'res2a_branch1/kernel' not in shapes:
    return None
  counts = blocks(shapes, r'res(\d)([a-z]\d*)_')
  if (counts, True) not in DEPTHS:
    return f'its stages have {", ".join(map(str, counts))} blocks'
  return dict(depth=DEPTHS[counts, True], stride_in='1x1', epsilon=1e-3)


def _keras_block(match: re.Match) -> str:
  """res3b_branch2c -> stage2/block1/conv3; in deep networks blocks are named a, b1, b2, ..."""
  kind, stage, letter, number, branch, part = match.groups()
  block = int(number) if number else ord(letter) - ord('a')
  layer = {'res': 'conv', 'bn': 'norm'}[kind] + str('abc'.index(part) + 1) if part else \
      {'res': 'shortcut', 'bn': 'shortcut_norm'}[kind]
  return f'stage{int(stage) - 1}/block{block}/{layer}'


KERAS_RESIDUAL = (
  (r'conv1', 'stem'), (r'bn_conv1', 'stem_norm'), (r'fc\d+', 'head'),
  (r'(res|bn)(\d)([a-z])(\d*)_branch(\d)([abc]?)', _keras_block),
)
