"""Running text as sentences."""

import re

# Where a mark, and what closes behind it, is followed by what may begin a sentence.
_END = re.compile(r'[.!?…]+["\'”’)\]]*(?=\s+["\'“‘(\[]*[^\W\d_a-z])')
_SHORT = re.compile(r'(?:\b(?:e\.g|i\.e|cf|vs|al|fig|eq|sec|no|vol|ed|dr|mr|mrs|ms|st|prof|approx)'
                    r'|(?:^|[\s(])[^\W\d_])\.$', re.IGNORECASE)


def sentences(paragraph: str) -> list[str]:
  """A paragraph, in lines of any width, as sentences; white space is one blank.

  A sentence ends at . ! ? or … before what may begin another, which is no small Latin letter; not
  after an initial or a short form such as "e.g.". What needs a dictionary is not known: "in 1999
  etc. Then" is one sentence or two by its capital letter alone.

  >>> sentences('It rains. "Does it?" asked Mr. J. Smith, e.g. on\\nSundays. (It does.) So?')
  ['It rains.', '"Does it?" asked Mr. J. Smith, e.g. on Sundays.', '(It does.)', 'So?']
  """
  text, found, start = ' '.join(paragraph.split()), [], 0
  for match in _END.finditer(text):
    piece = text[start:match.end()]
    if not _SHORT.search(piece):
      found.append(piece.strip())
      start = match.end()
  return [*found, text[start:].strip()] if text[start:].strip() else found


def paragraphs(text: str) -> list[str]:
  """The parts of a text between empty lines.

  >>> paragraphs('One\\ntwo\\n \\n\\nthree')
  ['One\\ntwo', 'three']
  """
  return [part for part in re.split(r'\n[^\S\n]*(?:\n[^\S\n]*)+', text.strip()) if part.strip()]
