"""python -m experiments.benchmarks [names...] [--repeats=5] [--json=out.json]; see README.md.

python -m experiments.benchmarks accelerator [--minutes=8] [--json=out.json] is a list of its own.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.benchmarks import (
    decoding,
    detector,
    films,
    flow,
    hosts,
    jobs,
    jpeg,
    steps,
    sweep,
    understand,
)
from experiments.benchmarks.accelerator.command import main as accelerator
from experiments.benchmarks.harness import Benchmark, load_warning, measure, record, table
from visionlab import commandline
from visionlab.config import nearest

BENCHMARKS: dict[str, Benchmark] = {
    'digits_job': jobs.digits_job,
    'resident_steps': steps.resident_steps,
    'streamed_steps': steps.streamed_steps,
    'conv_step': steps.conv_step,
    'beam_search': decoding.beam_search,
    'detector_parts': detector.detector_parts,
    'jpeg': jpeg.decoding,
    'films': films.films,
    'flow': flow.flow,
    'import': jobs.imports,
    'hosts': hosts.hosts,
    'first_step': jobs.first_step,
    'load': jobs.load,
    'memory': jobs.memory,
    'sweep': sweep.sweep,
    'sweep_short': sweep.sweep_short,
    'sweep_throughput': sweep.throughput,
    'understand': understand.understand,
}


def main(argv: Sequence[str] | None = None, benchmarks: Mapping[str, Benchmark] = BENCHMARKS):
  parser = argparse.ArgumentParser(prog='python -m experiments.benchmarks',
                                   description='Measures visionlab against its peers.')
  parser.add_argument('names', nargs='*', help=f'any of {", ".join(benchmarks)}; default: all')
  parser.add_argument('--repeats', type=int, default=5, help='pairs of each measurement')
  parser.add_argument('--json', type=Path, help='a file for all figures and the machine they '
                      'were taken on')
  given = parser.parse_args(argv)
  for name in given.names:
    if name not in benchmarks:
      parser.error(f'no benchmark {name!r}{nearest(name, benchmarks)}; '
                   f'there are: {", ".join(benchmarks)}')
  if given.repeats < 1:
    parser.error(f'--repeats must be at least 1, not {given.repeats}')
  results = []
  load = os.getloadavg()[0]
  if load_warning(load):
    print(load_warning(load), file=sys.stderr)

  def keep():
    if given.json:
      given.json.write_text(json.dumps(record(results, given.repeats, load), indent=2) + '\n')
  try:
    for name in given.names or benchmarks:
      print(f'{name} ...', file=sys.stderr, flush=True)
      for result in measure(benchmarks, [name], given.repeats):
        results.append(result)        # all take most of an hour: each is told at once, and kept
        print(table([result]).splitlines()[-1], file=sys.stderr, flush=True)
        keep()
  finally:                            # one that fails takes no others with it
    print(table(results))
    keep()


if __name__ == '__main__':
  # This process and those it starts may have to share one GPU.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  logging.getLogger('absl').setLevel(logging.WARNING)
  if sys.argv[1:2] == ['accelerator']:
    accelerator(sys.argv[2:])
  else:
    commandline.cache_compilations()
    main()
