"""Makes detectors.npz: what torchvision's detector says and loses, with weights drawn from names.

    pip install torch==2.13.0 && pip install --no-deps torchvision==0.29.2
    PYTHONPATH=tests python tests/golden/make_detectors.py

One network with every head, Faster, Mask and Keypoint R-CNN at once, on ResNet-18 and narrower than
the published (tests/detectors.py says how). Losses take every anchor and every proposal, so nothing
in them is random.

`names.<model>` are the names and shapes in the published state dicts, as lines of text (without the
scalars), and `names.small` those of this one; `samples` has the first and last two numbers of each.
"""

import re
import sys
from pathlib import Path

import numpy as np
import torch
from detectors import (
  ANCHORS,
  CANONICAL_SIDE,
  CLASSES,
  DETECTIONS,
  EXTENT,
  HIDDEN,
  JOINTS,
  LAYERS,
  PRE_NMS,
  PROPOSALS,
  SIZE,
  WIDTH,
  image,
  scaled,
)
from make_models import LEAVES  # which also defines the operators that torchvision asks for
from torch import nn
from torchvision import models
from torchvision.models import detection
from torchvision.models.detection import anchor_utils, faster_rcnn, image_list
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import MultiScaleRoIAlign, boxes as box_ops, feature_pyramid_network

# Without the compiled operator the Python one is used; it would be compiled, so take what it wraps.
align = sys.modules['torchvision.ops.roi_align']
align._roi_align = align._roi_align.__wrapped__
align._has_ops = lambda: False


def nms(boxes, scores, iou_threshold):
  """Greedy, in Python."""
  kept = []
  for i in scores.argsort(descending=True).tolist():
    low = torch.maximum(boxes[i, :2], boxes[kept][:, :2])
    high = torch.minimum(boxes[i, 2:], boxes[kept][:, 2:])
    inter = (high - low).clamp(min=0).prod(1)
    areas = [(b[:, 2:] - b[:, :2]).prod(1) for b in (boxes[i:i + 1], boxes[kept])]
    if not (inter / (sum(areas) - inter) > iou_threshold).any():
      kept.append(i)
  return torch.tensor(kept, dtype=torch.int64)


box_ops.nms = nms


def our_path(name):
  """torchvision's name of a layer -> ours."""
  if name.startswith('backbone.body.'):
    name = name.removeprefix('backbone.body.')
    name = {'conv1': 'stem', 'bn1': 'stem_norm'}.get(name, name)
    name = re.sub(r'layer(\d)\.(\d)\.', r'stage\1/block\2/', name).replace('bn', 'norm')
    name = name.replace('downsample.0', 'shortcut').replace('downsample.1', 'shortcut_norm')
    return f'backbone/{name}'
  return next(ours for ours, theirs in LAYERS.items() if theirs == name)


def kernel(path, module, background):
  """Our kernel of a torch layer, in torch's order of axes."""
  shape = list(module.weight.shape)
  if isinstance(module, nn.ConvTranspose2d):
    into, out, *taps = shape
    return scaled(path, (*taps, into, out)).transpose(2, 3, 0, 1)
  out, into, *taps = shape[0] - background, *shape[1:]
  ours = scaled(path, (*taps, into, out))
  if path == 'box/fc6/kernel':  # torch flattens (c h w)
    return ours.reshape(7, 7, -1, out).transpose(3, 2, 0, 1).reshape(out, into)
  return np.moveaxis(ours, (-1, -2), (0, 1))


def fill(model):
  """Gives every layer the weights that are drawn from our name of it."""
  for name, module in model.named_modules():
    arrays = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    for leaf, value in arrays:
      path = our_path(name)
      # Rows for the background, which ours do not have and which must not matter.
      rows = {'box/deltas': 4, 'mask/logits': 1}.get(path, 0)
      if leaf == 'weight' and value.ndim > 1:
        ours = kernel(f'{path}/kernel', module, rows)
      elif leaf != 'num_batches_tracked':
        ours = scaled(f'{path}/{LEAVES.get(leaf, "scale")}', (len(value) - rows,))
      else:
        continue
      value.data[:rows] = 3.
      value.data[rows:] = torch.tensor(np.ascontiguousarray(ours))
  return model


def build():
  body = models.resnet18(weights=None)
  stages = {f'layer{i}': str(i - 1) for i in range(1, 5)}
  backbone = BackboneWithFPN(body, stages, [64, 128, 256, 512], WIDTH,
                             feature_pyramid_network.LastLevelMaxPool())

  def pool(size):
    return MultiScaleRoIAlign(list('0123'), size, 2, canonical_scale=CANONICAL_SIDE)
  model = detection.KeypointRCNN(
    backbone,
    rpn_anchor_generator=anchor_utils.AnchorGenerator(ANCHORS, ((.5, 1., 2.),) * 5),
    rpn_pre_nms_top_n_train=PRE_NMS, rpn_pre_nms_top_n_test=PRE_NMS,
    rpn_post_nms_top_n_train=PROPOSALS, rpn_post_nms_top_n_test=PROPOSALS,
    rpn_batch_size_per_image=10 ** 6, box_batch_size_per_image=10 ** 6,
    rpn_positive_fraction=1., box_positive_fraction=1.,
    box_detections_per_img=DETECTIONS, box_roi_pool=pool(7), keypoint_roi_pool=pool(14),
    box_head=faster_rcnn.TwoMLPHead(WIDTH * 49, HIDDEN),
    box_predictor=faster_rcnn.FastRCNNPredictor(HIDDEN, 1 + CLASSES),
    keypoint_head=detection.keypoint_rcnn.KeypointRCNNHeads(WIDTH, (WIDTH,) * 8),
    keypoint_predictor=detection.keypoint_rcnn.KeypointRCNNPredictor(WIDTH, JOINTS))
  heads = model.roi_heads
  heads.mask_roi_pool = pool(14)
  heads.mask_head = detection.mask_rcnn.MaskRCNNHeads(WIDTH, (WIDTH,) * 4, 1)
  heads.mask_predictor = detection.mask_rcnn.MaskRCNNPredictor(WIDTH, WIDTH, 1 + CLASSES)
  return fill(model).double().eval()


def draw_targets(proposals, rng):
  """Objects near some proposals: a part of them is matched."""
  targets = []
  for boxes, (h, w), n in zip(proposals, EXTENT, (3, 2)):
    side = (boxes[:, 2:] - boxes[:, :2]).min(1).values
    chosen = boxes[side.argsort(descending=True)[:4 * n:4]].numpy()
    chosen = chosen + rng.uniform(-3, 3, chosen.shape)
    chosen = np.clip(chosen, 0, [w, h, w, h]).round(1)
    y, x = np.mgrid[:SIZE[0], :SIZE[1]] + .5
    centre, radius = (chosen[:, 2:] + chosen[:, :2]) / 2, (chosen[:, 2:] - chosen[:, :2]) / 2
    masks = np.stack([((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1
                      for (cx, cy), (rx, ry) in zip(centre, radius)])
    # A few beyond the box's edges, and some not labelled.
    points = centre[:, None] + radius[:, None] * rng.uniform(-1.1, 1.1, (n, JOINTS, 2))
    points = np.concatenate([points, rng.integers(0, 3, (n, JOINTS, 1))], 2)
    targets.append(dict(boxes=torch.tensor(chosen), labels=torch.tensor(rng.integers(1, 4, n)),
                        masks=torch.tensor(masks, dtype=torch.uint8),
                        keypoints=torch.tensor(points, dtype=torch.float32)))
  return targets


def padded(rows, n):
  """Arrays of different lengths -> (b n ...), zeros at the end."""
  rows = [np.asarray(r) for r in rows]
  return np.stack([np.pad(r, [(0, n - len(r)), *[(0, 0)] * (r.ndim - 1)]) for r in rows])


def names(model):
  """A line for each array in the state dict: its name and its shape."""
  return '\n'.join(f'{k} {" ".join(map(str, v.shape))}' for k, v in model.state_dict().items()
                   if v.ndim)


def main():
  golden = {}
  for name in ('fasterrcnn', 'maskrcnn', 'keypointrcnn'):
    with torch.device('meta'):
      whole = getattr(detection, f'{name}_resnet50_fpn')(weights=None, weights_backbone=None)
    golden[f'names.{name}'] = names(whole)

  model = build()
  golden['names.small'] = names(model)
  ends = [torch.cat([v.flatten()[:2], v.flatten()[-2:]]) for v in model.state_dict().values()
          if v.ndim]
  golden['samples'] = torch.stack(ends).numpy()
  pixels = torch.tensor(image().transpose(0, 3, 1, 2)).double()
  images = image_list.ImageList(pixels, list(EXTENT))
  with torch.no_grad():
    maps = model.backbone(images.tensors)
    objectness, deltas = model.rpn.head(list(maps.values()))
    proposals, _ = model.rpn(images, maps)
    found, _ = model.roi_heads(maps, proposals, images.image_sizes)
    heads = model.roi_heads
    pooled = heads.keypoint_roi_pool(maps, [f['boxes'][:2] for f in found], images.image_sizes)
    heatmaps = heads.keypoint_predictor(heads.keypoint_head(pooled)).movedim(1, -1)
    targets = draw_targets(proposals, np.random.default_rng(1))
    model.rpn.train(), heads.train()
    _, losses = model.rpn(images, maps, targets)
    _, more = heads(maps, proposals, images.image_sizes,
                    [dict(t, keypoints=t['keypoints'].float()) for t in targets])
    losses |= more

  for i, m in enumerate(maps.values()):
    golden[f'map{i}'] = m.movedim(1, -1)[:, ::4, ::4, ::4].numpy()
    golden[f'map{i}.mean'] = m.mean((2, 3)).numpy()
  for i, (o, d) in enumerate(zip(objectness, deltas)):
    step = (16, 4, 1, 1, 1)[i]
    o = o.movedim(1, -1).reshape(2, -1)
    d = d.reshape(2, 3, 4, *d.shape[2:]).permute(0, 3, 4, 1, 2).reshape(2, -1, 4)
    golden[f'objectness{i}'], golden[f'deltas{i}'] = o[:, ::step].numpy(), d[:, ::step].numpy()
  golden['proposals'] = padded(proposals, PROPOSALS)
  golden['proposals_valid'] = padded([np.ones(len(p), bool) for p in proposals], PROPOSALS)
  for key in ('boxes', 'scores', 'labels', 'keypoints', 'keypoints_scores'):
    golden[f'found.{key}'] = padded([f[key] for f in found], DETECTIONS)
  golden['found.valid'] = padded([np.ones(len(f['boxes']), bool) for f in found], DETECTIONS)
  golden['found.masks'] = np.stack([f['masks'][:4, 0].numpy() for f in found])
  golden['found.heatmaps'] = heatmaps.unflatten(0, (2, 2))[:, :, 1::4, 2::4].numpy()
  for key in ('boxes', 'labels', 'keypoints'):
    golden[f'objects.{key}'] = padded([t[key] for t in targets], 3)
  golden['objects.valid'] = padded([np.ones(len(t['boxes']), bool) for t in targets], 3)
  golden['objects.masks'] = np.packbits(padded([t['masks'] for t in targets], 3), axis=-1)
  golden['extent'] = np.array(EXTENT, np.float32)
  for name, value in losses.items():
    golden[f'loss.{name}'] = value.numpy()
    print(name, float(value))
  for t, f, p in zip(targets, found, proposals):
    overlap = box_ops.box_iou(t['boxes'], p).max(0).values
    print(f'{len(p)} proposals, {(overlap >= .5).sum()} positive; {len(f["boxes"])} detections of '
          f'classes {np.bincount(f["labels"])}, scores {f["scores"].numpy().round(3).tolist()}')
  golden = {k: np.asarray(v) for k, v in golden.items()}
  golden = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in golden.items()}
  np.savez_compressed(Path(__file__).with_name('detectors.npz'), **golden)


if __name__ == '__main__':
  main()
