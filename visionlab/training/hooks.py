"""Who else is told of a run's metrics: config.log.hooks = ('package.module:function', ...).

A hook is a context manager, entered with the workdir and the config when training starts. What it
gives is called with each line of metrics.jsonl: a dict of 'step', 'epoch', 'time' and values such
as 'train/loss'. It is left when training ends or stops. Trackers get an id of the workdir, so that
a run that is resumed goes on there too.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
from absl import logging

from visionlab.config import resolve

Write = Callable[[dict], None]


@contextlib.contextmanager
def wandb(workdir: Path, config: Mapping) -> Iterator[Write]:
  """Weights & Biases; WANDB_PROJECT, WANDB_MODE=offline and the like are read by it."""
  import wandb as tracker  # noqa: PLC0415 - an extra
  run = tracker.init(dir=workdir, name=workdir.name, id=run_id(workdir), resume='allow',
                     config=config.to_dict())
  yield lambda line: run.log({**numbers(line), 'step': line['step']}, step=line['step'])
  run.finish()


@contextlib.contextmanager
def mlflow(workdir: Path, config: Mapping) -> Iterator[Write]:
  """MLflow; MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME are read by it."""
  import mlflow as tracker  # noqa: PLC0415 - an extra
  with tracker.start_run(run_name=workdir.name, tags={'workdir': run_id(workdir)}):
    tracker.log_dict(config.to_dict(), 'config.json')
    tracker.log_params({f'hp.{k}': v for k, v in config.hp.items()})
    yield lambda line: tracker.log_metrics(numbers(line), step=line['step'])


def numbers(line: Mapping) -> dict[str, float]:
  """The values of a line; what is not finite, text in JSON, is a float again."""
  return {k: float(v) for k, v in line.items() if '/' in k or k == 'epoch'}


def run_id(workdir: Path) -> str:
  return hashlib.sha256(str(workdir.resolve()).encode()).hexdigest()[:16]


def open_hooks(workdir: Path, config: Mapping) -> 'Hooks | None':
  """Those of config.log.hooks, for the one process that writes."""
  names = config['log'].get('hooks', ())
  return Hooks(names, workdir, config) if names and jax.process_index() == 0 else None


class Hooks:
  """The hooks of a run, opened. One that fails is named in a warning and not called again: no run
  ends because of who watches it.

  Raises:
    ConfigError: no such function.
  """

  def __init__(self, names: Sequence[str], workdir: Path, config: Mapping):
    self.stack = contextlib.ExitStack()
    self.writes: dict[str, Write] = {}
    for i, name in enumerate(names):
      hook = resolve(name, {}, f'config.log.hooks[{i}]')
      with self._guard(name):
        self.writes[name] = self.stack.enter_context(hook(workdir, config))

  def __call__(self, line: dict):
    for name, write in list(self.writes.items()):
      with self._guard(name):
        write(line)

  def close(self):
    with self._guard('closing'):
      self.stack.close()

  @contextlib.contextmanager
  def _guard(self, name: str) -> Iterator[None]:
    try:
      yield
    except Exception as error:  # noqa: BLE001 - whatever a tracker raises
      self.writes.pop(name, None)
      logging.warning('config.log.hooks: %s failed and is not called again: %s: %s', name,
                      type(error).__name__, error)
