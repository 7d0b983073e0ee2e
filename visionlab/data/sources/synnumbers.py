"""Numbers set in ordinary fonts, after the Syn Numbers of Ganin et al. 2016."""

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from visionlab.config import ConfigError
from visionlab.data.source import Info, check_seed, check_split
from visionlab.data.sources.mnist import DIGITS

_FAMILIES = ('DejaVuSans', 'DejaVuSerif', 'STIXGeneral')   # Matplotlib's fonts with plain digits
_FINE = 2                                                  # drawn so many times as large
HEIGHT, CONTRAST, TURN, BLUR, SHIFT = (.75, 1.3), 60, 15., 1.2, .08


class SynNumbers:
  """Images drawn as they are read; example i is a function of the seed, the split and i.

  The variations are those the paper names (JMLR 17, 59, section 5.2.4): numbers of one to three
  digits, one of which is in the middle and is the label; their place, orientation, colours of ink
  and paper, and blur. How much of each is not published; here a font's size is .75 to 1.3 of
  the image's, so that a digit is about .55 to .95 as high; numbers are turned by up to 15 degrees
  and shifted by up to .08 of the side, the blur's standard deviation goes up to 1.2 pixels of 32,
  and the colours are at least 60 grey levels apart.
  """

  info = Info(DIGITS)

  def __init__(self, fonts: tuple[str, ...], size: int, examples: int, seed: tuple[int, ...]):
    self.fonts, self.size, self.examples, self.seed = fonts, size, examples, seed

  def __len__(self) -> int:
    return self.examples

  def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
    image = np.empty((len(indices), self.size, self.size, 3), np.uint8)
    label = np.empty(len(indices), np.int32)
    for row, i in enumerate(np.asarray(indices).tolist()):
      generator = np.random.Generator(np.random.PCG64([*self.seed, i]))
      image[row], label[row] = self._draw(generator)
    return {'image': image, 'label': label}

  def _draw(self, generator) -> tuple[np.ndarray, int]:
    digits = generator.integers(0, 10, generator.integers(1, 4))
    middle = int(generator.integers(len(digits)))
    path = self.fonts[generator.integers(len(self.fonts))]
    height = generator.uniform(*HEIGHT) * self.size
    turn, blur = generator.uniform(-TURN, TURN), generator.uniform(0, BLUR) * self.size / 32
    shift = generator.uniform(-SHIFT, SHIFT, 2) * self.size
    ink, paper = _colours(generator)
    mask = _number(''.join(map(str, digits)), middle, path, round(height * _FINE),
                   self.size * _FINE, shift * _FINE)
    mask = mask.rotate(turn, Image.Resampling.BILINEAR).resize((self.size, self.size),
                                                               Image.Resampling.BOX)
    mask = mask.filter(ImageFilter.GaussianBlur(blur))
    share = np.asarray(mask, np.float32)[..., None] / 255
    return np.round(paper + share * (ink - paper)).astype(np.uint8), int(digits[middle])


def synnumbers(split: str, *, root: str = '', fonts: str = '', size: int = 32,
               examples: int = 100_000, seed: int = 0) -> SynNumbers:
  """Synthetic house numbers, to be adapted to SVHN (see `SynNumbers`); the paper's are 500,000.

  Args:
    split: 'train', or 'test', which holds a tenth as many others.
    root: unused.
    fonts: a folder of .ttf and .otf files, searched with what is in it; by default those that come
      with Matplotlib.
    size: of the images, in pixels.
    examples: in 'train'.
    seed: of all that is drawn.

  Returns:
    `image` (n size size 3) uint8 and `label` (n,) int32.

  Raises:
    ConfigError: an unknown split, no fonts, or sizes below 1.
  """
  del root
  check_split(split, ('train', 'test'), 'synnumbers')
  check_seed(seed, 'synnumbers')
  if size < 8 or examples < 1:
    raise ConfigError(f'synnumbers: size must be at least 8 and examples at least 1, not {size} '
                      f'and {examples}')
  if split == 'test':
    examples = max(1, examples // 10)
  return SynNumbers(_fonts(fonts), size, examples, (seed, int(split == 'test')))


def _fonts(folder: str) -> tuple[str, ...]:
  if folder:
    place = Path(folder).expanduser()
    # os.walk, unlike rglob, goes on where a folder cannot be listed
    found = [Path(path, name) for path, _, names in (os.walk(place) if place.is_dir() else ())
             for name in names
             if name.lower().endswith(('.ttf', '.otf'))]
  else:
    spec = find_spec('matplotlib')
    place = Path(spec.submodule_search_locations[0]) / 'mpl-data/fonts/ttf' if spec else Path()
    found = [p for p in place.glob('*.ttf') if p.stem.startswith(_FAMILIES)
             and 'Display' not in p.stem] if spec else []
  if not found:
    raise ConfigError(f'synnumbers: no .ttf or .otf files in {place}')
  return tuple(str(p) for p in sorted(found))


def _colours(generator) -> tuple[np.ndarray, np.ndarray]:
  """Ink and paper (3,) whose grey levels are far enough apart to be read."""
  while True:
    ink, paper = generator.uniform(0, 255, (2, 3)).astype(np.float32)
    if abs(np.dot(ink - paper, (.299, .587, .114))) >= CONTRAST:
      return ink, paper


def _number(text: str, middle: int, path: str, height: int, side: int,
            shift: np.ndarray) -> Image.Image:
  """Of mode 'L': the number in white, its digit `middle` in the middle but for `shift` (x, y)."""
  font = _font(path, height)
  _, top, _, bottom = font.getbbox(text)
  before, width = font.getlength(text[:middle]), font.getlength(text[middle])
  mask = Image.new('L', (side, side))
  place = (side / 2 - before - width / 2 + shift[0], side / 2 - (top + bottom) / 2 + shift[1])
  ImageDraw.Draw(mask).text(place, text, fill=255, font=font)
  return mask


@lru_cache(maxsize=1024)
def _font(path: str, height: int) -> ImageFont.FreeTypeFont:
  try:
    return ImageFont.truetype(path, height)
  except OSError as error:
    raise ConfigError(f'synnumbers: {path} is not a font that can be read: {error}') from error
