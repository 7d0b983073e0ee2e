"""Tokens there and back; the tokeniser against the Penn Treebank's."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from visionlab.config import ConfigError
from visionlab.data.scenes.captions import Group, caption
from visionlab.data.text import vocabulary
from visionlab.data.text.vocabulary import (
  END,
  PAD,
  SPECIAL,
  START,
  UNKNOWN,
  Vocabulary,
  join,
  tokenise,
)

GOLDEN = json.loads((Path(__file__).parent / 'golden/captions.json').read_text(encoding='utf8'))
CAPTIONS = ('a dog and a cat', 'a dog, a man\'s dog!', 'the dog sleeps')


@pytest.mark.parametrize('text, expected', GOLDEN['texts'])
def test_tokenises_like_coco_caption(text, expected):
  assert ' '.join(tokenise(text, punctuation=False)) == expected


@pytest.mark.parametrize('text, expected', [
    ('A dog, a cat.', 'a dog , a cat .'),
    ('wait... really?!', 'wait ... really ? !'),
    ('The dog’s (red) ball', "the dog 's ( red ) ball"),
    ('not-so-big knots cannot', 'not-so-big knots can not'),
    ('', ''), ('  \n', '')])
def test_punctuation(text, expected):
  assert ' '.join(tokenise(text)) == expected


def test_join_undoes_tokenise():
  for text in ("a man's dog (a big one) isn't here.", 'wait: two cats, a dog; really?!'):
    assert join(tokenise(text)) == text


def test_scenes_captions_come_back_whole():
  places = [(.1, .5), (.5, .5), (.9, .5), (.5, .1)]
  groups = tuple(Group(name, '', (place,), .1)
                 for name, place in zip(('seven', 'eight', 'person', 'zero'), places, strict=True))
  texts = [caption(groups[:n], v) for n in range(5) for v in range(4)]
  v = vocabulary.build(texts, 1)
  for text, tokens in zip(texts, v.encode(texts, 32).tokens, strict=True):
    assert join(v.decode(tokens).split()) == text


def test_build_counts_and_orders():
  v = vocabulary.build(CAPTIONS, 2)
  assert v.words == (*SPECIAL, 'a', 'dog')          # four times each
  assert vocabulary.build(CAPTIONS, 1).words[4:9] == ('a', 'dog', '!', "'s", ',')
  assert '!' not in vocabulary.build(CAPTIONS, 1, punctuation=False).words
  assert vocabulary.build(CAPTIONS[::-1], 1) == vocabulary.build(CAPTIONS, 1)


def test_rows():
  v = Vocabulary((*SPECIAL, 'a', 'dog'))
  tokens, valid, cut = v.encode(['a dog', 'A zebra dog a', 'dog'], 5)
  assert tokens.tolist() == [[START, 4, 5, END, PAD], [START, 4, UNKNOWN, 5, 4],
                             [START, 5, END, PAD, PAD]]
  assert (valid == (tokens != PAD)).all() and tokens.dtype == np.int32 and valid.dtype == bool
  assert cut == 1
  assert [v.decode(row) for row in tokens] == ['a dog', 'a <unknown> dog a', 'dog']
  assert v.decode([4, END, 5]) == 'a'               # as decoding gives them: without the start


def test_a_text_that_writes_special_tokens_makes_none():
  v = vocabulary.build(['<end> <pad> of it'], 1)
  (tokens,) = v.encode(['<end> of it'], 7).tokens
  assert (tokens[1:6] > UNKNOWN).all() and tokens[6] == END
  assert v.decode(tokens) == '< end > of it'


@pytest.mark.parametrize('call, message', [
    (lambda v: v.encode(['a', ' '], 5, where='f.csv'), r"f.csv: caption 1, ' ', has no words"),
    (lambda v: v.encode(['a a a a'], 5, too_long='stop'), 'caption 0.*needs 6 tokens.*length is 5'),
    (lambda v: v.encode(['a'], 5, too_long='stopp'), 'did you mean "stop"'),
    (lambda v: v.encode(['a'], 2), 'at least 3, not 2'),
    (lambda v: Vocabulary(('a', 'b')), 'must begin with <pad>'),
    (lambda v: Vocabulary((*SPECIAL, 'a', 'b', 'a')), "'a' occurs twice"),
    (lambda v: vocabulary.build(['a b'], 2), 'no word occurs 2 times; the commonest occurs 1'),
    (lambda v: vocabulary.build([]), 'no word occurs 5 times; the commonest occurs 0')])
def test_errors(call, message):
  with pytest.raises(ConfigError, match=message):
    call(Vocabulary((*SPECIAL, 'a')))


def test_flickr8k(shared_data):
  """2538 words occur five times in the training captions, as in Karpathy & Fei-Fei 2015."""
  path = shared_data / 'flickr8k_text.tar.gz'
  if not path.exists():
    pytest.skip(f'no {path}')
  with tarfile.open(path) as archive:
    read = lambda name: archive.extractfile(name).read().decode('utf8').splitlines()
    lines = [line.split('\t') for line in read('Flickr8k.token.txt')]
    train = set(read('Flickr_8k.trainImages.txt'))
  captions = [text for image, text in lines if image.split('#')[0] in train]
  v = vocabulary.build(captions, 5, punctuation=False)
  assert len(captions) == 30000 and len(v) == 2538 + len(SPECIAL)
  tokens, valid, cut = v.encode(captions, 40)
  assert cut == 0 and valid.sum(1).max() == 38
  assert .02 < (tokens == UNKNOWN).sum() / valid.sum() < .025
  known = ~(tokens == UNKNOWN).any(1)
  for i in np.flatnonzero(known)[::50]:
    assert v.decode(tokens[i]).split() == tokenise(captions[i], False)
