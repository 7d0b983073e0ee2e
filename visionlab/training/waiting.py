"""How long training waits for its data."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar('Item')


class Waits:
  """Adds up the seconds in which the loop had nothing to dispatch: its batch was still being read,
  decoded or handed to the device."""

  def __init__(self):
    self.seconds = 0.

  def over(self, batches: Iterable[Item]) -> Iterator[Item]:
    """The batches, with the time that each takes to come."""
    batches, end = iter(batches), object()
    while True:
      begun = time.perf_counter()
      batch = next(batches, end)
      self.seconds += time.perf_counter() - begun
      if batch is end:
        return
      yield batch

  def taken(self) -> float:
    """Those since the last call."""
    seconds, self.seconds = self.seconds, 0.
    return seconds
