"""The names torchvision gives to the layers of its detectors (see `families`)."""

import re
from collections.abc import Mapping
from typing import Any

from visionlab.weights.resnets import RESIDUAL, Claim, Shapes, torch_resnet
from visionlab.weights.translate import flattened

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


def torch_rcnn(shapes: Shapes) -> Claim:
  """Faster, Mask and Keypoint R-CNN with a feature pyramid."""
  body = {name.removeprefix('backbone.body.'): shape for name, shape in shapes.items()}
  fc6 = shapes.get('roi_heads.box_head.fc6.weight')
  backbone = torch_resnet(body)
  # Those of torchvision's "v2" have other heads.
  if not isinstance(backbone, dict) or not fc6 or 'rpn.head.conv.1.0.weight' in shapes:
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


def _widths(shapes, head):
  """Output channels of a head's convolutions, in their order."""
  convs = {int(re.search(r'\d+', name.removeprefix(head))[0]): shape[0]
           for name, shape in shapes.items() if name.startswith(head) and len(shape) == 4}
  return tuple(convs[i] for i in sorted(convs))


def _transposed(array):
  """A transposed convolution's kernel (i o h w) as a convolution's (o i h w)."""
  return array.swapaxes(0, 1) if array.ndim == 4 else array


def rcnn_table(fields: Mapping[str, Any]) -> tuple[tuple, ...]:
  """The table of a detector with these fields."""
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
