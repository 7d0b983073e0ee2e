"""Which arrays of a file are a network's: what training scripts wrap around their names, taken off.

Any prefix may stand before the names of a network known here, whoever put it there: a dict in the
file ('state_dict.', 'model_ema.'), a wrapper of the module ('module.', '_orig_mod.'), or a module
that it is a part of ('backbone.'), one in the other. Of several networks in one file that with the
most arrays is taken, of equal ones an average over training (EMA, SWA, a teacher), which is what
its results were measured with, else the first; `Found.remark` says which.
"""

import re
from collections import Counter
from typing import Any, NamedTuple

from visionlab.config import ConfigError
from visionlab.weights.families import FAMILIES, Family, Shapes, near_misses, recognise
from visionlab.weights.translate import COUNTS, split

AVERAGED = re.compile(r'(^|[._/])(model_|weights_|params_)?(ema|swa|avg|averaged?|teacher)')
HEAD = re.compile(r'((cls_)?head\.)?(?P<name>(fc|linear|classifier|head)\.(weight|bias))')
FEWEST = 10              # arrays of a network


class Found(NamedTuple):
  """A network in a file.

  Attributes:
    family, fields: what it is, and the fields of our model.
    names: the names of its arrays without their prefix -> those in the file.
    outside: other names in the file.
    remark: which of several networks this is, or ''.
  """
  family: Family
  fields: dict[str, Any]
  names: dict[str, str]
  outside: list[str]
  remark: str


def find_network(shapes: Shapes) -> Found:
  """The network among the arrays of a file, by their names and shapes.

  Raises:
    ConfigError: there is none that is known here; the shape that differs from one is named.
  """
  prefixes = _prefixes(shapes)
  known = {}
  for prefix in prefixes:
    if not any(prefix.startswith(whole) for whole in known):    # a part of what is known as a whole
      found = recognise(_under(shapes, prefix))
      if found:
        known[prefix] = found
  if not known:
    raise ConfigError(_unknown(shapes, prefixes))
  sizes = {prefix: sum(split(name)[1] not in COUNTS for name in _names(shapes, prefix))
           for prefix in known}
  equal = [prefix for prefix in known if sizes[prefix] == max(sizes.values())]
  prefix = next(filter(AVERAGED.search, equal), equal[0])
  names = _names(shapes, prefix)
  inside = set(names.values())
  return Found(*known[prefix], names, [name for name in shapes if name not in inside],
               _remark(prefix, [other for other in known if other != prefix]))


def _prefixes(names) -> list[str]:
  """What stands before the names of enough arrays, the shortest first, then in the file's order."""
  counts = Counter({'': len(names)})
  for name in names:
    counts.update(name[:match.end()] for match in re.finditer(r'[./]', name))
  long_enough = [prefix for prefix, n in counts.items() if n >= FEWEST] or ['']
  return sorted(long_enough, key=lambda prefix: len(re.findall(r'[./]', prefix)))


def _names(shapes: Shapes, prefix: str) -> dict[str, str]:
  """Names without the prefix -> those in the file. A classifier that is beside its backbone belongs
  to it: 'head.fc.weight' beside 'backbone.conv1.weight'."""
  names = {name[len(prefix):]: name for name in shapes if name.startswith(prefix)}
  parent = re.sub(r'[^./]*[./]$', '', prefix)
  if prefix and not any(map(HEAD.fullmatch, names)):
    beside = {name: HEAD.fullmatch(name[len(parent):]) for name in shapes
              if name.startswith(parent)}
    names |= {match['name']: name for name, match in beside.items() if match}
  return names


def _under(shapes: Shapes, prefix: str) -> Shapes:
  """What the names without the prefix have for shapes."""
  return {name: shapes[there] for name, there in _names(shapes, prefix).items()}


def _remark(prefix: str, others: list[str]) -> str:
  if not others:
    return ''
  averaged = ' (averaged over training)' if AVERAGED.search(prefix) else ''
  return (f'{prefix.rstrip("./") or "the outermost"} is taken{averaged}; there are also '
          + ', '.join(other.rstrip('./') or 'the outermost' for other in others))


def _unknown(shapes, prefixes) -> str:
  if not shapes:
    return 'holds no state dict (a mapping from names to tensors)'
  for prefix in prefixes:
    misses = near_misses(_under(shapes, prefix))
    if misses:
      return ('these names are of a network that is like one known here, but is another:\n  '
              + '\n  '.join(misses))
  some = ', '.join(list(shapes)[:4])
  return (f'these names are of no network known here ({some}, ...); known are: '
          + ', '.join(family.name for family in FAMILIES))
