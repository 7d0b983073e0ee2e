"""Signals that ask training to end."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
  """Within, SIGTERM and ctrl-C only make the function that is yielded return True (on every
  process, if any was told); a second one acts as ever."""
  told = threading.Event()
  before = {}

  def handler(number, frame):
    told.set()
    signal.signal(number, before[number])
  if threading.current_thread() is threading.main_thread():
    before = {s: signal.signal(s, handler) for s in (signal.SIGTERM, signal.SIGINT)}

  def interrupted() -> bool:
    if jax.process_count() == 1:
      return told.is_set()
    return bool(multihost_utils.process_allgather(told.is_set()).any())
  try:
    yield interrupted
  finally:
    for number, previous in before.items():
      signal.signal(number, previous)
