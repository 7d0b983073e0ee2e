"""Pictures of captions: what was said of images, and where each word looked."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from visionlab.figures.drawing import as_picture, below, beside, captioned

WIDTH = 224                    # of an image on a sheet, in pixels
SMALL = 96                     # of one beside its words
MARGIN = 8


class Card(NamedTuple):
  """An image and what was said of it.

  Attributes:
    image: (h w c), uint8 or in [0, 1].
    said: captions with their log-probabilities, best first.
    true: what people said.
    right: whether the best is true of the image, where that is known; if not it is drawn in red.
    note: a line above.
  """
  image: np.ndarray
  said: Sequence[tuple[str, float]]
  true: Sequence[str] = ()
  right: bool | None = None
  note: str = ''


def sheet(cards: Sequence[Card], title: str) -> np.ndarray:
  """Cards, four in a row, under a title; captions have their log-probabilities, true ones a dash.
  """
  drawn = [_card(card) for card in cards]
  rows = [beside(drawn[i:i + 4], gap=12) for i in range(0, len(drawn), 4)]
  picture = below(rows, gap=12)
  return _framed(captioned(picture, title, above=True))


def attention(rows: Sequence[tuple[np.ndarray, Sequence[str], np.ndarray]],
              title: str) -> np.ndarray:
  """A row for each image: it, and for each word the image where it was looked at, dark elsewhere.

  Args:
    rows: (image (h w c), t words, weights (t h' w') of its places) of each.
  """
  drawn = []
  for image, words, alpha in rows:
    picture = _scaled(as_picture(image), SMALL)
    looked = [captioned(lit(picture, one), word) for word, one in zip(words, alpha, strict=True)]
    drawn.append(beside([captioned(picture, ''), *looked], gap=4))
  return _framed(captioned(below(drawn, gap=4), title, above=True))


def lit(picture: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """A picture (h w 3) that is as bright as its places' weights (h' w') are great."""
  strength = Image.fromarray((weights / max(weights.max(), 1e-12)).astype(np.float32))
  smooth = np.asarray(strength.resize(picture.shape[1::-1], Image.Resampling.BICUBIC))
  light = .2 + .8 * np.clip(smooth, 0, 1)
  return np.round(picture * light[..., None]).astype(np.uint8)


def _card(card: Card) -> np.ndarray:
  picture = _scaled(as_picture(card.image), WIDTH)
  if card.note:
    picture = captioned(picture, card.note, above=True)
  for i, (text, log_p) in enumerate(card.said):
    colour = 'dimgrey' if i else 'crimson' if card.right is False else 'black'
    picture = captioned(picture, f'{log_p:.1f}  {text}', colour=colour)
  for text in card.true:
    picture = captioned(picture, f'– {text}', colour='seagreen')
  return picture


def _scaled(picture: np.ndarray, width: int) -> np.ndarray:
  """Enlarged by squares, so that pixels are seen, or shrunk smoothly."""
  size = width, max(1, round(picture.shape[0] * width / picture.shape[1]))
  way = Image.Resampling.NEAREST if width >= picture.shape[1] else Image.Resampling.LANCZOS
  return np.asarray(Image.fromarray(picture).resize(size, way))


def _framed(picture: np.ndarray) -> np.ndarray:
  return np.pad(picture, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)
