"""What a run says: metrics.jsonl, TensorBoard events, a progress line."""

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import jax
import numpy as np

from visionlab.config import to_json
from visionlab.data.file_warnings import warn_once
from visionlab.task import Results
from visionlab.training.console import Console
from visionlab.training.hooks import Hooks
from visionlab.training.pictures import drawn, keep_frame

OF_THE_MACHINE = ('time', 'train/examples_per_second', 'train/data_wait_seconds',
                  'train/memory_bytes')
"""What lines of metrics.jsonl hold that another run of the same config does not repeat."""


class Log:
  """Writes a run's metrics, from one process only; the others' calls do nothing.

  A resumed run goes on where its checkpoint stood: lines of later steps, written before the run was
  killed, are taken out of metrics.jsonl and hidden in TensorBoard, for they come again.

  Args:
    step: the step training starts from.
    total: steps of the whole training; examples: in a step.
    epoch: examples in an epoch, or 0 where nobody is told of epochs.
    hooks: called with each line of metrics.jsonl, a dict, and closed at the end; see
      `visionlab.training.hooks`.
    loss: what a line of training calls its loss (see `loss_of_training`).
    quiet: writes files, and prints nothing.
    terminal: whether the progress line may be rewritten in place; default: if stdout is one.
  """

  def __init__(self, workdir: Path, *, step: int, total: int, examples: int, epoch: int = 0,
               tensorboard: bool = True, hooks: Hooks | None = None, loss: str = 'loss',
               quiet: bool = False, terminal: bool | None = None):
    self.writes, self.workdir = jax.process_index() == 0, workdir
    self.total, self.examples, self.epoch, self.hooks = total, examples, epoch, hooks
    self.loss, self.landed = loss, None
    self.rate = self.pace = self.last = self.waited = None
    self.busy, self.did = 0., 0
    self.console = Console(terminal=terminal, quiet=quiet or not self.writes,
                           copy=workdir / 'log.txt' if self.writes and not quiet else None)
    if not self.writes:
      return
    path, kept = workdir / 'metrics.jsonl', workdir / 'metrics.jsonl.tmp'
    # An evaluation at the very step of the checkpoint is made again too.
    kept.write_text(''.join(json.dumps(line) + '\n' for line in read_metrics(workdir)
                            if line['step'] < step + ('eval' not in line)))
    kept.replace(path)
    self.file = path.open('a')
    self.events = Events(workdir, step) if tensorboard else None

  def tick(self, first: int, stop: int, begun: float, waited: float):
    """Notes that steps `first` to `stop`, dispatched at `begun`, are done; shows it on a terminal.

    waited: seconds for data, of those since `begun`.

    Time between chunks (evaluation, saving) is not counted; nor the first, which is compilation.
    """
    now = time.perf_counter()
    self.waited = (self.waited or 0.) + waited
    if self.landed:
      self.busy, self.did = (self.busy + now - max(begun, self.landed), self.did + stop - first)
      self.rate = (stop - first) / max(now - max(begun, self.landed), 1e-9)
      self.pace = self.rate if self.pace is None else .8 * self.pace + .2 * self.rate
    self.landed = now
    self.console.passing(self._line(stop, self.last or {}, self.pace))

  def aside(self, text: Callable[[], str]):
    """Says what `text` gives. The chunk that is computed meanwhile may end unseen, and counts as
    the first does."""
    self.say(text())
    self.landed = None

  def train(self, step: int, metrics: Mapping[str, np.ndarray]):
    """The metrics, () each, of the steps since the last such line."""
    values = {k: float(v) for k, v in metrics.items()}
    speed = self.did / self.busy if self.busy else None
    self.busy, self.did, self.last = 0., 0, values
    self.write(step, {f'train/{k}': v for k, v in values.items()}
               | ({'train/examples_per_second': speed * self.examples} if speed else {})
               | ({} if self.waited is None else {'train/data_wait_seconds': self.waited})
               | {'train/memory_bytes': float(peak_memory())})
    self.waited = None
    self.say(self._line(step, values, speed))

  def _line(self, step: int, values: Mapping[str, float], speed: float | None) -> str:
    rate = f'  {speed * self.examples:,.0f} examples/s' if speed else ''
    left = (f'  {timedelta(seconds=int((self.total - step) / self.pace))} left' if self.pace
            else '')
    return f'{self._step(step)}  {_in_a_line(values, ".4g", self.loss)}{rate}{left}'

  def _step(self, step: int) -> str:
    return f'step {step:>{len(str(self.total))}}/{self.total}'

  def evaluation(self, step: int, name: str, results: Results):
    values = scalars(results)
    self.write(step, {f'{name}/{k}': v for k, v in values.items()}, eval=name)
    self.say(self._step(step) + f'  {name}: ' + _in_a_line(values, '.4f'))

  def frame(self, step: int, images: np.ndarray | None):
    """Keeps images that a network has made of the same numbers as before; None: it makes none."""
    if self.writes and images is not None:
      drawn(f'what is made at step {step}', lambda: keep_frame(self.workdir, step, images))

  def write(self, step: int, values: Mapping[str, float], **more):
    if not self.writes:
      return
    # JSON has no NaN: what is not finite is written as text, which float() reads back.
    line = {'step': step, **({'epoch': step * self.examples / self.epoch} if self.epoch else {}),
            'time': time.time(), **more,
            **{k: v if math.isfinite(v) else str(v) for k, v in values.items()}}
    self.file.write(json.dumps(line) + '\n')
    self.file.flush()
    if self.hooks:
      self.hooks(line)
    if self.events:
      self.events.write('add_scalar', [(k, v, step) for k, v in values.items()])

  def settings(self, config: Mapping):
    """Puts the config, and hp where TensorBoard compares runs by it, beside the curves."""
    if self.writes and self.events:
      self.events.write('add_text', [('config', f'```json\n{to_json(config)}\n```')])
      self.events.hyperparameters(dict(config['hp']))

  def pictures(self, step: int, pictures: Mapping[str, np.ndarray]):
    if self.writes and self.events:
      self.events.write('add_image', [(k, v, step) for k, v in pictures.items()],
                        dataformats='HWC')

  def say(self, text: str):
    """Prints a line that stays."""
    self.console.say(text)

  def doing(self, what: str, *, lasting: bool = True):
    """A context: says that this is being done, and how long it took."""
    return self.console.doing(what, lasting=lasting)

  def close(self):
    self.console.close()
    if self.writes:
      self.file.close()
      for other in filter(None, (self.events, self.hooks)):
        other.close()


def _in_a_line(values: Mapping[str, float], form: str, loss_name: str = 'loss') -> str:
  """'loss 0.1  accuracy 0.9': the loss first, and its one term not again beside it."""
  loss = values.get('loss')
  names = sorted(values, key=lambda k: (k != 'loss', k in ('grad_norm', 'lr')))
  shown = {k: loss_name if k == 'loss' else k for k in names}
  return '  '.join(f'{shown[k]} {values[k]:{form}}' for k in names
                   if k == 'loss' or values[k] != loss)


class Events:
  """TensorBoard's files, written by a thread of their own: the writer imports torch where there is
  one, and nobody should wait for that, or for a disk.

  Events of steps after `step`, from before the run was killed, are hidden.
  """

  def __init__(self, workdir: Path, step: int):
    self.thread = ThreadPoolExecutor(1, 'tensorboard')
    self.writer = self.last = self.thread.submit(self._open, str(workdir),
                                                 step + 1 if step else None)

  @staticmethod
  def _open(folder: str, purge_step: int | None):
    from tensorboardX import SummaryWriter
    return SummaryWriter(folder, purge_step=purge_step)

  def write(self, method: str, calls: list[tuple], **options):
    """`writer.<method>(*call, **options)` for each call, later and in this order."""
    if self.last.done():
      self.last.result()                 # raises what went wrong before, if anything did
    self.last = self.thread.submit(lambda: [
        getattr(self.writer.result(), method)(*call, **options) for call in calls])

  def hyperparameters(self, values: Mapping[str, float]):
    """For the page that compares runs. (The writer's own `add_hparams` makes a run of its own.)"""
    def write():
      from tensorboardX.summary import hparams
      writer = self.writer.result().file_writer
      for summary in hparams(dict(values), {}):
        writer.add_summary(summary)
    self.last = self.thread.submit(write)

  def close(self):
    self.thread.shutdown()
    self.last.result()
    self.writer.result().close()


def peak_memory() -> int:
  """Bytes: the most that was in use at once on the first device, or by this process where devices
  do not say."""
  stats = jax.local_devices()[0].memory_stats() or {}
  # Linux counts in KiB, macOS in bytes.
  unit = 1 if sys.platform == 'darwin' else 1024
  return stats.get('peak_bytes_in_use') or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def read_metrics(workdir: str | Path) -> list[dict[str, Any]]:
  """The lines of a run's metrics.jsonl; a last one that was cut off is left out, and one that is
  damaged too, which is said."""
  path = Path(workdir) / 'metrics.jsonl'
  # A killed process, or a full disk, cuts a line off anywhere, and another may go on behind it.
  written = path.read_bytes().splitlines() if path.exists() else []
  lines = []
  for number, text in enumerate(written, 1):
    line = _parsed(text)
    if line is not None:
      lines.append(line)
    elif text.strip() and number < len(written):
      warn_once(f'{path}, line {number} is damaged and left out')
  return lines


def _parsed(text: bytes) -> dict[str, Any] | None:
  try:
    line = json.loads(text)
  except ValueError:               # of JSON and of UTF-8
    return None
  return line if isinstance(line, dict) and isinstance(line.get('step'), int) else None


def scalars(results: Results) -> dict[str, float]:
  """The results that fit in a line."""
  return {k: v for k, v in results.items() if isinstance(v, float)}
