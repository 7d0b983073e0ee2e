"""Strips of handwritten digits, and the numbers in words that they stand for."""

from numbers import Integral

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.source import Arrays, Info, check_seed
from visionlab.data.sources.digits import digits
from visionlab.data.text.caption_rows import caption_rows
from visionlab.data.text.vocabulary import SPECIAL, Vocabulary

EXAMPLES = dict(train=20_000, test=2_000)
ONES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten',
        'eleven', 'twelve', 'thirteen', 'fourteen', 'fifteen', 'sixteen', 'seventeen', 'eighteen',
        'nineteen')
TENS = ('', '', 'twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety')
WORDS = (*ONES, *TENS[2:], 'hundred', 'thousand')
MOST_WORDS = (1, 2, 4, 6)       # in the name of a number of one, two, ... digits
_SIDE = 8                       # pixels of a glyph
_GAPS = (1, 3)                  # pixels before a digit, at least and at most
_TOPS = (2, 6)                  # pixels above a digit
_EDGE = 1                       # more pixels before the first digit


def number_name(number: int) -> str:
  """A number below 10,000 in words.

  >>> number_name(314), number_name(17), number_name(2040)
  ('three hundred fourteen', 'seventeen', 'two thousand forty')
  """
  if number < 20:
    return ONES[number]
  for unit, name in ((1000, ' thousand'), (100, ' hundred')):
    if number >= unit:
      head, rest = divmod(number, unit)
      return f'{number_name(head)}{name}' + (f' {number_name(rest)}' if rest else '')
  return TENS[number // 10] + (f' {ONES[number % 10]}' if number % 10 else '')


def strips(split: str, *, root: str = '', count: tuple[int, int] = (1, 4), examples: int = 0,
           seed: int = 0, test_fraction: float = .2) -> Arrays:
  """Numbers in the handwriting of `digits`, as strips, with their names.

  The splits share no glyph: each is made of the same split of `digits`. No strip of several digits
  begins with a zero.

  Args:
    split: 'train' or 'test'.
    root: unused.
    count: at least and at most so many digits are in a strip, up to 4; one count is as frequent as
      another.
    examples: how many strips; 0 stands for 20,000 of 'train' and 2,000 of 'test'.
    seed: other seeds give other strips.
    test_fraction: as for `digits`.

  Returns:
    `image` (n 16 w 1) uint8, digits of 8 x 8 pixels with 1 to 3 columns between them, higher or
    lower by up to 4 pixels, then nothing up to the width of the longest strip; `label_map` (n 16 w)
    int32, in each column 1 + the digit that has its ink there, else 0; and one `caption` each, such
    as 'three hundred fourteen', as in `visionlab.data.text.caption_rows`.

  Raises:
    ConfigError: an unknown split, numbers out of range, or scikit-learn is not installed.
  """
  del root
  check_seed(seed, 'strips')
  least, most = _checked(count, examples)
  source = digits(split, test_fraction=test_fraction)
  glyph, label = source.arrays['image'][..., 0], source.arrays['label']
  n = examples or EXAMPLES[split]
  generator = np.random.Generator(np.random.PCG64([seed, split == 'test']))
  there = np.arange(most) < generator.integers(least, most + 1, (n, 1))
  chosen = generator.integers(len(label), size=(n, most))
  first = generator.choice(np.flatnonzero(label), n)
  chosen[:, 0] = np.where(there.sum(1) > 1, first, chosen[:, 0])
  gaps = generator.integers(_GAPS[0], _GAPS[1] + 1, (n, most))
  left = _EDGE + np.cumsum(gaps + _SIDE, axis=1) - _SIDE
  top = generator.integers(_TOPS[0], _TOPS[1] + 1, (n, most))

  image, label_map = _draw(glyph, label, there, chosen, left, top)
  vocabulary = Vocabulary((*SPECIAL, *WORDS))
  names = [[number_name(int(number))] for number in numbers(label_map)]
  caption = caption_rows(names, vocabulary, MOST_WORDS[most - 1] + 2, where='strips')
  return Arrays(dict(image=image, label_map=label_map, caption=caption),
                Info(map_classes=('nothing', *ONES[:10]), words=vocabulary.words))


def numbers(label_map: np.ndarray) -> list[str]:
  """The digits of label maps (n h w) from left to right, by their top rows.

  >>> numbers(np.array([[[0, 4, 4, 0, 2, 0, 0, 5, 5, 5]]]))
  ['314']
  """
  top = label_map[:, 0]
  begins = (top > 0) & (top != np.pad(top, ((0, 0), (1, 0)))[:, :-1])
  return [''.join(str(k - 1) for k in row[first]) for row, first in zip(top, begins, strict=True)]


def _draw(glyph, label, there, chosen, left, top) -> tuple[np.ndarray, np.ndarray]:
  """Images and label maps of strips whose digit i, if it is `there`, is glyph `chosen` with its
  corner at (left, top); each of these (n most)."""
  n, most = chosen.shape
  image = np.zeros((n, sum(_TOPS) + _SIDE, 2 * _EDGE + most * (_SIDE + _GAPS[1])), np.uint8)
  columns = np.zeros((n, image.shape[2]), np.int32)
  ink, side = glyph.any(1), np.arange(_SIDE)
  # From the first column with ink to the last: no digit is in two parts.
  ink = np.maximum.accumulate(ink, 1) & np.maximum.accumulate(ink[:, ::-1], 1)[:, ::-1]
  for i in range(most):
    row = np.flatnonzero(there[:, i])
    own, x, y = chosen[row, i], left[row, i, None] + side, top[row, i, None] + side
    image[row[:, None, None], y[:, :, None], x[:, None]] = glyph[own]
    columns[row[:, None], x] = ink[own] * (1 + label[own, None])
  return image[..., None], np.repeat(columns[:, None], image.shape[1], axis=1)


def _checked(count, examples):
  whole = all(isinstance(n, Integral) for n in count)
  if not whole or len(count) != 2 or not 1 <= count[0] <= count[1] <= len(MOST_WORDS):
    raise ConfigError('strips: count must be (least, most) with 1 <= least <= most <= '
                      f'{len(MOST_WORDS)}, not {count!r}')
  if examples < 0:
    raise ConfigError(f'strips: examples must not be negative, but is {examples}')
  return count
