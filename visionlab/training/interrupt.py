"""Signals that ask for an end."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from visionlab.parallel.distributed import agreed


@contextlib.contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
  """Within, SIGTERM and ctrl-C only make the function that is yielded return True; a second one
  acts as ever."""
  told = threading.Event()
  before = {}

  def handler(number, frame):
    told.set()
    signal.signal(number, before[number])
  if threading.current_thread() is threading.main_thread():
    before = {s: signal.signal(s, handler) for s in (signal.SIGTERM, signal.SIGINT)}
  try:
    yield told.is_set
  finally:
    for number, previous in before.items():
      signal.signal(number, previous)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
  """`told_to_stop`, True on every process if any of them was told."""
  with told_to_stop() as told:
    yield lambda: agreed(told())
