"""Training on several processes of this machine, by the command a user types.

`python together.py records.txt <arguments of visionlab.train>` is one of them: it also writes down
the batches it is given, a line for each with a checksum for each of its rows.
"""

import contextlib
import os
import runpy
import socket
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import numpy as np

TESTS = Path(__file__).parent
SLURM_PORTS = 2**16 - 2**12        # JAX takes the port after these that is the job's number


def start(count: int, workdir: Path, config: Path, *arguments: str, devices: int = 1,
          patience: float = 30., slurm: bool = False) -> list[subprocess.Popen]:
  """The processes, of `devices` each; one alone is told nothing of any other. slurm: they are to
  learn who they are from what srun would put into their environment."""
  environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': str(devices), 'PATIENCE': str(patience),
                 'PYTHONPATH': f'{TESTS}:{TESTS.parent}'}
  told, port = [], free_port(SLURM_PORTS if slurm else 0)
  if slurm:
    told = ['--distributed']
    environment |= dict(SLURM_JOB_ID=str(port - SLURM_PORTS), SLURM_STEP_NODELIST='localhost',
                        SLURM_NTASKS=str(count), SLURM_STEP_NUM_NODES='1')
  elif count > 1:
    told = [f'--coordinator=localhost:{port}', f'--processes={count}']

  def one(i):
    own = [f'--process={i}'] if told and not slurm else []
    return subprocess.Popen(
        [sys.executable, __file__, records(workdir, i), f'--config={config}',
         f'--workdir={workdir}', *told, *own, *arguments], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment | dict(SLURM_PROCID=str(i), SLURM_LOCALID=str(i)))
  return [one(i) for i in range(count)]


def finish(processes: list[subprocess.Popen], timeout: float = 200.) -> list[tuple[int, str, str]]:
  """(status, stdout, stderr) of each."""
  said = [p.communicate(timeout=timeout) for p in processes]
  return [(p.returncode, *texts) for p, texts in zip(processes, said, strict=True)]


def trained(count: int, workdir: Path, config: Path, *arguments: str, **options) -> str:
  """What process 0 says of a training that must succeed."""
  ended = finish(start(count, workdir, config, *arguments, **options))
  assert [code for code, *_ in ended] == [0] * count, '\n'.join(err for *_, err in ended)
  assert all('step' not in out for _, out, _ in ended[1:])       # one of them speaks for all
  return ended[0][1]


def records(workdir: Path, process: int) -> str:
  return f'{workdir}.{process}.txt'


def batches(workdir: Path, count: int) -> list[list[str]]:
  """The checksums of the rows of every batch, over all processes, in order."""
  parts = [Path(records(workdir, i)).read_text().splitlines() for i in range(count)]
  return [' '.join(rows).split() for rows in zip(*parts, strict=True)]


def free_port(first: int = 0) -> int:
  """Any, or one not before `first`."""
  for port in range(first, 2**16) if first else [0]:
    with contextlib.suppress(OSError), socket.socket() as s:
      s.bind(('localhost', port))
      return s.getsockname()[1]
  raise OSError('no port is free')


def main(path: str):
  from visionlab.data.pipeline import Batches
  from visionlab.parallel import distributed
  distributed.PATIENCE = float(os.environ['PATIENCE'])
  put = Batches.put

  def recorded(self, local):
    rows = zip(*map(np.asarray, jax.tree.leaves(local)), strict=True)
    print(*(zlib.crc32(b''.join(x.tobytes() for x in row)) for row in rows), file=file, flush=True)
    return put(self, local)
  Batches.put = recorded
  with Path(path).open('w') as file:
    runpy.run_module('visionlab.train', run_name='__main__', alter_sys=True)


if __name__ == '__main__':
  main(sys.argv.pop(1))
