"""Files of word vectors: word2vec's and GloVe's text, or arrays."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from visionlab.config import ConfigError
from visionlab.data.text.text_files import read_text


class WordVectors(NamedTuple):
  """words, and their vectors (n d) float32."""
  words: list[str]
  vectors: np.ndarray


def read_word_vectors(path: str | Path, most: int = 0) -> WordVectors:
  """The words of a file and their vectors.

    .npz    arrays `words` (n,) and `vectors` (n d)
    others  a word and its numbers in each line, blanks between, of word2vec after a line with n and
            d, of GloVe without; .gz too

  Args:
    most: only so many, the first, which in such files are the commonest; 0: all.

  Raises:
    ConfigError: a file of another form, which says the line; a word that is there twice, or
      a number that is not finite.
  """
  path = Path(path).expanduser()
  found = _of_arrays(path) if path.suffix.lower() == '.npz' else _of_lines(path, most)
  words, vectors = (found.words[:most], found.vectors[:most]) if most else found
  if not np.isfinite(vectors).all():
    wrong = int(np.argmin(np.isfinite(vectors).all(1)))
    raise ConfigError(f'{path}: the vector of {words[wrong]!r} has numbers that are not finite')
  if len(set(words)) < len(words):
    twice = next(word for i, word in enumerate(words) if words.index(word) < i)
    raise ConfigError(f'{path}: the word {twice!r} is there twice')
  return WordVectors(words, vectors)


def _of_arrays(path: Path) -> WordVectors:
  try:
    with np.load(path, allow_pickle=False) as arrays:
      words, vectors = arrays['words'], arrays['vectors']
  except (OSError, ValueError, KeyError, EOFError) as error:
    raise ConfigError(f'{path}: expected arrays `words` (n,) of text and `vectors` (n d): {error}'
                      ) from error
  if words.ndim != 1 or words.dtype.kind != 'U' or vectors.shape[:1] != words.shape or (
      vectors.ndim != 2 or vectors.dtype.kind != 'f'):
    raise ConfigError(f'{path}: expected `words` (n,) of text and `vectors` (n d) of floats, got '
                      f'{words.shape} {words.dtype} and {vectors.shape} {vectors.dtype}')
  return WordVectors(words.tolist(), vectors.astype(np.float32))


def _of_lines(path: Path, most: int) -> WordVectors:
  lines = [line.rstrip() for line in read_text(path).split('\n')]
  first = 1 if lines and len(lines[0].split()) == 2 else 0           # n and d
  lines = [(i, line) for i, line in enumerate(lines, 1) if line and i > first][:most or None]
  if not lines:
    raise ConfigError(f'{path}: no word vectors in it')
  words, vectors, d = [], [], len(lines[0][1].split(' ')) - 1
  for number, line in lines:
    word, *values = line.rsplit(' ', d) if d else [line]             # a word may have blanks in it
    try:
      if not word or len(values) != d or not d:
        raise ValueError(f'{len(line.split(" ")) - 1} numbers')
      vectors.append(np.array(values, np.float32))
    except ValueError as error:
      raise ConfigError(f'{path}, line {number}: expected a word and {d or "its"} numbers, got '
                        f'{line[:60]!r} ({error})') from error
    words.append(word)
  return WordVectors(words, np.stack(vectors))
