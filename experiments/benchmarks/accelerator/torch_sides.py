"""The peers' side, in PyTorch and torchvision; imports no JAX."""

import importlib.util
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from experiments.benchmarks.accelerator.side import Side, need


def resnet(part: str, *, batch: int, depth: int = 50, side: int = 224, classes: int = 1000,
           compiled: bool = False) -> Side:
  """torchvision's network, or where that is not installed the same layers; bfloat16 by autocast,
  channels_last, cuDNN's fastest algorithms."""
  torch = prepared()
  if importlib.util.find_spec('torchvision'):
    network = getattr(need('torchvision').models, f'resnet{depth}')(num_classes=classes)
  else:
    network = need('experiments.benchmarks.torch_models').resnet(depth, classes)
  x = torch.rand(batch, 3, side, side, device=device(torch))
  y = torch.randint(0, classes, (batch,), device=x.device)
  return network_side(torch, part, network, x, y, compiled)


def cifar(*, batch: int = 128, side: int = 32, mode: str = '') -> Side:
  """A training step of ResNet-20. mode: of torch.compile, '' for eager."""
  torch = prepared()
  network = need('experiments.benchmarks.torch_models').resnet20()
  x = torch.rand(batch, 3, side, side, device=device(torch))
  y = torch.randint(0, 10, (batch,), device=x.device)
  return network_side(torch, 'training', network, x, y, mode)


def network_side(torch, part, network, x, y, compiled: bool | str) -> Side:
  x = x.contiguous(memory_format=torch.channels_last)
  network = network.to(x.device, memory_format=torch.channels_last)
  call = (torch.compile(network, mode=compiled if isinstance(compiled, str) else None)
          if compiled else network)
  if part == 'inference':
    network.eval()

    def step():
      with torch.no_grad(), autocast(torch):
        call(x)
  else:
    step = update(torch, network, lambda: torch.nn.functional.cross_entropy(call(x), y))
  return sided(torch, step)


def detector(part: str, *, batch: int, masks: bool = False, size: Sequence[int] = (800, 1088),
             small: bool = False, classes: int = 91, objects: int = 10) -> Side:
  """torchvision's Faster or Mask R-CNN with a ResNet-50 and a pyramid, by the published recipe:
  BatchNorms and the first layers frozen. small: few proposals, for a trial."""
  torch, vision = prepared(), need('torchvision')
  backbone = vision.models.detection.backbone_utils.resnet_fpn_backbone(
      backbone_name='resnet50', weights=None, trainable_layers=3,
      norm_layer=vision.ops.misc.FrozenBatchNorm2d)
  kind = vision.models.detection.MaskRCNN if masks else vision.models.detection.FasterRCNN
  few = dict(rpn_pre_nms_top_n_train=50, rpn_post_nms_top_n_train=20, rpn_pre_nms_top_n_test=50,
             rpn_post_nms_top_n_test=20, min_size=min(size), max_size=max(size))
  network = kind(backbone, classes, **few if small else {}).to(device(torch))
  images, targets = detection_batch(torch, batch, size, classes, objects)
  if part == 'inference':
    network.eval()

    def step():
      with torch.no_grad(), autocast(torch):
        network(images)
  else:
    step = update(torch, network, lambda: sum(network(images, targets).values()), lr=1e-5)
  return sided(torch, step)


def detection_batch(torch, n: int, size, classes: int, objects: int):
  """n images, and as many targets with `objects` each."""
  where = device(torch)
  height, width = size
  sides = torch.tensor([width, height], device=where)

  def target():
    side = (.03 + .37 * torch.rand(objects, 2, device=where)) * height
    corner = torch.rand(objects, 2, device=where) * (sides - side)
    return dict(boxes=torch.cat([corner, corner + side], 1),
                labels=torch.randint(1, classes, (objects,), device=where),
                masks=(torch.rand(objects, height, width, device=where) > .5).to(torch.uint8))
  return ([torch.rand(3, height, width, device=where) for _ in range(n)],
          [target() for _ in range(n)])


def suppression(*, boxes: int, size=(800, 1088), threshold: float = .7) -> Side:
  """The same boxes as ours: ten near each of boxes/10 places."""
  torch, nms = prepared(), need('torchvision').ops.nms
  where = device(torch)
  side = (.03 + .37 * torch.rand(-(-boxes // 10), 2, device=where)) * size[0]
  corner = torch.rand(len(side), 2, device=where) * (
      torch.tensor(size[::-1], device=where) - side)
  corner, side = (a.repeat_interleave(10, 0)[:boxes] for a in (corner, side))
  corner = corner + .1 * torch.randn_like(side) * side
  places, scores = torch.cat([corner, corner + side], 1), torch.rand(boxes, device=where)
  return sided(torch, lambda: nms(places, scores, threshold))


def roi_align(part: str, *, boxes: int = 512, images: int = 8, cells=(100, 136),
              channels: int = 256) -> Side:
  torch, align = prepared(), need('torchvision').ops.roi_align
  where, (height, width), stride = device(torch), cells, 8
  maps = torch.randn(images, channels, height, width, device=where)
  side = (.03 + .37 * torch.rand(images * boxes, 2, device=where)) * stride * height
  corner = torch.rand(images * boxes, 2, device=where) * (
      torch.tensor([stride * width, stride * height], device=where) - side)
  image = torch.arange(images, device=where).repeat_interleave(boxes)[:, None]
  places = torch.cat([image, corner, corner + side], 1)
  pooled = partial(align, output_size=7, spatial_scale=1 / stride, sampling_ratio=2)
  if part == 'forward':
    return sided(torch, lambda: pooled(maps, places))
  maps.requires_grad_()
  return sided(torch, lambda: torch.autograd.grad(pooled(maps, places).sum(), maps))


def beam_search(*, words: int, captions: int, width: int) -> Side:
  torch = prepared()
  from experiments.benchmarks import torch_decoding  # noqa: PLC0415 - it imports torch
  search = torch_decoding.torch_search(torch_decoding.random_weights(words, width))
  features = torch_decoding.random_features(captions, width)
  return sided(torch, lambda: search(features))


def prepared():
  torch = need('torch')
  torch.backends.cudnn.benchmark = True
  return torch


def device(torch):
  return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def autocast(torch):
  """To bfloat16, where that is fast."""
  return torch.autocast('cuda', torch.bfloat16, enabled=torch.cuda.is_available())


def update(torch, network, loss: Callable[[], Any], lr: float = .1) -> Callable[[], None]:
  """A step of SGD with momentum and weight decay."""
  trained = [p for p in network.parameters() if p.requires_grad]
  optimizer = torch.optim.SGD(trained, lr=lr, momentum=.9, weight_decay=1e-4)

  def step():
    optimizer.zero_grad(set_to_none=True)
    with autocast(torch):
      value = loss()
    value.backward()
    optimizer.step()
  return step


def sided(torch, call: Callable[[], Any]) -> Side:
  on_gpu = torch.cuda.is_available()
  wait = torch.cuda.synchronize if on_gpu else lambda: None

  def run(n):
    wait()
    begun = time.perf_counter()
    for _ in range(n):
      call()
    wait()
    return (time.perf_counter() - begun) / n
  vision = importlib.util.find_spec('torchvision') and need('torchvision').__version__
  return Side(run, dict(torch=torch.__version__, torchvision=vision or None),
              torch.cuda.max_memory_allocated if on_gpu else lambda: None)
