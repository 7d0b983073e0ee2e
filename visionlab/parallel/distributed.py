"""One run on many processes: how they come together, and what becomes of them when one is lost.

`jax.distributed` brings them together and finds SLURM, Open MPI, Kubernetes and TPU pods by itself.
It also ends them all when one dies, but with the C++ trace of an aborted process that names no
cause. So they keep a roll of their own in its key-value store: each says every few seconds that it
is there, process 0 calls the roll, and its verdict is the last line of every other process.
"""

import contextlib
import ctypes
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from visionlab.config import ConfigError, TrainingError

PERIOD = 1.            # seconds between two signs of life
PATIENCE = 30.         # seconds without one after which a process counts as lost
ROLL, VERDICT = 'visionlab/roll', 'visionlab/verdict'
DONE, FAILED = 'done', 'failed: '


@contextlib.contextmanager
def joined(coordinator: str = '', processes: int | None = None, process: int | None = None, *,
           timeout: float = 300.) -> Iterator[None]:
  """Within, this is one of several JAX processes; `jax.devices()` are those of all.

  If another process is lost or fails meanwhile, this one ends with status 1 and a line that says
  which, wherever it is: a collective never returns that waits for the dead.

  Args:
    coordinator: 'host:port' of process 0, any free port; '' to be found out, with the other two.
    processes: their number. process: this one's.
    timeout: seconds to wait for the others at the start.

  Raises:
    ConfigError: the three contradict each other, or there is nothing to find them out from.
    TrainingError: from within, in place of the error that another process's failure led to here.
  """
  check_flags(coordinator, processes, process)
  _connect(coordinator, processes, process, timeout)
  # The store of the coordination service, which has no public name.
  from jax._src import distributed
  address = distributed.global_state.coordinator_address
  roll = Roll(distributed.global_state.client, jax.process_index(), jax.process_count())
  with _explained_abort(address, jax.process_index(), jax.process_count()):
    try:
      yield
    except BaseException as error:
      verdict = roll.failed(error)
      if verdict:
        raise TrainingError(verdict) from error
      raise
    finally:
      roll.leave()


def check_flags(coordinator: str, processes: int | None, process: int | None):
  """Raises `ConfigError` unless the three are all given and make sense, or none is.

  >>> check_flags('10.0.0.1:1234', 4, 0)
  """
  given = bool(coordinator), processes is not None, process is not None
  if any(given) and not all(given):
    missing = [f'--{name}' for name, is_given in
               zip(('coordinator', 'processes', 'process'), given, strict=True) if not is_given]
    raise ConfigError('--coordinator, --processes and --process belong together; missing: '
                      + ', '.join(missing))
  if coordinator and not re.fullmatch(r'(\[[^]]+\]|[^:\s/]+):\d{1,5}', coordinator):
    raise ConfigError(f'--coordinator={coordinator}: expected host:port of process 0, e.g. '
                      '10.0.0.1:1234')
  if processes is not None and not 0 <= process < processes:
    raise ConfigError(f'--process={process}: expected 0 to {processes - 1} of --processes='
                      f'{processes}')


def _connect(coordinator: str, processes: int | None, process: int | None, timeout: float):
  place = coordinator or 'the coordinator'

  def give_up():
    _end(f'not all {processes or ""} processes came to {place} within {timeout:.0f} s; is each '
         'started, and is that address, of process 0, reached from here?')
  # After its own timeout JAX would abort with a C++ trace.
  timer = threading.Timer(timeout, give_up)
  timer.daemon = True
  timer.start()
  try:
    jax.distributed.initialize(coordinator or None, processes, process,
                               local_device_ids=None if coordinator else node_devices(os.environ),
                               initialization_timeout=int(timeout) + 60,
                               # Well after the roll, which is to have the first word.
                               heartbeat_timeout_seconds=int(2 * PATIENCE) + 20)
  except RuntimeError as e:
    where = f'--coordinator={coordinator}' if coordinator else '--distributed'
    raise ConfigError(f'{where}: {e}') from e
  except ValueError as e:
    raise ConfigError('--distributed: found no SLURM, Open MPI, Kubernetes or TPU pod to learn the '
                      f'processes from ({e}); give --coordinator=host:port --processes=n '
                      '--process=i') from e
  finally:
    timer.cancel()
  if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)    # JAX has put a handler that only takes note


@contextlib.contextmanager
def _explained_abort(address: str, process: int, processes: int) -> Iterator[None]:
  """When process 0 is gone JAX aborts the others at once, from a C++ thread that holds the locks of
  its store; a handler of Python's own would never run."""
  @ctypes.CFUNCTYPE(None, ctypes.c_int)
  def handler(_):
    host, port = address.rsplit(':', 1)
    try:
      if process:
        socket.create_connection((host.strip('[]'), int(port)), 5).close()
    except OSError:
      _end(f'process 0 of {processes}, which the others need, is lost')
    _end('JAX has ended this process; the lines above say why')
  libc = ctypes.CDLL(None)
  libc.signal.argtypes = ctypes.c_int, ctypes.c_void_p
  libc.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
  try:
    yield
  finally:
    libc.signal(signal.SIGABRT, None)


def node_devices(environment: Mapping[str, str]) -> list[int] | None:
  """The GPUs of a SLURM node that has one process for all of them; None: JAX's own choice, which
  under SLURM is one GPU for each process.

  >>> node_devices(dict(SLURM_NTASKS='2', SLURM_STEP_NUM_NODES='2', SLURM_GPUS_ON_NODE='4'))
  [0, 1, 2, 3]
  """
  tasks, nodes, gpus = (environment.get(f'SLURM_{name}', '') for name in
                        ('NTASKS', 'STEP_NUM_NODES', 'GPUS_ON_NODE'))
  return list(range(int(gpus))) if gpus.isdigit() and tasks and tasks == nodes else None


class Roll:
  """The roll of processes, called from a thread of its own.

  Args:
    client: of the key-value store: `key_value_set`, `key_value_dir_get`.
  """

  def __init__(self, client, process: int, processes: int, *, patience: float | None = None):
    self.client, self.process, self.processes = client, process, processes
    self.patience = PATIENCE if patience is None else patience
    self.word, self.beat = '', 0
    self.failing, self.left, self.judged = (threading.Event() for _ in range(3))
    self.verdict = ''
    self.thread = threading.Thread(target=self._keep, name='roll', daemon=True)
    self.thread.start()

  def failed(self, error: BaseException) -> str:
    """Says that this process goes wrong, waits for the verdict, and returns it where another is to
    blame: to lose a process in the midst of a collective looks like an error of one's own."""
    self.failing.set()
    self.word = FAILED + (str(error).splitlines() or [type(error).__name__])[0][:300]
    self.judged.wait(2 * self.patience)
    return '' if self.verdict.startswith(f'process {self.process} of') else self.verdict

  def leave(self):
    """Ends the roll here; process 0 first hears of the others' end."""
    self.left.set()
    self.thread.join(2 * self.patience)
    if self.failing.is_set() and self.process == 0:
      time.sleep(3 * PERIOD)                # the others learn the verdict from here

  def _keep(self):
    call, verdict, missed, leaving = rollcall(self.processes, self.patience), None, 0, False
    while verdict is None and not (leaving and self.process):
      leaving = self.left.wait(PERIOD)
      if leaving:
        self.word = self.word or DONE
        time.sleep(PERIOD / 10)
      try:
        verdict, missed = self._once(call), 0
      except Exception:                     # no answer from the store
        missed += 1
        if missed == 3:
          verdict = f'process 0 of {self.processes}, which the others need, is lost'
    self.verdict = verdict or ''
    self.judged.set()
    if self.verdict and not self.failing.wait(PERIOD):    # who fails too ends by itself, tidily
      if self.process == 0:
        time.sleep(3 * PERIOD)
      _end(self.verdict)

  def _once(self, call: Callable) -> str | None:
    self.beat += 1
    self.client.key_value_set(f'{ROLL}/{self.process}', self.word or str(self.beat),
                              allow_overwrite=True)
    if self.process == 0:
      said = self.client.key_value_dir_get(ROLL)
      verdict = call({int(key.rsplit('/', 1)[1]): value for key, value in said}, time.monotonic())
      if verdict is not None:
        self.client.key_value_set(f'{VERDICT}/0', verdict or ' ', allow_overwrite=True)
      return verdict
    found = self.client.key_value_dir_get(VERDICT)
    return found[0][1].strip() if found else None


def rollcall(processes: int, patience: float) -> Callable[[Mapping[int, str], float], str | None]:
  """call(said, now) -> the verdict, or None while all is well.

  said: what each process last said: something new each time, `DONE`, or `FAILED` and why. Silence
  outweighs failure, for who depends on the dead fails too. '' once all have ended alike.
  """
  heard = dict.fromkeys(range(processes), ('', None))    # process -> what it said first when

  def call(said, now):
    for i, (word, since) in heard.items():
      if said.get(i, '') != word or since is None:
        heard[i] = said.get(i, ''), now
    settled = {i: word for i, (word, _) in heard.items() if word.startswith((DONE, FAILED))}
    late = {i for i, (_, since) in heard.items() if now - since > patience}
    silent = sorted(late - {*settled})
    if silent:
      names = ', '.join(map(str, silent))
      verb = 'is' if len(silent) == 1 else 'are'
      return (f'process {names} of {processes} {verb} lost: not heard of for {patience:.0f} s; '
              'the same command, on every process, goes on from the last checkpoint')
    failures = {i: word.removeprefix(FAILED) for i, word in settled.items() if word != DONE}
    ended = len(settled) == processes
    if ended and len(failures) in (0, processes):
      return ''
    first = min(failures if ended else late & {*failures}, default=None)
    return None if first is None else f'process {first} of {processes} failed: {failures[first]}'
  return call


def agreed(here: bool) -> bool:
  """Whether it is so on any process. To be asked by all of them, at the same place."""
  if jax.process_count() == 1:
    return here
  return bool(multihost_utils.process_allgather(np.bool_(here)).any())


def gathered(rows, places: np.ndarray):
  """The rows of all processes, in order. To be asked by all of them, at the same place.

  Args:
    rows: a tree of arrays on the host, with as many rows on every process.
    places: (n,) of each row among all; one that several processes hold is taken once.
  """
  if jax.process_count() == 1:
    return rows
  rows, places = multihost_utils.process_allgather((rows, places.astype(np.int32)))
  _, order = np.unique(places, return_index=True)
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[order], rows)


def slowest(rate: float) -> float:
  """The least of all processes' rates. To be asked by all of them, at the same place."""
  if jax.process_count() == 1:
    return rate
  return float(multihost_utils.process_allgather(np.float32(rate)).min())


def end(code: int):
  """Ends this process at once: an orderly exit waits for all the others, who may be gone."""
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def _end(text: str):
  print(f'error: {text}', file=sys.stderr)
  end(1)
