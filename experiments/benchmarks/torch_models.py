"""The models of the library that are timed, in PyTorch: the same layers, the same parameters."""

import torch.nn.functional as F
from torch import nn


def cnn(channels: int, side: int, dropout: float = 0., classes: int = 10) -> nn.Sequential:
  """`visionlab.models.cnn.CNN` with its default sizes, for square images of `side` pixels."""
  return nn.Sequential(
      nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
      nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
      nn.Flatten(), nn.Linear(64 * (side // 4) ** 2, 1024), nn.ReLU(), nn.Dropout(dropout),
      nn.Linear(1024, classes))


class Block(nn.Module):
  """relu(shortcut(x) + two 3x3 convolutions of x); a 1x1 convolution where shapes change."""

  def __init__(self, before: int, width: int, stride: int):
    super().__init__()
    self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
    self.norm1 = nn.BatchNorm2d(width)
    self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
    self.norm2 = nn.BatchNorm2d(width)
    self.shortcut = nn.Identity()
    if before != width:
      self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False),
                                    nn.BatchNorm2d(width))

  def forward(self, x):
    y = F.relu(self.norm1(self.conv1(x)))
    return F.relu(self.shortcut(x) + self.norm2(self.conv2(y)))


def resnet20(classes: int = 10) -> nn.Sequential:
  """`visionlab.models.resnet.CifarResNet` of depth 20 with shortcuts 'B'."""
  blocks = [Block(before, width, stride)
            for before, width, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
            for before, stride in ((before, stride), (width, 1), (width, 1))]
  return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                       *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


class Residual(nn.Module):
  """A block of `resnet`: relu(shortcut(x) + convolutions of x), the last of which may be wider."""

  def __init__(self, before: int, width: int, stride: int, deep: bool):
    super().__init__()
    after = 4 * width if deep else width
    sizes = ((1, 1), (3, stride), (1, 1)) if deep else ((3, stride), (3, 1))
    widths = (before, *(width,) * (len(sizes) - 1), after)
    layers = []
    for i, (kernel, step) in enumerate(sizes):
      layers += [nn.Conv2d(widths[i], widths[i + 1], kernel, step, kernel // 2, bias=False),
                 nn.BatchNorm2d(widths[i + 1]), nn.ReLU(inplace=True)]
    self.layers = nn.Sequential(*layers[:-1])
    self.shortcut = nn.Identity()
    if stride > 1 or before != after:
      self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False),
                                    nn.BatchNorm2d(after))

  def forward(self, x):
    return F.relu(self.shortcut(x) + self.layers(x))


def resnet(depth: int, classes: int = 1000) -> nn.Sequential:
  """`visionlab.models.resnet.ResNet` of depth 18 or 50."""
  deep = depth == 50
  layers, before = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
                    nn.MaxPool2d(3, 2, 1)], 64
  for stage, blocks in enumerate((3, 4, 6, 3) if deep else (2, 2, 2, 2)):
    for block in range(blocks):
      layers.append(Residual(before, 64 * 2 ** stage, 2 if stage and not block else 1, deep))
      before = 64 * 2 ** stage * (4 if deep else 1)
  return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))
