"""What a run says: metrics.jsonl, TensorBoard events, a progress line."""

import json
import math
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import jax
import numpy as np

from visionlab.task import Results


class Log:
  """Writes a run's metrics, from one process only; the others' calls do nothing.

  A resumed run goes on where its checkpoint stood: lines of later steps, written before the run was
  killed, are taken out of metrics.jsonl and hidden in TensorBoard, for they come again.

  Args:
    step: the step training starts from.
    total: steps of the whole training; examples: in a step.
    quiet: writes files, and prints nothing.
    terminal: whether the progress line may be rewritten in place; default: if stdout is one.
  """

  def __init__(self, workdir: Path, *, step: int, total: int, examples: int,
               tensorboard: bool = True, quiet: bool = False, terminal: bool | None = None):
    self.writes, self.quiet = jax.process_index() == 0, quiet
    self.total, self.examples = total, examples
    self.terminal = sys.stdout.isatty() if terminal is None else terminal
    self.landed = self.rate = self.pace = self.last = None
    self.busy, self.did = 0., 0
    if not self.writes:
      return
    path, kept = workdir / 'metrics.jsonl', workdir / 'metrics.jsonl.tmp'
    # An evaluation at the very step of the checkpoint is made again too.
    kept.write_text(''.join(json.dumps(line) + '\n' for line in read_metrics(workdir)
                            if line['step'] < step + ('eval' not in line)))
    kept.replace(path)
    self.file = path.open('a')
    self.events = Events(workdir, step) if tensorboard else None

  def tick(self, first: int, stop: int, begun: float):
    """Notes that steps `first` to `stop`, dispatched at `begun`, are done; shows it on a terminal.

    Time between chunks (evaluation, saving) is not counted; nor the first, which is compilation.
    """
    now = time.perf_counter()
    if self.landed:
      self.busy, self.did = (self.busy + now - max(begun, self.landed), self.did + stop - first)
      self.rate = (stop - first) / max(now - max(begun, self.landed), 1e-9)
      self.pace = self.rate if self.pace is None else .8 * self.pace + .2 * self.rate
    self.landed = now
    if self.terminal and self.last:
      self.say(self._line(stop, self.last), passing=True)

  def train(self, step: int, metrics: Mapping[str, np.ndarray]):
    """The metrics, () each, of the steps since the last such line."""
    values = {k: float(v) for k, v in metrics.items()}
    speed = self.did / self.busy * self.examples if self.busy else math.nan
    self.busy, self.did, self.last = 0., 0, values
    self.write(step, {f'train/{k}': v for k, v in values.items()}
               | ({'train/examples_per_second': speed} if speed == speed else {}))
    self.say(self._line(step, values), passing=True)

  def _line(self, step: int, values: Mapping[str, float]) -> str:
    speed = (f'  {self.pace * self.examples:,.0f} examples/s  '
             f'{timedelta(seconds=int((self.total - step) / self.pace))} left' if self.pace else '')
    return f'{self._step(step)}  {_in_a_line(values, ".4g")}{speed}'

  def _step(self, step: int) -> str:
    return f'step {step:>{len(str(self.total))}}/{self.total}'

  def evaluation(self, step: int, name: str, results: Results):
    values = scalars(results)
    self.write(step, {f'{name}/{k}': v for k, v in values.items()}, eval=name)
    self.say(self._step(step) + f'  {name}: ' + _in_a_line(values, '.4f'))

  def write(self, step: int, values: Mapping[str, float], **more):
    if not self.writes:
      return
    # JSON has no NaN: what is not finite is written as text, which float() reads back.
    line = {'step': step, **more, **{k: v if math.isfinite(v) else str(v)
                                     for k, v in values.items()}}
    self.file.write(json.dumps(line) + '\n')
    self.file.flush()
    if self.events:
      self.events.write('add_scalar', [(k, v, step) for k, v in values.items()])

  def pictures(self, step: int, pictures: Mapping[str, np.ndarray]):
    if self.writes and self.events:
      self.events.write('add_image', [(k, v, step) for k, v in pictures.items()],
                        dataformats='HWC')

  def say(self, text: str, *, passing: bool = False):
    """Prints a line; a passing one is overwritten by the next where stdout is a terminal."""
    if not self.writes or self.quiet:
      return
    if self.terminal:
      print('\r\x1b[2K' + text, end='' if passing else '\n', flush=True)
    else:
      print(text, flush=True)

  def close(self):
    if self.writes:
      if self.terminal and not self.quiet:
        print()
      self.file.close()
      if self.events:
        self.events.close()


def _in_a_line(values: Mapping[str, float], form: str) -> str:
  """'loss 0.1  accuracy 0.9': the loss first, and its one term not again beside it."""
  loss = values.get('loss')
  names = sorted(values, key=lambda k: (k != 'loss', k in ('grad_norm', 'lr')))
  return '  '.join(f'{k} {values[k]:{form}}' for k in names if k == 'loss' or values[k] != loss)


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

  def close(self):
    self.thread.shutdown()
    self.last.result()
    self.writer.result().close()


def read_metrics(workdir: str | Path) -> list[dict[str, Any]]:
  """The lines of a run's metrics.jsonl; a last one that was cut off is left out."""
  path = Path(workdir) / 'metrics.jsonl'
  lines = []
  for line in path.read_text().splitlines() if path.exists() else ():
    try:
      lines.append(json.loads(line))
    except json.JSONDecodeError:
      break
  return lines


def scalars(results: Results) -> dict[str, float]:
  """The results that fit in a line."""
  return {k: v for k, v in results.items() if isinstance(v, float)}
