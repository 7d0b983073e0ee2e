"""Warnings about members of a sweep: of many the same, one."""

import contextlib
import logging
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def of_members(count: int) -> Iterator[None]:
  """Within it, what this thread warns of in the same words, whatever the numbers in them, comes
  once, at the end: the first of them, and whether it is of all, which then are `count`."""
  logger, thread = logging.getLogger('absl'), threading.get_ident()
  alike: dict[str, list[logging.LogRecord]] = {}

  def keep(record):
    mine = record.thread == thread and record.levelno == logging.WARNING
    if mine:
      alike.setdefault(record.msg, []).append(record)
    return not mine
  logger.addFilter(keep)
  try:
    yield
  finally:
    logger.removeFilter(keep)
    for first, *more in alike.values():
      said = 'all' if 1 + len(more) == count else 'some'
      first.msg, first.args = f'{said} settings: {first.getMessage()}', ()
      logger.handle(first)
