"""Programs that play SLURM: sbatch runs each job of an array at once, srun what it is given."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

NUMBER = 7
HERE = Path(os.environ.get('PLAYED_SLURM', '.'))


def install(folder: Path) -> dict[str, str]:
  """Writes the programs; returns what they need in the environment."""
  for name in ('sbatch', 'srun', 'sacct', 'scontrol'):
    path = folder / 'bin' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!{sys.executable}\nimport slurm_played\nslurm_played.{name}()\n')
    path.chmod(0o755)
  return dict(PLAYED_SLURM=str(folder), PATH=f'{folder / "bin"}:{os.environ["PATH"]}')


def sbatch():
  text = Path(sys.argv[1]).read_text()
  (HERE / 'submitted.sh').write_text(text)
  array = [line for line in text.splitlines() if '--array=' in line]
  last = int(array[0].split('-')[-1].split('%')[0]) if array else 0
  for i in range(last + 1):
    own = dict(SLURM_JOB_ID=str(NUMBER + i), SLURM_NTASKS='1', SLURM_JOB_NUM_NODES='1',
               SLURM_NODEID='0', SLURM_PROCID='0', SLURM_LOCALID='0')
    if array:
      own |= dict(SLURM_ARRAY_JOB_ID=str(NUMBER), SLURM_ARRAY_TASK_ID=str(i))
    name = f'{NUMBER}_{i}' if array else str(NUMBER)
    subprocess.Popen([sys.executable, __file__, name, sys.argv[1]], start_new_session=True,
                     env={**os.environ, **own}, stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  print(f'Submitted batch job {NUMBER}')


def keep(name: str, file: str):
  """Runs a job until it is no longer queued again."""
  while True:
    (HERE / f'{name}.state').write_text('RUNNING')
    code = subprocess.run(['bash', file]).returncode
    if not (HERE / f'{name}.requeue').exists():
      break
    (HERE / f'{name}.requeue').unlink()
  (HERE / f'{name}.state').write_text('FAILED' if code else 'COMPLETED')


def srun():
  words = sys.argv[1:]
  at = words.index('--output') + 1
  place = words[at]
  for sign, value in dict(A=NUMBER, j=NUMBER, t=0, a=os.environ.get('SLURM_ARRAY_TASK_ID')).items():
    place = place.replace(f'%{sign}', str(value))
  with open(place, 'a') as log:
    sys.exit(subprocess.run(words[at + 1:], stdout=log, stderr=log).returncode)


def sacct():
  print('JobID|State|NodeList')
  for path in HERE.glob('*.state'):
    print(f'{path.stem}|{path.read_text()}|here')


def scontrol():
  assert sys.argv[1] == 'requeue'
  (HERE / f'{sys.argv[2]}.requeue').touch()


def children(pid: int) -> list[int]:
  path = Path(f'/proc/{pid}/task/{pid}/children')
  return [int(word) for word in path.read_text().split()] if path.exists() else []


def until(condition, seconds: float = 60.):
  """Waits for a true value, and returns it."""
  stop = time.monotonic() + seconds
  while not (found := condition()):
    assert time.monotonic() < stop
    time.sleep(.05)
  return found


if __name__ == '__main__':
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  keep(*sys.argv[1:])
