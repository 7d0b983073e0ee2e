"""Running text as sentences."""

import re

# A mark, and what closes behind it, before a blank and what may begin a sentence: its first letter
# or digit is caught, whatever opens before it. Or before what has no words, such as "* * *".
_END = re.compile(r'[.!?…]+["\'”’»)\]]*'
                  r'(?=\s+(?:(?:["\'“‘«„(\[*_¿¡—–-]\s*)*([^\W_])|\W*$))')
_SHORT = re.compile(r'\b(?:e\.g|i\.e|cf|vs|al|ed|dr|mr|mrs|ms|st|sr|jr|prof|capt|col|gen|lt|rev'
                    r'|hon|approx)\.$', re.IGNORECASE)
_NUMBERED = re.compile(r'\b(?:figs?|eqs?|secs?|no|nos|vol|ch|pp?|art)\.$', re.IGNORECASE)
# "J.", "J. R." and "J.R."; the "I" behind another word is none.
_INITIAL = re.compile(r'(?<![^\s("“‘\'])(?<![^.] (?=I\.$))(?:[^\W\d_a-zß-ÿ]\.)+$')


def sentences(paragraph: str) -> list[str]:
  """A paragraph, in lines of any width, as sentences; white space is one blank.

  A sentence ends at . ! ? or … before what may begin another, which is no small letter; not after
  initials, a title or a short form such as "e.g.", nor between "no." and a number. What needs a
  dictionary is not known: "in 1999 etc. Then" is one sentence or two by its capital letter alone.

  >>> sentences('It rains. "Does it?" asked Mr. J. Smith, e.g. on\\nSundays. (It does.) So?')
  ['It rains.', '"Does it?" asked Mr. J. Smith, e.g. on Sundays.', '(It does.)', 'So?']
  """
  text, found, start = ' '.join(paragraph.split()), [], 0
  for match in _END.finditer(text):
    piece, first = text[start:match.end()].lstrip(), match[1] or ''
    if not (first.islower() or _SHORT.search(piece) or _INITIAL.search(piece)
            or first.isdigit() and _NUMBERED.search(piece)):
      found.append(piece)
      start = match.end()
  return [*found, text[start:].strip()] if text[start:].strip() else found


def paragraphs(text: str) -> list[str]:
  """The parts of a text between empty lines.

  >>> paragraphs('One\\ntwo\\n \\n\\nthree')
  ['One\\ntwo', 'three']
  """
  return [part for part in re.split(r'\n[^\S\n]*(?:\n[^\S\n]*)+', text.strip()) if part.strip()]
