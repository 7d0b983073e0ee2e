"""Programs that play SLURM: sbatch runs each job of an array at once, srun what it is given."""

import os
import re
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
  asked = dict(re.findall(r'^#SBATCH --([a-z-]+)=(.*)$', text, re.M))
  tasks = int(asked['nodes']) * int(asked['ntasks-per-node'])
  last = int(re.match(r'0-(\d+)', asked['array'])[1]) if 'array' in asked else 0
  for i in range(last + 1):
    own = dict(SLURM_JOB_ID=str(NUMBER + i), SLURM_NTASKS=str(tasks),
               SLURM_JOB_NUM_NODES=asked['nodes'], SLURM_STEP_NUM_NODES=asked['nodes'],
               SLURM_STEP_NODELIST='localhost', SLURM_LOCALID='0')
    if 'array' in asked:
      own |= dict(SLURM_ARRAY_JOB_ID=str(NUMBER), SLURM_ARRAY_TASK_ID=str(i))
    name = f'{NUMBER}_{i}' if 'array' in asked else str(NUMBER)
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
  tasks = []
  for i in map(str, range(int(os.environ['SLURM_NTASKS']))):
    place = words[at]
    for sign, value in dict(A=NUMBER, j=NUMBER, t=i,
                            a=os.environ.get('SLURM_ARRAY_TASK_ID')).items():
      place = place.replace(f'%{sign}', str(value))
    with open(place, 'a') as log:
      tasks.append(subprocess.Popen(words[at + 1:], stdout=log, stderr=log, env={
          **os.environ, 'SLURM_PROCID': i, 'SLURM_NODEID': i}))
  sys.exit(max(task.wait() for task in tasks))


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
