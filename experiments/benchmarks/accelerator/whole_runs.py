"""Cases that are whole commands: trainings to their ends, which go on if the day ends before."""

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from experiments.benchmarks.accelerator.day import Unable
from experiments.benchmarks.accelerator.worker import ROOT

SAVING = 15.             # seconds kept for a run that is told to end, in which it saves


@dataclass(frozen=True)
class Place:
  """Where commands run, and how long.

  Attributes:
    folder: of their runs, which go on from what is there.
    log: what they print is written to.
    patience: seconds.
    cifar10: the folder of CIFAR-10's files; None: there is none.
    gpus: whose processes are to have one each; 0 on a CPU.
  """
  folder: Path
  log: Path
  patience: float
  cifar10: Path | None
  gpus: int


def adaptation(place: Place, *, variant: str, seeds: int) -> dict[str, Any]:
  """configs/digits_dann.py with several seeds in one program."""
  workdir, begun = place.folder / f'dann_{variant}', time.perf_counter()
  run(place, [['launch.sweep', f'--config=configs/digits_dann.py:{variant}', f'--workdir={workdir}',
               '--set', f'seed=0..{seeds - 1}']])
  taken = time.perf_counter() - begun
  with (workdir / 'results.csv').open() as file:
    found = [float(row['target/accuracy']) for row in csv.DictReader(file)]
  return dict(seconds=taken, accuracy=mean(found), sd=stdev(found), seeds=len(found),
              note='the last start of it' if taken < 1 else '')


def cifar(place: Place, *, depth: int, smoke: bool = False) -> dict[str, Any]:
  """configs/cifar10_resnet.py from start to end."""
  if not (place.cifar10 or smoke):
    raise Unable('needs --cifar10=<folder with the original batches, or with their tar.gz>')
  workdir = place.folder / f'cifar10_resnet{depth}'
  run(place, [['visionlab.train', f'--workdir={workdir}',
               f'--config=configs/cifar10_resnet.py:{"smoke" if smoke else depth}',
               *([] if smoke else [f'--config.data.root={place.cifar10.resolve()}'])]])
  lines = logged(workdir)
  batch = json.loads((workdir / 'config.json').read_text())['batch']
  speeds = [line['train/examples_per_second'] for line in lines
            if 'train/examples_per_second' in line]
  return dict(error=1 - last(lines, 'test/accuracy'), steps=lines[-1]['step'],
              steps_per_second=median(speeds) / batch)


def processes(place: Place) -> dict[str, Any]:
  """configs/digits_cnn.py:smoke on two processes, on a device each, and on one: the largest
  difference of what they measured, relative."""
  if place.gpus == 1:
    raise Unable('needs two devices, and here is one')
  measured = []
  for count in (1, 2):
    workdir = place.folder / f'processes{count}'
    common = ['visionlab.train', '--config=configs/digits_cnn.py:smoke', f'--workdir={workdir}']
    together = [f'--coordinator=localhost:{free_port()}', f'--processes={count}']
    run(place, [[*common, *([*together, f'--process={i}'] if count > 1 else [])]
                for i in range(count)])
    measured.append(logged(workdir))
  alone, together = measured
  pairs = [(a[k], b[k]) for a, b in zip(alone, together, strict=True) for k in a
           if k.endswith('loss')]
  return dict(difference=max(abs(a - b) / max(abs(a), 1e-9) for a, b in pairs), losses=len(pairs))


def run(place: Place, commands: Sequence[Sequence[str]]) -> None:
  """Runs modules with their arguments, at once, on one device each.

  Raises:
    Unable: there was no time to finish; they were told to save and end.
    RuntimeError: one failed.
  """
  place.folder.mkdir(parents=True, exist_ok=True)
  with place.log.open('a') as log:
    started = [subprocess.Popen([sys.executable, '-m', *command], cwd=ROOT, stdout=log, stderr=log,
                                env={**os.environ, **own_device(place, i)})
               for i, command in enumerate(commands)]
    end = time.monotonic() + place.patience - SAVING
    try:
      for process in started:
        process.wait(max(0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
      for process in started:
        process.send_signal(signal.SIGTERM)
      raise Unable('no time to finish; it goes on from there if it is started again') from None
    finally:
      for process in started:
        stop(process)
  failed = [process.returncode for process in started if process.returncode]
  if failed:
    raise RuntimeError(f'{commands[0][0]} ended with {failed[0]}; see {place.log}')


def stop(process: subprocess.Popen) -> None:
  """Waits for one that was told to end; not for ever."""
  with contextlib.suppress(subprocess.TimeoutExpired):
    process.wait(SAVING)
  process.kill()
  process.wait()


def own_device(place: Place, i: int) -> Mapping[str, str]:
  return {'CUDA_VISIBLE_DEVICES': str(i)} if place.gpus else {'JAX_NUM_CPU_DEVICES': '1'}


def free_port() -> int:
  with socket.socket() as s:
    s.bind(('localhost', 0))
    return s.getsockname()[1]


def logged(workdir: Path) -> list[dict[str, Any]]:
  return [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]


def last(lines: Sequence[Mapping[str, Any]], name: str) -> Any:
  return [line[name] for line in lines if name in line][-1]
