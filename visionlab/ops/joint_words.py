"""Names of joints and landmarks, compared by what they say, whatever their spelling."""

import re
from collections.abc import Sequence

_SIDE = re.compile(r'(left|right)')
_LEFT_OUT = {'corner', 'tip', 'centre', 'center', 'of', 'the'}
_ALSO = {'l': 'left', 'r': 'right'}
_TURNED = {'left': 'right', 'right': 'left'}

Words = frozenset[str]


def words_of(name: str) -> Words:
  """By which names are compared.

  >>> words_of('right ankle') == words_of('r_ankle') == words_of('RightAnkle')
  True
  >>> words_of('left mouth corner') == words_of('mouth_left')
  True
  """
  found = re.findall('[a-z]+', _SIDE.sub(r' \1 ', name.lower()))
  return frozenset(_ALSO.get(word, word) for word in found) - _LEFT_OUT


def turned(words: Words) -> Words:
  """What they are in a mirror."""
  return frozenset(_TURNED.get(word, word) for word in words)


def mirrored(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
  """Which names are each other's in a mirror.

  >>> mirrored(('nose', 'left_eye', 'right_eye'))
  ((1, 2),)
  """
  place = {words_of(name): i for i, name in enumerate(names)}
  pairs = ((i, place.get(turned(words), i)) for words, i in place.items())
  return tuple(sorted((i, j) for i, j in pairs if i < j))
