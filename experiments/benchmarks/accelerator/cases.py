"""What is measured on an accelerator's day, most decisive first, and what is to be reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
  """
  Attributes:
    name: in the record.
    ours: 'module:function' of this package, which makes our side, or in whole_runs.py all of it.
    needs: seconds it may take; with less left it is not begun.
    options: of both sides.
    own: options of our side alone, beside these.
    peers: by name, each function and its options beside these.
    examples: in a call.
    unit: what an example is.
    goals: peer -> how many times as fast as it we want to be; '' -> seconds of a call, at most;
      'difference' -> of what is the same.
  """
  name: str
  ours: str
  needs: float
  options: Mapping[str, Any] = field(default_factory=dict)
  own: Mapping[str, Any] = field(default_factory=dict)
  peers: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
  examples: int = 1
  unit: str = 'images'
  goals: Mapping[str, float] = field(default_factory=dict)

  @property
  def command(self) -> bool:
    return self.ours.startswith('whole_runs:')


def cases(quick: bool = False) -> list[Case]:
  """quick: the same, so small that a CPU makes each in seconds."""
  first, second = (4, 2) if quick else (512, 256)
  two, eight = (1, 2) if quick else (2, 8)
  return [
      resnet('training', first, quick), resnet('inference', first, quick),
      detector('training', two, True, quick), detector('inference', two, True, quick),
      suppression(quick), cifar(quick),
      detector('training', eight, False, quick), detector('inference', eight, False, quick),
      members(quick), adaptation(quick),
      resnet('training', second, quick), resnet('inference', second, quick),
      detector('training', eight, True, quick), detector('inference', eight, True, quick),
      detector('training', two, False, quick), detector('inference', two, False, quick),
      roi_align('forward', quick), roi_align('gradient', quick), beam_search(quick),
      convolution(quick),
      Case('pmap_is_jit', 'operations:modes', 30, dict(
          steps=2 if quick else 20, batch=8 if quick else 128, side=8 if quick else 32, depth=20
          if quick else 20), goals=dict(difference=1e-2)),
      Case('processes', 'whole_runs:processes', 60, goals=dict(difference=1e-3)),
      *(cifar_run(depth, quick) for depth in ((20,) if quick else (20, 32, 44, 56)))]


def resnet(part, batch, quick) -> Case:
  goals = (dict(eager=1.1, compiled=1.1) if part == 'training' else
           dict(eager=1.15, compiled=1.15))
  small = dict(depth=18, side=32, classes=10) if quick else {}
  peers = dict(eager={}) if quick else dict(eager={}, compiled=dict(compiled=True))
  return Case(f'resnet50/{part}/{batch}', 'training:resnet', 100,
              dict(part=part, batch=batch, **small),
              peers={k: ('torch_sides:resnet', v) for k, v in peers.items()}, examples=batch,
              goals=goals)


def detector(part, batch, masks, quick) -> Case:
  small = dict(size=(64, 96)) if quick else {}
  peer = 'torch_sides:detector', dict(small=True) if quick else {}
  return Case(f'{"mask" if masks else "faster"}_rcnn/{part}/{batch}', 'training:detector', 70,
              dict(part=part, batch=batch, masks=masks, **small),
              dict(variant='smoke' if quick else ''), dict(torchvision=peer), batch,
              goals=dict(torchvision=3. if masks else 2.))


def suppression(quick) -> Case:
  return Case('nms/2000', 'operations:suppression', 20, dict(boxes=200 if quick else 2000),
              peers=dict(torchvision=('torch_sides:suppression', {})), unit='calls',
              goals={'': 680e-6})


def roi_align(part, quick) -> Case:
  boxes, images = (8, 2) if quick else (512, 8)
  small = dict(cells=(8, 12), channels=4) if quick else {}
  return Case(f'roi_align/{part}', 'operations:roi_align', 25,
              dict(part=part, boxes=boxes, images=images, **small),
              peers=dict(torchvision=('torch_sides:roi_align', {})), examples=boxes * images,
              unit='boxes', goals={'': 1238e-6} if part == 'forward' else {})


def cifar(quick) -> Case:
  peers = dict(eager={}) if quick else dict(eager={}, graphs=dict(mode='reduce-overhead'))
  size = dict(batch=8, side=8) if quick else dict(batch=128)
  return Case('resnet20/step', 'training:cifar', 60, size, dict(n=64, depth=20) if quick else {},
              {k: ('torch_sides:cifar', v) for k, v in peers.items()}, size['batch'])


def members(quick) -> Case:
  size = dict(batch=8, side=8, n=64, depth=20) if quick else dict(batch=128)
  return Case('resnet20/64_settings', 'training:cifar', 60, size,
              dict(members=2 if quick else 64), dict(alone=('training:cifar', {})), size['batch'])


def beam_search(quick) -> Case:
  small = dict(captions=2, width=8) if quick else dict(captions=64, width=512)
  return Case('beam_search', 'operations:beam_search', 30,
              dict(words=20 if quick else 10_000, **small),
              peers=dict(batched=('torch_sides:beam_search', {})), examples=small['captions'],
              unit='captions')


def convolution(quick) -> Case:
  size = dict(batch=2, side=8, channels=4) if quick else dict(batch=256, side=28, channels=128)
  return Case('convolution', 'operations:convolution', 25, size, dict(which='ours'),
              dict(lax=('operations:convolution', dict(which='lax'))), size['batch'],
              goals=dict(lax=1., difference=1e-2))


def adaptation(quick) -> Case:
  return Case('digits_dann', 'whole_runs:adaptation', 60,
              dict(variant='smoke' if quick else 'dann', seeds=2 if quick else 5))


def cifar_run(depth, quick) -> Case:
  return Case(f'cifar10/resnet{depth}', 'whole_runs:cifar', 60, dict(depth=depth, smoke=quick))
