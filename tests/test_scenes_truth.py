"""Captions of scenes read back: those made from the facts are true, any change is noticed."""

import numpy as np
import pytest

from visionlab.data.scenes.captions import COUNTS, Group, caption, words
from visionlab.data.scenes.truth import PARTS, Said, judge, read
from visionlab.data.text.vocabulary import tokenise

CLASSES = (*COUNTS[1:10], 'zero', 'person')
SCENE = (Group('seven', 'large', ((.2, .3),), .2), Group('three', '', ((.7, .4), (.8, .9)), .1),
         Group('six', 'small', ((.75, .2),), .05))


@pytest.mark.parametrize('text, expected', [
    ('nothing', Said(())),
    ('a seven', Said((('seven', 1, ''),))),
    ('an eight', Said((('eight', 1, ''),))),
    ('two small sixes', Said((('six', 2, 'small'),))),
    ('ten twos', Said((('two', 10, ''),))),
    ('12 ones', Said((('one', 12, ''),))),
    ('three people above a large two',
     Said((('person', 3, ''), ('two', 1, 'large')), 'above')),
    ('a one right of two sixes with a four, an eight and three nines',
     Said((('one', 1, ''), ('six', 2, ''), ('four', 1, ''), ('eight', 1, ''), ('nine', 3, '')),
          'right of')),
    ('a one, a two and a three', Said((('one', 1, ''), ('two', 1, ''), ('three', 1, '')))),
])
def test_reads(text, expected):
  assert read(text, CLASSES) == expected


@pytest.mark.parametrize('text', [
    '', 'a', 'seven', 'a seven left', 'a seven left of', 'left of a seven', 'a seven a two',
    'two seven', 'a sevens', 'one seven', 'zero sevens', 'a large', 'a dog', 'a seven with a two',
    'a one left of a two right of a three', 'a one left of a two with a four with a six',
    'a one and a two and a three', 'a one, a two', 'a very large seven', 'a seven <unknown> a two',
    'nothing nothing', 'a seven left of nothing', 'people'])
def test_what_is_no_sentence_is_not_true(text):
  assert read(text, CLASSES) is None
  assert not any(judge(text, SCENE, CLASSES).values())


def random_scene(rng):
  names = rng.choice(CLASSES, rng.integers(1, 5), replace=False)
  return tuple(Group(name, str(rng.choice(['', 'small', 'large'])),
                     tuple(map(tuple, rng.random((rng.integers(1, 4), 2)))), .1) for name in names)


def test_captions_made_from_the_facts_are_true_and_use_the_listed_words():
  rng = np.random.default_rng(0)
  known, said = set(words(CLASSES, 12)), set()
  for _ in range(300):
    scene = random_scene(rng)
    for variant in range(3):
      text = caption(scene, variant)
      assert all(judge(text, scene, CLASSES).values()), (text, scene)
      said |= set(tokenise(text))
  assert said <= known and {'with', 'above', 'people', 'three', ','} <= said
  assert all(judge('nothing', (), CLASSES).values())


@pytest.mark.parametrize('text, wrong', [
    ('a large seven left of two threes with a small six', ''),
    ('two threes right of a seven with a six', ''),               # sizes may be left out
    ('a six right of a seven with two threes', ''),               # another true relation
    ('a seven, two threes and a six', ''),                        # or none
    ('a small six above two threes with a seven', ''),            # .2 is left of .4, .9
    ('nothing', 'classes counts sizes relation'),
    ('a large seven', 'classes counts sizes relation'),
    ('a seven left of two threes with a six and a two', 'classes counts sizes relation'),
    ('a seven, a seven, two threes and a six', 'classes counts sizes relation'),
    ('a large seven left of three threes with a small six', 'counts'),
    ('a small seven left of two threes with a small six', 'sizes'),
    ('a seven left of two large threes with a six', 'sizes'),     # they differ: none may be said
    ('a large seven right of two threes with a small six', 'relation'),
    ('a large seven below two threes with a small six', 'relation'),
    ('two threes below a large six with three sevens', 'counts sizes'),
])
def test_judges(text, wrong):
  judged = judge(text, SCENE, CLASSES)
  assert [part for part in PARTS if not judged[part]] == wrong.split()
  assert judged['true'] == (not wrong)


def test_a_relation_needs_a_margin():
  near = Group('two', '', ((.5, .2),), .1), Group('six', '', ((.55, .8),), .1)
  assert judge('a two above a six', near, CLASSES)['true']
  assert not judge('a two left of a six', near, CLASSES)['relation']
  assert judge('a two and a six', near, CLASSES)['true']


def test_words_are_listed_once():
  listed = words(CLASSES, 4)
  assert len(set(listed)) == len(listed) and {*COUNTS[2:5], 'sixes', 'left', 'of'} <= set(listed)
