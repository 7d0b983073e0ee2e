"""A page of pictures in one file: HTML that needs nothing but itself."""

import base64
import html
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

QUALITY = 90                   # of JPEGs
STYLE = '''
  :root { color-scheme: light; font: 14px/1.45 system-ui, sans-serif; color: #222 }
  body { max-width: 1100px; margin: 24px auto; padding: 0 16px }
  h1 { font-size: 20px; margin: 0 0 4px }
  h2 { font-size: 15px; margin: 28px 0 2px }
  p { margin: 2px 0 8px; color: #666 }
  img { max-width: 100% }
'''


class Part(NamedTuple):
  """A picture (h w 3) uint8 under its title, and lines about it; None: there are but the lines."""
  title: str
  lines: Sequence[str]
  picture: np.ndarray | None = None


def page(title: str, lines: Sequence[str], parts: Sequence[Part]) -> str:
  """The page, in HTML: a title, lines about it all, and the parts one below the other."""
  body = [f'<h1>{html.escape(title)}</h1>', *map(_line, lines)]
  for part in parts:
    body += [f'<h2>{html.escape(part.title)}</h2>', *map(_line, part.lines)]
    if part.picture is not None:
      body.append(f'<img alt="{html.escape(part.title)}" src="{embedded(part.picture)}">')
  return '\n'.join(['<!doctype html>', '<html lang="en">', '<meta charset="utf-8">',
                    '<meta name="viewport" content="width=device-width">',
                    f'<title>{html.escape(title)}</title>', f'<style>{STYLE}</style>', *body, ''])


def embedded(picture: np.ndarray) -> str:
  """A picture (h w 3) uint8 as a data URL: a PNG, or a JPEG where that is smaller, as it is of
  photographs."""
  drawn = Image.fromarray(picture)
  forms = dict(png=dict(optimize=True), jpeg=dict(quality=QUALITY))
  files = {}
  for form, options in forms.items():
    file = io.BytesIO()
    drawn.save(file, form, **options)
    files[form] = file.getvalue()
  form = min(files, key=lambda form: len(files[form]))
  return f'data:image/{form};base64,{base64.b64encode(files[form]).decode()}'


def _line(text):
  return f'<p>{html.escape(text)}</p>'
