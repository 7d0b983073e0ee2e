"""Captions as the arrays of a batch.

`batch['caption']` holds, for images with up to r captions of up to t tokens and s bytes:

  tokens  (b r t) int32: START, the words, END, PAD; one that was cut has no END
  valid   (b r t) bool: False where `tokens` is PAD
  text    (b r s) uint8: UTF-8, then zeros; metrics go by it, so words outside the vocabulary count
"""

from collections.abc import Sequence

import numpy as np
from absl import logging

from visionlab.data.text.vocabulary import PAD, Vocabulary

WIDTHS = 32           # so that splits, whose longest captions differ, share a compiled program


def caption_rows(captions: Sequence[Sequence[str]], vocabulary: Vocabulary, length: int, *,
                 most: int = 0, width: int = 0, too_long: str = 'cut',
                 where: str = 'captions') -> dict[str, np.ndarray]:
  """The arrays described above, for the captions of each image.

  Args:
    length: t, START and END included.
    most: r; the captions of an image after so many are left out. 0: as many as one has.
    width: s; 0: that of the longest, up to a multiple of `WIDTHS`.
    too_long, where: see `Vocabulary.encode`. If captions are cut, a warning says how many.

  Raises:
    ConfigError: as `Vocabulary.encode`.

  >>> from visionlab.data.text.vocabulary import build
  >>> rows = caption_rows([['a dog'], ['a cat', 'a big cat']], build(['a cat, a dog'], 1), 5)
  >>> rows['tokens'].shape, texts(rows['text'][1])
  ((2, 2, 5), ['a cat', 'a big cat'])
  """
  most = most or max(map(len, captions))
  place = [(i, j) for i, own in enumerate(captions) for j in range(len(own[:most]))]
  flat = [captions[i][j] for i, j in place]
  encoded = vocabulary.encode(flat, length, too_long=too_long, where=where)
  if encoded.cut:
    logging.warning('%s: %d of %d captions are cut, they need more than length=%d tokens', where,
                    encoded.cut, len(flat), length)
  raw = [text.encode() for text in flat]
  width = width or -(-max(map(len, raw)) // WIDTHS) * WIDTHS
  shape, index = (len(captions), most), tuple(np.array(place).T)
  tokens = np.full((*shape, length), PAD, np.int32)
  tokens[index] = encoded.tokens
  text = np.zeros((*shape, width), np.uint8)
  text[index] = np.array(raw, f'S{width}').view(np.uint8).reshape(-1, width)
  return dict(tokens=tokens, valid=tokens != PAD, text=text)


def texts(rows: np.ndarray) -> list[str]:
  """The captions of one image: (r s) uint8 as above -> those there are."""
  return [row.tobytes().rstrip(b'\0').decode() for row in rows if row.any()]
