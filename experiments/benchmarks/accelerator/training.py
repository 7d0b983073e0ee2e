"""Our side: steps and predictions of whole networks, as the library makes them from a config."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from configs import cifar10_resnet, coco_faster_rcnn, imagenet_resnet50
from experiments.benchmarks.accelerator.side import Side
from experiments.benchmarks.harness import machine
from visionlab import build
from visionlab.data.pipeline import put

NOISE = 'experiments.benchmarks.accelerator.noise'


def resnet(part: str, *, batch: int, depth: int = 50, side: int = 224,
           classes: int = 1000) -> Side:
  """configs/imagenet_resnet50.py on noise, without its augmentation."""
  config = imagenet_resnet50.get_config(str(batch))
  config.data = dict(name=f'{NOISE}:images', side=side, classes=classes, n=batch)
  config.task.model.depth, config.augment = depth, {}
  return PARTS[part](on_noise(config), batch)


def detector(part: str, *, batch: int, masks: bool = False, size: Sequence[int] = (800, 1088),
             variant: str = '') -> Side:
  """configs/coco_faster_rcnn.py or, with masks, coco_mask_rcnn.py on noise, unaugmented."""
  config = coco_faster_rcnn.get_config(variant, masks=masks)
  config.data = dict(name=f'{NOISE}:objects', size=tuple(size), n=batch, masks=masks)
  config.batch, config.augment, config.init_from, config.split = batch, {}, '', 'train'
  # For random pictures and weights: as published, gradients of noise would soon not be finite.
  config.hp.lr, config.on_nan = 1e-5, 'ignore'
  return PARTS[part](on_noise(config), None)


def cifar(*, depth: int = 20, batch: int = 128, side: int = 32, members: int = 0,
          n: int = 50_000) -> Side:
  """A step of configs/cifar10_resnet.py on noise, augmentation included; of as many members in one
  program, if any. A call is a step of one member."""
  def config(seed):
    made = cifar10_resnet.get_config()
    made.task.model.depth = depth
    made.data = dict(name=f'{NOISE}:images', side=side, classes=10, n=n)
    made.batch, made.split, made.seed = batch, 'train', seed
    return on_noise(made)
  return training(config(0), batch, [config(seed) for seed in range(members)])


def on_noise(config: ConfigDict) -> ConfigDict:
  """On one device, in the precision that is fast there, and nothing but steps."""
  config.evals, config.checkpoint, config.pipeline = {}, {}, dict(resident='always')
  config.precision = 'float32' if jax.default_backend() == 'cpu' else 'bfloat16'
  config.parallel = dict(devices=1)
  config.steps = 10**6
  return config


def training(config: ConfigDict, batch: int | None, members: Sequence[ConfigDict] = ()) -> Side:
  """Steps of a resident set, as many in one dispatch as are asked for. batch: examples in a call,
  where their FLOPs are known: a training step is three forward passes."""
  job = build.assemble(config, members)
  state = job.init()
  tally, data = job.empty(state), job.batches.arrays()
  each = max(1, len(members))
  forward = batch and build.flops(job.task, *one_example(job, bool(members)))

  def run(n):
    nonlocal state
    steps = -(-n // each)
    begun = time.perf_counter()
    state, end = jax.block_until_ready(job.run(state, tally, data, steps))
    return (time.perf_counter() - begun) / steps / each
  return Side(run, facts(3 * batch * forward if forward else None), peak_memory)


def inference(config: ConfigDict, batch: int | None) -> Side:
  """The task's predictions of a batch that is on the device, dispatched one after another."""
  job = build.assemble(config)
  variables = job.init().variables
  batch_of_data = put(job.batches.loader(0), job.mesh)
  shown = {k: v for k, v in batch_of_data.items() if k in ('image', 'extent', 'valid')}
  predict = jax.jit(job.task.predict)
  forward = batch and build.flops(job.task, *one_example(job))
  return Side(repeated(lambda: predict(variables, shown)),
              facts(batch * forward if forward else None), peak_memory)


PARTS = dict(training=training, inference=inference)


def one_example(job: build.Job, stacked: bool = False) -> tuple[Any, Any]:
  """The forms of the variables, of one member where they are stacked, and of a batch of one."""
  variables = jax.eval_shape(job.init).variables
  if stacked:
    variables = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), variables)
  return variables, job.facts.shown


def repeated(call: Callable[[], Any]) -> Callable[[int], float]:
  """n -> seconds of one of n calls, which are waited for at the end."""
  def run(n):
    begun = time.perf_counter()
    for _ in range(n):
      last = call()
    jax.block_until_ready(last)
    return (time.perf_counter() - begun) / n
  return run


def facts(flops: float | None = None) -> dict[str, Any]:
  return dict(machine=machine(), **({'flops': flops} if flops else {}))


def peak_memory() -> int | None:
  """Bytes of the first device that were in use at once, at most; CPUs do not count them."""
  return (jax.local_devices()[0].memory_stats() or {}).get('peak_bytes_in_use')
