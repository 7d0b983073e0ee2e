"""Lines for people: some stay, and one at the bottom of a terminal passes."""

import contextlib
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

WAIT = 1.       # seconds of work of which it is said how long it took
INDENT = ' ' * 4        # of what goes on in the next row


class Console:
  """Writes to stdout, or another stream. On a terminal the passing line is rewritten in place;
  elsewhere, in a file or a notebook, there is none.

  Nothing is coloured, so NO_COLOR has nothing to turn off.

  Args:
    terminal: whether lines may be rewritten; default: if stdout is a terminal that can.
    quiet: nothing is written.
    copy: a file to which lines that stay are added too.
    stream: None is whatever sys.stdout is at the time.
  """

  def __init__(self, *, terminal: bool | None = None, quiet: bool = False,
               copy: Path | None = None, stream: TextIO | None = None):
    self._stream = stream
    can = self.stream.isatty() and os.environ.get('TERM') != 'dumb'
    self.terminal = can if terminal is None else terminal
    self.quiet, self.passed, self.copy = quiet, 0, copy

  @property
  def stream(self) -> TextIO:
    return self._stream or sys.stdout

  def say(self, text: str):
    """Lines that stay. On a terminal that is narrower, they go on in the next row."""
    if not self.quiet:
      shown = folded(text, width(self.stream)) if self.terminal else text
      self._write(self._erased() + shown + '\n')
    if self.copy:
      with self.copy.open('a', encoding='utf-8') as file:
        file.write(text + '\n')

  def passing(self, text: str):
    """One line that the next line replaces, cut to the width that the terminal has now."""
    if self.terminal and not self.quiet:
      erased, text = self._erased(), cut(text, width(self.stream))
      self._write(erased + text)
      self.passed = len(text)

  def clear(self):
    """Takes the passing line away."""
    if self.passed:
      self._write(self._erased())

  @contextlib.contextmanager
  def doing(self, what: str, *, lasting: bool = True) -> Iterator[None]:
    """Says what is being done while it is and, unless that is not `lasting`, how long it took if
    that was long."""
    self.passing(f'{what} ...')
    begun = time.perf_counter()
    try:
      yield
    except BaseException:         # what is said of it begins a line
      self.clear()
      raise
    took = time.perf_counter() - begun
    if lasting and took >= WAIT:
      self.say(f'{what}: {took:.1f} s')
    else:
      self.clear()

  def close(self):
    """Leaves the last passing line where it is."""
    if self.passed and not self.quiet:
      self._write('\n')
    self.passed = 0

  def _write(self, text: str):
    self.stream.write(text)
    self.stream.flush()

  def _erased(self) -> str:
    """What takes the passing line away. Where the window was made narrower it now fills several
    rows: those above are reached by moving up."""
    if not self.passed:
      return ''
    above = math.ceil(self.passed / width(self.stream)) - 1
    self.passed = 0
    return '\r' + (f'\x1b[{above}A' if above else '') + '\x1b[J'


def width(stream: TextIO) -> int:
  """Columns of the terminal, asked each time: windows are resized, and $COLUMNS stays behind."""
  try:
    columns = os.get_terminal_size(stream.fileno()).columns
  except (OSError, ValueError, AttributeError):
    columns = shutil.get_terminal_size().columns
  return max(20, columns)


def folded(text: str, columns: int) -> str:
  """The text in rows of fewer than that many columns, broken between what two spaces part.

  >>> print(folded('step 10/100  loss 0.5  accuracy 0.91  top5 0.99', 32))
  step 10/100  loss 0.5
      accuracy 0.91  top5 0.99
  """
  rows = []
  for row in text.split('\n'):
    while len(row) >= columns and (gap := _gap(row, columns)) > 0:
      rows.append(row[:gap].rstrip())
      row = INDENT + row[gap:].lstrip()
    rows.append(row)
  return '\n'.join(rows)


def _gap(row: str, columns: int) -> int:
  """Where a row may be broken: the last place within that many columns, the first after, or -1."""
  within = row.rfind('  ', len(INDENT) + 1, columns)
  return within if within > 0 else row.find('  ', columns)


def cut(text: str, columns: int) -> str:
  """The text in fewer than that many columns: a full row would already begin the next.

  >>> cut('step 10/100  loss 0.5', 16)
  'step 10/100  l…'
  """
  return text if len(text) < columns else text[:columns - 2] + '…'
