"""A list of cases within a time: what is still to be done, what there is time for, what is on disk.

What is known of a case is on disk before the next begins. A day that was ended, in whatever way,
goes on where it was: a case that ended the day is not the first of the next.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Unable(Exception):  # noqa: N818 - nothing went wrong
  """This case cannot be had here, or not yet; the text says why."""


class Timed(Protocol):
  name: str
  needs: float             # seconds; with less left it is not begun


@dataclass
class Record:
  """What a file knows of the cases, by their names.

  Attributes:
    path: of the file, which may not exist yet.
    results: of those that are done.
    begun: how often the others were begun.
    reasons: why those that are not done are not.
  """
  path: Path
  results: dict[str, Any] = field(default_factory=dict)
  begun: dict[str, int] = field(default_factory=dict)
  reasons: dict[str, str] = field(default_factory=dict)

  @classmethod
  def of(cls, path: Path) -> 'Record':
    return cls(path, **(json.loads(path.read_text()) if path.exists() else {}))

  def begin(self, name: str) -> None:
    self.begun[name] = self.begun.get(name, 0) + 1
    # What stays if the machine goes away meanwhile.
    self.leave(name, 'was begun, and did not end')

  def leave(self, name: str, reason: str) -> None:
    self.reasons[name] = reason
    self.save()

  def finish(self, name: str, result: Any) -> None:
    self.results[name] = result
    self.begun.pop(name, None)
    self.reasons.pop(name, None)
    self.save()

  def save(self) -> None:
    """At once or not at all: whoever reads the file finds all of the old or all of the new."""
    known = {k: v for k, v in asdict(self).items() if k != 'path'}
    beside = self.path.with_name(f'{self.path.name}.new')
    with beside.open('w') as file:
      file.write(json.dumps(known, indent=2) + '\n')
      file.flush()
      os.fsync(file.fileno())
    beside.replace(self.path)


def in_order(cases: Sequence[Timed], record: Record) -> list[Timed]:
  """Those not done: as they come, but what was begun and not finished waits for those that were
  begun less often."""
  left = [case for case in cases if case.name not in record.results]
  return sorted(left, key=lambda case: record.begun.get(case.name, 0))


def make(cases: Sequence[Timed], record: Record, seconds: float,
         attempt: Callable[[Timed, float], Mapping], *,
         clock: Callable[[], float] = time.monotonic) -> Iterator[tuple[str, Any]]:
  """Makes what is left of the cases, as far as there is time: one that needs more than is left is
  passed over, for a shorter one may come.

  Args:
    seconds: from now on.
    attempt: (case, seconds left) -> its result; may raise anything.

  Yields:
    each case's name, and its result or the reason why there is none.
  """
  end = clock() + seconds
  for case in in_order(cases, record):
    left = end - clock()
    if left < case.needs:
      record.leave(case.name, f'no time: takes some {case.needs:.0f} s, {max(0, left):.0f} s left')
    else:
      record.begin(case.name)
      try:
        record.finish(case.name, attempt(case, left))
      except Unable as reason:
        record.leave(case.name, str(reason))
      except Exception as error:  # noqa: BLE001 - one that fails takes no others with it
        record.leave(case.name, f'failed: {error}')
    yield case.name, record.results.get(case.name, record.reasons.get(case.name))
