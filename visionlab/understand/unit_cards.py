"""Pages of a layer's units, their best patches and what they detect; and of HOG."""

from collections.abc import Sequence

import numpy as np

from visionlab.figures import drawing
from visionlab.figures.charts import bars, palette
from visionlab.understand.dissect import DETECTS, Dissection
from visionlab.understand.hog import hog_picture
from visionlab.understand.patches import Best

ACROSS = 3                     # pictures in a row of a card
SIZE = 64                      # about the pixels of a picture's side


def patch_sheet(patches: np.ndarray, deconvnet: np.ndarray | None, best: Best,
                units: Sequence[int], *, columns: int = 4) -> np.ndarray:
  """One picture (h w 3) uint8: a card for each unit with its patches, and beside them what the
  deconvnet shows of each.

  patches, deconvnet: (u k s s' c) in [0, 1], as `visionlab.understand.patches.patches` gives them.
  """
  cards = []
  for i, unit in enumerate(units):
    sides = [_mosaic(pictures[i]) for pictures in (deconvnet, patches) if pictures is not None]
    text = f'unit {unit}: {best.values[unit][0]:.3g} to {_last(best.values[unit]):.3g}'
    cards.append(drawing.captioned(drawing.beside(sides, 4), text, above=True))
  return _page(cards, columns)


def detector_cards(found: Dissection, images: np.ndarray, masks: np.ndarray,
                   units: Sequence[int], *, columns: int = 5) -> np.ndarray:
  """One picture (h w 3) uint8: a card for each unit with the concept it detects best, its IoU with
  that, and its best images, dark where the unit is small.

  images, masks: (u k h w c) in [0, 1] and (u k h w), as
  `visionlab.understand.detectors.segmented` gives them.
  """
  colours = palette(found.concepts)
  cards = []
  for i, unit in enumerate(units):
    shown = images[i] * np.where(masks[i], 1, .3)[..., None]
    concept = found.concept[unit]
    name = f'{found.concepts[concept]} {found.best[unit]:.3f}'
    colour = tuple(colours[concept].tolist()) if found.best[unit] > DETECTS else (160, 160, 160)
    card = drawing.captioned(_mosaic(shown), f'unit {unit}: {name}', above=True)
    stripe = np.full((4, card.shape[1], 3), colour, np.uint8)
    cards.append(np.concatenate([stripe, card]))
  return _page(cards, columns)


def concept_bars(found: Dissection) -> np.ndarray:
  """One picture: of each concept the largest IoU that any unit has with it."""
  share = found.detectors().mean()
  title = f'{found.layer}: best IoU of a unit; {share:.0%} of {len(found.iou)} units are detectors'
  return bars(np.where(found.pixels > 0, found.iou.max(0), np.nan), found.concepts, title)


def _last(values):
  return values[np.isfinite(values)][-1] if np.isfinite(values).any() else values[0]


def _mosaic(pictures):
  zoom = max(1, round(SIZE / max(pictures.shape[1:3])))
  step = -(-max(pictures.shape[1:3]) // (2 * SIZE))
  drawn = [drawing.as_picture(picture[::step, ::step], zoom) for picture in pictures]
  rows = [drawn[i:i + ACROSS] for i in range(0, len(drawn), ACROSS)]
  return drawing.below([drawing.beside(row, 2) for row in rows], 2)


def _page(cards, columns):
  rows = [cards[i:i + columns] for i in range(0, len(cards), columns)]
  return drawing.below([drawing.beside(row, 12) for row in rows], 12)


def hog_sheet(image: np.ndarray, features: np.ndarray,
              inverse: np.ndarray | None = None) -> np.ndarray:
  """One picture (h w 3) uint8: an image (h w c), the glyphs of its HOG (rows columns 3 3 bins), and
  what `visionlab.understand.hoggles.invert_hog` makes of it, if that is there."""
  glyphs = np.asarray(hog_picture(features[None]))[0]
  zoom = max(1, 240 // max(glyphs.shape))
  image = image[:glyphs.shape[0], :glyphs.shape[1]]
  named = (image, 'image'), (glyphs, 'HOG'), (inverse, 'inverse')
  return drawing.beside([drawing.captioned(drawing.as_picture(picture, zoom), name, above=True)
                         for picture, name in named if picture is not None])
