"""The names other libraries give to the layers of the networks that are here.

One `Family` for each network and way of writing it down. Its table maps a foreign layer's name, a
regular expression that must match it whole, to the path of our layer; a third entry is done to the
layer's arrays first, such as `flattened(c, h, w)`.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from visionlab.models import resnet, vgg

Table = tuple[tuple, ...]
Shapes = Mapping[str, tuple[int, ...]]

IMAGENET = dict(mean=(.485, .456, .406), std=(.229, .224, .225), channel_order='RGB')
HALVES = dict(mean=(.5, .5, .5), std=(.5, .5, .5), channel_order='RGB')
# Keras' "caffe" mode: 0..255, blue first, only centred.
CAFFE = dict(mean=(103.939 / 255, 116.779 / 255, 123.68 / 255), std=(1 / 255,) * 3,
             channel_order='BGR')
RESNET_DEPTHS = {stages: depth for depth, stages in resnet.STAGES.items()}


class Family(NamedTuple):
  """A network as one other library writes it down.

  Attributes:
    name: for messages.
    model: ours, by its name in `visionlab.models.MODELS`.
    claims: (foreign name -> shape) -> the model's fields, or None if this is not it.
    table: the model's fields -> names of layers.
    task: what such weights expect of their images, as options of a task.
    size: side of the images they were trained for.
    kind: the task, by its name in `visionlab.tasks.TASKS`.
    classes: our arrays by path -> names of the classes, or none.
  """
  name: str
  model: str
  claims: Callable[[Shapes], dict[str, Any] | None]
  table: Callable[[Mapping[str, Any]], Table]
  task: Mapping[str, Any]
  size: int = 224
  kind: str = 'classify'
  classes: Callable[[Mapping[str, np.ndarray]], tuple[str, ...]] = lambda _: ()


def flattened(c: int, h: int, w: int) -> Callable[[np.ndarray], np.ndarray]:
  """For layers whose input is a map flattened as (c, h, w), where ours is as (h, w, c)."""
  def reordered(array):
    if array.ndim != 2:
      return array
    return array.reshape(-1, c, h, w).transpose(0, 2, 3, 1).reshape(array.shape)
  return reordered


def _blocks(shapes: Shapes, pattern: str) -> tuple[int, ...]:
  """How many different second groups the pattern has for each of its first."""
  seen = {match.groups() for name in shapes if (match := re.match(pattern, name))}
  return tuple(Counter(stage for stage, _ in sorted(seen)).values())


def _torch_resnet(shapes):
  if shapes.get('conv1.weight', ())[1:] != (3, 7, 7) or 'layer4.0.conv1.weight' not in shapes:
    return None
  shape = _blocks(shapes, r'layer(\d)\.(\d+)\.'), 'layer1.0.conv3.weight' in shapes
  # Groups and wide bottlenecks (ResNeXt, Wide ResNet) have these names too, and other widths.
  plain = shapes['layer1.0.conv2.weight'] == (64, 64, 3, 3)
  return dict(depth=RESNET_DEPTHS[shape]) if plain and shape in RESNET_DEPTHS else None


def _torch_cifar_resnet(shapes):
  if 'linear.weight' not in shapes or 'layer3.0.conv2.weight' not in shapes:
    return None
  options = 'layer2.0.shortcut.0.weight' in shapes
  return dict(depth=6 * _blocks(shapes, r'layer(\d)\.(\d+)\.')[0] + 2,
              shortcut='B' if options else 'A')


RESIDUAL = (
  (r'conv1', 'stem'), (r'bn1', 'stem_norm'), (r'fc|linear', 'head'),
  (r'layer(\d)\.(\d+)\.conv(\d)', r'stage\1/block\2/conv\3'),
  (r'layer(\d)\.(\d+)\.bn(\d)', r'stage\1/block\2/norm\3'),
  (r'layer(\d)\.(\d+)\.(downsample|shortcut)\.0', r'stage\1/block\2/shortcut'),
  (r'layer(\d)\.(\d+)\.(downsample|shortcut)\.1', r'stage\1/block\2/shortcut_norm'),
)


def _keras_resnet(shapes):
  if 'bn_conv1/gamma' not in shapes or 'res2a_branch1/kernel' not in shapes:
    return None
  shape = _blocks(shapes, r'res(\d)([a-z]\d*)_'), True
  if shape not in RESNET_DEPTHS:
    return None
  return dict(depth=RESNET_DEPTHS[shape], stride_in='1x1', epsilon=1e-3)


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


def _torch_vgg(shapes):
  if shapes.get('features.0.weight', ())[1:] != (3, 3, 3):
    return None
  convs = sum(len(s) == 4 for n, s in shapes.items() if n.startswith('features.'))
  depths = {sum(v): depth for depth, v in vgg.STAGES.items()}
  if convs not in depths:
    return None
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
  return {} if shapes.get('features.0.weight') == (64, 3, 11, 11) else None


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

# By their numbers in the annotations, 1 to 90, of which ten are not used.
COCO = tuple("""\
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
fire hydrant, 12, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant,
bear, zebra, giraffe, 26, backpack, umbrella, 29, 30, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard,
tennis racket, bottle, 45, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich,
orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, 66,
dining table, 68, 69, toilet, 71, tv, laptop, mouse, remote, keyboard, cell phone, microwave,
oven, toaster, sink, refrigerator, 83, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush
""".replace('\n', ' ').strip().split(', '))


def _torch_rcnn(shapes):
  body = {name.removeprefix('backbone.body.'): shape for name, shape in shapes.items()}
  fc6 = shapes.get('roi_heads.box_head.fc6.weight')
  backbone = _torch_resnet(body)
  # Those of torchvision's "v2" have other heads.
  if not backbone or not fc6 or 'rpn.head.conv.1.0.weight' in shapes:
    return None
  if 'rpn.head.conv.weight' in shapes:
    # So old that BatchNorm's epsilon was 0. This is as good, and finite where a channel has died.
    backbone['epsilon'] = 1e-12
  pyramid = shapes['rpn.head.cls_logits.weight'][1]
  fields = dict(backbone=dict(name='resnet', frozen_norm=True, **backbone), pyramid=pyramid,
                hidden=(fc6[0], shapes['roi_heads.box_head.fc7.weight'][0]))
  head, up = 'roi_heads.mask_head.', shapes.get('roi_heads.mask_predictor.conv5_mask.weight')
  if up:
    fields |= dict(masks=True, mask_convs=_widths(shapes, head), mask_hidden=up[1])
  head = 'roi_heads.keypoint_head.'
  up = shapes.get('roi_heads.keypoint_predictor.kps_score_lowres.weight')
  if up:
    fields |= dict(keypoints=up[1], keypoint_convs=_widths(shapes, head))
  return fields


def _rcnn_classes(arrays):
  k = len(arrays['params/box/logits/bias']) - 1
  if k == 1 and 'params/keypoint/logits/bias' in arrays:
    return COCO[:1]
  return COCO if k == len(COCO) else tuple(map(str, range(k)))


def _widths(shapes, head):
  """Output channels of a head's convolutions, in their order."""
  convs = {int(re.search(r'\d+', name.removeprefix(head))[0]): shape[0]
           for name, shape in shapes.items() if name.startswith(head) and len(shape) == 4}
  return tuple(convs[i] for i in sorted(convs))


def _transposed(array):
  """A transposed convolution's kernel (i o h w) as a convolution's (o i h w)."""
  return array.swapaxes(0, 1) if array.ndim == 4 else array


def _rcnn_table(fields):
  body = tuple((rf'backbone\.body\.(?:{pattern})', f'backbone/{ours}')
               for pattern, ours in RESIDUAL)
  cells = (fields['pyramid'], 7, 7)
  return (
    *body,
    (r'backbone\.fpn\.inner_blocks\.(\d)(\.0)?', r'fpn/lateral\1'),
    (r'backbone\.fpn\.layer_blocks\.(\d)(\.0)?', r'fpn/output\1'),
    (r'rpn\.head\.conv(\.0\.0)?', 'rpn/conv1'),
    (r'rpn\.head\.cls_logits', 'rpn/objectness'), (r'rpn\.head\.bbox_pred', 'rpn/deltas'),
    (r'roi_heads\.box_head\.fc6', 'box/fc6', flattened(*cells)),
    (r'roi_heads\.box_head\.fc7', 'box/fc7'),
    (r'roi_heads\.box_predictor\.cls_score', 'box/logits'),
    # The background has a box and a mask of its own there, which mean nothing.
    (r'roi_heads\.box_predictor\.bbox_pred', 'box/deltas', lambda array: array[4:]),
    (r'roi_heads\.mask_head\.mask_fcn(\d)', r'mask/conv\1'),
    (r'roi_heads\.mask_head\.(\d)\.0', lambda match: f'mask/conv{int(match[1]) + 1}'),
    (r'roi_heads\.mask_predictor\.conv5_mask', 'mask/up', _transposed),
    (r'roi_heads\.mask_predictor\.mask_fcn_logits', 'mask/logits', lambda array: array[1:]),
    (r'roi_heads\.keypoint_head\.(\d+)',        # every other layer is a ReLU
     lambda match: f'keypoint/conv{int(match[1]) // 2 + 1}'),
    (r'roi_heads\.keypoint_predictor\.kps_score_lowres', 'keypoint/logits', _transposed),
  )


FAMILIES = (
  Family('torchvision/timm ResNet', 'resnet', _torch_resnet, lambda _: RESIDUAL, IMAGENET),
  Family('torch ResNet for CIFAR', 'cifar_resnet', _torch_cifar_resnet, lambda _: RESIDUAL,
         IMAGENET, size=32),
  Family('Keras ResNet', 'resnet', _keras_resnet, lambda _: KERAS_RESIDUAL, CAFFE),
  Family('torchvision/timm VGG', 'vgg', _torch_vgg, _vgg_table, IMAGENET),
  Family('torchvision AlexNet', 'alexnet', _torch_alexnet, lambda _: ALEXNET, IMAGENET),
  # torchvision's GoogLeNet undoes ImageNet's normalisation inside the network for these.
  Family('torchvision GoogLeNet', 'googlenet', _torch_googlenet, lambda _: GOOGLENET, HALVES),
  # Trained with a shorter side of 800: what a photograph has that fits in this.
  Family('torchvision Faster, Mask, Keypoint R-CNN', 'detector', _torch_rcnn, _rcnn_table, IMAGENET,
         size=1088, kind='detect', classes=_rcnn_classes),
)


def recognise(shapes: Shapes) -> tuple[Family, dict[str, Any]] | None:
  """The family that foreign names and shapes are of, and the model's fields."""
  for family in FAMILIES:
    fields = family.claims(shapes)
    if fields is not None:
      return family, fields
  return None
