"""Text of one's own: any files of it, whose sentences learn from those beside them."""

from collections.abc import Sequence
from pathlib import Path

from absl import logging

from visionlab.config import ConfigError, check_choice
from visionlab.data.images.files import is_stray, splits_with_file
from visionlab.data.source import check_split
from visionlab.data.sources.caption_files import decoded
from visionlab.data.text.sentence_rows import Sentences, commonest
from visionlab.data.text.sentences import paragraphs, sentences
from visionlab.data.text.vocabulary import tokenise
from visionlab.options.kinds import Count, Natural, Share

FORMS = ('lines', 'paragraphs')
SUFFIXES = ('.txt', '.text', '.txt.gz', '.text.gz')
SPLITS = ('train', 'validation', 'test')


def text(split: str, *, root: str = '', files: str = '', form: str = 'lines',
         encoding: str = 'utf-8', held_out: Share = .1, vocabulary: str = 'train',
         length: Count = 30, least_count: Count = 5, words: Natural = 0, punctuation: bool = True,
         too_long: str = 'cut') -> Sentences:
  """Sentences of text files, each beside the one before and the one after it in its file.

  Args:
    split: what {split} stands for in `files`. Without that: 'train', 'validation' or 'test', which
      are the first, the next and the last part of all sentences in the order of the files' names;
      where they meet, nothing has neighbours on the other side.
    root: a folder, or one file.
    files: in it, a file or folder, such as '{split}.txt'; '': all of it. Of a folder what ends in
      .txt, .text or these with .gz is read, also in the folders in it.
    form: 'lines', a sentence in each, and empty ones count for nothing; 'paragraphs', text of any
      lines, cut into sentences by its marks (see `visionlab.data.text.sentences.sentences`).
    encoding: of the files. UTF-16 and UTF-32 that begin with a byte order mark need no word.
    held_out: the part of the sentences that is in 'validation', and as much again in 'test'.
    vocabulary: the split whose words are known.
    length: of a row of tokens, start and end included.
    least_count: rarer words are unknown.
    words: only so many, the commonest; 0: all.
    punctuation: whether marks are words.
    too_long: 'cut' sentences that do not fit `length`, with a warning that counts them, or 'stop'.

  Returns:
    A source of `sentence`, see `visionlab.data.text.sentence_rows`. A line without words is left
    out, which a warning counts, and those on both sides of it are neighbours.

  Raises:
    ConfigError: a wrong option, split or encoding, no file, or no sentence in them.
  """
  check_choice(form, FORMS, 'text: form')
  check_choice(too_long, ('cut', 'stop'), 'text: too_long')
  if held_out >= .5:
    raise ConfigError(f'text: held_out must be below .5, for it is taken twice, not {held_out}')
  opened: dict[str, list[list[str]]] = {}

  def documents_of(name: str) -> list[list[str]]:
    if name not in opened:
      opened[name] = _documents(name, root, files, form, encoding, held_out, punctuation)
    return opened[name]
  known = commonest((said for own in documents_of(vocabulary) for said in own), least_count, words,
                    punctuation)
  source = Sentences(documents_of(split), known, length, too_long=too_long, where=f'text {root}')
  if source.cut:
    logging.warning('text %s: %d of %d sentences are cut, they need more than length=%d tokens',
                    root, source.cut, len(source), length)
  return source


def _documents(split, root, files, form, encoding, held_out, punctuation) -> list[list[str]]:
  """The sentences of each file of a split."""
  paths = _paths(root, files, split)
  own, empty = [], 0
  for path in paths:
    content = decoded(path, encoding, 'text')
    said = [one for paragraph in paragraphs(content) for one in sentences(paragraph)
            ] if form == 'paragraphs' else [line.strip() for line in content.split('\n')]
    said = [one for one in said if one]
    kept = [one for one in said if tokenise(one, punctuation)]
    empty += len(said) - len(kept)
    own.append(kept)
  if empty:
    logging.warning('text %s: %d lines without words are left out', root, empty)
  if '{split}' not in files:
    check_split(split, SPLITS, f'text {root}')
    own = _part(own, split, held_out)
  if not any(own):
    raise ConfigError(f'text {root}: no sentences in the split "{split}" of {len(paths)} files')
  return own


def _part(documents: Sequence[list[str]], split: str, held_out: float) -> list[list[str]]:
  """The sentences of one of the three splits, by document."""
  count = sum(map(len, documents))
  held = int(held_out * count)
  start, stop = {'train': (0, count - 2 * held), 'validation': (count - 2 * held, count - held),
                 'test': (count - held, count)}[split]
  parts, at = [], 0
  for own in documents:
    parts.append(own[max(start - at, 0):max(stop - at, 0)])
    at += len(own)
  return [own for own in parts if own]


def _paths(root: str, files: str, split: str) -> list[Path]:
  """The files of a split, in the order of their names."""
  if not root:
    raise ConfigError('text: root must name a file of text, or a folder of them; '
                      'dict(name="docstrings") needs none')
  path = Path(root).expanduser() / files.replace('{split}', split)
  if path.is_file():
    return [path]
  if path.is_dir():
    found = sorted(file for file in path.rglob('*') if file.name.lower().endswith(SUFFIXES)
                   and file.is_file() and not any(map(is_stray, file.relative_to(path).parts)))
    if not found:
      raise ConfigError(f'text: {path} holds no text ({", ".join(SUFFIXES)})')
    return found
  if splits := splits_with_file(Path(root).expanduser(), files):
    check_split(split, splits, f'text {root}: {files}')
  raise ConfigError(f'text: there is no file or folder {path}')
