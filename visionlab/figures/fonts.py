"""Names in any script: drawn by fonts that are installed, spelt where none has the letters."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import ImageFont

UNFIT = ('LastResort', 'Emoji')      # a box for every character; colours, which are not outlines


def spelt(text: str, fonts: Sequence[str] = ()) -> str:
  r"""The text with characters that none of the fonts has as their numbers, such as \u732b.

  fonts: files, besides the one that Matplotlib ships.
  """
  known = _letters(own_font()).union(*map(_letters, fonts))

  def drawn(c):
    if c == '\n' or ord(c) in known:
      return c
    return ' ' if c.isspace() else c.encode('unicode_escape').decode()
  return ''.join(map(drawn, text))


def own_font() -> str:
  """The file of the font that Matplotlib ships, which is always there: DejaVu Sans."""
  from matplotlib import get_data_path  # noqa: PLC0415
  return str(Path(get_data_path()) / 'fonts/ttf/DejaVuSans.ttf')


def others(text: str) -> list[str]:
  """Files of installed fonts that have what of the text the shipped one lacks; as few as do."""
  missing = {ord(c) for c in text if not c.isspace()} - _letters(own_font())
  chosen = []
  while missing:
    best = max(_installed(), key=lambda file: len(missing & _letters(file)), default=None)
    if best is None or not missing & _letters(best):
      break
    chosen.append(best)
    missing -= _letters(best)
  return chosen


def pil_font(text: str, size: int) -> tuple[ImageFont.FreeTypeFont, str]:
  """A font for Pillow, which draws with one alone; and the text, spelt where that lacks letters."""
  for file in others(text):
    if all(ord(c) in _letters(file) for c in text):
      return _pil(file, size), text
  return _pil(own_font(), size), spelt(text)


def dress(figure) -> None:
  """Makes Matplotlib draw a finished figure's texts as they are: dollars are no formulas, and every
  letter is drawn by a font that has it, or spelt."""
  from matplotlib.font_manager import FontProperties  # noqa: PLC0415
  from matplotlib.text import Text  # noqa: PLC0415
  texts = [text for text in figure.findobj(Text) if text.get_text()]
  fonts = others(''.join(text.get_text() for text in texts))
  families = ['DejaVu Sans', *(FontProperties(fname=file).get_name() for file in fonts)]
  for text in texts:
    if '$' in text.get_text() and not text.get_text().startswith('$\\mathdefault'):
      text.set_parse_math(False)
    text.set_text(spelt(text.get_text(), fonts))
    if fonts:
      text.set_fontfamily(families)


def readable(names: Sequence[str]) -> list[str]:
  """Names for the ticks of an axis, which Matplotlib writes anew when it draws."""
  fonts = others(''.join(names))
  return [spelt(name, fonts) for name in names]


@cache
def _installed() -> tuple[str, ...]:
  from matplotlib.font_manager import fontManager  # noqa: PLC0415
  return tuple(sorted({font.fname for font in fontManager.ttflist if Path(font.fname).is_file()
                       and not any(word in Path(font.fname).name for word in UNFIT)}))


@cache
def _letters(file: str) -> frozenset[int]:
  """The characters that a font has; of one that cannot be read, none."""
  from matplotlib.ft2font import FT2Font  # noqa: PLC0415
  try:
    return frozenset(FT2Font(file).get_charmap())
  except (RuntimeError, OSError):
    return frozenset()


@cache
def _pil(file: str, size: int) -> ImageFont.FreeTypeFont:
  return ImageFont.truetype(file, size)
