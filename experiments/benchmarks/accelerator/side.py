"""One side of a case: what is timed, and what is known of it."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.benchmarks.accelerator.day import Unable


class Missing(Unable):
  """This side needs what is not here; the text says what."""


@dataclass(frozen=True)
class Side:
  """
  Attributes:
    run: n -> seconds of one of n calls, made one after another and waited for; None where there is
      nothing to time, and the facts are the result.
    facts: to be written down: `flops` of a call where they are known, and others.
    memory: () -> the most bytes of the device that were in use at once, None where nobody counts.
  """
  run: Callable[[int], float] | None = None
  facts: Mapping[str, Any] = field(default_factory=dict)
  memory: Callable[[], int | None] = lambda: None


def built(target: str, options: Mapping[str, Any]) -> Side:
  """What the function 'module:name', of this package or 'package.module:name', makes of the
  options."""
  module, name = target.split(':')
  path = module if '.' in module else f'{__package__}.{module}'
  return getattr(importlib.import_module(path), name)(**options)


def need(name: str):
  """The module, or Missing where it is not installed."""
  try:
    return importlib.import_module(name)
  except ImportError as e:
    raise Missing(f'needs {name}, which is not installed') from e
