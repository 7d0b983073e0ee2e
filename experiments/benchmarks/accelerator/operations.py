"""Our side: single operations, and whether what is compiled in several ways is the same."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from configs import cifar10_resnet
from experiments.benchmarks import decoding
from experiments.benchmarks.accelerator import noise
from experiments.benchmarks.accelerator.side import Side
from experiments.benchmarks.accelerator.training import (
  NOISE,
  facts,
  on_noise,
  peak_memory,
  repeated,
)
from visionlab import build
from visionlab.ops.conv import conv
from visionlab.ops.nms import nms
from visionlab.ops.roi_align import roi_align_levels

NUMBERS = ('NHWC', 'HWIO', 'NHWC')


def suppression(*, boxes: int, size=(800, 1088), threshold: float = .7) -> Side:
  """Exact NMS of random boxes, all of them kept that may be."""
  places, scores = map(jax.device_put, random_candidates(boxes, size))
  call = jax.jit(partial(nms, iou_threshold=threshold, k=boxes))
  valid = jnp.ones(boxes, bool)
  kept = int(call(places, scores, valid)[1].sum())
  return Side(repeated(lambda: call(places, scores, valid)), facts() | dict(kept=kept),
              peak_memory)


def random_candidates(n: int, size) -> tuple[np.ndarray, np.ndarray]:
  """Boxes (n 4), ten near each of n/10 places, and their scores (n)."""
  rng = np.random.default_rng(0)
  near = np.repeat(noise.random_boxes(rng, -(-n // 10), size), 10, 0)[:n]
  side = near[:, 2:] - near[:, :2]
  moved = near + np.tile(rng.normal(0, .1, (n, 2)) * side, 2)
  return moved.astype(np.float32), rng.random(n, np.float32)


def roi_align(part: str, *, boxes: int = 512, images: int = 8, cells=(100, 136),
              channels: int = 256) -> Side:
  """RoIAlign to 7 x 7, 2 x 2 samples each, of `boxes` of every image on one map of stride 8; or
  also its gradient."""
  rng, stride = np.random.default_rng(0), 8
  maps = rng.normal(size=(images, *cells, channels)).astype(np.float32)
  places = noise.random_boxes(rng, images * boxes, [stride * c for c in cells])
  places = places.reshape(images, boxes, 4)

  @jax.vmap
  def pooled(x, places):
    return roi_align_levels([x], places, jnp.zeros(boxes, jnp.int32), size=7, strides=[stride])
  call = jax.jit(pooled if part == 'forward' else
                 jax.value_and_grad(lambda x, places: pooled(x, places).sum()))
  maps, places = jax.device_put((maps, places))
  return Side(repeated(lambda: call(maps, places)), facts(), peak_memory)


def beam_search(*, words: int, captions: int = decoding.BATCH, width: int = decoding.WIDTH) -> Side:
  search = decoding.jax_search(decoding.random_weights(words, width))
  features = decoding.random_features(captions, width)
  return Side(repeated(lambda: search(features)), facts(), peak_memory)


def convolution(which: str, *, batch: int, side: int, channels: int) -> Side:
  """A 3 x 3 convolution with both gradients: `visionlab.ops.conv` or lax's own; how far the first
  is from the second, relative to its largest number."""
  keys = jax.random.split(jax.random.key(0), 3)
  x, weights = (jax.random.normal(key, (batch, side, side, channels), jnp.bfloat16)
                for key in keys[:2])
  kernel = jax.random.normal(keys[2], (3, 3, channels, channels), jnp.bfloat16)

  def compiled(apply):
    def value(x, kernel):
      y = apply(x, kernel, (1, 1), 'SAME', dimension_numbers=NUMBERS)
      return (y * weights).astype(jnp.float32).sum(), y
    return jax.jit(jax.value_and_grad(value, (0, 1), has_aux=True))
  ways = dict(ours=compiled(conv), lax=compiled(lax.conv_general_dilated))
  (_, y), gradients = ways['ours'](x, kernel)
  (_, wanted_y), wanted = ways['lax'](x, kernel)
  far = difference((y, *gradients), (wanted_y, *wanted))
  return Side(repeated(lambda: ways[which](x, kernel)), facts() | dict(difference=far), peak_memory)


def modes(*, steps: int, batch: int, side: int, depth: int) -> Side:
  """How far parameters are apart after some steps under pmap and under jit, on all devices."""
  ended = {}
  for mode in ('jit', 'pmap'):
    config = cifar10_resnet.get_config()
    config.task.model.depth = depth
    config.data = dict(name=f'{NOISE}:images', side=side, classes=10, n=4 * batch)
    config = on_noise(config)
    config.batch, config.split, config.hp.lr = batch * jax.device_count(), 'train', .01
    config.parallel, config.precision = dict(devices=0, mode=mode), 'float32'
    job = build.assemble(config)
    state = job.init()
    ended[mode] = jax.device_get(job.run(state, job.empty(state), job.batches.arrays(), steps)[0])
  far = difference(*(state.params for state in ended.values()))
  return Side(None, facts() | dict(difference=far, devices=jax.device_count()))


def devices() -> Side:
  return Side(None, dict(platform=jax.default_backend(), count=jax.device_count()))


def difference(trees, wanted) -> float:
  """The largest, each array's relative to its largest number."""
  def one(a, b):
    a, b = (np.asarray(x, np.float32) for x in (a, b))
    return float(abs(a - b).max() / max(abs(b).max(), 1e-30))
  return max(jax.tree.leaves(jax.tree.map(one, trees, wanted)))
