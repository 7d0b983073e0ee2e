"""Traces of the training loop for jax.profiler's viewers."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from visionlab.config import ConfigError
from visionlab.state import State


@contextlib.contextmanager
def profiler(workdir: Path, window: tuple) -> Iterator[Callable[[int, State], None]]:
  """Yields what is to be called with each step: it traces steps window[0] to window[1]."""
  if window and not (len(window) == 2 and 0 <= window[0] < window[1]):
    raise ConfigError(f'config.profile: expected (first, last) steps, got {window}')
  on = False

  def at(step, state):
    nonlocal on
    if window and step == window[0]:
      jax.profiler.start_trace(str(workdir / 'profile'))
      on = True
    elif on and step >= window[1]:
      jax.block_until_ready(state)
      jax.profiler.stop_trace()
      on = False
  try:
    yield at
  finally:
    if on:
      jax.profiler.stop_trace()
