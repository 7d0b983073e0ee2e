"""Prose that is on every machine: the docstrings of Python's library and of installed packages."""

import inspect
import re
import sysconfig
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from visionlab.config import ConfigError
from visionlab.data.source import check_split
from visionlab.data.text.sentence_rows import Sentences, commonest
from visionlab.data.text.sentences import paragraphs, sentences
from visionlab.options.kinds import Count, Natural

STDLIB = 'python'
PACKAGES = (STDLIB, 'numpy', 'scipy', 'sklearn', 'matplotlib', 'jax', 'flax', 'optax', 'orbax')
SPLITS = dict(train=range(8), validation=range(8, 9), test=range(9, 10))    # of ten parts

# A docstring begins its line; few other texts in three quotes do.
_DOCSTRING = re.compile(r'^[ \t]*[rRuU]?"""(.*?)"""', re.DOTALL | re.MULTILINE)
# A prompt, a parameter, 'Args:', a directive, a line under a heading, a table.
_NO_PROSE = re.compile(r'>>>|^[\w*, ]+ : |^[ \t]*\w+:[ \t]*$|^\s*\.\.|^\s*[-=~^*]{3,}\s*$|\|',
                       re.MULTILINE)
_MARKUP = ((re.compile(r':[\w:]+:`~?([^`<]*?)(?:\s*<[^`]*>)?`'), r'\1'),       # :class:`~a.b`
           (re.compile(r'`{1,2}([^`]*)`{1,2}_?'), r'\1'), (re.compile(r'\s?\[\d+\]_?'), ''),
           (re.compile(r'\*'), ''))
_WORD = re.compile(r'["\'(]*[A-Za-z][A-Za-z\'-]*[.,;:!?)"\']*')
_LEAST_WORDS, _MOST_LETTERS, _PLAIN = 4, 400, .8


def prose(docstring: str) -> list[str]:
  """The whole sentences of a docstring, in order, without its markup.

  What is code, a table, a heading, a list of parameters or a formula is left out: a sentence begins
  with a capital letter, ends with a mark, and four of five of its words have letters alone.

  >>> prose('''Fits the model.
  ...
  ...       The matrix ``X`` is not copied, see :func:`~a.fit`. It is sorted.
  ...
  ...       Parameters
  ...       ----------
  ...       X : array of shape (n, d)
  ...       ''')
  ['The matrix X is not copied, see a.fit.']
  """
  found = []
  for paragraph in paragraphs(inspect.cleandoc(docstring)):
    if not _NO_PROSE.search(paragraph):
      for pattern, plain in _MARKUP:
        paragraph = pattern.sub(plain, paragraph)
      found += filter(_is_prose, sentences(paragraph))
  return found


def _is_prose(text: str) -> bool:
  words = text.split()
  plain = sum(_WORD.fullmatch(word) is not None for word in words)
  return (len(words) >= _LEAST_WORDS and len(text) <= _MOST_LETTERS and text[0].isupper()
          and text[-1] in '.!?' and plain >= _PLAIN * len(words))


def package_folder(name: str) -> Path:
  """Where a package's files are, which is not imported for that.

  Raises:
    ConfigError: it is not installed.
  """
  paths = sysconfig.get_paths()
  if name == STDLIB:
    return Path(paths['stdlib'])
  for root in dict.fromkeys((paths['purelib'], paths['platlib'])):
    if (Path(root) / name).is_dir() and name.isidentifier():
      return Path(root) / name
  raise ConfigError(f'docstrings: packages: {name!r} is not installed in {paths["purelib"]}; '
                    f'"{STDLIB}" is Python\'s own library')


@cache
def of_package(name: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
  """(file, sentences) of each docstring that has several, in the order of the files' names; a
  docstring that was there before is left out."""
  folder, found = package_folder(name), {}
  for path in sorted(folder.rglob('*.py')):
    file = path.relative_to(folder)
    if {'tests', 'test', 'site-packages', 'idlelib'} & set(file.parts):
      continue
    try:
      content = path.read_text('utf-8')
    except (OSError, UnicodeDecodeError):          # some of Python's own are there to be broken
      continue
    for docstring in _DOCSTRING.findall(content):
      said = tuple(prose(docstring))
      if len(said) > 1:
        found.setdefault(said, file.as_posix())
  return tuple((file, said) for said, file in found.items())


def documents(split: str, packages: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
  """(package, sentences) of each docstring of a split. A file is in one split with all it holds, by
  a sum of its name; what one package has of another is in the first."""
  check_split(split, tuple(SPLITS), 'docstrings')
  if not packages:
    raise ConfigError('docstrings: packages: names none; expected e.g. ("python", "numpy")')
  first = {}
  for package in packages:
    for file, said in of_package(package):
      part = zlib.crc32(f'{package}/{file}'.encode()) % 10
      first.setdefault(said, (package, part))
  return [(package, said) for said, (package, part) in first.items() if part in SPLITS[split]]


def docstrings(split: str, *, root: str = '', packages: tuple[str, ...] = PACKAGES,
               length: Count = 30, least_count: Count = 5, words: Natural = 0,
               punctuation: bool = True, examples: Natural = 0) -> Sentences:
  """The prose of docstrings, sentence by sentence, each beside its neighbours in the docstring.

  Other versions of the packages have other text. No file is in two splits; some phrases of theirs
  are in many files.

  Args:
    split: 'train', 'validation' or 'test'.
    root: unused.
    packages: their names as they are imported; 'python' is its own library.
    length: of a row of tokens, start and end included; longer sentences are cut.
    least_count: words that are rarer in 'train' are unknown.
    words: only so many, the commonest; 0: all.
    punctuation: whether marks are words.
    examples: at most so many of the split's sentences, of docstrings evenly over all; 0: all.

  Returns:
    A source of `sentence`, see `visionlab.data.text.sentence_rows`.

  Raises:
    ConfigError: an unknown split, or a package that is not installed.
  """
  del root
  own = [said for _, said in documents(split, packages)]
  known = commonest((text for _, said in documents('train', packages) for text in said),
                    least_count, words, punctuation)
  if examples:
    own = some_of(own, examples)
  return Sentences(own, known, length, where='docstrings')


def some_of(own: Sequence[Sequence[str]], examples: int) -> list[Sequence[str]]:
  """Whole documents, evenly over all, with at most so many sentences together; one at least."""
  kept, count = [], 0
  for document in own[::max(1, sum(map(len, own)) // examples)]:
    if kept and count + len(document) > examples:
      break
    kept.append(document)
    count += len(document)
  return kept
