"""Pairs of measurements, taken in turn, and the table and the record that are made of them."""

import datetime
import importlib
import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import jax

HEADINGS = ('name', 'ours', 'peer', 'ratio', 'spread', 'note')
VERSIONS = ('visionlab', 'jax', 'flax', 'optax', 'torch')


class Skip(Exception):  # noqa: N818 - nothing went wrong
  """This benchmark cannot run here; the text says what is missing."""


@dataclass(frozen=True)
class Row:
  """One line of the table.

  Attributes:
    ours, peer: seconds or bytes, one for each repeat: less is better. The i-th of both were taken
      one right after the other. A row without a peer is for information.
    unit: 's' or 'B'.
  """
  name: str
  ours: Sequence[float]
  peer: Sequence[float] = ()
  note: str = ''
  unit: str = 's'

  @property
  def ratio(self) -> float | None:
    """How many times better than the peer we are, by the medians: 2 is twice as fast.

    >>> Row('x', [1., 2., 9.], [4., 4., 3.]).ratio
    2.0
    """
    return median(self.peer) / median(self.ours) if self.peer else None

  @property
  def spread(self) -> tuple[float, float] | None:
    """The smallest and the largest ratio of a pair."""
    ratios = [p / o for o, p in zip(self.ours, self.peer, strict=True)] if self.peer else []
    return (min(ratios), max(ratios)) if ratios else None


@dataclass(frozen=True)
class Skipped:
  name: str
  reason: str


Benchmark = Callable[[int], Iterable[Row]]       # repeats -> rows; may raise Skip


def in_turn(repeats: int, *measures: Callable[[], Any]) -> list[list]:
  """Calls every measure once, `repeats` times over: one list of results for each measure.

  What disturbs the machine for a while then disturbs all of them, and not one alone.
  """
  rounds = [[measure() for measure in measures] for _ in range(repeats)]
  return [list(results) for results in zip(*rounds, strict=True)]


def require(name: str):
  """The module, or Skip where it is not installed."""
  try:
    return importlib.import_module(name)
  except ImportError as e:
    raise Skip(f'needs {name}, which is not installed') from e


def measure(benchmarks: Mapping[str, Benchmark], names: Iterable[str],
            repeats: int) -> Iterator[Row | Skipped]:
  for name in names:
    try:
      yield from benchmarks[name](repeats)
    except Skip as reason:
      yield Skipped(name, str(reason))


def table(results: Iterable[Row | Skipped]) -> str:
  """The rows, aligned, under their headings; then a line for each benchmark that was skipped."""
  results = list(results)
  cells = [HEADINGS, *(_cells(r) for r in results if isinstance(r, Row))]
  wide = [max(len(line[i]) for line in cells) for i in range(len(HEADINGS))]
  lines = ['  '.join([line[0].ljust(wide[0]),
                      *(cell.rjust(w) for cell, w in zip(line[1:-1], wide[1:-1], strict=True)),
                      line[-1]]).rstrip() for line in cells]
  return '\n'.join(lines + [f'{r.name}: skipped: {r.reason}' for r in results
                            if isinstance(r, Skipped)])


def record(results: Iterable[Row | Skipped], repeats: int, load: float) -> dict[str, Any]:
  """All that was measured, and on what, ready for JSON. load: average before the first of it."""
  results = list(results)
  return dict(
      machine=machine() | dict(load=load), repeats=repeats,
      rows=[dict(name=r.name, unit=r.unit, ours=list(r.ours), peer=list(r.peer), ratio=r.ratio,
                 spread=r.spread, note=r.note) for r in results if isinstance(r, Row)],
      skipped={r.name: r.reason for r in results if isinstance(r, Skipped)})


def machine() -> dict[str, Any]:
  """What the figures hang on."""
  return dict(date=datetime.date.today().isoformat(), system=platform.platform(),
              processor=_processor(), cores=cores(), device=jax.devices()[0].device_kind,
              python=platform.python_version(), **{k: _version(k) for k in VERSIONS})


def load_warning(load: float) -> str:
  """What to say where other work (a load average) is likely to disturb the figures, else ''."""
  return (f'warning: load average {load:.1f} on {cores()} cores; figures taken now mean little'
          if load > .5 * cores() else '')


def cores() -> int:
  """Those this process may use: fewer than there are under taskset or in a container."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def quantity(value: float, unit: str) -> str:
  """
  >>> quantity(.0123, 's'), quantity(41.7, 's'), quantity(3.1e8, 'B')
  ('12.3 ms', '41.7 s', '310 MB')
  """
  if unit == 'B':
    return f'{value / 1e6:.0f} MB'
  return f'{value:.3g} s' if value >= 1 else f'{value * 1e3:.3g} ms'


def _cells(row: Row) -> tuple[str, ...]:
  return (row.name, quantity(median(row.ours), row.unit),
          quantity(median(row.peer), row.unit) if row.peer else '',
          f'{row.ratio:.2f}' if row.peer else '',
          '{:.2f}-{:.2f}'.format(*row.spread) if row.peer else '', row.note)


def _version(package: str) -> str | None:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _processor() -> str:
  path = Path('/proc/cpuinfo')
  lines = path.read_text().splitlines() if path.exists() else ()
  return next((line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')),
              platform.processor())
