"""Training steps: the loop against the bare compiled step, and that against PyTorch."""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean

import jax
import numpy as np

from configs.digits_cnn import get_config as digits_config
from experiments.benchmarks.harness import Row, cores, in_turn, require
from experiments.benchmarks.timing import steps_in
from visionlab import build
from visionlab.augmentation.augment import make_augment
from visionlab.config import experiment
from visionlab.data.pipeline import put
from visionlab.step import make_step
from visionlab.train import train
from visionlab.training.log import read_metrics

SECONDS = 4.            # of training in one measurement of the loop
LINES = 10              # that it logs meanwhile
CASES = {               # model, batch, side, channels
    'digits_cnn': (dict(name='cnn'), 128, 8, 1),
    'mnist_cnn': (dict(name='cnn'), 128, 28, 1),
    'resnet20': (dict(name='cifar_resnet', depth=20, shortcut='B'), 64, 32, 3),
}


def resident_steps(repeats: int) -> Iterator[Row]:
  """The loop over a set that lives on the device."""
  yield loop_row('resident_steps/digits', digits_config(), repeats)
  with tempfile.TemporaryDirectory() as folder:
    yield loop_row('resident_steps/mnist', mnist_config(Path(folder)), repeats)


def streamed_steps(repeats: int) -> Iterator[Row]:
  """The loop over batches that threads of this process load."""
  yield loop_row('streamed_steps/digits', digits_config(), repeats, resident=False)
  with tempfile.TemporaryDirectory() as folder:
    yield loop_row('streamed_steps/mnist', mnist_config(Path(folder)), repeats, resident=False)


def conv_step(repeats: int) -> Iterator[Row]:
  """A compiled step, with the metrics it always computes, against PyTorch's eager one: SGD with
  momentum in float32, on one batch that is never changed."""
  torch = require('torch')
  torch.set_num_threads(cores())
  for name in CASES:
    with tempfile.TemporaryDirectory() as folder:
      ours = bare_step(case_config(name, Path(folder)))
    theirs = torch_step(name)
    n = steps_in(.5, ours)
    steps_in(.1, theirs)
    yield Row(f'conv_step/{name}', *in_turn(repeats, lambda ours=ours, n=n: ours(n),
                                            lambda theirs=theirs, n=n: theirs(n)),
              note='peer: torch eager, channels_last')


def loop_row(name: str, config, repeats: int, resident: bool = True) -> Row:
  """`train` without evaluations, logging included, against its own step dispatched in a row."""
  config.evals, config.checkpoint.best = {}, ''
  config.pipeline.resident = 'always' if resident else 'never'
  bare = bare_step(config)
  n = max(10 * LINES, steps_in(SECONDS, bare))
  config.steps, config.log.every = str(n), str(n // LINES)
  # These are runs of seconds: in one worth saving, neither saving nor imports would be seen.
  config.checkpoint.every = '100%'
  loop_step(config)
  ours, theirs = in_turn(repeats, lambda: loop_step(config), lambda: bare(n))
  return Row(name, ours, theirs, f'{n} steps; peer: the bare compiled step')


def loop_step(config) -> float:
  """Seconds a step of `train` takes, by its own log; its first line, with compilation, left out."""
  with tempfile.TemporaryDirectory() as workdir:
    with contextlib.redirect_stdout(io.StringIO()):
      train(config, workdir)
    speeds = [line['train/examples_per_second'] for line in read_metrics(workdir)[1:]]
  return mean(config.batch / speed for speed in speeds)


def bare_step(config) -> Callable[[int], float]:
  """measure(n): seconds a step takes when n are dispatched on one batch that is on the device."""
  job = build.assemble(config)
  augment = make_augment(config.augment) if config.augment else None
  step = jax.jit(make_step(job.task, job.optimizer, total=job.total, augment=augment),
                 donate_argnums=0)
  batch = put(job.batches.loader(0), job.mesh)
  state, _ = step(job.init(), batch)             # compiled here

  def measure(n: int) -> float:
    nonlocal state
    jax.block_until_ready(state)
    begun = time.perf_counter()
    for _ in range(n):
      state, _ = step(state, batch)
    jax.block_until_ready(state)
    return (time.perf_counter() - begun) / n
  return measure


def torch_step(name: str) -> Callable[[int], float]:
  """The same of PyTorch, for one of `CASES`."""
  torch = require('torch')
  from experiments.benchmarks import torch_models
  _, batch, side, channels = CASES[name]
  device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
  model = torch_models.cnn(channels, side) if name.endswith('cnn') else torch_models.resnet20()
  model = model.to(device, memory_format=torch.channels_last)
  optimizer = torch.optim.SGD(model.parameters(), lr=.01, momentum=.9)
  images = torch.rand(batch, channels, side, side, device=device).contiguous(
      memory_format=torch.channels_last)
  labels = torch.randint(0, 10, (batch,), device=device)

  def measure(n: int) -> float:
    begun = time.perf_counter()
    for _ in range(n):
      optimizer.zero_grad()
      loss = torch.nn.functional.cross_entropy(model(images), labels)
      loss.backward()
      optimizer.step()
    loss.item()                                  # waits for a GPU
    return (time.perf_counter() - begun) / n
  return measure


def case_config(name: str, folder: Path):
  model, batch, side, channels = CASES[name]
  path = write_noise(folder / 'noise.npz', batch, side, channels)
  return experiment(steps=1000, batch=batch, data=dict(name='arrays', path=path),
                    task=dict(name='classify', model=model), optim=dict(name='sgd'),
                    hp=dict(lr=.01, momentum=.9))


def mnist_config(folder: Path):
  """The digits config on noise of MNIST's size."""
  config = digits_config()
  config.data = dict(name='arrays', path=write_noise(folder / 'noise.npz', 60000, 28, 1))
  return config


def write_noise(path: Path, n: int, side: int, channels: int) -> str:
  """An .npz file of random images (n side side channels) uint8 and labels 0..9; its path."""
  random = np.random.default_rng(0)
  image = random.integers(0, 256, (n, side, side, channels), np.uint8)
  np.savez(path, image=image, label=np.arange(n) % 10)
  return str(path)
