"""How many calls fill a while; for processes that may have no JAX."""

import itertools
from collections.abc import Callable


def steps_in(seconds: float, measure: Callable[[int], float]) -> int:
  """How many steps take about `seconds`, found by taking ever more of them."""
  for n in (2 ** k for k in itertools.count()):
    each = measure(n)
    if n * each > seconds / 8:
      return max(1, round(seconds / each))
