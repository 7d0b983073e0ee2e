"""What a book and the people in a film say of a scene: each in words of its own.

  plain     a sentence of `visionlab.data.scenes.captions`
  retold    the same in other words, from the other side, behind an opening
  allusive  what things are is told by their shape alone: no noun is left
  spoken    a subtitle, which names some of what is to be seen
"""

from collections.abc import Mapping, Sequence

import numpy as np

from visionlab.data.scenes.captions import Group, caption, plural, relation

FORMS = ('plain', 'retold', 'allusive')
SHAPES = dict(zero='ring', one='pole', two='swan', three='bird', four='chair', five='hook',
              six='snail', seven='scythe', eight='snowman', nine='balloon')
SIZES = dict(large=('large', 'huge', 'great', 'mighty'), small=('small', 'tiny', 'little', 'wee'))
SPOKEN = dict(large=('large', 'huge', 'big'), small=('small', 'tiny', 'little'))
WHERE = {'left of': ('to the left of', 'on the left side of', 'left of'),
         'right of': ('to the right of', 'on the right side of', 'right of'),
         'above': ('above', 'over', 'on top of'), 'below': ('below', 'under', 'beneath')}
PAIRS = ('a pair of', 'two', 'a couple of')
OPENINGS = ('there stood', 'they came upon', 'before them lay', 'in the distance was',
            'she could see', 'he dreamt of')
FILLERS = ('they walked on in silence', 'it had begun to rain', 'nobody said a word',
           'she thought of home', 'the evening was long', 'he slept badly that night',
           'what was one to do', 'the road went on and on')
REMARKS = ('look , {}', 'do you see {}', 'is that {}', 'i can see {}', 'oh , {}', 'what , {} again')
CHATTER = ('we should go now', 'i am so tired', 'where have you been', 'come on', 'not again',
           'tell me about it')


def told(groups: Sequence[Group], form: str, rng: np.random.Generator) -> str:
  """A sentence of a book about a scene, in one of `FORMS`."""
  if form == 'plain' or not groups:
    return caption(groups, int(rng.integers(2)))
  names = SHAPES if form == 'allusive' else {}
  groups = [*groups]
  if len(groups) > 1 and rng.random() < .5:
    groups = [groups[1], groups[0], *groups[2:]]
  words = [described(group, SIZES, rng, names) for group in groups]
  opening = _one(OPENINGS, rng)
  between = relation(groups[0], groups[1]) if len(groups) > 1 else None
  if between is None:
    return f'{opening} {" and ".join(words)}'
  where = _one(WHERE[between], rng)
  return f'{opening} {words[0]} {where} {" and ".join(words[1:])}'


def spoken(groups: Sequence[Group], rng: np.random.Generator) -> str:
  """What somebody in a film says who sees the scene: of one of its groups, or two."""
  groups = [groups[i] for i in rng.permutation(len(groups))]
  seen = groups[:1 + (rng.random() < .8)]
  words = [described(group, SPOKEN, rng) for group in seen]
  return _one(REMARKS, rng).format(' and '.join(words))


def described(group: Group, sizes: Mapping, rng: np.random.Generator,
              names: Mapping | None = None) -> str:
  """A group of things: how many, how large if `sizes` has words for that, and what.

  >>> group = Group('seven', 'small', ((.5, .5), (.2, .2)), .1)
  >>> described(group, dict(small=('tiny',)), np.random.default_rng(0), SHAPES)
  'a couple of tiny scythes'
  """
  noun = (names or {}).get(group.name, group.name)
  size = [_one(sizes[group.size], rng)] if group.size in sizes else []
  if len(group.centres) > 1:
    count = [_one(PAIRS, rng) if len(group.centres) == 2 else 'a handful of']
    noun = plural(noun)
  else:
    count = ['an' if [*size, noun][0][0] in 'aeiou' else 'a']
  return ' '.join([*count, *size, noun])


def _one(words: Sequence[str], rng: np.random.Generator) -> str:
  return words[rng.integers(len(words))]
