"""How far long work has come, how fast it goes, and how long it will take."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TypeVar

from visionlab.training.console import Console

Item = TypeVar('Item')
OFTEN = .2      # seconds between two lines


class Progress:
  """A line at the bottom of a terminal: '1,024/50,000 images  310 images/s  0:02:38 left'.

  Where stdout is a file or a pipe it goes to stderr, if that is a terminal.

  Args:
    total: how many there are.
    console: what else is said goes there too; by default one of its own.
  """

  def __init__(self, total: int, console: Console | None = None, *, what: str = 'images'):
    self.total, self.what = total, what
    console = console or Console()
    self.console = console if console.terminal else Console(stream=sys.stderr)
    self.done, self.begun, self.shown, self.first = 0, time.perf_counter(), 0., 0

  def add(self, n: int = 1):
    """So many more are done."""
    self.done += n
    now = time.perf_counter()
    if not self.first:                # before it something was compiled, or opened
      self.begun, self.first = now, self.done
    if now - self.shown >= OFTEN and self.done < self.total:
      self.shown = now
      self.console.passing(self._line(now - self.begun))

  def _line(self, seconds: float) -> str:
    line = f'{self.done:,}/{self.total:,} {self.what}'
    if self.done == self.first or seconds <= 0:
      return line
    rate = (self.done - self.first) / seconds
    left = timedelta(seconds=int((self.total - self.done) / rate))
    return f'{line}  {rate:,.{0 if rate >= 10 else 1}f} {self.what}/s  {left} left'

  def over(self, items: Iterable[Item], count: Callable[[Item], int]) -> Iterator[Item]:
    """The items, each of which is `count` of them once the next is asked for."""
    for item in items:
      yield item
      self.add(count(item))

  def close(self):
    """Takes the line away."""
    self.console.clear()
