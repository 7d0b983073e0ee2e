"""Whether a caption is true of a scene: read by the grammar of `scenes_captions`, then checked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from visionlab.data.scenes.captions import COUNTS, MARGIN, RELATIONS, Group, gaps, plural

PARTS = ('grammar', 'classes', 'counts', 'sizes', 'relation')
_RELATION = re.compile(f' ({"|".join(RELATIONS)}) ')
_GROUP = re.compile(r'(an?|\w+)(?: (small|large))? (\S+)')


@dataclass(frozen=True)
class Said:
  """What a caption says.

  Attributes:
    groups: (name, count, size or '') of each.
    relation: of the first group to the second, or ''.
  """
  groups: tuple[tuple[str, int, str], ...]
  relation: str = ''


def read(text: str, classes: Sequence[str]) -> Said | None:
  """What a caption says, or None where it is not a sentence of the grammar.

  >>> read('a large seven left of two threes', ('three', 'seven'))
  Said(groups=(('seven', 1, 'large'), ('three', 2, '')), relation='left of')
  """
  if text == 'nothing':
    return Said(())
  first, *rest = _RELATION.split(text)
  relation = rest[0] if rest else ''
  if rest:
    second, *more = rest[1].split(' with ')
    phrases = [first, second, *(_items(more[0]) if more else ())]
  else:
    phrases = _items(first)
  if len(rest) > 2 or rest and len(more) > 1:
    return None
  groups = [_group(phrase, classes) for phrase in phrases]
  return None if None in groups else Said(tuple(groups), relation)


def judge(text: str, groups: Sequence[Group], classes: Sequence[str]) -> dict[str, bool]:
  """Which of `PARTS` are right, and whether the caption is `true`, that is, all of them.

  A caption may begin with any group, and leave sizes and the relation out; what it says must hold.
  It must name every class that is there, none that is not, and each once, with the right count: an
  evasive caption is not true. A relation holds if all centres differ by `MARGIN`, as for the
  captions that scenes come with, though another may hold by more. Where a caption cannot be read,
  or names other classes, nothing that depends on them is right.

  >>> two = Group('two', 'small', ((.2, .5),), .1), Group('six', '', ((.8, .3), (.7, .6)), .1)
  >>> judge('two sixes right of a two', two, ('two', 'six'))['true']
  True
  >>> [k for k, right in judge('a large two above two sixes', two, ('two', 'six')).items()
  ...  if not right]
  ['sizes', 'relation', 'true']
  """
  said, right = read(text, classes), dict.fromkeys((*PARTS, 'true'), False)
  if said is None:
    return right
  right['grammar'] = True
  there = {group.name: group for group in groups}
  if sorted(name for name, *_ in said.groups) != sorted(there):
    return right
  right['classes'] = True
  right['counts'] = all(n == len(there[name].centres) for name, n, _ in said.groups)
  right['sizes'] = all(size in ('', there[name].size) for name, _, size in said.groups)
  ends = [there[name] for name, *_ in said.groups[:2]]
  right['relation'] = not said.relation or gaps(*ends)[said.relation] >= MARGIN
  right['true'] = all(right[part] for part in PARTS)
  return right


def _items(text: str) -> list[str]:
  """'a, b and c' -> [a, b, c]; what is joined otherwise stays one, and is no group."""
  most, _, last = text.rpartition(' and ')
  return [*most.split(', '), last] if most else [last]


def _group(phrase: str, classes: Sequence[str]) -> tuple[str, int, str] | None:
  match = _GROUP.fullmatch(phrase)
  if not match:
    return None
  article, size, name = match.groups()
  if article in ('a', 'an'):
    return (name, 1, size or '') if name in classes else None
  names = {plural(one): one for one in classes}
  count = COUNTS.index(article) if article in COUNTS else int(article) if article.isdigit() else 0
  return (names[name], count, size or '') if name in names and count > 1 else None
