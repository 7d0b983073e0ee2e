"""The small detector with every head that is compared with torchvision's.

golden/make_detectors.py makes the other side. Two images on one canvas, the second of them smaller,
and weights drawn from names.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from drawn import drawn, drawn_image

from visionlab.models.detector import Detector
from visionlab.models.resnet import ResNet

CLASSES, JOINTS, WIDTH, HIDDEN = 3, 5, 32, 64
SIZE, EXTENT = (128, 192), ((128, 192), (100, 150))
ANCHORS = ((16,), (32,), (64,), (96,), (128,))
PRE_NMS, PROPOSALS, DETECTIONS = 30, 100, 30
CANONICAL_SIDE = 32

# Weights drawn as they are would saturate scores, throw boxes out of the image, or say nothing.
SCALES = {'fpn/lateral': .02, 'rpn/deltas': .3, 'box/deltas': .5, 'keypoint/logits': 5}

LAYERS = {  # ours, beyond the backbone: torchvision's
  'rpn/conv1': 'rpn.head.conv.0.0', 'rpn/objectness': 'rpn.head.cls_logits',
  'rpn/deltas': 'rpn.head.bbox_pred', 'box/fc6': 'roi_heads.box_head.fc6',
  'box/fc7': 'roi_heads.box_head.fc7', 'box/logits': 'roi_heads.box_predictor.cls_score',
  'box/deltas': 'roi_heads.box_predictor.bbox_pred',
  'mask/up': 'roi_heads.mask_predictor.conv5_mask',
  'mask/logits': 'roi_heads.mask_predictor.mask_fcn_logits',
  'keypoint/logits': 'roi_heads.keypoint_predictor.kps_score_lowres',
  **{f'mask/conv{i + 1}': f'roi_heads.mask_head.{i}.0' for i in range(4)},
  **{f'keypoint/conv{i + 1}': f'roi_heads.keypoint_head.{2 * i}' for i in range(8)},
  **{f'fpn/lateral{i}': f'backbone.fpn.inner_blocks.{i}.0' for i in range(4)},
  **{f'fpn/output{i}': f'backbone.fpn.layer_blocks.{i}.0' for i in range(4)},
}


def scaled(path: str, shape: tuple[int, ...]) -> np.ndarray:
  """`drawn`, times the scale of the layer that the path is of."""
  return drawn(path, shape) * np.float32(
    next((scale for start, scale in SCALES.items() if path.startswith(start)), 1))


def golden() -> dict[str, np.ndarray]:
  return dict(np.load(Path(__file__).parent / 'golden' / 'detectors.npz'))


def image() -> np.ndarray:
  """(2 h w 3), as the network sees it; zero beyond each picture's extent."""
  x = drawn_image(2, *SIZE, 3)
  for picture, (h, w) in zip(x, EXTENT, strict=True):
    picture[h:], picture[:, w:] = 0, 0
  return x


def objects(golden) -> dict[str, np.ndarray]:
  """What the fixture's losses are of, as a batch has it; masks are bitmaps of the canvas."""
  names = ('boxes', 'keypoints', 'valid')
  return dict({k: golden[f'objects.{k}'] for k in names},
              classes=np.maximum(golden['objects.labels'] - 1, 0).astype(np.int32),
              masks=np.unpackbits(golden['objects.masks'], axis=-1).astype(bool))


def detector(**changes) -> Detector:
  fields = dict(
    classes=CLASSES, backbone=ResNet(1, depth=18), pyramid=WIDTH, anchor_sizes=ANCHORS,
    canonical_side=CANONICAL_SIDE, hidden=(HIDDEN, HIDDEN), masks=True, mask_convs=(WIDTH,) * 4,
    mask_hidden=WIDTH, keypoints=JOINTS, keypoint_convs=(WIDTH,) * 8)
  return Detector(**{**fields, **changes})


def variables(model: Detector):
  shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 64, 64, 3)))
  return jax.tree.map_with_path(
    lambda path, leaf: scaled('/'.join(p.key for p in path[1:]), leaf.shape), shapes)
