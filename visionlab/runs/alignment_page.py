"""A page that shows stills beside the paragraphs they were matched to: HTML that needs nothing but
itself."""

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from visionlab.understand.page import STYLE, embedded

OWN_STYLE = '''
  .shot { display: grid; grid-template-columns: 190px 1fr 210px; gap: 16px; padding: 12px 0;
          border-top: 1px solid #ddd }
  .shot img { width: 190px; image-rendering: auto }
  .said { font-style: italic; color: #555; margin: 4px 0 }
  .told { color: #333; margin: 0 }
  .told b { background: #fff3c4; font-weight: 600 }
  .none { color: #999 }
  .bar { background: #eee; height: 6px; margin: 4px 0 8px }
  .bar div { background: #3a7; height: 6px }
  table { font-size: 12px; border-collapse: collapse; color: #555 } td { padding: 0 10px 0 0 }
  td:not(:first-child) { text-align: right }
'''


class Match(NamedTuple):
  """Attributes:
    begin: the second that the shot begins at.
    still: (h w 3) uint8.
    said: in the shot, '' where nothing is.
    paragraph: the sentences of that which it was matched to; () where none tells it.
    sentence: which of them tells it.
    confidence: in [0, 1].
    thought: by measure, its value for that sentence, and which rank that has among all sentences.
  """
  begin: float
  still: np.ndarray
  said: str
  paragraph: Sequence[str]
  sentence: int
  confidence: float
  thought: Mapping[str, tuple[float, int]]


def page(title: str, lines: Sequence[str], picture: np.ndarray, matches: Sequence[Match],
         sentences: int) -> str:
  """The page: a title, lines about it all, a picture, and the shots one below the other.

  Args:
    sentences: how many there are in the book.
  """
  body = [f'<h1>{html.escape(title)}</h1>', *(f'<p>{html.escape(line)}</p>' for line in lines),
          f'<img alt="measures and scores" src="{embedded(picture)}">',
          *(_shot(match, i, sentences) for i, match in enumerate(matches))]
  return '\n'.join(['<!doctype html>', '<html lang="en">', '<meta charset="utf-8">',
                    '<meta name="viewport" content="width=device-width">',
                    f'<title>{html.escape(title)}</title>', f'<style>{STYLE}{OWN_STYLE}</style>',
                    *body, ''])


def _shot(match: Match, number: int, sentences: int) -> str:
  minutes, seconds = divmod(int(match.begin), 60)
  said = f'<div class="said">“{html.escape(match.said)}”</div>' if match.said else ''
  still = (f'<div><img alt="shot {number}" src="{embedded(match.still)}">'
           f'<div>shot {number}, {minutes // 60}:{minutes % 60:02}:{seconds:02}</div>{said}</div>')
  if not match.paragraph:
    return (f'<div class="shot">{still}<p class="none">no paragraph tells it, as far as can be '
            'seen</p><div></div></div>')
  told = ' '.join(f'<b>{html.escape(text)}</b>' if k == match.sentence else html.escape(text)
                  for k, text in enumerate(match.paragraph))
  rows = ''.join(f'<tr><td>{html.escape(name)}</td><td>{value:.2f}</td>'
                 f'<td>rank {rank} of {sentences}</td></tr>'
                 for name, (value, rank) in match.thought.items())
  return (f'<div class="shot">{still}<p class="told">{told}</p>'
          f'<div>confidence {match.confidence:.2f}<div class="bar">'
          f'<div style="width:{100 * match.confidence:.0f}%"></div></div>'
          f'<table>{rows}</table></div></div>')
