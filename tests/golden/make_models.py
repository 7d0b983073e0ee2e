"""Makes models.npz: logits of torch's networks with weights drawn from our parameters' names.

    pip install torch==2.13.0 && pip install --no-deps torchvision==0.29.2
    PYTHONPATH=tests python tests/golden/make_models.py

AlexNet, VGG, GoogLeNet and ResNet are torchvision's, with fewer hidden units and classes. Those it
does not have are written here from torch's layers.
"""

import re
from pathlib import Path

import numpy as np
import torch
from drawn import drawn, drawn_image
from torch import nn

# torchvision's Python side asks for two operators of its compiled side, which this does not use.
operators = torch.library.Library('torchvision', 'DEF')
operators.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
operators.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
from torchvision import models  # noqa: E402
from torchvision.models.googlenet import GoogLeNet, Inception, InceptionAux  # noqa: E402

CLASSES, HIDDEN, SIDE = 5, 32, 64
LOUD = ('alexnet_2012', 'zfnet', 'googlenet_2014')  # what they normalise must not be small
CONVOLUTIONS = [f'conv{i}' for i in range(1, 6)]
CLASSIFIER = ['fc6', 'fc7', 'head']
LEAVES = dict(running_mean='mean', running_var='var', bias='bias')


def fill(module, path, side):
  """Gives one torch layer the weights of our `path`; `side` is of the map it flattens, or 0."""
  for name, value in [*module.named_parameters(), *module.named_buffers()]:
    if name == 'num_batches_tracked':
      continue
    if name != 'weight' or value.ndim == 1:
      ours = drawn(f'{path}/{LEAVES.get(name, "scale")}', tuple(value.shape))
    elif value.ndim == 4:
      out, into, *taps = value.shape
      ours = drawn(f'{path}/kernel', (*taps, into, out)).transpose(3, 2, 0, 1)
    else:
      out, into = value.shape
      ours = drawn(f'{path}/kernel', (into, out))
      if side:  # torch flattens (c h w)
        ours = ours.reshape(side, side, -1, out).transpose(2, 0, 1, 3).reshape(into, out)
      ours = ours.T
    value.data.copy_(torch.tensor(np.ascontiguousarray(ours)))


def fill_all(model, rename, side=0, flattening=()):
  """Fills every layer with parameters; `rename` turns torch's name of it into our path."""
  for name, module in model.named_modules():
    if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
      path = rename(name)
      fill(module, path, side if path in flattening else 0)
  return model


def in_order(model, names, side):
  """Fills the layers of a model that runs one after the other."""
  layers = [name for name, module in model.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
  assert len(layers) == len(names), (layers, names)
  return fill_all(model, dict(zip(layers, names)).__getitem__, side, ('fc6',))


def classifier(inputs):
  return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
                       nn.Linear(HIDDEN, CLASSES))


def alexnet():
  model = models.alexnet()
  model.classifier = classifier(256 * 36)
  return in_order(model, CONVOLUTIONS + CLASSIFIER, 6)


def alexnet_2012():
  def norm():
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=.75, k=2.)
  return in_order(nn.Sequential(
    nn.Conv2d(3, 96, 11, 4, 2), nn.ReLU(), norm(), nn.MaxPool2d(3, 2),
    nn.Conv2d(96, 256, 5, 1, 2, groups=2), nn.ReLU(), norm(), nn.MaxPool2d(3, 2),
    nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU(),
    nn.Conv2d(384, 384, 3, 1, 1, groups=2), nn.ReLU(),
    nn.Conv2d(384, 256, 3, 1, 1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2),
    nn.AdaptiveAvgPool2d(6), nn.Flatten(), *classifier(256 * 36)), CONVOLUTIONS + CLASSIFIER, 6)


def zfnet():
  def norm():
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=.75, k=2.)
  return in_order(nn.Sequential(
    nn.Conv2d(3, 96, 7, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), norm(),
    nn.Conv2d(96, 256, 5, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), norm(),
    nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 384, 3, 1, 1), nn.ReLU(),
    nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
    nn.AdaptiveAvgPool2d(6), nn.Flatten(), *classifier(256 * 36)), CONVOLUTIONS + CLASSIFIER, 6)


def vgg(make, stages, norm):
  model = make()
  model.classifier = classifier(512 * 49)
  kinds = ('conv', 'norm') if norm else ('conv',)
  names = [f'{kind}{i}_{j}' for i, n in enumerate(stages, 1) for j in range(1, n + 1)
           for kind in kinds]
  return in_order(model, names + CLASSIFIER, 7)


def googlenet_name(name):
  name = re.sub(r'(branch[23])\.0\.', r'\1_reduce.', name)
  name = re.sub(r'(branch[234])\.1\.', r'\1.', name)
  for pattern, ours in (('.bn', '.norm'), ('.fc1', '.fc'), ('.fc2', '.head')):
    name = name.replace(pattern, ours)
  return 'head' if name == 'fc' else name.replace('.', '/')


def googlenet():
  model = GoogLeNet(CLASSES, init_weights=False, dropout=0., dropout_aux=0.)
  return fill_all(model, googlenet_name, 4, ('aux1/fc', 'aux2/fc'))


class PlainConv(nn.Module):
  """A convolution with biases, in place of torchvision's with BatchNorm."""

  def __init__(self, inputs, out, **geometry):
    super().__init__()
    self.conv = nn.Conv2d(inputs, out, **geometry)

  def forward(self, x):
    return torch.relu(self.conv(x))


class PaperInception(Inception):
  def __init__(self, inputs, *widths):
    super().__init__(inputs, *widths, conv_block=PlainConv)
    self.branch3[1] = PlainConv(widths[3], widths[4], kernel_size=5, padding=2)


class PaperAuxiliary(InceptionAux):
  def __init__(self, inputs, classes, dropout):
    super().__init__(inputs, classes, PlainConv, dropout)


def googlenet_2014():
  model = GoogLeNet(CLASSES, init_weights=False, dropout=0., dropout_aux=0.,
                           blocks=[PlainConv, PaperInception, PaperAuxiliary])
  model.maxpool1 = nn.Sequential(model.maxpool1, nn.LocalResponseNorm(5, 1e-4, .75, 1.))
  model.maxpool2 = nn.Sequential(nn.LocalResponseNorm(5, 1e-4, .75, 1.), model.maxpool2)
  model.maxpool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
  return fill_all(model, googlenet_name, 4, ('aux1/fc', 'aux2/fc'))


def resnet_name(name):
  name = {'conv1': 'stem', 'bn1': 'stem_norm', 'fc': 'head'}.get(name, name)
  name = re.sub(r'layer(\d)\.(\d+)\.', r'stage\1/block\2/', name).replace('bn', 'norm')
  return name.replace('downsample.0', 'shortcut').replace('downsample.1', 'shortcut_norm')


def resnet50(first=False):
  model = models.resnet50(num_classes=CLASSES)
  for block in model.modules():
    if first and isinstance(block, models.resnet.Bottleneck):
      block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
  return fill_all(model, resnet_name)


class Plain(nn.Module):
  """He et al. 2015, section 4.2: the plain network of 20 layers."""

  def __init__(self):
    super().__init__()
    widths = [16] * 7 + [32] * 6 + [64] * 6
    layers = []
    for i, (inputs, out) in enumerate(zip([3, *widths], widths)):
      layers += [nn.Conv2d(inputs, out, 3, 2 if i in (7, 13) else 1, 1, bias=False),
                 nn.BatchNorm2d(out), nn.ReLU()]
    self.layers, self.head = nn.Sequential(*layers), nn.Linear(64, CLASSES)

  def forward(self, x):
    return self.head(self.layers(x).mean((2, 3)))


def plain20():
  names = ['stem', 'stem_norm']
  names += [f'stage{i}/block{j}/{kind}{k}' for i in (1, 2, 3) for j in range(3) for k in (1, 2)
            for kind in ('conv', 'norm')]
  return in_order(Plain(), [*names, 'head'], 0)


def main():
  x = torch.tensor(drawn_image(2, SIDE, SIDE, 3).transpose(0, 3, 1, 2)).double()
  cases = dict(
    alexnet=alexnet(), alexnet_2012=alexnet_2012(), zfnet=zfnet(),
    vgg11=vgg(models.vgg11, (1, 1, 2, 2, 2), False),
    vgg16_norm=vgg(models.vgg16_bn, (2, 2, 3, 3, 3), True),
    googlenet=googlenet(), googlenet_2014=googlenet_2014(),
    resnet50=resnet50(), resnet50_1x1=resnet50(first=True), plain20=plain20())
  logits = {}
  with torch.no_grad():
    for name, model in cases.items():
      loud = 100 if name in LOUD else 1
      logits[name] = model.double().eval()(loud * x).numpy()
      print(name, logits[name].round(3).tolist())
      if not name.startswith('googlenet'):
        continue
      outputs = model.train()(loud * x)
      logits |= {f'{name}/logits': outputs.logits.numpy(),
                 f'{name}/aux1': outputs.aux_logits1.numpy(),
                 f'{name}/aux2': outputs.aux_logits2.numpy()}
  np.savez_compressed(Path(__file__).with_name('models.npz'), **logits)


if __name__ == '__main__':
  main()
