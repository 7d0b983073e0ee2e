"""Prose that is on every machine: the docstrings of Python's library and of installed packages."""

import hashlib
import inspect
import json
import os
import re
import sysconfig
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from absl import logging

from visionlab.config import ConfigError
from visionlab.data.source import check_split
from visionlab.data.text import sentences as cutting
from visionlab.data.text.sentence_rows import Sentences, commonest
from visionlab.data.text.sentences import paragraphs, sentences
from visionlab.options.kinds import Count, Natural
from visionlab.paths import cache_folder

STDLIB = 'python'
PACKAGES = (STDLIB, 'numpy', 'scipy', 'sklearn', 'matplotlib', 'jax', 'flax', 'optax', 'orbax')
LEFT_OUT = frozenset(('tests', 'test', 'site-packages', 'idlelib'))      # folders
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


Docstrings = tuple[tuple[str, tuple[str, ...]], ...]


@cache
def of_package(name: str) -> Docstrings:
  """(file, sentences) of each docstring that has several, in the order of the files' names; a
  docstring that was there before is left out.

  What was read of the package's files is kept for later runs, in `cache_folder('docstrings')`.
  """
  folder = package_folder(name)
  files = [path for path in sorted(folder.rglob('*.py'))
           if not LEFT_OUT & set(path.relative_to(folder).parts)]
  path = cache_folder('docstrings') / f'{name}-{_fingerprint(folder, files)}.json'
  try:
    kept = json.loads(path.read_text('utf-8'))
  except (OSError, ValueError):                    # not there, or torn
    kept = _read(folder, files)
    _keep(path, kept)
  return tuple((file, tuple(said)) for file, said in kept)


def _fingerprint(folder: Path, files: Sequence[Path]) -> str:
  """Of the files, by their sizes and times, which a version of its own need not have changed; and
  of how they are read."""
  digest = hashlib.sha256(str(folder).encode())
  for module in (__file__, cutting.__file__):
    digest.update(Path(module).read_bytes())
  for path in files:
    stat = path.stat()
    digest.update(f'{path} {stat.st_size} {stat.st_mtime_ns}\n'.encode())
  return digest.hexdigest()[:32]


def _read(folder: Path, files: Sequence[Path]) -> Docstrings:
  found: dict[tuple[str, ...], str] = {}
  for path in files:
    try:
      content = path.read_text('utf-8')
    except (OSError, UnicodeDecodeError):          # some of Python's own are there to be broken
      continue
    for docstring in _DOCSTRING.findall(content):
      said = tuple(prose(docstring))
      if len(said) > 1:
        found.setdefault(said, path.relative_to(folder).as_posix())
  return tuple((file, said) for said, file in found.items())


def _keep(path: Path, content: Docstrings) -> None:
  part = path.with_suffix(f'.{os.getpid()}.part')  # of several runs each writes its own
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(content), 'utf-8')
    part.replace(path)
  except OSError as error:                         # a home that cannot be written to
    logging.warning('docstrings are not kept for later runs: %s', error)


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
