"""Sweeps: many settings in one program against the same settings as processes, one after another.

python -m experiments.benchmarks sweep sweep_short --repeats=1
python -m experiments.benchmarks sweep_throughput      (for a GPU)
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from configs import digits_cnn
from experiments.benchmarks.accelerator.side import Side
from experiments.benchmarks.accelerator.training import training
from experiments.benchmarks.harness import Row, in_turn
from experiments.benchmarks.processes import run
from experiments.benchmarks.timing import steps_in
from visionlab.config import experiment
from visionlab.sweeps.settings import arguments, named

CACHE = 'JAX_COMPILATION_CACHE_DIR'
CONFIG = '--config=configs/digits_cnn.py'


def sweep(repeats: int) -> Iterator[Row]:
  """configs/digits_cnn.py's sweep: 24 settings of 1,500 steps."""
  yield from _measured('sweep', '', repeats)


def sweep_short(repeats: int) -> Iterator[Row]:
  """The same with 300 steps each."""
  yield from _measured('sweep_short', 'short', repeats)


def throughput(repeats: int) -> Iterator[Row]:
  """Seconds of a member's step where K members are trained together; peer: a run alone."""
  for network, size, channels, model in (
      ('cnn', 28, 1, dict(name='cnn')),
      ('resnet20', 32, 3, dict(name='cifar_resnet', depth=20, shortcut='B'))):
    def config(seed=0, size=size, channels=channels, model=model):
      return experiment(
          steps=10**6, batch=128, seed=seed, data=dict(name='digits', size=size, channels=channels),
          task=dict(name='classify', model=model), optim=dict(name='sgd'),
          hp=dict(lr=.01, momentum=.9), parallel=dict(devices=1),
          precision='bfloat16' if jax.default_backend() == 'gpu' else 'float32')
    alone = filled(training(config(), None))
    for k in (1, 4, 16, 64) if jax.default_backend() != 'cpu' else (1, 4):
      together = filled(training(config(), None, [config(seed) for seed in range(k)]))
      ours, theirs = in_turn(repeats, together, alone)
      rate = 1 / min(ours)
      yield Row(f'sweep_throughput/{network}/{k}', ours, theirs, f'{rate:,.0f} member-steps/s')


def filled(side: Side) -> Callable[[], float]:
  """() -> seconds of a member's step, of a second or so of them."""
  side.run(1)
  n = steps_in(1., side.run)
  return lambda: side.run(n)


def _measured(title: str, name: str, repeats: int) -> Iterator[Row]:
  """From the start of the command to its end, compilation included: each side has a cache of its
  own that is empty at first, which serves the processes after the first of them."""
  settings = named(getattr(digits_cnn, f'sweep_{name}' if name else 'sweep')())
  with tempfile.TemporaryDirectory() as folder:
    counter = iter(range(2 * repeats))

    def place() -> Path:
      return Path(folder) / str(next(counter))

    def together() -> tuple[float, dict[str, float]]:
      top = place()
      done = run('-m', 'launch.sweep', CONFIG, f'--workdir={top}/sweep', f'--sweep={name}',
                 **{CACHE: f'{top}/cache'})
      return done.seconds, {n: _accuracy(top / 'sweep' / n) for n in settings}

    def apart() -> tuple[float, dict[str, float]]:
      top, begun = place(), time.perf_counter()
      for n, setting in settings.items():
        run('-m', 'visionlab.train', CONFIG, *arguments(setting), f'--workdir={top}/{n}',
            **{CACHE: f'{top}/cache'})
      return time.perf_counter() - begun, {n: _accuracy(top / n) for n in settings}
    ours, theirs = in_turn(repeats, together, apart)
  gaps = [abs(a[n] - b[n]) for (_, a), (_, b) in zip(ours, theirs, strict=True) for n in settings]
  yield Row(title, [seconds for seconds, _ in ours], [seconds for seconds, _ in theirs],
            f'{len(settings)} settings; largest difference in test accuracy {max(gaps):.1e}')


def _accuracy(workdir: Path) -> float:
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line)['test/accuracy'] for line in lines if '"test/accuracy"' in line][-1]
