"""The names other libraries give to the layers of the networks that are here.

One `Family` for each network and way of writing it down. Its table maps a foreign layer's name, a
regular expression that must match it whole, to the path of our layer; a third entry is done to the
layer's arrays first, such as `flattened(c, h, w)`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from visionlab.data.images.imagenet import synsets
from visionlab.data.sources.cifar import CIFAR10
from visionlab.models import vgg
from visionlab.weights.rcnn import COCO, rcnn_table, torch_rcnn
from visionlab.weights.resnets import (
  KERAS_RESIDUAL,
  RESIDUAL,
  Claim,
  Shapes,
  is_not,
  keras_resnet,
  torch_cifar_resnet,
  torch_resnet,
)
from visionlab.weights.translate import Table, flattened
from visionlab.weights.vits import (
  TIMM,
  TORCHVISION,
  apart,
  image_side,
  timm_vit,
  torchvision_vit,
)

IMAGENET = dict(mean=(.485, .456, .406), std=(.229, .224, .225), channel_order='RGB')
HALVES = dict(mean=(.5, .5, .5), std=(.5, .5, .5), channel_order='RGB')
# Keras' "caffe" mode: 0..255, blue first, only centred.
CAFFE = dict(mean=(103.939 / 255, 116.779 / 255, 123.68 / 255), std=(1 / 255,) * 3,
             channel_order='BGR')


class Family(NamedTuple):
  """A network as one other library writes it down.

  Attributes:
    name: for messages.
    model: ours, by its name in `visionlab.models.MODELS`.
    claims: (foreign name -> shape) -> the model's fields; None if this is not it; or, if it has
      the names but not the shapes, what differs.
    table: the model's fields -> names of layers.
    task: what such weights expect of their images, as options of a task.
    stem: our path of the first layer.
    size: side of the images they were trained for, or our arrays by path -> it.
    kind: the task, by its name in `visionlab.tasks.TASKS`.
    classes: our arrays by path -> names of the classes.
    apart: what is done to the foreign arrays first, where one of theirs is several of ours.
    remark: what is to be said of `task`, unless it is noted beside the weights.
  """
  name: str
  model: str
  claims: Callable[[Shapes], Claim]
  table: Callable[[Mapping[str, Any]], Table]
  task: Mapping[str, Any]
  stem: str = 'stem'
  size: int | Callable[[Mapping[str, np.ndarray]], int] = 224
  kind: str = 'classify'
  classes: Callable[[Mapping[str, np.ndarray]], tuple[str, ...]] = lambda arrays: _names(arrays)
  apart: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] = dict
  remark: str = ''


def _names(arrays, *known):
  """Of as many classes as the head has: those of `known` or ImageNet, or numbers."""
  k = len(arrays.get('params/head/bias', ()))
  return next((names for names in (*known, tuple(synsets().values())) if len(names) == k),
              tuple(map(str, range(k))))


def _rcnn_classes(arrays):
  k = len(arrays['params/box/logits/bias']) - 1
  if k == 1 and 'params/keypoint/logits/bias' in arrays:
    return COCO[:1]
  return COCO if k == len(COCO) else tuple(map(str, range(k)))


def _torch_vgg(shapes):
  stem = shapes.get('features.0.weight', ())
  if stem[2:] != (3, 3):
    return None
  if stem[0] != 64:
    return is_not('features.0.weight', stem, '(64, c, 3, 3)')
  convs = sum(len(s) == 4 for n, s in shapes.items() if n.startswith('features.'))
  depths = {sum(v): depth for depth, v in vgg.STAGES.items()}
  if convs not in depths:
    return f'it has {convs} convolutions'
  return dict(depth=depths[convs], norm=any(n.endswith('running_mean') for n in shapes))


def _vgg_table(fields):
  rows, i = [], 0
  for stage, convs in enumerate(vgg.STAGES[fields['depth']], 1):
    for j in range(1, convs + 1):
      rows.append((rf'features\.{i}', f'conv{stage}_{j}'))
      if fields['norm']:
        rows.append((rf'features\.{i + 1}', f'norm{stage}_{j}'))
      i += 3 if fields['norm'] else 2       # convolution, BatchNorm, ReLU
    i += 1                                  # the pooling
  return (*rows, (r'classifier\.0', 'fc6', flattened(512, 7, 7)), (r'classifier\.3', 'fc7'),
          (r'classifier\.6', 'head'), (r'pre_logits\.fc1', 'fc6'), (r'pre_logits\.fc2', 'fc7'),
          (r'head\.fc', 'head'))


def _torch_alexnet(shapes):
  stem = shapes.get('features.0.weight', ())
  if stem[2:] != (11, 11):
    return None
  return {} if stem[0] == 64 else is_not('features.0.weight', stem, '(64, c, 11, 11)')


ALEXNET = (
  *((rf'features\.{i}', f'conv{n}') for n, i in enumerate((0, 3, 6, 8, 10), 1)),
  (r'classifier\.1', 'fc6', flattened(256, 6, 6)), (r'classifier\.4', 'fc7'),
  (r'classifier\.6', 'head'),
)


def _torch_googlenet(shapes):
  if 'inception3a.branch1.conv.weight' not in shapes:
    return None
  return dict(aux='aux1.fc1.weight' in shapes)


GOOGLENET = (
  (r'conv([123])\.conv', r'conv\1/conv'), (r'conv([123])\.bn', r'conv\1/norm'),
  (r'(inception\d[a-e])\.branch1\.conv', r'\1/branch1/conv'),
  (r'(inception\d[a-e])\.branch1\.bn', r'\1/branch1/norm'),
  (r'(inception\d[a-e])\.branch([23])\.0\.conv', r'\1/branch\2_reduce/conv'),
  (r'(inception\d[a-e])\.branch([23])\.0\.bn', r'\1/branch\2_reduce/norm'),
  (r'(inception\d[a-e])\.branch([23])\.1\.conv', r'\1/branch\2/conv'),
  (r'(inception\d[a-e])\.branch([23])\.1\.bn', r'\1/branch\2/norm'),
  (r'(inception\d[a-e])\.branch4\.1\.conv', r'\1/branch4/conv'),
  (r'(inception\d[a-e])\.branch4\.1\.bn', r'\1/branch4/norm'),
  (r'aux([12])\.conv\.conv', r'aux\1/conv/conv'), (r'aux([12])\.conv\.bn', r'aux\1/conv/norm'),
  (r'aux([12])\.fc1', r'aux\1/fc', flattened(128, 4, 4)), (r'aux([12])\.fc2', r'aux\1/head'),
  (r'fc', 'head'),
)

FAMILIES = (
  Family('torchvision/timm ResNet', 'resnet', torch_resnet, lambda _: RESIDUAL, IMAGENET),
  Family('torch ResNet for CIFAR', 'cifar_resnet', torch_cifar_resnet, lambda _: RESIDUAL,
         IMAGENET, size=32, classes=lambda arrays: _names(arrays, CIFAR10)),
  Family('Keras ResNet', 'resnet', keras_resnet, lambda _: KERAS_RESIDUAL, CAFFE),
  Family('torchvision/timm VGG', 'vgg', _torch_vgg, _vgg_table, IMAGENET, 'conv1_1'),
  Family('torchvision AlexNet', 'alexnet', _torch_alexnet, lambda _: ALEXNET, IMAGENET, 'conv1'),
  # torchvision's GoogLeNet undoes ImageNet's normalisation inside the network for these.
  Family('torchvision GoogLeNet', 'googlenet', _torch_googlenet, lambda _: GOOGLENET, HALVES,
         'conv1/conv'),
  Family('timm ViT', 'vit', timm_vit, lambda _: TIMM, HALVES, 'embed', image_side, apart=apart,
         remark='images get a mean and std of .5, as for most of timm\'s; those of DeiT and MAE '
                'expect ImageNet\'s, as timm\'s config.json beside the weights says, or config.'
                'task.mean=("own", .485, .456, .406) and std=("own", .229, .224, .225)'),
  Family('torchvision ViT', 'vit', torchvision_vit, lambda _: TORCHVISION, IMAGENET, 'embed',
         image_side, apart=apart),
  # Trained with a shorter side of 800: what a photograph has that fits in this.
  Family('torchvision Faster, Mask, Keypoint R-CNN', 'detector', torch_rcnn, rcnn_table, IMAGENET,
         'backbone/stem', size=1088, kind='detect', classes=_rcnn_classes),
)


def recognise(shapes: Shapes) -> tuple[Family, dict[str, Any]] | None:
  """The family that foreign names and shapes are of, and the model's fields."""
  for family in FAMILIES:
    fields = family.claims(shapes)
    if isinstance(fields, dict):
      return family, fields
  return None


def near_misses(shapes: Shapes) -> list[str]:
  """Of families that have these names but other shapes: 'family: what differs'."""
  claims = [(family.name, family.claims(shapes)) for family in FAMILIES]
  return [f'{name}: {claim}' for name, claim in claims if isinstance(claim, str)]
