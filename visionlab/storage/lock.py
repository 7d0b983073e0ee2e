"""One writer for each folder: a second process that would write there too is told of the first.

The kernel's lock on <folder>/writer.json decides between processes of one machine: it goes with its
process, however that dies. It mostly does so over NFS too, where a server keeps locks; but a mount
may leave them to each machine. So the file also says who writes, and the writer changes it every
few seconds: where it names another machine, the next one waits to see whether it still changes.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import jax
from absl import logging

from visionlab.config import ConfigError
from visionlab.parallel.distributed import agreed

FILE = 'writer.json'
PERIOD = 5.            # seconds between two signs of life
PATIENCE = 30.         # seconds without one after which a writer on another machine counts as dead
SIZE = 400             # bytes of the file, so that it is written in place
HELD = errno.EACCES, errno.EAGAIN


@contextlib.contextmanager
def one_writer(*folders: Path) -> Iterator[None]:
  """Within, no other process may write in the folders, which are made where they are missing and
  taken away again if nothing was written. The processes of one run share them: its first holds
  them. To be entered by all of these at the same place.

  Raises:
    ConfigError: another process writes there; it is named, and what to do.
    OSError: they cannot be written in.
  """
  with contextlib.ExitStack() as stack:
    _all_or_none(lambda: _wait_for_other_machines(folders))
    # Only now, for they would see each other's.
    _all_or_none(lambda: jax.process_index() or _hold(folders, stack))
    yield


def _all_or_none(claim):
  """Calls it on every process; where it fails on one it fails on all, and none waits for it."""
  error = None
  try:
    claim()
  except (ConfigError, OSError) as e:
    error = e
  if agreed(error is not None):
    raise error or ConfigError('another process of this run was refused its workdir and says why')


def _hold(folders: Sequence[Path], stack: contextlib.ExitStack):
  about = dict(host=platform.node(), pid=os.getpid(), machine=machine(),
               since=datetime.now().astimezone().isoformat(' ', 'seconds'))
  files = []
  for folder in folders:
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    stack.callback(_remove_empty, made)
    files.append(_lock(folder))
    stack.callback(_release, folder / FILE, files[-1])
    _write(files[-1], about)
  ended = threading.Event()

  def live():
    while not ended.wait(PERIOD):
      for file in files:
        with contextlib.suppress(OSError):      # a full disk is for the run itself to tell
          _write(file, {**about, 'alive': time.time()})
  thread = threading.Thread(target=live, name='writer', daemon=True)
  thread.start()
  stack.callback(thread.join)
  stack.callback(ended.set)


def _lock(folder: Path) -> int:
  """The locked file, open."""
  path = folder / FILE
  while True:
    # POSIX's lock, not flock's: that would live on in worker processes of one that was killed. It
    # is lost as soon as this process closes the file anywhere, so nothing here opens it again.
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
      fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
      if e.errno in HELD:
        os.close(file)
        raise ConfigError(_refusal(folder, read(folder))) from e
      about = read(folder)      # no locks on this file system: what is written is all there is
      if about.get('machine') == machine() and _runs(about.get('pid')):
        os.close(file)
        raise ConfigError(_refusal(folder, about)) from e
      return file
    with contextlib.suppress(FileNotFoundError):
      if os.path.samestat(os.fstat(file), path.stat()):
        return file
    os.close(file)              # whoever had it has ended, and removed it, since it was opened


def _wait_for_other_machines(folders: Sequence[Path]):
  """Raises `ConfigError` where a process of another machine is seen to write.

  What is of this machine its kernel knows.
  """
  seen = {folder: read(folder) for folder in folders}
  waiting = {folder: about for folder, about in seen.items()
             if about and about.get('machine') != machine()}
  for about in list(waiting.values())[:1]:
    logging.warning('%s has been writing here since %s; waiting %.0f s to see if it still does',
                    _who(about), about.get('since'), PATIENCE)
  end = time.monotonic() + PATIENCE
  while waiting and time.monotonic() < end:
    time.sleep(min(1., PERIOD / 4))
    for folder, about in list(waiting.items()):
      now = read(folder)
      if not now:                                # it has ended
        del waiting[folder]
      elif now != about:
        raise ConfigError(_refusal(folder, now))


def read(folder: Path) -> dict:
  """Who writes in a folder: host, pid, since, machine; {} if nobody does."""
  try:
    about = json.loads((folder / FILE).read_text())
  except (OSError, ValueError):                  # there is none, or it is being written
    return {}
  return about if isinstance(about, dict) else {}


def machine() -> str:
  """This machine since it was started, the same in all its containers."""
  try:
    return Path('/proc/sys/kernel/random/boot_id').read_text().strip()
  except OSError:
    return platform.node()


def _write(file: int, about: dict):
  os.pwrite(file, json.dumps(about).ljust(SIZE).encode(), 0)
  os.fsync(file)                                 # or an NFS client would keep it for itself


def _release(path: Path, file: int):
  with contextlib.suppress(OSError):
    if os.path.samestat(os.fstat(file), path.stat()):
      path.unlink()                              # before the lock goes: the next makes its own
  os.close(file)


def _runs(pid) -> bool:
  """Whether another process of this machine has that number."""
  try:
    os.kill(pid, 0)
  except PermissionError:
    return True
  except (OSError, TypeError):
    return False
  return pid != os.getpid()


def _remove_empty(folders: Sequence[Path]):
  with contextlib.suppress(OSError):
    for folder in folders:
      folder.rmdir()


def _who(about: dict) -> str:
  return f'process {about.get("pid", "?")} on {about.get("host", "a host unknown")}'


def _refusal(folder: Path, about: dict) -> str:
  return (f'{folder}: {_who(about)} writes here since {about.get("since", "just now")}. Two would '
          'spoil each other\'s checkpoints: wait for it, end it (kill '
          f'{about.get("pid", "its pid")}, there), or use another --workdir. If there is no such '
          f'process, remove {folder / FILE}')
