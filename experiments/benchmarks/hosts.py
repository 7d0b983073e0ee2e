"""Weak scaling: a step on several processes, each with the same batch, against one alone.

python -m experiments.benchmarks hosts --repeats=3
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import jax

from configs.digits_cnn import get_config
from experiments.benchmarks.harness import Row, cores, in_turn
from experiments.benchmarks.processes import ROOT
from visionlab import build
from visionlab.parallel import distributed

BATCH = 64              # examples of each process
STEPS = 100


def hosts(repeats: int) -> Iterator[Row]:
  """1, 2 and 4 processes, each on one core; where there are too few, they share them."""
  for count in (2, 4):
    many, one = in_turn(repeats, lambda n=count: together(n), lambda: together(1))
    cpu, alone = (median(cpu for _, cpu in times) for times in (many, one))
    at_once = min(cores(), count)
    yield Row(f'hosts/{count}', [wall for wall, _ in many], [wall for wall, _ in one],
              f'on {at_once} cores; of CPU {1e3 * cpu:.2f} ms a process, alone {1e3 * alone:.2f}')


def together(count: int) -> tuple[float, float]:
  """Seconds of a step, and of CPU time that it takes each process; the mean over them."""
  with socket.socket() as s:
    s.bind(('localhost', 0))
    port = s.getsockname()[1]
  command = [sys.executable, '-m', 'experiments.benchmarks.hosts', str(port), str(count)]
  processes = [subprocess.Popen([*command, str(i)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                                env={**os.environ, 'JAX_PLATFORMS': 'cpu',
                                     'JAX_NUM_CPU_DEVICES': '1'}) for i in range(count)]
  said = [p.communicate()[0] for p in processes]
  if any(p.returncode for p in processes):
    raise RuntimeError(f'{count} processes ended with {[p.returncode for p in processes]}')
  times = [json.loads(text.splitlines()[-1]) for text in said]
  return tuple(sum(column) / count for column in zip(*times, strict=True))


def main(port: str, count: str, process: str):
  places = sorted(os.sched_getaffinity(0))
  os.sched_setaffinity(0, {places[int(process) % len(places)]})      # before XLA makes its threads
  with distributed.joined(f'localhost:{port}', int(count), int(process)):
    config = get_config()
    config.batch, config.steps = BATCH * int(count), str(10**6)
    job = build.assemble(config)
    state = job.init()
    tally = job.empty(state)
    data = job.batches.arrays()
    state, tally = jax.block_until_ready(job.run(state, tally, data, 5))
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(job.run(state, tally, data, STEPS))
    print(json.dumps([(time.perf_counter() - wall) / STEPS, (time.process_time() - cpu) / STEPS]))


if __name__ == '__main__':
  main(*sys.argv[1:])
