"""Strips of digits: their images, labels and names agree, and no glyph is in two splits."""

import itertools

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from visionlab.config import ConfigError
from visionlab.data import open_split
from visionlab.data.sources.digits import digits
from visionlab.data.sources.strips import WORDS, number_name, numbers, strips
from visionlab.data.text.caption_rows import texts
from visionlab.data.text.vocabulary import END, START, Vocabulary

KNOWN = dict(zero=0, one=1, two=2, three=3, four=4, five=5, six=6, seven=7, eight=8, nine=9, ten=10,
             eleven=11, twelve=12, thirteen=13, fourteen=14, fifteen=15, sixteen=16, seventeen=17,
             eighteen=18, nineteen=19, twenty=20, thirty=30, forty=40, fifty=50, sixty=60,
             seventy=70, eighty=80, ninety=90)


def value(name):
  """The number that a name stands for, by another way than it was made."""
  total = part = 0
  for word in name.split():
    if word == 'thousand':
      total, part = 1000 * part, 0
    else:
      part = 100 * part if word == 'hundred' else part + KNOWN[word]
  return total + part


def test_names_of_all_numbers():
  names = [number_name(i) for i in range(10_000)]
  assert len(set(names)) == 10_000
  assert [value(name) for name in names] == list(range(10_000))
  assert {word for name in names for word in name.split()} == set(WORDS)
  assert names[13] == 'thirteen' and names[90] == 'ninety'
  assert names[7777] == 'seven thousand seven hundred seventy seven'
  for count, most in enumerate((1, 2, 4, 6), 1):
    assert max(len(name.split()) for name in names[:10 ** count]) == most


@pytest.fixture(scope='module')
def pair():
  return {split: strips(split, examples=300).arrays for split in ('train', 'test')}


def read_glyphs(strip, glyphs):
  """The digits of one strip: at each place, the glyph that is there pixel by pixel, read with no
  use of its labels."""
  windows = sliding_window_view(strip, (8, 8))
  found = {}
  for y, x in np.argwhere(windows.any((2, 3))):
    key = windows[y, x].tobytes()
    if key in glyphs:
      found.setdefault((x, y), glyphs[key])
  return [found[place] for place in sorted(found)]


@pytest.mark.parametrize('split', ['train', 'test'])
def test_pixels_labels_and_names_agree(pair, split):
  arrays, source = pair[split], digits(split).arrays
  glyphs = {np.ascontiguousarray(image[..., 0]).tobytes(): int(label)
            for image, label in zip(source['image'], source['label'], strict=True)}
  said = numbers(arrays['label_map'])
  for i in range(60):
    seen = read_glyphs(arrays['image'][i, ..., 0], glyphs)
    assert ''.join(map(str, seen)) == said[i]
    (name,) = texts(arrays['caption']['text'][i])
    assert str(value(name)) == said[i]


def test_columns_are_labelled_where_there_is_ink(pair):
  image, label = (pair['train'][k] for k in ('image', 'label_map'))
  assert image.shape == (300, 16, 46, 1) and image.dtype == np.uint8
  assert label.shape == (300, 16, 46) and label.dtype == np.int32
  assert (label == label[:, :1]).all()
  inked = image[..., 0].any(1)
  assert (label[:, 0] > 0)[inked].all()
  runs = [[k for k, _ in itertools.groupby(row) if k] for row in label[:, 0]]
  assert [''.join(str(k - 1) for k in run) for run in runs] == numbers(label)
  spans = [(k, sum(1 for _ in group)) for row in label[:, 0] for k, group in itertools.groupby(row)]
  assert max(n for k, n in spans if k) <= 8                    # neighbours do not touch


def test_splits_share_no_glyph(pair):
  own = {}
  for split, arrays in pair.items():
    theirs = digits('train' if split == 'test' else 'test').arrays['image'][..., 0]
    theirs = {np.ascontiguousarray(g).tobytes() for g in theirs}
    own[split] = {np.ascontiguousarray(g).tobytes() for g in digits(split).arrays['image'][..., 0]}
    strip = arrays['image'][..., 0]
    seen = {w.tobytes() for one in strip[:100] for w in sliding_window_view(one, (8, 8)).reshape(
        -1, 8, 8)}
    assert seen & own[split] and not seen & (theirs - own[split])


def test_counts_are_even_and_zeros_do_not_lead():
  said = numbers(strips('train', examples=4000).arrays['label_map'])
  counts = np.bincount([len(number) for number in said], minlength=5)
  assert counts[0] == 0 and counts.sum() == 4000
  np.testing.assert_allclose(counts[1:] / 4000, .25, atol=.03)
  assert not any(number.startswith('0') for number in said if len(number) > 1)
  assert '0' in said and any('00' in number for number in said)


def test_a_strip_is_a_function_of_seed_and_split():
  first, again, other = (strips('train', examples=20, seed=s).arrays for s in (0, 0, 1))
  np.testing.assert_array_equal(first['image'], again['image'])
  assert (first['label_map'] != other['label_map']).any()
  assert numbers(strips('test', examples=20).arrays['label_map']) != numbers(first['label_map'])


def test_tokens_are_the_names():
  source = open_split(lambda split: strips(split, count=(2, 3), examples=50), 'train[:40]')
  assert len(source) == 40 and source.arrays['image'].shape[2] == 35
  vocabulary = Vocabulary(source.info.words)
  batch = source[np.arange(40)]
  assert batch['caption']['tokens'].shape == (40, 1, 6)
  for tokens, text in zip(batch['caption']['tokens'], batch['caption']['text'], strict=True):
    assert tokens[0, 0] == START and (tokens == END).sum() == 1
    assert vocabulary.decode(tokens[0]) == texts(text)[0]


@pytest.mark.parametrize('options, message', [
    (dict(split='validation'), 'digits has no split "validation"'),
    (dict(count=(0, 3)), r'least <= most <= 4, not \(0, 3\)'),
    (dict(count=(2, 5)), r'not \(2, 5\)'),
    (dict(examples=-1), 'examples must not be negative, but is -1')])
def test_errors(options, message):
  with pytest.raises(ConfigError, match=message):
    strips(**{'split': 'train', **options})
