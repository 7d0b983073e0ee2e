"""python -m experiments.benchmarks accelerator [--minutes=8] [--json=out.json] [--quick].

See ../README.md. The same command again goes on where it was.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from experiments.benchmarks.accelerator import whole_runs
from experiments.benchmarks.accelerator.cases import Case, cases
from experiments.benchmarks.accelerator.day import Record, make
from experiments.benchmarks.accelerator.report import line_of, table
from experiments.benchmarks.accelerator.side import Missing
from experiments.benchmarks.accelerator.worker import Worker

REPEATS, SECONDS = 7, .4      # rounds of a case, and of each side's turn in them
MEASURING = 20.               # seconds of a case's time that no peer's compiler may take
TORCH = 'torch_sides:'


@dataclass
class Bench:
  """Makes cases.

  Attributes:
    folder: of the runs of commands, of what all processes print, and of compiled programs.
    pythons: of our processes, and of PyTorch's.
    keep: the processes serve case after case: sooner done, but the memory of all they were asked is
      in use, and in what is measured as the peak of it.
  """
  folder: Path
  pythons: tuple[str, str]
  cifar10: Path | None = None
  keep: bool = False
  repeats: int = REPEATS
  seconds: float = SECONDS
  workers: dict[str, Worker] = field(default_factory=dict)
  device: Mapping[str, Any] = field(default_factory=dict)

  def make(self, case: Case, left: float) -> dict[str, Any]:
    """The result of a case within the seconds that are left."""
    begun = time.monotonic()
    log = self.folder / 'log.txt'
    try:
      if case.command:
        place = whole_runs.Place(self.folder / 'runs', log, left, self.cifar10, self.gpus(left))
        result = getattr(whole_runs, case.ours.split(':')[1])(place, **case.options, **case.own)
      else:
        with log.open('a') as file:
          result = self.pair(case, begun + left, file)
    finally:
      if not self.keep:
        self.end()
    return dict(result, took=time.monotonic() - begun)

  def pair(self, case: Case, end: float, log: TextIO) -> dict[str, Any]:
    """Both sides in turn, each in its process."""
    sides = {'ours': (case.ours, {**case.options, **case.own})} | {
        name: (target, {**case.options, **more}) for name, (target, more) in case.peers.items()}
    # All are started at once, for imports take a while, and built in turn.
    workers = {name: self.worker(name, target, log) for name, (target, _) in sides.items()}
    known, failed, turns = {}, {}, {}

    def ask(name, until, **request):
      """The answer; None where a peer has none, which takes no others with it."""
      try:
        return workers[name].ask(until - time.monotonic(), **request)
      except (Missing, RuntimeError, TimeoutError) as reason:
        if name == 'ours':
          raise
        failed[name] = str(reason)
        if isinstance(reason, TimeoutError):
          workers[name].end()           # or it would go on beside the others
    for name, (target, options) in sides.items():
      until = end if name == 'ours' else end - MEASURING
      known[name] = ask(name, until, build=target, options=options)
      if known[name] and 'first' in known[name]:
        turns[name] = []
    for _ in range(self.repeats):
      for name in [name for name in turns if name not in failed]:
        turns[name].append(ask(name, end, measure=self.seconds))
    turns = {name: answers for name, answers in turns.items() if name not in failed}
    return dict(known={name: known[name] for name in known if name not in failed}, failed=failed,
                seconds={name: [a['seconds'] for a in answers] for name, answers in turns.items()},
                calls={name: answers[-1]['calls'] for name, answers in turns.items()},
                memory={name: answers[-1]['memory'] for name, answers in turns.items()})

  def worker(self, side: str, target: str, log: TextIO) -> Worker:
    torch = target.startswith(TORCH)
    old = self.workers.get(side)
    if old and old.process.poll() is None and old.python == self.pythons[torch]:
      return old
    self.workers[side] = Worker(self.pythons[torch], log, {
        # Both sides share one device.
        'XLA_PYTHON_CLIENT_PREALLOCATE': 'false',
        'JAX_COMPILATION_CACHE_DIR': str(self.folder / 'compiled'),
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '.1'})
    return self.workers[side]

  def gpus(self, left: float) -> int:
    """How many there are; 0 on another kind of device."""
    if not self.device:
      with (self.folder / 'log.txt').open('a') as log:
        answer = self.worker('ours', '', log).ask(left, build='operations:devices', options={})
      self.device = answer['facts']
    return self.device['count'] if self.device['platform'] == 'gpu' else 0

  def end(self) -> None:
    for worker in self.workers.values():
      worker.end()
    self.workers.clear()


def main(argv: Sequence[str] | None = None, choose: Callable[[bool], list[Case]] = cases) -> Record:
  parser = argparse.ArgumentParser(prog='python -m experiments.benchmarks accelerator',
                                   description='Everything worth measuring on an accelerator.')
  parser.add_argument('--minutes', type=float, default=8., help='%(default)s; what finds no time '
                      'is named, and made if the command is given again')
  parser.add_argument('--json', type=Path, help='a file for all results, from which it goes on; '
                      'beside it a folder of its name for runs, logs and compiled programs')
  parser.add_argument('--quick', action='store_true', help='the whole path at tiny sizes, on a CPU')
  parser.add_argument('--cifar10', type=Path, help='folder with the original batches, or with '
                      'their tar.gz')
  parser.add_argument('--peer_python', default=sys.executable, help='the interpreter of an '
                      'environment with PyTorch, if it is another')
  parser.add_argument('cases', nargs='*', help='beginnings of names; default: all')
  given = parser.parse_args(argv)
  chosen = [case for case in choose(given.quick)
            if not given.cases or case.name.startswith(tuple(given.cases))]
  if not chosen:
    parser.error(f'there are: {", ".join(case.name for case in choose(given.quick))}')
  if given.json and not given.json.parent.is_dir():
    parser.error(f'--json: {given.json.parent} is no folder')
  with tempfile.TemporaryDirectory() as temporary:
    path = (given.json or Path(temporary) / 'out.json').resolve()
    folder = path.with_suffix('')
    folder.mkdir(exist_ok=True)
    bench = Bench(folder, (sys.executable, given.peer_python), given.cifar10, keep=given.quick)
    if given.quick:
      bench.repeats, bench.seconds = 1, .001
      # On few cores that others use too, PyTorch's threads would wait for each other.
      os.environ |= dict(JAX_PLATFORMS='cpu', OMP_NUM_THREADS='1')
    record = Record.of(path)
    try:
      for name, result in make(chosen, record, 60 * given.minutes, bench.make):
        print(line_of(name, result), file=sys.stderr, flush=True)
    finally:                          # what it has is shown, however it ends
      bench.end()
      print(table(chosen, record))
  return record
