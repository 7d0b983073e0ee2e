"""Which parameters an optimiser trains how: groups by regular expressions of their paths."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax

from visionlab.config import ConfigError, Duration, bind, nearest

# The names of weights that multiply: layers' kernels and, of attention, its three. Biases, norms'
# scales and tables of embeddings are none.
WEIGHTS = r'(^|[/_])kernel$|(^|/)(query|score|gate)$'


class Group(NamedTuple):
  """What holds for the parameters whose path matches (a regex, searched). lr and decay multiply
  hp's; neither is negative. Without a decay of its own the optimiser's regex decides (1 or 0). They
  are trained from `start`, a duration, on; before that they cost no backward pass. `rate` names a
  scalar of hp, 1 by default, that multiplies their lr too: to sweep it compiles nothing anew."""
  match: str
  lr: float = 1.
  decay: float | None = None
  frozen: bool = False
  start: int | str = 0
  rate: str = ''


def make_group(options: Mapping, where: str, total: int,
               steps: Callable[[Duration, str], int]) -> Group:
  """A group from a config; its start in steps."""
  group = bind(Group, options, where)
  check_regex(group.match, f'{where}.match')
  for key in ('lr', 'decay'):
    value = getattr(group, key)
    if value is not None and not 0 <= value < math.inf:
      raise ConfigError(f'{where}.{key}: must be finite and not negative, not {value}')
  start = steps(group.start, f'{where}.start')
  if start and group.frozen:
    raise ConfigError(f'{where}: a frozen group is never trained; leave out start, or frozen')
  if start >= total > 0:
    raise ConfigError(f'{where}.start: step {start} is not before the end of training, {total}; '
                      'what is never trained is frozen=True')
  return group._replace(start=start)


def check_regex(regex, where):
  if not regex:
    raise ConfigError(f'{where}: an empty regular expression matches everything; write "." for '
                      'all')
  try:
    re.compile(regex)
  except re.error as e:
    raise ConfigError(f'{where}: {regex!r} is no regular expression: {e}') from e


def paths(params) -> list[str]:
  """'stage1/conv/kernel' for each leaf, in the order of the leaves."""
  return [jax.tree_util.keystr(path, simple=True, separator='/')
          for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def check_matches(regexes: Mapping[str, str], names: Sequence[str]) -> None:
  """Checks a table of regexes, where -> regex, of which the first that is found in a name holds.

  Raises:
    ConfigError: one is found in no name, or only in such as an earlier one holds for.
  """
  holds = {}
  for where, regex in regexes.items():
    found = [n for n in names if re.search(regex, n)]
    if not found:
      raise ConfigError(f'{where}: {regex!r} matches no parameter{nearest(regex, names)}; '
                        f'there are: {", ".join(names)}')
    if all(n in holds for n in found):
      first = holds[found[0]]
      raise ConfigError(f'{where}: {regex!r} never holds: {first}, {regexes[first]!r}, comes first '
                        f'for {found[0]}; put the narrower one before it')
    holds = {**dict.fromkeys(found, where), **holds}
