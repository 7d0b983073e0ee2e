"""Masks: pictures whose pixels name classes, to label maps on the same canvas as their images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from visionlab.config import ConfigError, nearest
from visionlab.data.classes import check_classes
from visionlab.data.images.decode import Canvas, Cut
from visionlab.ops.geometry import IGNORE

MOST_OFFSET = 65535           # masks have 16 bits at most
_NUMBERS = ('P', 'L', '1', 'I', 'I;16', 'I;16B')


@dataclass(frozen=True)
class Labels:
  """What the pixels of masks stand for; see `read_labels`, which makes them.

  Attributes:
    classes: the names of the values 0, 1, ... of a label map.
    ignore: the value in a mask that counts nowhere, besides 255.
    offset: what is added to a mask's other values.
    colours: ((r, g, b), class) of every colour, or () where masks hold class numbers.
  """
  classes: tuple[str, ...]
  ignore: int = IGNORE
  offset: int = 0
  colours: tuple = ()

  def check_mask(self, mask: Image.Image, where: str) -> None:
    """Raises a ConfigError unless a mask, whose pixels need not be loaded, can be read."""
    if mask.format == 'JPEG':
      raise ConfigError(f'{where}: the mask is a JPEG, which does not keep its values; expected '
                        'a lossless format such as PNG')
    if not self.colours and mask.mode not in _NUMBERS:
      raise ConfigError(f'{where}: the mask holds colours ({mask.mode}); expected class numbers '
                        f'(modes {", ".join(_NUMBERS)}), or the option palette, which says what '
                        'each colour stands for')

  def pixels(self, mask: Image.Image) -> np.ndarray:
    """A mask's numbers (h w), or its colours (h w 3) if those are what counts."""
    if not self.colours:
      return np.asarray(mask)
    if mask.mode == 'P' and 'transparency' in mask.info:
      mask = mask.convert('RGBA')              # or Pillow warns; what counts are the colours
    return np.asarray(mask.convert('RGB'))

  def numbers(self, pixels: np.ndarray, where: str) -> np.ndarray:
    """Classes (h w) int32 of `pixels`; 255 is ignored.

    Raises:
      ConfigError: a value or a colour that no class has.
    """
    if self.colours:
      return self._by_colour(pixels.astype(np.int32), where)
    counts = (pixels != self.ignore) & (pixels != IGNORE)
    numbers = pixels.astype(np.int32) + self.offset
    wrong = counts & ((numbers < 0) | (numbers >= len(self.classes)))
    if wrong.any():
      first, last = -self.offset, len(self.classes) - 1 - self.offset
      also = '' if self.ignore == IGNORE else f' or {self.ignore}'
      raise ConfigError(f'{where}: the mask holds the value {pixels[wrong][0]}; expected {first} '
                        f'to {last} for {len(self.classes)} classes, or {IGNORE}{also} for what '
                        'is ignored')
    return np.where(counts, numbers, IGNORE)

  def _by_colour(self, pixels: np.ndarray, where: str) -> np.ndarray:
    weights = np.array([1 << 16, 1 << 8, 1])
    known, classes = (np.array(part) for part in zip(
        *sorted((int(np.dot(colour, weights)), number) for colour, number in self.colours),
        strict=True))
    codes = pixels @ weights
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    unknown = known[at] != codes
    if unknown.any():
      colour = tuple(pixels[unknown][0].tolist())
      raise ConfigError(f'{where}: the mask holds the colour {colour}, {unknown.sum()} pixels of '
                        f'it or others that the palette of {len(known)} colours lacks')
    return classes[at].astype(np.int32)


def read_labels(where: str, classes: tuple[str, ...] = (), palette: Mapping | None = None,
                ignore: int = IGNORE, offset: int = 0) -> Labels:
  """The options of a source of masks, checked.

  Args:
    where: begins error messages.
    classes: the names of classes 0, 1, ...; those of the palette, sorted, if empty.
    palette: for masks in colours, name -> (r, g, b), or a tuple of several such, or a grey as an
      integer. The name 'ignore' is for what counts nowhere.
    ignore: without a palette, a value that counts nowhere, besides 255.
    offset: without a palette, what is added to the other values; -1 where they begin with 1.

  Raises:
    ConfigError: no classes, or a palette that does not fit them.

  >>> read_labels('pairs', palette=dict(road=(128, 64, 128), ignore=(0, 0, 0), car=7)).colours
  (((7, 7, 7), 0), ((0, 0, 0), 255), ((128, 64, 128), 1))
  """
  palette = dict(palette or {})
  if isinstance(classes, str):
    check_classes(classes, where)
  # A config keeps no order of the keys of a dict.
  classes = tuple(classes) or tuple(sorted(name for name in palette if name != 'ignore'))
  if not classes:
    raise ConfigError(f'{where}: classes must name what the values 0, 1, ... of a mask stand for, '
                      "e.g. classes=('background', 'cat')")
  check_classes(classes, where)
  if len(classes) > IGNORE:
    raise ConfigError(f'{where}: {len(classes)} classes; expected at most {IGNORE}')
  if abs(offset) > MOST_OFFSET:
    raise ConfigError(f'{where}: offset must lie in -{MOST_OFFSET} to {MOST_OFFSET}, not {offset}')
  if not palette:
    return Labels(classes, ignore, offset)
  for name in palette:
    if name not in (*classes, 'ignore'):
      raise ConfigError(f'{where}: palette has a colour for {name!r}, which is none of classes'
                        f'{nearest(name, classes)}')
  for name in classes:
    if name not in palette:
      raise ConfigError(f'{where}: palette has no colour for class {name!r}')
  number = {name: i for i, name in enumerate(classes)} | {'ignore': IGNORE}
  colours: dict[tuple, str] = {}
  for name in sorted(palette):
    for colour in _colours(palette[name], f'{where}: palette.{name}'):
      if colour in colours:
        raise ConfigError(f'{where}: palette gives {colour} to {colours[colour]!r} and {name!r}')
      colours[colour] = name
  return Labels(classes, colours=tuple((c, number[name]) for c, name in colours.items()))


def _colours(value, where: str) -> list[tuple[int, int, int]]:
  several = isinstance(value, (tuple, list)) and all(isinstance(v, (tuple, list)) for v in value)
  colours = [(c,) * 3 if isinstance(c, int) else tuple(c) if isinstance(c, (tuple, list)) else c
             for c in (value if several else [value])]
  for colour in colours or [None]:
    if not (isinstance(colour, tuple) and len(colour) == 3
            and all(isinstance(v, int) and 0 <= v <= 255 for v in colour)):
      raise ConfigError(f'{where}: expected (r, g, b), several such, or a grey, each 0 to 255; '
                        f'got {value!r}')
  return colours


def label_map(pixels: np.ndarray, labels: Labels, canvas: Canvas, where: str,
              cut: Cut | None = None) -> np.ndarray:
  """A mask where `canvas(image, cut)` puts its image, by the nearest pixel.

  Args:
    pixels: (h w) or (h w 3) as from `labels.pixels`, the upright image's size.
    labels: what they stand for.
    canvas, cut: the image's.
    where: names the mask in errors.

  Returns:
    (canvas.height canvas.width) int32; 255 where there is no image.

  Raises:
    ConfigError: see `Labels.numbers`; only pixels that are seen are looked at.
  """
  h, w = pixels.shape[:2]
  whole = (canvas.width, canvas.height)
  (width, height), box = (whole, cut(h, w)) if cut else canvas.plan((w, h), whole)
  rows, columns = _nearest(box[1], box[3], height, h), _nearest(box[0], box[2], width, w)
  numbers = labels.numbers(pixels[rows[:, None], columns], where)
  result = np.full((canvas.height, canvas.width), IGNORE, np.int32)
  top, left = (canvas.height - height) // 2, (canvas.width - width) // 2
  result[top:top + height, left:left + width] = numbers
  return result


def _nearest(start: float, stop: float, m: int, n: int) -> np.ndarray:
  """The pixels, of n, below the centres of m equal parts of [start, stop]."""
  at = start + (np.arange(m) + .5) * ((stop - start) / m)
  return np.clip(np.floor(at).astype(np.int64), 0, n - 1)
