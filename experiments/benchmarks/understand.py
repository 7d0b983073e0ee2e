"""Attributions beside Captum, on the same network; and occlusion beside the bare network."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

from experiments.benchmarks.harness import Row, cores, in_turn, require
from visionlab.models.cnn import CNN
from visionlab.models.resnet import CifarResNet, ResNet
from visionlab.understand.attribute import grad_cam, integrated_gradients, saliency
from visionlab.understand.occlusion import covers, occlusion
from visionlab.understand.subject import Subject

IMAGES, STEPS, TARGET = 4, 16, 3
SIDES = dict(cnn=28, resnet20=32)
# Of the occlusion that is held against the network alone: the image's side, the block's, the stride
# (8 takes 13 times as long, and each block costs the same), and blocks at a time.
LARGE, BLOCK, STRIDE, CHUNK = 224, 32, 32, 8


def understand(repeats: int) -> Iterator[Row]:
  """Seconds for a batch of images, once compiled; the same numbers of passes on both sides."""
  yield from beside_captum(repeats)
  yield from beside_the_network(repeats)


def beside_captum(repeats: int) -> Iterator[Row]:
  torch, captum = require('torch'), require('captum.attr')
  from experiments.benchmarks import torch_models  # noqa: PLC0415 - it imports torch
  torch.set_num_threads(cores())
  for name, side in SIDES.items():
    channels = 1 if name == 'cnn' else 3
    model = CNN(10) if name == 'cnn' else CifarResNet(10, depth=20, shortcut='B')
    twin = torch_models.cnn(1, side) if name == 'cnn' else torch_models.resnet20()
    last, shape = twin[5 if name == 'cnn' else 11], (side, side, channels)
    subject, images = subject_of(model, shape), random_images(shape)
    pairs = ours(subject, images), peers(captum, twin.eval(), last, torch, images)
    for method in pairs[0]:
      measures = [partial(timed, side[method]) for side in pairs]
      for measure in measures:                           # compiled here
        measure()
      yield Row(f'understand/{name}/{method}', *in_turn(repeats, *measures),
                f'{IMAGES} images of {side} x {side}; peer: Captum')


def ours(subject: Subject, images: np.ndarray) -> dict[str, Callable]:
  given = subject, images, TARGET
  return dict(
      saliency=lambda: saliency(*given), grad_cam=lambda: grad_cam(*given),
      integrated_gradients=lambda: integrated_gradients(*given, steps=STEPS),
      occlusion=lambda: occlusion(*given, window=images.shape[1] // 4,
                                  stride=images.shape[1] // 8, chunk=64))


def peers(captum, twin, last, torch, images: np.ndarray) -> dict[str, Callable]:
  """The same of Captum; occlusion in batches as large as ours."""
  x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
  side, channels = images.shape[2:]
  window, stride = side // 4, side // 8
  cam, integrated = captum.LayerGradCam(twin, last), captum.IntegratedGradients(twin)
  hide, slope = captum.Occlusion(twin), captum.Saliency(twin)

  def enlarged():
    maps = cam.attribute(x, target=TARGET, relu_attributions=True)
    return captum.LayerAttribution.interpolate(maps, (side, side), 'bilinear')
  steps = dict(n_steps=STEPS, method='riemann_middle', internal_batch_size=IMAGES)
  blocks = dict(baselines=.5, strides=(channels, stride, stride),
                sliding_window_shapes=(channels, window, window),
                perturbations_per_eval=64 // IMAGES)
  return dict(
      saliency=lambda: slope.attribute(x, target=TARGET), grad_cam=enlarged,
      integrated_gradients=lambda: integrated.attribute(x, target=TARGET, **steps),
      occlusion=lambda: hide.attribute(x, target=TARGET, **blocks))


def beside_the_network(repeats: int) -> Iterator[Row]:
  """Occlusion of one image of 224 x 224 by ResNet-50 against as many bare batched passes."""
  shape = (LARGE, LARGE, 3)
  subject, image = subject_of(ResNet(1000, depth=50), shape), random_images(shape)[:1]
  blocks = len(covers(LARGE, BLOCK, STRIDE)) ** 2
  passes = -(-blocks // CHUNK)
  batch = jax.device_put(np.repeat(image, CHUNK, 0))
  answer = jax.jit(lambda variables, x: subject.ask(variables, x, None)['logits'])

  def bare():
    return jax.block_until_ready([answer(subject.variables, batch) for _ in range(passes)])

  def hide():
    return occlusion(subject, image, TARGET, window=BLOCK, stride=STRIDE, chunk=CHUNK)
  hide(), answer(subject.variables, batch).block_until_ready()
  yield Row('understand/resnet50/occlusion', *in_turn(repeats, partial(timed, hide),
                                                      partial(timed, bare)),
            f'{blocks} blocks in {passes} batches; peer: these batches alone; goal: at least 0.91')


def subject_of(model, shape) -> Subject:
  variables = jax.jit(model.init)(jax.random.key(0), np.zeros((1, *shape), np.float32))
  return Subject.of((model, variables), shape)


def random_images(shape) -> np.ndarray:
  return np.random.default_rng(0).random((IMAGES, *shape), np.float32)


def timed(f: Callable) -> float:
  begun = time.perf_counter()
  f()
  return time.perf_counter() - begun
