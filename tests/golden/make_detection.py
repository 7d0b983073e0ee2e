"""Makes detection.npz: what torchvision's detection operators give for random boxes and features.

    pip install torch==2.13.0 && pip install --no-deps torchvision==0.29.2
    python tests/golden/make_detection.py

Names are `<operator>.<array>`; images and maps are stored as NHWC. torchvision's compiled side is
not needed: RoIAlign is its Python implementation. NMS and RoIPool have none and are not here.
"""

import sys
from pathlib import Path

import numpy as np
import torch

# torchvision's Python side asks for two operators of its compiled side, which this does not use.
operators = torch.library.Library('torchvision', 'DEF')
operators.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
operators.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
from torchvision import ops  # noqa: E402
from torchvision.models.detection import _utils, anchor_utils, image_list, roi_heads  # noqa: E402
from torchvision.ops import poolers  # noqa: E402

# Without the compiled operator the Python one is used; it would be compiled, so take what it wraps.
align = sys.modules['torchvision.ops.roi_align']
align._roi_align = align._roi_align.__wrapped__
align._has_ops = lambda: False

rng = np.random.default_rng(0)
golden = {}


def put(name, **arrays):
  for key, value in arrays.items():
    value = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    golden[f'{name}.{key}'] = value.astype(np.float32) if value.dtype == np.float64 else value


def boxes(n, size, least=1.):
  """Random boxes (n 4) in a square of `size` pixels, sides log-uniform from `least`."""
  side = least * (.9 * size / least) ** rng.random((n, 2))
  low = rng.random((n, 2)) * (size - side)
  return torch.tensor(np.concatenate([low, low + side], 1), dtype=torch.float32)


def maps(*shape):
  return torch.tensor(rng.standard_normal(shape), dtype=torch.float32)


def nhwc(x):
  return x.movedim(1, -1)


a, b = boxes(12, 60), boxes(9, 60)
put('boxes', a=a, b=b, iou=ops.box_iou(a, b),
    large=ops.remove_small_boxes(a, 8.), clipped=ops.clip_boxes_to_image(a * 2 - 30, (40, 50)))

weights = (10., 10., 5., 5.)
coder = _utils.BoxCoder(weights)
deltas = maps(12, 3, 4) * 4
put('coder', anchors=a, targets=a.flip(0), deltas=deltas,
    encoded=coder.encode_single(a.flip(0), a),
    decoded=coder.decode(deltas.flatten(1) * 10, [a]))

generator = anchor_utils.AnchorGenerator(((8, 12), (32, 47)), ((.5, 1., 2.),) * 2)
features = [torch.zeros(1, 1, 4, 6), torch.zeros(1, 1, 2, 3)]
images = image_list.ImageList(torch.zeros(1, 3, 32, 48), [(32, 48)])
put('anchors', all=generator(images, features)[0])

objects, candidates = boxes(6, 40, 8.), boxes(80, 40, 8.)
candidates[40:50] = candidates[30:40]  # so that some tie
quality = ops.box_iou(objects, candidates)
for name, low_quality in (('match', False), ('match_low', True)):
  put(name, quality=quality, index=_utils.Matcher(.6, .3, low_quality)(quality))

level_boxes = boxes(40, 2000, 60.)
put('levels', boxes=level_boxes, index=poolers.LevelMapper(2, 5)([level_boxes]))

features = maps(1, 3, 12, 16).requires_grad_()
rois = boxes(10, 48.)
rois[:, [0, 2]] *= 4 / 3  # 48 x 64 pixels, stride 4
index = torch.zeros(len(rois), 1)
cotangent = maps(len(rois), 3, 3, 4)
put('align', features=nhwc(features), boxes=rois, cotangent=nhwc(cotangent))
for name, aligned, samples in (('aligned', True, 2), ('legacy', False, 2), ('three', True, 3)):
  pooled = ops.roi_align(features, torch.cat([index, rois], 1), (3, 4), .25, samples, aligned)
  gradient, = torch.autograd.grad(pooled, features, cotangent)
  put(f'align_{name}', pooled=nhwc(pooled), gradient=nhwc(gradient))

pyramid = {'0': maps(1, 2, 16, 16), '1': maps(1, 2, 8, 8), '2': maps(1, 2, 4, 4)}
pooler = ops.MultiScaleRoIAlign(list(pyramid), 3, 2, canonical_scale=16, canonical_level=3)
rois = boxes(16, 64, 4.)
pooled = pooler(pyramid, [rois], [(64, 64)])
put('pyramid', boxes=rois, pooled=nhwc(pooled),
    **{f'level{k}': nhwc(v) for k, v in pyramid.items()})

rois = boxes(8, 40, 4.)
y, x = np.mgrid[:40, :40] + .5
bitmaps = torch.tensor(np.stack([(x - u) ** 2 + (y - v) ** 2 < r ** 2
                                 for u, v, r in rng.uniform(8, 30, (8, 3))]))
put('masks', boxes=rois, bitmaps=bitmaps, targets=roi_heads.project_masks_on_boxes(
  bitmaps.float(), rois, torch.arange(8.), 7))
probabilities = torch.sigmoid(maps(8, 1, 7, 7))
put('paste', masks=probabilities[:, 0], boxes=rois - 4)

points = torch.tensor(rng.uniform(-4, 44, (8, 5, 3)), dtype=torch.float32)
points[..., 2] = torch.tensor(rng.integers(0, 3, (8, 5)))
points[:, 0, :2], points[:, 1, 0], points[:, 1, 1] = rois[:, 2:], rois[:, 2], rois[:, 3] - 1
cells, usable = roi_heads.keypoints_to_heatmap(points, rois, 14)
put('keypoints', points=points, boxes=rois, index=cells, weight=usable)

y, x = torch.meshgrid(torch.arange(14.), torch.arange(14.), indexing='ij')
at = torch.tensor(rng.uniform(0, 13, (8, 5, 2)), dtype=torch.float32)[..., None, None]
peaks = 8 * torch.exp(-((x - at[:, :, 0]) ** 2 + (y - at[:, :, 1]) ** 2) / 4)
heatmaps = (peaks + .1 * maps(8, 5, 14, 14)).half().float()
points, scores = roi_heads.heatmaps_to_keypoints(heatmaps, rois * 4)
put('heatmaps', heatmaps=nhwc(heatmaps).half(), boxes=rois * 4, points=points[..., :2],
    scores=scores)

np.savez_compressed(Path(__file__).parent / 'detection.npz', **golden)
